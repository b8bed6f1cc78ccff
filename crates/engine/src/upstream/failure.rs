//! What can go wrong between here and a server, and the one place that decides what may be
//! tried again.

use std::error::Error;
use std::fmt;
use std::io;

use h2::Reason;
use http::{Method, Request, Response};
use hyper::client::conn::TrySendError;

use crate::body::RequestBody;
use crate::inbound::Inbound;
use crate::upstream::secured::tls_error;

/// An exchange with a server that did not come to an answer.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What happened.
    pub(crate) kind: FailureKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The server's name has no address.
    Resolve,
    /// Nothing listens there.
    Refused,
    /// No way leads there.
    Unreachable,
    /// The connection could not be made for another reason.
    Connect,
    /// The connection did not stand in time.
    ConnectTimeout,
    /// The server's certificate does not verify.
    Certificate,
    /// There is no TLS with the server.
    Tls,
    /// The server refused TLS with us, or ended it, and said why.
    Alert,
    /// The server closed the connection before its answer.
    Terminated,
    /// The server says that it has not begun with the request.
    NotProcessed,
    /// The answer did not begin in time.
    ResponseTimeout,
    /// What the server sent is no HTTP.
    Protocol,
    /// The client's body is larger than the rule allows.
    BodyTooLarge,
    /// The client stopped sending its body.
    BodyIdle,
    /// The client's body broke off.
    BodyBroken,
}

impl FailureKind {
    /// Whether the client, not the server, is at fault.
    pub(crate) fn is_clients(self) -> bool {
        matches!(self, Self::BodyTooLarge | Self::BodyIdle | Self::BodyBroken)
    }
}

impl Failure {
    /// Of this kind, with nothing more to say.
    pub(crate) fn new(kind: FailureKind) -> Self {
        Self { kind, source: None }
    }

    /// Of this kind, because of `source`.
    pub(crate) fn with(kind: FailureKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// What lies behind it, for callers with words of their own.
    pub(crate) fn into_source(self) -> Option<Box<dyn Error + Send + Sync>> {
        self.source
    }

    /// A connection that could not be made.
    pub(crate) fn connect(error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => FailureKind::Refused,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                FailureKind::Unreachable
            }
            io::ErrorKind::TimedOut => FailureKind::ConnectTimeout,
            _ => FailureKind::Connect,
        };
        Self::with(kind, error)
    }

    /// A TLS handshake that failed.
    pub(crate) fn handshake(error: io::Error) -> Self {
        let kind = match tls_error(&error) {
            Some(rustls::Error::InvalidCertificate(_)) => FailureKind::Certificate,
            Some(rustls::Error::AlertReceived(_)) => FailureKind::Alert,
            _ => FailureKind::Tls,
        };
        Self::with(kind, error)
    }

    /// What h2 says of a stream that was not answered. Of a server that goes away only those are told
    /// that it has not begun with, RFC 9113 §6.8.
    pub(crate) fn stream(error: h2::Error) -> Self {
        let is_refused = error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM);
        let tls = error.get_io().and_then(tls_error);
        let kind = if matches!(tls, Some(rustls::Error::AlertReceived(_))) {
            FailureKind::Alert
        } else if error.is_remote() && is_refused {
            FailureKind::NotProcessed
        } else if error.is_library() && error.reason() == Some(Reason::PROTOCOL_ERROR) {
            FailureKind::Protocol
        } else {
            FailureKind::Terminated
        };
        Self::with(kind, error)
    }

    /// What hyper says of a connection in use.
    pub(crate) fn exchange(error: hyper::Error) -> Self {
        let kind = if error.is_parse() || error.is_parse_status() {
            FailureKind::Protocol
        } else if is_alert(&error) {
            FailureKind::Alert
        } else {
            FailureKind::Terminated
        };
        Self::with(kind, error)
    }
}

fn is_alert(error: &hyper::Error) -> bool {
    let tls = error.source().and_then(|cause| tls_error(cause.downcast_ref()?));
    matches!(tls, Some(rustls::Error::AlertReceived(_)))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            FailureKind::Resolve => "the upstream's name has no address",
            FailureKind::Refused => "the upstream refused the connection",
            FailureKind::Unreachable => "the upstream cannot be reached",
            FailureKind::Connect => "the connection to the upstream failed",
            FailureKind::Certificate => "the upstream's certificate does not verify",
            FailureKind::Tls => "there is no TLS with the upstream",
            FailureKind::Alert => "the upstream refused or ended TLS",
            FailureKind::ConnectTimeout => "the connection to the upstream took too long",
            FailureKind::Terminated => "the upstream closed the connection before its answer",
            FailureKind::NotProcessed => "the upstream refused the request",
            FailureKind::ResponseTimeout => "the upstream's answer took too long",
            FailureKind::Protocol => "the upstream's answer is not HTTP",
            FailureKind::BodyTooLarge => "the request's body is too large",
            FailureKind::BodyIdle => "the client stopped sending its body",
            FailureKind::BodyBroken => "the request's body broke off",
        })?;
        match &self.source {
            Some(source) => {
                write!(f, ": {source}")?;
                // hyper says what failed, and only its source says why.
                source.source().map_or(Ok(()), |cause| write!(f, ": {cause}"))
            }
            None => Ok(()),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// What becomes of a request that was sent: the head of its answer, or none.
pub(crate) type Sent = Result<Response<Inbound>, NotAnswered>;

/// A request that was not answered.
#[derive(Debug)]
pub(crate) struct NotAnswered {
    /// Why.
    pub(crate) failure: Failure,
    /// The request, where none of it was written.
    pub(crate) unsent: Option<Box<Request<RequestBody>>>,
}

impl From<Failure> for NotAnswered {
    fn from(failure: Failure) -> Self {
        Self { failure, unsent: None }
    }
}

impl From<TrySendError<Request<RequestBody>>> for NotAnswered {
    fn from(mut error: TrySendError<Request<RequestBody>>) -> Self {
        let unsent = error.take_message().map(Box::new);
        Self { failure: Failure::exchange(error.into_error()), unsent }
    }
}

/// What is known of a request whose connection failed before any byte of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost {
    /// None of its bytes had been written.
    pub(crate) unsent: bool,
    /// The server says that it has not begun with it, and it is still complete here.
    pub(crate) refused: bool,
    /// The connection had carried an exchange before, so the server may have closed it while
    /// the request was on its way.
    pub(crate) reused: bool,
    /// It may be repeated by RFC 9110 §9.2.2 and is still complete here.
    pub(crate) repeatable: bool,
}

impl Lost {
    /// Whether another connection may be tried without risk of doing anything twice.
    pub(crate) fn may_retry(self) -> bool {
        self.unsent || self.refused || (self.reused && self.repeatable)
    }
}

/// The methods that RFC 9110 §9.2.2 calls idempotent.
pub(crate) fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE]
        .contains(method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_have_been_processed_twice_is_tried_again() {
        let lost = Lost { unsent: false, refused: false, reused: false, repeatable: false };
        let table = [
            (Lost { unsent: true, ..lost }, true),
            (Lost { refused: true, ..lost }, true),
            (Lost { reused: true, repeatable: true, ..lost }, true),
            (Lost { reused: true, ..lost }, false),
            (Lost { repeatable: true, ..lost }, false),
        ];
        for (lost, expected) in table {
            assert_eq!(lost.may_retry(), expected, "{lost:?}");
        }
    }

    #[test]
    fn a_post_is_not_idempotent() {
        assert!(is_idempotent(&Method::GET) && is_idempotent(&Method::DELETE));
        assert!(!is_idempotent(&Method::POST) && !is_idempotent(&Method::PATCH));
    }
}
