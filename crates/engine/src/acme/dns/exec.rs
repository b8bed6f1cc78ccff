//! A program of the operator's that puts and removes records.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

/// Runs `PROGRAM VERB NAME VALUE`, without a shell, in `/`, with `PATH` as its only variable, no
/// input, and a process group of its own. At most 64 KiB of each output are kept.
///
/// # Errors
/// When it cannot be started, exits with another status than 0, or runs for more than 2 minutes;
/// then its group is killed.
///
/// # Cancel safety
/// Dropping the future kills the group.
pub(crate) async fn run(
    program: &str,
    path: &OsStr,
    [verb, name, value]: [&str; 3],
) -> Result<(), HookFailure> {
    let failure = |problem| HookFailure { program: program.into(), problem };
    let mut command = Command::new(program);
    command
        .args([verb, name, value])
        .env_clear()
        .env("PATH", path)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let child = command.spawn().map_err(|error| failure(Problem::Start(error)))?;
    let (status, said) =
        tokio::time::timeout(LIMIT, ended(child)).await.map_err(|_| failure(Problem::Timeout))?;
    let status = status.map_err(|error| failure(Problem::Start(error)))?;
    if status.success() { Ok(()) } else { Err(failure(Problem::Failed { status, said })) }
}

/// How the program ended, and what it said last.
async fn ended(mut child: Child) -> (io::Result<ExitStatus>, Box<str>) {
    // Falls before the child does, whose process id is its own until then.
    let mut group = Group(child.id());
    let (mut errors, mut output) = (Tail::default(), Tail::default());
    let reading = futures_util::future::join(
        errors.read(child.stderr.take()),
        output.read(child.stdout.take()),
    );
    // What the program left running may hold its outputs open; it is not waited for.
    let (status, mut reading) = {
        let mut reading = Box::pin(reading);
        tokio::select! {
            status = child.wait() => (status, Some(reading)),
            _ = &mut reading => (child.wait().await, None),
        }
    };
    group.0 = None;
    if let Some(reading) = &mut reading {
        let _ = tokio::time::timeout(LAST_WORDS, reading).await;
    }
    drop(reading);
    let said = [errors, output].iter().map(Tail::last_lines).find(|said| !said.is_empty());
    (status, said.unwrap_or_default())
}

/// Kills a process group when dropped, where one is named.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.0.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(leader) = leader {
            // Fails only when all of the group are gone.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// The end of an output.
#[derive(Default)]
struct Tail(VecDeque<u8>);

impl Tail {
    /// Reads to the end, keeping what came last.
    async fn read(&mut self, output: Option<impl AsyncRead + Unpin>) {
        let Some(mut output) = output else { return };
        let mut buffer = vec![0; 8 * 1024];
        while let Ok(count @ 1..) = output.read(&mut buffer).await {
            self.0.extend(&buffer[..count]);
            let excess = self.0.len().saturating_sub(MAX_OUTPUT);
            self.0.drain(..excess);
        }
    }

    /// The last lines that are not empty, on one line, without control characters.
    fn last_lines(&self) -> Box<str> {
        let (front, back) = self.0.as_slices();
        let bytes = [front, back].concat();
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut lines: Vec<_> = lines.rev().take(LINES).map(shown).collect();
        lines.reverse();
        lines.join(" / ").into()
    }
}

fn shown(line: &str) -> String {
    let visible = line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    visible.take(LINE_LENGTH).collect()
}

/// A program that did not do what it was asked.
#[derive(Debug)]
pub(crate) struct HookFailure {
    program: Box<str>,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    Start(io::Error),
    Timeout,
    Failed { status: ExitStatus, said: Box<str> },
}

impl fmt::Display for HookFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = &self.program;
        match &self.problem {
            Problem::Start(error) => write!(f, "`{program}` cannot be run: {error}"),
            Problem::Timeout => write!(
                f,
                "`{program}` did not end within {} seconds and was killed",
                LIMIT.as_secs()
            ),
            Problem::Failed { status, said } => {
                write!(f, "`{program}` failed with {status}")?;
                if said.is_empty() {
                    f.write_str(" and said nothing")
                } else {
                    write!(f, ": {said}")
                }
            }
        }
    }
}

impl std::error::Error for HookFailure {}

const LIMIT: Duration = Duration::from_secs(120);
/// For what is still in the pipes when the program has ended.
const LAST_WORDS: Duration = Duration::from_millis(200);
const MAX_OUTPUT: usize = 64 * 1024;
const LINES: usize = 3;
const LINE_LENGTH: usize = 300;
