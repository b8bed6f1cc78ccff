//! Running one program from the repository root, its output in sight of the reader.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// A program with its arguments and environment, not yet started.
pub(crate) struct Program {
    command: Command,
}

/// Why a program did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    NotStarted(io::Error),
    Ended(ExitStatus),
    TooSlow(Duration),
}

impl Program {
    /// The cargo that runs this task, so that every step uses one toolchain.
    pub(crate) fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    /// The program at `path`.
    pub(crate) fn at(path: &Path) -> Self {
        Self::new(path)
    }

    /// The program that the search path finds under `name`.
    pub(crate) fn new(name: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(name);
        command.current_dir(repository());
        Self { command }
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs to the end with output passed through.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        say(&format!("$ {}", self.line()));
        ended(self.command.status().map_err(Failure::NotStarted)?)
    }

    /// Runs to the end with output passed through; stops the program after `limit`.
    pub(crate) fn run_within(mut self, limit: Duration) -> Result<(), Failure> {
        say(&format!("$ {}", self.line()));
        let mut child = self
            .command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Failure::NotStarted)?;
        if outlives(&mut child, limit) {
            child.kill().map_err(Failure::NotStarted)?;
            child.wait().map_err(Failure::NotStarted)?;
            return Err(Failure::TooSlow(limit));
        }
        ended(child.wait().map_err(Failure::NotStarted)?)
    }

    /// Whether the program starts and ends well, without showing what it prints.
    pub(crate) fn answers(mut self) -> bool {
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// What the program prints on stderr, when it ends well.
    pub(crate) fn stderr(self) -> Result<String, Failure> {
        self.output().map(|output| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// What the program prints on stdout, when it ends well.
    pub(crate) fn stdout(self) -> Result<String, Failure> {
        self.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn output(mut self) -> Result<Output, Failure> {
        say(&format!("$ {}", self.line()));
        let output = self.command.stdin(Stdio::null()).output().map_err(Failure::NotStarted)?;
        ended(output.status)?;
        Ok(output)
    }

    fn line(&self) -> String {
        let program = Path::new(self.command.get_program());
        let mut line = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for arg in self.command.get_args() {
            line.push(' ');
            line.push_str(&arg.to_string_lossy());
        }
        line
    }
}

/// Where the workspace lies: of the run where cargo says it, since worktrees may share a target
/// directory, else of the build.
pub(crate) fn repository() -> PathBuf {
    let built_in = || env!("CARGO_MANIFEST_DIR").into();
    let xtask = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(built_in));
    xtask.parent().expect("xtask lies in the workspace root").to_owned()
}

/// Where cargo builds: `CARGO_TARGET_DIR`, else `target` in the workspace.
pub(crate) fn target_dir() -> PathBuf {
    repository().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Where the program lies. The directories of daemons are searched as well: they are not on
/// everybody's path.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let daemons = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let places = std::env::split_paths(&path).chain(daemons);
    places.map(|place| place.join(program)).find(|path| path.is_file())
}

/// Writes a line for the reader, in order with the output of the programs run.
pub(crate) fn say(text: &str) {
    // A reader that went away (`| head`) is no failure of the task.
    let _ = writeln!(io::stderr(), "{text}");
}

/// The end of the child's output is its end, seen from a thread that the deadline does not block.
fn outlives(child: &mut Child, limit: Duration) -> bool {
    let Some(mut output) = child.stdout.take() else { return false };
    let (done, wait) = mpsc::channel();
    thread::spawn(move || {
        let _ = io::copy(&mut output, &mut io::stderr());
        let _ = done.send(());
    });
    matches!(wait.recv_timeout(limit), Err(RecvTimeoutError::Timeout))
}

fn ended(status: ExitStatus) -> Result<(), Failure> {
    if status.success() { Ok(()) } else { Err(Failure::Ended(status)) }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(error) => write!(f, "not started: {error}"),
            Self::Ended(status) => write!(f, "{status}"),
            Self::TooSlow(limit) => write!(f, "no end after {} s", limit.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_judged_by_its_exit_status() {
        assert!(Program::new("true").run().is_ok());
        assert!(matches!(Program::new("false").run(), Err(Failure::Ended(_))));
    }

    #[test]
    fn a_program_that_is_not_there_is_a_failure_not_a_panic() {
        let missing = Program::new("no-such-program-here");
        assert!(matches!(missing.run(), Err(Failure::NotStarted(_))));
        assert!(!Program::new("no-such-program-here").answers());
    }

    #[test]
    fn a_program_is_looked_for_on_the_path() {
        assert!(which("sh").is_some_and(|path| path.ends_with("sh")));
        assert_eq!(None, which("no-such-program-here"));
    }

    #[test]
    fn a_program_past_its_limit_is_stopped() {
        let endless = Program::new("sleep").args(["600"]);
        let result = endless.run_within(Duration::from_millis(20));
        assert!(matches!(result, Err(Failure::TooSlow(_))));
    }

    #[test]
    fn a_program_within_its_limit_is_judged_by_its_exit_status() {
        assert!(Program::new("true").run_within(Duration::from_secs(30)).is_ok());
        assert!(Program::new("false").run_within(Duration::from_secs(30)).is_err());
    }
}
