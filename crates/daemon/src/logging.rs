//! Where the log goes and what it looks like.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::environment::{LogFormat, LogSettings};

/// The log of the process, which lasts as long as the process.
#[derive(Debug, Default)]
pub(crate) struct Logging {
    file: Option<Arc<LogFile>>,
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: Mutex<File>,
}

impl Logging {
    /// Starts logging. Once a process.
    ///
    /// # Errors
    /// When the file cannot be opened, with what was tried.
    pub(crate) fn start(settings: &LogSettings, journal: Option<&str>) -> io::Result<Self> {
        let file = settings.file.clone().map(LogFile::open).transpose()?.map(Arc::new);
        let format = settings.format.unwrap_or_else(|| automatic(file.is_some(), journal));
        let writer = match &file {
            Some(log) => BoxMakeWriter::new(Arc::clone(log)),
            None => BoxMakeWriter::new(io::stderr),
        };
        subscribe(&settings.filter, format, file.is_none() && colours_fit(), writer);
        Ok(Self { file })
    }

    /// Whether the log goes to stderr.
    pub(crate) fn is_stderr(&self) -> bool {
        self.file.is_none()
    }

    /// Opens the file again, so that what rotated it away gets no more.
    pub(crate) fn reopen(&self) {
        if let Some(log) = &self.file
            && let Err(error) = log.reopen()
        {
            tracing::error!(%error, "the log goes on to where it went before");
        }
    }
}

impl LogFile {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = append(&path)?;
        Ok(Self { path, file: Mutex::new(file) })
    }

    fn reopen(&self) -> io::Result<()> {
        let file = append(&self.path)?;
        *self.lock() = file;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for &LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().flush()
    }
}

/// Whether stderr is a terminal on which colours are wanted.
pub(crate) fn colours_fit() -> bool {
    let refused = |name: &str, by: &dyn Fn(&str) -> bool| std::env::var(name).is_ok_and(|v| by(&v));
    io::stderr().is_terminal()
        && !refused("NO_COLOR", &|value| !value.is_empty())
        && !refused("TERM", &|value| value == "dumb")
}

fn append(path: &PathBuf) -> io::Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|error| {
        let what = format!("VANE_LOG_FILE: cannot append to {}: {error}", path.display());
        io::Error::new(error.kind(), what)
    })
}

fn subscribe(filter: &str, format: LogFormat, colours: bool, writer: BoxMakeWriter) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("{QUIETER}{filter}")))
        .with_ansi(colours && format == LogFormat::Text)
        .with_writer(writer);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Journald => builder.without_time().init(),
    }
}

fn automatic(to_file: bool, journal: Option<&str>) -> LogFormat {
    let stderr = rustix::fs::fstat(io::stderr()).ok();
    let is_journal =
        |stat: rustix::fs::Stat| journal == Some(&*format!("{}:{}", stat.st_dev, stat.st_ino));
    if to_file {
        LogFormat::Json
    } else if stderr.is_some_and(is_journal) {
        LogFormat::Journald
    } else if io::stderr().is_terminal() {
        LogFormat::Text
    } else {
        LogFormat::Json
    }
}

/// The watcher warns of each directory that goes away. What matters of it we log ourselves.
const QUIETER: &str = "notify=error,";
