//! A server with canned answers in a temporary directory, and a client that writes raw bytes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use vane_mgmt::client::Client;
use vane_mgmt::reply::{Reply, done, internal, no};
use vane_mgmt::request::Request;
use vane_mgmt::server::{Handler, serve};
use vane_mgmt::socket::{MODE, ManagementSocket};
use vane_mgmt::views::{
    CertState, CertsView, DrainView, PingView, RenewRefusal, RenewRefusedView, RenewView,
};

pub(crate) struct Rig {
    directory: TempDir,
    cancel: CancellationToken,
    pub(crate) canned: Arc<Canned>,
    server: JoinHandle<std::io::Result<()>>,
}

/// Answers `ping`, `get_config` and `get_certs` at once, refuses `reload`, renews `a` only, panics
/// at `get_connections`, and holds `shutdown` until released.
#[derive(Default)]
pub(crate) struct Canned {
    pub(crate) shutdown_arrived: Notify,
    pub(crate) release_shutdown: Notify,
}

impl Handler for Canned {
    async fn handle(&self, request: Request) -> Reply {
        match request {
            Request::Ping => {
                done(&PingView { version: "0.1.0".to_owned(), pid: 4711, uptime_ms: 5 })
            }
            Request::Plan(params) => done(&json!({ "asked": params.dir })),
            Request::Reload => no("the configuration is invalid", &json!({ "outcome": "refused" })),
            Request::GetConfig => done(&json!({ "text": "x".repeat(3_000_000) })),
            Request::GetConnections => panic!("a handler may panic"),
            Request::GetCerts => done(&CertsView { certs: Vec::new() }),
            Request::ForceRenew(params) => renewed(params.name),
            Request::Shutdown(_) => {
                self.shutdown_arrived.notify_one();
                self.release_shutdown.notified().await;
                done(&DrainView { draining: true })
            }
            _ => internal("out of order"),
        }
    }
}

fn renewed(name: String) -> Reply {
    match &*name {
        "a" => done(&RenewView { name, asked: true, state: CertState::Serving }),
        _ => {
            let (reason, near) = (RenewRefusal::Unknown, Some("a".to_owned()));
            no("there is none", &RenewRefusedView { name, reason, near })
        }
    }
}

impl Rig {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let socket = ManagementSocket::bind(directory.path().join("m.sock"), MODE)
            .await
            .expect("a fresh path can be bound");
        Self::serving(directory, socket)
    }

    pub(crate) fn serving(directory: TempDir, socket: ManagementSocket) -> Self {
        let canned = Arc::new(Canned::default());
        let cancel = CancellationToken::new();
        let server = tokio::spawn(serve(socket, Arc::clone(&canned), cancel.clone()));
        Self { directory, cancel, canned, server }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("m.sock")
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.path()).await.expect("the server accepts")
    }

    pub(crate) async fn raw(&self) -> Raw {
        Raw::connect(&self.path()).await
    }

    pub(crate) fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Stops the server and answers the directory, for a look at what is left in it.
    pub(crate) async fn stop(self) -> TempDir {
        self.cancel.cancel();
        let ended = timeout(PATIENCE, self.server).await.expect("the server ends when cancelled");
        ended.expect("the server does not panic").expect("the server ends well");
        self.directory
    }
}

/// A client that knows nothing of the protocol.
pub(crate) struct Raw {
    stream: BufReader<UnixStream>,
}

impl Raw {
    pub(crate) async fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).await.expect("the server accepts");
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("the server reads");
    }

    /// Writes to a server that may stop reading.
    pub(crate) async fn write_what_is_taken(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    pub(crate) async fn end_of_writing(&mut self) {
        self.stream.get_mut().shutdown().await.expect("the stream can be half closed");
    }

    /// Waits until there is something to read, and reads nothing.
    pub(crate) async fn answer_begins(&self) {
        let readable = timeout(PATIENCE, self.stream.get_ref().readable());
        readable.await.expect("the server answers").expect("the stream can be watched");
    }

    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = timeout(PATIENCE, self.stream.read_line(&mut line));
        read.await.expect("the server answers").expect("the answer is read");
        line
    }

    pub(crate) async fn reply(&mut self) -> Value {
        serde_json::from_str(&self.line().await).expect("an answer is JSON")
    }

    /// The code of the error answer that comes next.
    pub(crate) async fn code(&mut self) -> i64 {
        self.reply().await["error"]["code"].as_i64().expect("an error answer has a code")
    }

    /// Whether the server has closed; a reset counts.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        let read = timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await;
        !matches!(read.expect("the server closes"), Ok(1..))
    }
}

pub(crate) fn ping(id: u64) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\"}}\n")
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
