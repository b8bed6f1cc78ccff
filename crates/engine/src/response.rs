//! Answers to clients: their bodies, and the ones that are made here.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};

use crate::message::proxy_status::ProxyError;
use crate::registry::Active;
use crate::upstream::answer::{AnswerBody, AnswerFailure};
use crate::upstream::failure::{Failure, FailureKind};

/// An answer's body. The request counts as under way until this is dropped.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    source: Source,
    active: Option<Active>,
}

#[derive(Debug)]
enum Source {
    Whole(Bytes),
    Upstream(AnswerBody),
}

impl ResponseBody {
    /// A body that is at hand.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { source: Source::Whole(bytes.into()), active: None }
    }

    /// A body that comes from a server.
    pub(crate) fn upstream(body: AnswerBody) -> Self {
        Self { source: Source::Upstream(body), active: None }
    }

    /// Keeps the request counted until the body has been handed over.
    pub(crate) fn keep(&mut self, active: Active) {
        self.active = Some(active);
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = AnswerFailure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerFailure>>> {
        match &mut self.source {
            Source::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Source::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Source::Upstream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Whole(bytes) => bytes.is_empty(),
            Source::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Upstream(body) => body.size_hint(),
        }
    }
}

/// The action `close`: the connection ends without an answer.
#[derive(Debug)]
pub(crate) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rule closes the connection")
    }
}

impl std::error::Error for Closed {}

/// An answer made here that says nothing but its status.
pub(crate) fn plain(status: StatusCode) -> Response<ResponseBody> {
    let reason = status.canonical_reason().unwrap_or("Error");
    let mut response =
        Response::new(ResponseBody::whole(format!("{} {reason}\n", status.as_u16())));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

/// The answer to a request that is refused for what it is.
pub(crate) fn refused(status: StatusCode, details: &str) -> Response<ResponseBody> {
    explained(status, ProxyError::HttpRequestError, details)
}

/// The answer when a server gave none, with `Proxy-Status` by RFC 9209. The one place where a
/// failure meets a status.
pub(crate) fn failed(failure: &Failure) -> Response<ResponseBody> {
    let (status, error) = match failure.kind {
        FailureKind::Resolve => (StatusCode::BAD_GATEWAY, ProxyError::DnsError),
        FailureKind::Refused => (StatusCode::BAD_GATEWAY, ProxyError::ConnectionRefused),
        FailureKind::Unreachable => (StatusCode::BAD_GATEWAY, ProxyError::DestinationIpUnroutable),
        FailureKind::Connect => (StatusCode::BAD_GATEWAY, ProxyError::DestinationUnavailable),
        FailureKind::ConnectTimeout => (StatusCode::GATEWAY_TIMEOUT, ProxyError::ConnectionTimeout),
        FailureKind::Certificate => (StatusCode::BAD_GATEWAY, ProxyError::TlsCertificateError),
        FailureKind::Tls => (StatusCode::BAD_GATEWAY, ProxyError::TlsProtocolError),
        FailureKind::Alert => (StatusCode::BAD_GATEWAY, ProxyError::TlsAlertReceived),
        FailureKind::Terminated | FailureKind::NotProcessed => {
            (StatusCode::BAD_GATEWAY, ProxyError::ConnectionTerminated)
        }
        FailureKind::ResponseTimeout => {
            (StatusCode::GATEWAY_TIMEOUT, ProxyError::HttpResponseTimeout)
        }
        FailureKind::Protocol => (StatusCode::BAD_GATEWAY, ProxyError::HttpProtocolError),
        FailureKind::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, ProxyError::HttpRequestError),
        FailureKind::BodyIdle => (StatusCode::REQUEST_TIMEOUT, ProxyError::HttpRequestError),
        FailureKind::BodyBroken => (StatusCode::BAD_REQUEST, ProxyError::HttpRequestError),
    };
    explained(status, error, "")
}

/// The answer when a rule limits the rate.
pub(crate) fn limited(
    status: StatusCode,
    retry_after: std::time::Duration,
) -> Response<ResponseBody> {
    let mut response = explained(status, ProxyError::HttpRequestDenied, "rate limit");
    let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}

fn explained(status: StatusCode, error: ProxyError, details: &str) -> Response<ResponseBody> {
    let mut response = plain(status);
    let value = error.header_value(Some(details).filter(|details| !details.is_empty()));
    response.headers_mut().insert("proxy-status", value);
    response
}
