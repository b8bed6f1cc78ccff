//! One exchange with a server: over an idle connection where there is one, else over a new one,
//! and once more where that cannot do anything twice.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use http::{Request, Response, StatusCode, Version, uri};
use tokio::time::{Instant, Sleep};
use vane_core::rules::action::ForwardTimeouts;

use crate::body::{BodyFailure, BodyWatch, RequestBody};
use crate::message::versions::{to_http1, to_http2};
use crate::registry::Registry;
use crate::upstream::answer::{AnswerBody, Lease};
use crate::upstream::connect::Stream;
use crate::upstream::connecting::{Connected, Connecting};
use crate::upstream::failure::{Failure, FailureKind, Lost, NotAnswered, Sent, is_idempotent};
use crate::upstream::http1::Http1;
use crate::upstream::http2::{Http2, Rest};
use crate::upstream::interim::Listening;
use crate::upstream::origin::Origin;
use crate::upstream::pool::Pool;

pub(crate) use crate::upstream::connecting::Spoken;

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
    /// What hears of interim answers.
    pub(crate) listening: Option<&'a Listening>,
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

impl Exchange<'_> {
    /// Sends `request` over a connection that is there, or a new one, and waits for the head of the
    /// answer.
    ///
    /// # Errors
    /// When no connection could be made, or the one in use failed and trying again could do
    /// something twice.
    ///
    /// # Cancel safety
    /// Dropping the future ends the exchange; its connection is closed, not reused.
    pub(crate) async fn send(
        &self,
        spoken: Spoken,
        mut request: Box<Request<RequestBody>>,
    ) -> Result<Answer, Failure> {
        let repeatable = self.body.is_none() && is_idempotent(request.method());
        while let Some(connection) = self.connecting().idle(spoken, !repeatable) {
            let is_shared = matches!(connection, Connected::Http2(_));
            let spare = (repeatable || (is_shared && self.body.is_none())).then(|| copy(&request));
            let NotAnswered { failure, unsent } = match self.over(connection, request).await {
                Ok(answer) => return Ok(answer),
                Err(not_answered) => not_answered,
            };
            let refused = failure.kind == FailureKind::NotProcessed && spare.is_some();
            let lost = Lost { unsent: unsent.is_some(), refused, reused: true, repeatable };
            request = match unsent.or(spare) {
                Some(again) if self.may_retry(&failure, lost) => again,
                _ => return Err(failure),
            };
            // A request that breaks its connection must not break all of them.
            if !lost.unsent || is_shared {
                break;
            }
        }
        // Apart, so that what waits for an answer is not as large as both.
        let fresh = Box::pin(async { self.connecting().fresh(spoken).await }).await?;
        self.over(fresh, request).await.map_err(|not_answered| not_answered.failure)
    }

    fn connecting(&self) -> Connecting<'_> {
        Connecting { pool: self.pool, origin: self.origin, limit: self.timeouts.connect }
    }

    /// Spells the request as the version of the connection wants it.
    async fn over(
        &self,
        connection: Connected,
        mut request: Box<Request<RequestBody>>,
    ) -> Result<Answer, NotAnswered> {
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
                Box::pin(self.over_http2(sender, request)).await
            }
        }
    }

    async fn over_http1(
        &self,
        mut connection: Box<Http1>,
        mut request: Box<Request<RequestBody>>,
    ) -> Result<Answer, NotAnswered> {
        if let Some(listening) = self.listening {
            request.extensions_mut().clone_from(listening.http1());
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

    async fn over_http2(
        &self,
        sender: Http2,
        request: Box<Request<RequestBody>>,
    ) -> Result<Answer, NotAnswered> {
        if let Some(body) = &self.body {
            // A stream can be refused at any time, so few servers of HTTP/2 ask for a body.
            body.release();
        }
        let rest = Rest { body: self.body.as_ref(), limit: self.timeouts.response };
        let sent = pin!(sender.clone().send(request, self.listening, rest));
        let timer = pin!(tokio::time::sleep_until(Instant::now()));
        let response = self.in_time(sent, timer).await.inspect_err(|not_answered| {
            if not_answered.failure.kind == FailureKind::ResponseTimeout {
                sender.suspect();
            }
        })?;
        let body = |incoming| AnswerBody::new(incoming, None, self.timeouts.idle);
        Ok(Answer::Response(response.map(body)))
    }

    /// Waits for the head of an answer. A body that fails meanwhile explains the failure better
    /// than the broken connection that follows from it.
    async fn in_time(
        &self,
        mut sent: impl Future<Output = Sent> + Unpin,
        mut timer: Pin<&mut Sleep>,
    ) -> Sent {
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
            Some(Err(not_answered)) => Err(self.explained(not_answered)),
            None => Err(Failure::new(FailureKind::ResponseTimeout).into()),
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

    fn explained(&self, not_answered: NotAnswered) -> NotAnswered {
        let kind = match self.body.as_ref().and_then(|body| body.failure()) {
            Some(BodyFailure::TooLarge) => FailureKind::BodyTooLarge,
            Some(BodyFailure::Idle) => FailureKind::BodyIdle,
            Some(BodyFailure::Broken) => FailureKind::BodyBroken,
            None => return not_answered,
        };
        NotAnswered { failure: Failure::new(kind), ..not_answered }
    }

    fn may_retry(&self, failure: &Failure, lost: Lost) -> bool {
        let ended = matches!(
            failure.kind,
            FailureKind::Terminated | FailureKind::NotProcessed | FailureKind::Alert
        );
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
