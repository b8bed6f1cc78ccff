//! How answers are written: words and tables for people, JSON for programs.

pub(crate) mod diagnostics;
pub(crate) mod json;
pub(crate) mod table;

pub(crate) mod palette;
pub(crate) mod words;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};

use crate::output::palette::Palette;

/// Where a command writes.
#[derive(Debug)]
pub(crate) struct Output {
    /// Whether results go out as the daemon gave them.
    pub(crate) json: bool,
    /// How results for people may look.
    pub(crate) results: Palette,
    /// How what is said on stderr may look.
    pub(crate) remarks: Palette,
}

impl Output {
    /// Decides by the environment and by what stdout and stderr are connected to.
    pub(crate) fn new(json: bool, environment: &BTreeMap<String, String>) -> Self {
        let palette = |is_terminal| Palette::of(is_terminal, environment);
        Self {
            json,
            results: palette(io::stdout().is_terminal()),
            remarks: palette(io::stderr().is_terminal()),
        }
    }

    /// Writes a result to stdout. A reader that has gone away has seen what it wanted to see.
    ///
    /// # Errors
    /// Whatever else keeps stdout from taking it.
    pub(crate) fn result(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    /// Says something on stderr, whole lines.
    pub(crate) fn remark(&self, lines: &str) {
        // Where stderr is closed nobody is left to tell.
        let _ = io::stderr().lock().write_all(lines.as_bytes());
    }

    /// Says on stderr what is good to know about a result.
    pub(crate) fn note(&self, note: Option<&str>) {
        if let Some(note) = note {
            self.remark(&format!("{} {}\n", self.remarks.bold("note:"), words::printable(note)));
        }
    }
}
