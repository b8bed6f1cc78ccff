//! Child processes whose words are kept, and shown when the test fails.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// A running program, killed when dropped. When that happens in a failing test, what it said is
/// printed.
#[derive(Debug)]
pub(crate) struct Running {
    name: &'static str,
    child: Child,
    log: Log,
}

impl Running {
    /// Starts it with that standard input and follows its standard error.
    pub(crate) fn spawn(name: &'static str, mut command: Command, stdin: Stdio) -> Self {
        command.stdin(stdin);
        Self::start(name, command, |_| Ok(Stdio::null()))
    }

    /// Starts it and follows both of its outputs.
    pub(crate) fn spawn_talkative(name: &'static str, mut command: Command) -> Self {
        command.stdin(Stdio::null());
        Self::start(name, command, |log| Ok(log.try_clone()?.into()))
    }

    /// Starts it with an input that lasts until [`Self::release`], and follows both of its outputs.
    pub(crate) fn spawn_held(name: &'static str, mut command: Command) -> Self {
        command.stdin(Stdio::piped());
        Self::start(name, command, |log| Ok(log.try_clone()?.into()))
    }

    /// Ends its input, and waits for its end.
    ///
    /// # Panics
    /// When it does not end within 10 seconds.
    pub(crate) fn release(&mut self) {
        drop(self.child.stdin.take());
        wait::until_blocking(&format!("{} to end", self.name), LIMIT, || self.exited());
    }

    fn start(
        name: &'static str,
        mut command: Command,
        stdout: impl FnOnce(&io::PipeWriter) -> io::Result<Stdio>,
    ) -> Self {
        let (reader, writer) = io::pipe().expect("a pipe can be made");
        let stdout = stdout(&writer).expect("a pipe can be shared");
        command.stdout(stdout).stderr(writer);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} cannot start: {error}"));
        // It holds ends of the pipe, whose end is the end of the log.
        drop(command);
        Self { name, child, log: Log::follow(reader) }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(pid_of(&self.child), signal).expect("a child can be signalled");
    }

    /// Whether each of its threads has been stopped.
    pub(crate) fn is_suspended(&self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid()));
        tasks.expect("a child has threads").flatten().all(|task| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            // The name before it is in parentheses and may hold any character, proc_pid_stat(5).
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
        })
    }

    /// How it ended, if it has.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// # Panics
    /// When it has ended, though it was to come up.
    pub(crate) fn assert_is_starting(&mut self) {
        if let Some(status) = self.exited() {
            panic!("{} ended while starting: {status}", self.name);
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it runs longer than `limit`.
    pub(crate) async fn exit_status(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("{} to end", self.name);
        let status = wait::until(&what, limit, async || self.exited()).await;
        self.log.finish();
        status
    }

    /// The lines it has written so far.
    pub(crate) fn log_lines(&self) -> Vec<String> {
        self.log.lines().clone()
    }

    /// The first line that the predicate takes, past or to come.
    ///
    /// # Panics
    /// When there is none within 10 seconds.
    pub(crate) async fn wait_for_log(&self, predicate: impl Fn(&str) -> bool) -> String {
        wait::until("a line in the log", LIMIT, async || {
            let lines = self.log.lines();
            let found = lines.iter().find(|line| predicate(line)).cloned();
            found.ok_or_else(|| format!("{} lines without it", lines.len()))
        })
        .await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let status = self.child.wait();
        if std::thread::panicking() {
            self.log.finish();
            print_log(self.name, self.pid(), &format!("{status:?}"), &self.log.lines());
        }
    }
}

/// The process id of a child that has not been waited for.
pub(crate) fn pid_of(child: &Child) -> Pid {
    let raw = i32::try_from(child.id()).ok();
    raw.and_then(Pid::from_raw).expect("the kernel gives positive process ids")
}

#[expect(clippy::print_stderr, reason = "belongs to the report of the failed test")]
fn print_log(name: &str, pid: u32, status: &str, lines: &[String]) {
    eprintln!("--- log of {name} {pid}, {status}");
    for line in lines {
        eprintln!("{line}");
    }
    eprintln!("--- end of log");
}

/// The lines of a pipe, read by a thread until its end.
#[derive(Debug)]
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    at_end: mpsc::Receiver<()>,
}

impl Log {
    fn follow(pipe: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (reading, at_end) = mpsc::channel();
        let kept = lines.clone();
        std::thread::spawn(move || {
            let _reading: mpsc::Sender<()> = reading;
            let read = BufReader::new(pipe).split(b'\n').map_while(Result::ok);
            for line in read {
                let line = String::from_utf8_lossy(&line).into_owned();
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { lines, at_end }
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what is left once the child has ended. A grandchild can hold the pipe open, and is
    /// not waited for.
    fn finish(&self) {
        let _ = self.at_end.recv_timeout(LOG_END_LIMIT);
    }
}

const LIMIT: Duration = Duration::from_secs(10);
const LOG_END_LIMIT: Duration = Duration::from_secs(1);
