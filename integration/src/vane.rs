//! The CLI as a child process.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use tokio::time::timeout;

use crate::binary;
use crate::child::pid_of;

/// What a run of the CLI left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit code; -1 when a signal ended it.
    pub status: i32,
    /// Everything on standard output.
    pub stdout: String,
    /// Everything on standard error.
    pub stderr: String,
}

/// A run of `vane` to be.
#[derive(Debug)]
pub struct Vane {
    command: Command,
}

impl Vane {
    /// With no `VANE_*` variable of the surroundings, and no management socket.
    pub fn new() -> Self {
        let mut command = Command::new(binary::path("vane"));
        remove_own_variables(&mut command);
        command.env("VANE_MGMT_UNIX", "/nonexistent/vaned.sock");
        Self { command }
    }

    /// Talks to the daemon behind that management socket.
    pub fn socket(self, path: &Path) -> Self {
        self.env("VANE_MGMT_UNIX", &path.to_string_lossy())
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs in that directory.
    pub fn current_dir(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Runs with these arguments, no input and no terminal.
    ///
    /// # Panics
    /// When it does not end within a minute; it is killed then.
    pub async fn run(mut self, args: &[&str]) -> Output {
        self.command.args(args).stdin(Stdio::null());
        finished(self.command, &format!("vane {args:?}")).await
    }
}

/// Runs a program to its end.
///
/// # Panics
/// When it does not end within a minute; it is killed then.
pub(crate) async fn finished(mut command: Command, what: &str) -> Output {
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = spawned.expect("the program can be started");
    let pid = pid_of(&child);
    let waiting = tokio::task::spawn_blocking(|| child.wait_with_output());
    let Ok(ended) = timeout(LIMIT, waiting).await else {
        let _ = kill_process(pid, Signal::KILL);
        panic!("{what} has not ended within {LIMIT:?}");
    };
    output(ended.expect("the waiting thread does not panic"))
}

impl Default for Vane {
    fn default() -> Self {
        Self::new()
    }
}

/// Keeps the `VANE_*` variables of whoever runs the tests out of a child.
pub(crate) fn remove_own_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("VANE_") {
            command.env_remove(name);
        }
    }
}

fn output(ended: io::Result<std::process::Output>) -> Output {
    let ended = ended.expect("the output of a child can be read");
    Output {
        status: ended.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&ended.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&ended.stderr).into_owned(),
    }
}

const LIMIT: Duration = Duration::from_secs(60);
