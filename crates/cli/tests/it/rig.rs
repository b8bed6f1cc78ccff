//! A daemon that is only its management socket, and the binary that talks to it.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use vane_mgmt::reply::Reply;
use vane_mgmt::request::Request;
use vane_mgmt::server::{Handler, serve};
use vane_mgmt::socket::{MODE, ManagementSocket};

/// A management server that answers by a function, on a thread of its own.
pub(crate) struct Daemon {
    _directory: TempDir,
    socket: String,
    cancel: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// What a run of the binary left.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

struct Canned<F>(F);

impl<F: Fn(&Request) -> Reply + Send + Sync + 'static> Handler for Canned<F> {
    async fn handle(&self, request: Request) -> Reply {
        self.0(&request)
    }
}

impl Daemon {
    pub(crate) fn answering(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = directory.path().join("m.sock");
        let path = path.to_str().expect("a temporary directory has a UTF-8 name").to_owned();
        let cancel = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be built");
        let socket = runtime.block_on(ManagementSocket::bind(&path, MODE));
        let socket = socket.expect("a fresh path can be bound");
        let serving = serve(socket, Arc::new(Canned(answer)), cancel.clone());
        let thread = std::thread::spawn(move || {
            runtime.block_on(serving).expect("the server ends well");
        });
        Self { _directory: directory, socket: path, cancel, thread: Some(thread) }
    }

    /// A daemon that answers every request with this result.
    pub(crate) fn always(result: Value) -> Self {
        Self::answering(move |_| Ok(result.clone()))
    }

    /// Runs the binary against this daemon.
    pub(crate) fn vane(&self, args: &[&str]) -> Run {
        run(&mut self.command(args))
    }

    pub(crate) fn socket(&self) -> &str {
        &self.socket
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = vane(args);
        command.env("VANE_MGMT_UNIX", &self.socket);
        command
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.cancel.cancel();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))));
    }
}

/// The binary with arguments and without the variables of whoever runs the tests.
pub(crate) fn vane(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vane"));
    command.args(args).stdin(Stdio::null());
    for variable in ["VANE_MGMT_UNIX", "XDG_RUNTIME_DIR", "NO_COLOR", "CLICOLOR_FORCE", "COLUMNS"] {
        command.env_remove(variable);
    }
    command
}

pub(crate) fn run(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("the binary writes UTF-8");
    Run {
        status: status.code().expect("the binary ends by itself"),
        stdout: text(stdout),
        stderr: text(stderr),
    }
}
