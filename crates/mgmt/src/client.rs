//! The one client of the management protocol.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{interval, timeout};

use crate::error::{ClientError, ProtocolError, Unreachable};
use crate::frame::{Line, LineReader, MAX_REPLY_BYTES, parse_reply, request_line};
use crate::reply::{Fault, NO, Reply};
use crate::request::{DirParams, RenewParams, Request, ShutdownParams};
use crate::views::{
    CertsView, CompileView, ConfigView, ConnectionsView, DrainView, ListenersView, PingView,
    PlanView, ReloadView, RenewView, StatsView,
};

/// A connection to a daemon.
///
/// Calls are not cancel safe: after a call was dropped or timed out, the next one answers
/// [`ProtocolError::Spoiled`]; connect again.
#[derive(Debug)]
pub struct Client {
    lines: LineReader<OwnedReadHalf>,
    stream: OwnedWriteHalf,
    limit: Option<Duration>,
    last_id: u64,
    spoiled: bool,
}

impl Client {
    /// Connects to the daemon whose management socket is at `path`, within two seconds.
    ///
    /// # Errors
    /// [`ClientError::NoDaemon`].
    pub async fn connect(path: impl AsRef<Path>) -> Result<Self, ClientError> {
        let path = path.as_ref();
        let stream = match timeout(CONNECT_LIMIT, connect_patiently(path)).await {
            Ok(connected) => connected.map_err(|error| no_daemon(path, unreachable(error)))?,
            Err(_) => return Err(no_daemon(path, Unreachable::Busy)),
        };
        let (read, write) = stream.into_split();
        let lines = LineReader::new(read, MAX_REPLY_BYTES);
        Ok(Self { lines, stream: write, limit: None, last_id: 0, spoiled: false })
    }

    /// Gives every later call this long to be answered. Without it a call waits as long as the
    /// daemon takes, which for `reload` includes earlier reloads in its queue.
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Asks whether the daemon is there.
    ///
    /// # Errors
    /// As [`Client::call`], and when the result has an unexpected shape; so do all typed calls.
    pub async fn ping(&mut self) -> Result<PingView, ClientError> {
        self.ask(&Request::Ping).await
    }

    /// Asks how the daemon is.
    ///
    /// # Errors
    /// As [`Client::ping`].
    pub async fn stats(&mut self) -> Result<StatsView, ClientError> {
        self.ask(&Request::Stats).await
    }

    /// Has the configuration directory read again, and waits for the outcome.
    ///
    /// # Errors
    /// As [`Client::ping`]. A refused reload is [`ClientError::No`] with a `ReloadView` as data.
    pub async fn reload(&mut self) -> Result<ReloadView, ClientError> {
        self.ask(&Request::Reload).await
    }

    /// Has the daemon drain and end; answers when the drain has begun.
    ///
    /// # Errors
    /// As [`Client::ping`].
    pub async fn shutdown(&mut self, params: ShutdownParams) -> Result<DrainView, ClientError> {
        self.ask(&Request::Shutdown(params)).await
    }

    /// Has a directory compiled, and nothing installed.
    ///
    /// # Errors
    /// As [`Client::ping`].
    pub async fn compile_dry_run(&mut self, params: DirParams) -> Result<CompileView, ClientError> {
        self.ask(&Request::CompileDryRun(params)).await
    }

    /// Asks what a reload would change.
    ///
    /// # Errors
    /// As [`Client::ping`].
    pub async fn plan(&mut self, params: DirParams) -> Result<PlanView, ClientError> {
        self.ask(&Request::Plan(params)).await
    }

    /// Asks what serves now.
    ///
    /// # Errors
    /// As [`Client::ping`].
    pub async fn get_config(&mut self) -> Result<ConfigView, ClientError> {
        self.ask(&Request::GetConfig).await
    }

    /// Asks how the listeners are.
    ///
    /// # Errors
    /// As [`Client::ping`].
    pub async fn get_listeners(&mut self) -> Result<ListenersView, ClientError> {
        self.ask(&Request::GetListeners).await
    }

    /// Asks which connections are open.
    ///
    /// # Errors
    /// As [`Client::ping`].
    pub async fn get_connections(&mut self) -> Result<ConnectionsView, ClientError> {
        self.ask(&Request::GetConnections).await
    }

    /// Asks how the certificates are.
    ///
    /// # Errors
    /// As [`Client::ping`].
    pub async fn get_certs(&mut self) -> Result<CertsView, ClientError> {
        self.ask(&Request::GetCerts).await
    }

    /// Has a managed certificate ordered now; answers when the order has been asked for.
    ///
    /// # Errors
    /// As [`Client::ping`]. A refusal is [`ClientError::No`] with a `RenewRefusedView` as data.
    pub async fn force_renew(&mut self, params: RenewParams) -> Result<RenewView, ClientError> {
        self.ask(&Request::ForceRenew(params)).await
    }

    /// Calls any method and answers its result as the daemon wrote it. `Value::Null` sends no
    /// parameters.
    ///
    /// # Errors
    /// Every [`ClientError`] but `NoDaemon`.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        if self.spoiled {
            return Err(ProtocolError::Spoiled.into());
        }
        self.spoiled = true;
        let reply = match self.limit {
            None => self.exchange(method, params).await?,
            Some(limit) => timeout(limit, self.exchange(method, params))
                .await
                .map_err(|_| ClientError::TimedOut { method: method.to_owned(), limit })??,
        };
        self.spoiled = false;
        reply.map_err(fault_error)
    }

    async fn ask<V: DeserializeOwned>(&mut self, request: &Request) -> Result<V, ClientError> {
        let result = self.call(request.method(), request.params()).await?;
        result_view(request.method(), result)
    }

    async fn exchange(&mut self, method: &str, params: Value) -> Result<Reply, ProtocolError> {
        self.last_id += 1;
        let written = self.stream.write_all(&request_line(self.last_id, method, params)).await;
        // A server that closes early says why before it does, so look for its words first.
        match (self.read_reply().await, written) {
            (Err(ProtocolError::Closed | ProtocolError::Io(_)), Err(error)) => {
                Err(ProtocolError::Io(error))
            }
            (reply, _) => reply,
        }
    }

    async fn read_reply(&mut self) -> Result<Reply, ProtocolError> {
        let line = match self.lines.next().await.map_err(ProtocolError::Io)? {
            Line::Text(line) => line,
            Line::End | Line::Unfinished => return Err(ProtocolError::Closed),
            Line::TooLong => return Err(ProtocolError::TooLong(MAX_REPLY_BYTES)),
        };
        match parse_reply(line).map_err(ProtocolError::NotAnAnswer)? {
            (Some(id), reply) if id == self.last_id => Ok(reply),
            (None, Err(fault)) => Ok(Err(fault)),
            _ => Err(ProtocolError::NotAnAnswer("it belongs to no request".to_owned())),
        }
    }
}

/// Reads the result of `method` as its view.
///
/// # Errors
/// [`ProtocolError::UnexpectedResult`].
pub fn result_view<V: DeserializeOwned>(method: &str, result: Value) -> Result<V, ClientError> {
    serde_json::from_value(result).map_err(|source| {
        ProtocolError::UnexpectedResult { method: method.to_owned(), source }.into()
    })
}

/// Connects, and tries again while the daemon's queue of waiting clients is full.
async fn connect_patiently(path: &Path) -> io::Result<UnixStream> {
    let mut pace = interval(CONNECT_PACE);
    loop {
        pace.tick().await;
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            connected => return connected,
        }
    }
}

fn no_daemon(path: &Path, why: Unreachable) -> ClientError {
    ClientError::NoDaemon { path: PathBuf::from(path), why }
}

fn unreachable(error: io::Error) -> Unreachable {
    match error.kind() {
        io::ErrorKind::NotFound => Unreachable::Missing,
        io::ErrorKind::ConnectionRefused => Unreachable::Refused,
        io::ErrorKind::PermissionDenied => Unreachable::Denied,
        _ => Unreachable::Os(error),
    }
}

fn fault_error(fault: Fault) -> ClientError {
    let Fault { code, message, data } = fault;
    match code {
        NO => ClientError::No { message, data: data.unwrap_or(Value::Null) },
        code => ClientError::Fault { code, message },
    }
}

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const CONNECT_PACE: Duration = Duration::from_millis(20);
