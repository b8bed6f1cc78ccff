//! The ways in which an exchange fails, told apart as a client can tell them.

use std::fmt;
use std::io::{Error, ErrorKind};

/// How an exchange failed, as seen by the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The connection was refused: nobody listens.
    Refused,
    /// The peer reset the connection, or the HTTP/2 stream.
    Reset,
    /// The peer closed in good order before the first byte of an answer.
    ClosedBeforeAnswer,
    /// The peer closed in the middle of an answer.
    Truncated,
    /// The peer sent what the protocol forbids, or the exchange failed in another way; the text
    /// says which.
    Malformed(String),
    /// Nothing came in time.
    TimedOut,
    /// HTTP/2: the peer says that it has not looked at the request (GOAWAY below this stream, or
    /// REFUSED_STREAM), or the connection had ended before the request was put on it. A client
    /// may repeat such a request (RFC 9113 §8.7).
    NotProcessed,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::Reset => f.write_str("reset by the peer"),
            Self::ClosedBeforeAnswer => f.write_str("closed before an answer"),
            Self::Truncated => f.write_str("closed in the middle of an answer"),
            Self::Malformed(what) => write!(f, "malformed: {what}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::NotProcessed => f.write_str("not processed by the peer"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
                Self::Reset
            }
            ErrorKind::UnexpectedEof => Self::Truncated,
            ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Malformed(format!("i/o: {error}")),
        }
    }
}

impl From<tokio::time::error::Elapsed> for Failure {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Self::TimedOut
    }
}
