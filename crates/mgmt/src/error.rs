//! What can go wrong on either side of the management socket.
//!
//! `Display` says what happened in one line; `help` says what to do about it, for a line of its
//! own.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

/// Why a call through the client brought no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// No daemon could be reached.
    NoDaemon {
        /// The socket that was tried.
        path: PathBuf,
        /// What stood in the way.
        why: Unreachable,
    },
    /// The peer does not speak the management protocol, or stopped in the middle of it.
    Protocol(ProtocolError),
    /// The call's deadline passed. The daemon may still carry the request out.
    TimedOut {
        /// The method that was called.
        method: String,
        /// How long the client waited.
        limit: Duration,
    },
    /// The daemon understood and its answer is no: an invalid configuration, a refused reload.
    No {
        /// The daemon's words.
        message: String,
        /// The details that belong to the method, `null` if there are none.
        data: Value,
    },
    /// The daemon could not take the request: an unknown method, bad parameters, a fault of its
    /// own.
    Fault {
        /// The JSON-RPC error code.
        code: i64,
        /// The daemon's words.
        message: String,
    },
}

/// What stands between a client and the daemon.
#[derive(Debug)]
#[non_exhaustive]
pub enum Unreachable {
    /// The socket does not exist.
    Missing,
    /// The socket file exists and nothing listens on it.
    Refused,
    /// The socket may not be used by this user.
    Denied,
    /// The daemon did not take the connection in time.
    Busy,
    /// Any other failure of the operating system.
    Os(io::Error),
}

/// How a peer broke the management protocol.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The connection ended before the answer was complete.
    Closed,
    /// Reading or writing failed.
    Io(io::Error),
    /// An answer was longer than a client takes, in bytes.
    TooLong(usize),
    /// An answer is not a JSON-RPC 2.0 response. The text says why.
    NotAnAnswer(String),
    /// The result of a method does not have the shape that the method promises.
    UnexpectedResult {
        /// The method that was called.
        method: String,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// An earlier call on this connection was given up, so answers can no longer be told apart.
    Spoiled,
}

/// Why the management socket could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// Another daemon owns the socket.
    InUse {
        /// The socket.
        path: PathBuf,
        /// The other daemon's process, if it said so.
        pid: Option<u32>,
    },
    /// There is something else at that path. It was left alone.
    NotASocket {
        /// The path.
        path: PathBuf,
        /// What is there, with its article: "a regular file".
        found: &'static str,
    },
    /// The operating system refused.
    Os {
        /// The path that was worked on.
        path: PathBuf,
        /// What was tried, to follow "cannot": "bind".
        tried: &'static str,
        /// The operating system's reason.
        source: io::Error,
    },
}

impl ClientError {
    /// What to do about it, if that can be said in general.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NoDaemon { why, .. } => why.help(),
            Self::Protocol(ProtocolError::UnexpectedResult { .. }) => Some(VERSIONS_DIFFER),
            Self::Fault { code: -32601, .. } => Some(VERSIONS_DIFFER),
            Self::Protocol(ProtocolError::NotAnAnswer(_)) => {
                Some("check that the socket is vaned's management socket")
            }
            _ => None,
        }
    }
}

impl Unreachable {
    fn help(&self) -> Option<&'static str> {
        match self {
            Self::Missing => {
                Some("start vaned, or name its socket with `--socket` or `VANE_MGMT_UNIX`")
            }
            Self::Refused => {
                Some("start vaned; it replaces a socket file that an ended daemon left behind")
            }
            Self::Denied => Some("run as root or as a member of the group that owns the socket"),
            Self::Busy => Some("the daemon is stopped or overloaded; look at its log"),
            Self::Os(_) => None,
        }
    }
}

impl BindError {
    /// What to do about it, if that can be said in general.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::InUse { .. } => {
                Some("stop the other daemon, or give this one its own `VANE_MGMT_UNIX`")
            }
            Self::NotASocket { .. } => {
                Some("move it away, or set `VANE_MGMT_UNIX` to another path")
            }
            Self::Os { source, .. } => os_help(source.kind()),
        }
    }
}

fn os_help(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::NotFound => {
            Some("create the directory, or set `VANE_MGMT_UNIX` to a path in one that exists")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some("set `VANE_MGMT_UNIX` to a path in a directory that the daemon may write")
        }
        io::ErrorKind::InvalidInput => Some("set `VANE_MGMT_UNIX` to a shorter path"),
        _ => None,
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDaemon { path, why } => write!(f, "no daemon at {}: {why}", path.display()),
            Self::Protocol(error) => write!(f, "the management protocol was broken: {error}"),
            Self::TimedOut { method, limit } => {
                write!(f, "the daemon did not answer `{method}` within {limit:?}")
            }
            Self::No { message, .. } => f.write_str(message),
            Self::Fault { code, message } => {
                write!(f, "the daemon did not take the request: {message} ({code})")
            }
        }
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the socket does not exist"),
            Self::Refused => f.write_str("nothing listens on the socket"),
            Self::Denied => f.write_str("permission denied"),
            Self::Busy => f.write_str("it does not take the connection"),
            Self::Os(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the daemon closed the connection before it answered"),
            Self::Io(error) => error.fmt(f),
            Self::TooLong(limit) => write!(f, "the answer is longer than {limit} bytes"),
            Self::NotAnAnswer(why) => write!(f, "what came is not an answer: {why}"),
            Self::UnexpectedResult { method, source } => {
                write!(f, "the result of `{method}` has an unexpected shape: {source}")
            }
            Self::Spoiled => f.write_str("an earlier call on this connection was given up"),
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path, pid: Some(pid) } => {
                write!(f, "the daemon with pid {pid} already owns {}", path.display())
            }
            Self::InUse { path, pid: None } => {
                write!(f, "another process already owns {}", path.display())
            }
            Self::NotASocket { path, found } => {
                write!(f, "{} is {found}, not a socket, and was left alone", path.display())
            }
            Self::Os { path, tried, source } => {
                write!(f, "cannot {tried} {}: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoDaemon { why: Unreachable::Os(error), .. } => Some(error),
            Self::Protocol(error) => error.source(),
            _ => None,
        }
    }
}

impl std::error::Error for ProtocolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::UnexpectedResult { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Os { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<ProtocolError> for ClientError {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

const VERSIONS_DIFFER: &str =
    "the daemon is of another version than this tool: compare `vane ping` with `vane --version`";
