//! One exchange with a server: over an idle connection where there is one, else over a new one,
//! and once more where that cannot do anything twice.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use http::{Extensions, Request, Response, StatusCode, Version, uri};
use hyper::body::Incoming;
use rustls::ClientConfig;
use tokio::time::{Instant, Sleep};
use vane_core::rules::action::{ForwardTimeouts, ForwardVersion};
use vane_core::value::url::Scheme;

use crate::body::{BodyFailure, BodyWatch, RequestBody};
use crate::message::versions::{to_http1, to_http2};
use crate::registry::Registry;
use crate::tls::client::Connectors;
use crate::upstream::answer::{AnswerBody, Lease};
use crate::upstream::connect::Stream;
use crate::upstream::failure::{Failure, FailureKind, Lost, is_idempotent};
use crate::upstream::http1::{Http1, Sent};
use crate::upstream::http2::Http2;
use crate::upstream::origin::{Origin, Secure};
use crate::upstream::pool::Pool;

/// What an exchange needs beside the request.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    /// Where connections come from.
    pub(crate) pool: &'a Arc<Pool>,
    /// Where retries are counted.
    pub(crate) registry: &'a Registry,
    /// The server.
    pub(crate) origin: &'a Origin,
    /// How long each part may take.
    pub(crate) timeouts: ForwardTimeouts,
    /// What becomes of the request's body; none where it has none.
    pub(crate) body: Option<Arc<BodyWatch>>,
    /// What HTTP/1.1 is to be asked for beside the request's own; set on each attempt.
    pub(crate) extensions: Option<&'a Extensions>,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// An answer with its body.
    Response(Response<AnswerBody>),
    /// The server switched protocols: the head of its answer, the stream, and the bytes of the
    /// new protocol already read from it.
    Switched(Response<()>, Stream, bytes::Bytes),
}

/// A connection of either version.
enum Connected {
    Http1(Box<Http1>),
    Http2(Http2),
}

/// Which HTTP version a server is spoken to with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Whichever the server chooses in the handshake; requests are made as for HTTP/1.1.
    Agreed,
}

impl Spoken {
    /// What `version` means for `origin`.
    pub(crate) fn to(origin: &Origin, version: ForwardVersion) -> Self {
        match (version, origin.url.scheme) {
            (ForwardVersion::Http2, _) | (ForwardVersion::Auto, Scheme::H2c) => Self::Http2,
            (ForwardVersion::Auto, Scheme::Https) => Self::Agreed,
            _ => Self::Http1,
        }
    }
}

impl Exchange<'_> {
    /// Sends `request` over HTTP/1.1 and waits for the head of the answer.
    ///
    /// # Errors
    /// When no connection could be made, or the one in use failed and trying again could do
    /// something twice.
    ///
    /// # Cancel safety
    /// Dropping the future ends the exchange; its connection is closed, not reused.
    pub(crate) async fn send_http1(
        &self,
        mut request: Box<Request<RequestBody>>,
    ) -> Result<Answer, Failure> {
        let repeatable = self.body.is_none() && is_idempotent(request.method());
        while let Some(connection) = self.pool.take_http1(self.origin.id, !repeatable) {
            let spare = repeatable.then(|| copy(&request));
            match self.over_http1(connection, request).await {
                Ok(answer) => return Ok(answer),
                Err((failure, unsent)) => {
                    let lost = Lost { unsent: unsent.is_some(), reused: true, repeatable };
                    request = match unsent.or(spare) {
                        Some(again) if self.may_retry(&failure, lost) => again,
                        _ => return Err(failure),
                    };
                    // A request that breaks its connection must not break all of them.
                    if !lost.unsent {
                        break;
                    }
                }
            }
        }
        let fresh = Box::pin(self.connect_http1()).await?;
        self.over_http1(fresh, request).await.map_err(|(failure, _)| failure)
    }

    async fn connect_http1(&self) -> Result<Box<Http1>, Failure> {
        let (stream, _) = self.connect(|offers| &offers.http1, self.timeouts.connect).await?;
        Ok(Box::new(Http1::handshake(stream).await?))
    }

    /// Sends `request` over whichever version the server agrees to, and waits for the head of the
    /// answer.
    ///
    /// # Errors
    /// As [`Self::send_http1`].
    ///
    /// # Cancel safety
    /// As [`Self::send_http1`].
    pub(crate) async fn send_agreed(
        &self,
        secure: &Secure,
        mut request: Box<Request<RequestBody>>,
    ) -> Result<Answer, Failure> {
        let repeatable = self.body.is_none() && is_idempotent(request.method());
        while let Some(connection) = self.idle(secure, !repeatable) {
            let may_have_more = matches!(connection, Connected::Http1(_));
            let spare = repeatable.then(|| copy(&request));
            match self.over(connection, request).await {
                Ok(answer) => return Ok(answer),
                Err((failure, unsent)) => {
                    let lost = Lost { unsent: unsent.is_some(), reused: true, repeatable };
                    request = match unsent.or(spare) {
                        Some(again) if self.may_retry(&failure, lost) => again,
                        _ => return Err(failure),
                    };
                    if !lost.unsent || !may_have_more {
                        break;
                    }
                }
            }
        }
        let fresh = self.connect_agreed(secure).await?;
        self.over(fresh, request).await.map_err(|(failure, _)| failure)
    }

    /// A connection that is there. One of HTTP/1.1 may have been made for a request that wanted
    /// just that, and says nothing of what the server chooses.
    fn idle(&self, secure: &Secure, sure: bool) -> Option<Connected> {
        if let Some(sender) = self.pool.http2(self.origin.id) {
            return Some(Connected::Http2(sender));
        }
        let idle = || self.pool.take_http1(self.origin.id, sure).map(Connected::Http1);
        secure.chose_http1().then(idle)?
    }

    /// A new connection, or the one of HTTP/2 that another request has made meanwhile. Only with a
    /// server that chose HTTP/1.1 before does each request connect for itself at once.
    async fn connect_agreed(&self, secure: &Secure) -> Result<Connected, Failure> {
        let deadline = Instant::now() + self.timeouts.connect;
        let connecting = self.pool.connecting(self.origin.id);
        let first = (!secure.chose_http1()).then(|| connecting.try_lock());
        if let Some(Err(_)) = first
            && let Some(sender) = self.made_meanwhile(&connecting, deadline).await?
        {
            return Ok(Connected::Http2(sender));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let (stream, http2) = self.connect(|offers| &offers.agreed, left).await?;
        secure.note_choice(http2);
        if !http2 {
            return Ok(Connected::Http1(Box::new(Http1::handshake(stream).await?)));
        }
        let sender = Http2::handshake(stream).await?;
        self.pool.put_http2(self.origin.id, sender.clone());
        Ok(Connected::Http2(sender))
    }

    /// What the request that connects now comes to, where it comes to HTTP/2. Those that waited for
    /// another outcome try side by side.
    async fn made_meanwhile(
        &self,
        connecting: &tokio::sync::Mutex<()>,
        deadline: Instant,
    ) -> Result<Option<Http2>, Failure> {
        match tokio::time::timeout_at(deadline, connecting.lock()).await {
            Ok(turn) => drop(turn),
            Err(_) => return Err(Failure::new(FailureKind::ConnectTimeout)),
        }
        Ok(self.pool.http2(self.origin.id))
    }

    async fn over(
        &self,
        connection: Connected,
        mut request: Box<Request<RequestBody>>,
    ) -> Result<Answer, (Failure, Option<Box<Request<RequestBody>>>)> {
        let is_http2 = request.version() == Version::HTTP_2;
        match connection {
            Connected::Http1(connection) => {
                if is_http2 {
                    to_http1(&mut request);
                }
                self.over_http1(connection, request).await
            }
            Connected::Http2(sender) => {
                if !is_http2 {
                    to_http2(&mut request, uri::Scheme::HTTPS, &self.origin.authority);
                }
                self.over_http2(sender, request).await
            }
        }
    }

    async fn over_http1(
        &self,
        mut connection: Box<Http1>,
        mut request: Box<Request<RequestBody>>,
    ) -> Result<Answer, (Failure, Option<Box<Request<RequestBody>>>)> {
        if let Some(extensions) = self.extensions {
            request.extensions_mut().clone_from(extensions);
        }
        let sent = pin!(connection.send(*request));
        let (answer, timer) = connection.answer(sent);
        let response = self.in_time(answer, timer).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let (stream, read) = connection.into_stream();
            return Ok(Answer::Switched(response.map(drop), stream, read));
        }
        let lease = match self.body.as_ref().filter(|body| body.is_under_way()) {
            Some(body) => {
                // The rest of the request goes on its way whether or not the client takes the
                // answer.
                connection.run_apart(Arc::clone(body), self.timeouts.response);
                None
            }
            None => Some(Lease { connection, pool: Arc::clone(self.pool), origin: self.origin.id }),
        };
        let mut response = response.map(|body| AnswerBody::new(body, lease, self.timeouts.idle));
        response.body_mut().settle_if_empty();
        Ok(Answer::Response(response))
    }

    /// Sends `request` over HTTP/2 and waits for the head of the answer.
    ///
    /// # Errors
    /// When no connection could be made, or the one in use failed and trying again could do
    /// something twice.
    ///
    /// # Cancel safety
    /// Dropping the future ends the exchange; its connection is closed, not reused.
    pub(crate) async fn send_http2(
        &self,
        mut request: Box<Request<RequestBody>>,
    ) -> Result<Answer, Failure> {
        let repeatable = self.body.is_none() && is_idempotent(request.method());
        if let Some(sender) = self.pool.http2(self.origin.id) {
            let spare = repeatable.then(|| copy(&request));
            match self.over_http2(sender, request).await {
                Ok(answer) => return Ok(answer),
                Err((failure, unsent)) => {
                    let lost = Lost { unsent: unsent.is_some(), reused: true, repeatable };
                    request = match unsent.or(spare) {
                        Some(again) if self.may_retry(&failure, lost) => again,
                        _ => return Err(failure),
                    };
                }
            }
        }
        let sender = self.connect_http2().await?;
        self.over_http2(sender, request).await.map_err(|(failure, _)| failure)
    }

    /// The connection that another request has made meanwhile, or a new one.
    async fn connect_http2(&self) -> Result<Http2, Failure> {
        let deadline = Instant::now() + self.timeouts.connect;
        let connecting = self.pool.connecting(self.origin.id);
        let first = connecting.try_lock();
        if first.is_err()
            && let Some(sender) = self.made_meanwhile(&connecting, deadline).await?
        {
            return Ok(sender);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let (stream, agreed) = self.connect(|offers| &offers.http2, left).await?;
        if self.origin.secure.is_some() && !agreed {
            return Err(Failure::with(FailureKind::Tls, "the server does not offer HTTP/2"));
        }
        let sender = Http2::handshake(stream).await?;
        self.pool.put_http2(self.origin.id, sender.clone());
        Ok(sender)
    }

    async fn over_http2(
        &self,
        mut sender: Http2,
        request: Box<Request<RequestBody>>,
    ) -> Result<Answer, (Failure, Option<Box<Request<RequestBody>>>)> {
        if let Some(body) = &self.body {
            // hyper does not tell of interim answers over HTTP/2, so none is waited for.
            body.release();
        }
        let sent = pin!(sender.send(*request));
        let timer = pin!(tokio::time::sleep_until(Instant::now()));
        let response = self.in_time(sent, timer).await;
        let response = response.map_err(|(failure, unsent)| (sender.explain(failure), unsent))?;
        let body = |incoming| AnswerBody::new(incoming, None, self.timeouts.idle);
        Ok(Answer::Response(response.map(body)))
    }

    /// A new connection within `limit`, and whether HTTP/2 was agreed on; `offer` says what is
    /// offered where TLS is spoken.
    async fn connect(
        &self,
        offer: fn(&Connectors) -> &Arc<ClientConfig>,
        limit: Duration,
    ) -> Result<(Stream, bool), Failure> {
        let target = &self.origin.url.endpoint;
        match &self.origin.secure {
            None => Stream::connect(target, limit).await.map(|stream| (stream, false)),
            Some(secure) => {
                let config = Arc::clone(offer(&secure.connectors));
                Stream::secure(target, secure.name.clone(), config, limit).await
            }
        }
    }

    /// Waits for the head of an answer. A body that fails meanwhile explains the failure better
    /// than the broken connection that follows from it.
    async fn in_time(
        &self,
        mut sent: impl Future<Output = Sent> + Unpin,
        mut timer: Pin<&mut Sleep>,
    ) -> Result<Response<Incoming>, (Failure, Option<Box<Request<RequestBody>>>)> {
        timer.as_mut().reset(Instant::now() + self.timeouts.response);
        let outcome = std::future::poll_fn(|cx| {
            if let Poll::Ready(outcome) = Pin::new(&mut sent).poll(cx) {
                return Poll::Ready(Some(outcome));
            }
            while timer.as_mut().poll(cx).is_ready() {
                match self.later(timer.deadline()) {
                    Some(later) => timer.as_mut().reset(later),
                    None => return Poll::Ready(None),
                }
            }
            Poll::Pending
        });
        match outcome.await {
            Some(Ok(response)) => Ok(response),
            Some(Err(mut error)) => {
                let unsent = error.take_message().map(Box::new);
                Err((self.explain(error.into_error()), unsent))
            }
            None => Err((Failure::new(FailureKind::ResponseTimeout), None)),
        }
    }

    /// The time for an answer counts from the last byte of the request, or from the last piece
    /// that the server took, and not while the client is waited for: the new deadline where that
    /// came after the time was first set.
    fn later(&self, deadline: Instant) -> Option<Instant> {
        let body = self.body.as_ref()?;
        let counted_from = body.finished().or_else(|| body.untaken_since());
        let counted_from = counted_from.unwrap_or_else(Instant::now);
        Some(counted_from + self.timeouts.response).filter(|later| *later > deadline)
    }

    fn explain(&self, error: hyper::Error) -> Failure {
        match self.body.as_ref().and_then(|body| body.failure()) {
            Some(BodyFailure::TooLarge) => Failure::new(FailureKind::BodyTooLarge),
            Some(BodyFailure::Idle) => Failure::new(FailureKind::BodyIdle),
            Some(BodyFailure::Broken) => Failure::new(FailureKind::BodyBroken),
            None => Failure::exchange(error),
        }
    }

    fn may_retry(&self, failure: &Failure, lost: Lost) -> bool {
        let ended = matches!(failure.kind, FailureKind::Terminated | FailureKind::Alert);
        let retry = ended && lost.may_retry();
        if retry {
            self.registry.retries.fetch_add(1, Ordering::Relaxed);
        }
        retry
    }
}

/// The same request once more; only for one without a body.
fn copy(request: &Request<RequestBody>) -> Box<Request<RequestBody>> {
    let mut copy = Box::new(Request::new(RequestBody::Empty));
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}
