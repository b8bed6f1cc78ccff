//! Why a command did not do what was asked, for stderr and for the exit status.

use std::io;

use vane_mgmt::error::ClientError;

use crate::output::diagnostics;
use crate::output::palette::Palette;
use crate::output::words::printable;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// The daemon could not be asked, or did not do it.
    Daemon(ClientError),
    /// The answer is no. Why has been said in full; this sums it up.
    No(String),
    /// The arguments make no sense together.
    Usage(String),
    /// The system refused something on this side: what was tried, and its reason.
    System(String, io::Error),
}

impl CommandError {
    /// The exit status that stands for it.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Daemon(ClientError::No { .. } | ClientError::Fault { .. }) => NO,
            Self::Daemon(_) => NO_DAEMON,
            Self::No(_) | Self::System(..) => NO,
            Self::Usage(_) => USAGE,
        }
    }

    /// What is said on stderr: the details, one line that names the error, one that helps.
    pub(crate) fn report(&self, palette: Palette) -> String {
        match self {
            Self::No(what) | Self::Usage(what) => headline(what, palette),
            Self::System(tried, error) => headline(&format!("{tried}: {error}"), palette),
            Self::Daemon(error) => report_of_client(error, palette),
        }
    }
}

fn report_of_client(error: &ClientError, palette: Palette) -> String {
    let details = match error {
        ClientError::No { data, .. } => match data["rendered"].as_str() {
            Some(rendered) if !rendered.is_empty() => printable(rendered),
            _ => diagnostics::rendered(&data["diagnostics"], palette),
        },
        _ => String::new(),
    };
    let help = match error.help() {
        Some(help) => format!("{} {help}\n", palette.bold("help:")),
        None => String::new(),
    };
    format!("{details}{}{help}", headline(&error.to_string(), palette))
}

fn headline(what: &str, palette: Palette) -> String {
    format!("{} {}\n", palette.red("error:"), printable(what))
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> Self {
        Self::Daemon(error)
    }
}

/// Done.
pub(crate) const DONE: u8 = 0;
/// The answer is no.
pub(crate) const NO: u8 = 1;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 2;
/// No daemon answers.
pub(crate) const NO_DAEMON: u8 = 3;
