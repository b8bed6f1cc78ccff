//! An answer's body on its way back from a server.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::inbound::{Broken, Inbound};
use crate::upstream::http1::Http1;
use crate::upstream::pool::Pool;

/// An answer's body. When it has ended, its connection goes back to the pool.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    incoming: Inbound,
    lease: Option<Lease>,
    idle: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    broken: Option<Broken>,
}

/// An HTTP/1.1 connection that an answer still comes over.
#[derive(Debug)]
pub(crate) struct Lease {
    /// The connection.
    pub(crate) connection: Box<Http1>,
    /// Where it came from.
    pub(crate) pool: Arc<Pool>,
    /// The server it leads to.
    pub(crate) origin: u64,
}

/// Why an answer's body broke off.
#[derive(Debug)]
pub(crate) enum AnswerFailure {
    /// The server closed or reset it.
    Broken(Broken),
    /// Nothing came for too long.
    Idle,
}

impl AnswerBody {
    /// A body that may pause for `idle` between two pieces. HTTP/2 needs no lease.
    pub(crate) fn new(incoming: Inbound, lease: Option<Lease>, idle: Duration) -> Self {
        Self { incoming, lease, idle, timer: None, broken: None }
    }

    /// Gives the connection of an answer without a body back at once.
    pub(crate) fn settle_if_empty(&mut self) {
        self.settle(self.incoming.is_end_stream());
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match (&mut self.lease, &mut self.incoming) {
            (Some(lease), Inbound::Http1(body)) => {
                let piece = lease.connection.poll_body(body, cx);
                piece.map(|piece| piece.map(|piece| piece.map_err(Broken::Http1)))
            }
            (_, body) => Pin::new(body).poll_frame(cx),
        }
    }

    /// Gives the connection back once nothing more of this answer can come over it.
    fn settle(&mut self, ended: bool) {
        if ended
            && let Some(mut lease) = self.lease.take()
            && lease.connection.is_reusable()
        {
            lease.pool.put_http1(lease.origin, lease.connection);
        }
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<AnswerFailure> {
        let idle = self.idle;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + idle)));
        timer.as_mut().poll(cx).map(|()| AnswerFailure::Idle)
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = AnswerFailure;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerFailure>>> {
        let this = self.get_mut();
        if let Some(error) = this.broken.take() {
            return Poll::Ready(Some(Err(AnswerFailure::Broken(error))));
        }
        let Poll::Ready(piece) = this.poll_piece(cx) else {
            let failure = ready!(this.poll_idle(cx));
            return Poll::Ready(Some(Err(failure)));
        };
        this.timer = None;
        // Whoever reads need not ask again after the last byte or the trailers.
        let last = match &piece {
            Some(Ok(frame)) => frame.is_trailers() || this.incoming.is_end_stream(),
            _ => true,
        };
        this.settle(last);
        if let Some(Err(error)) = piece {
            // Whoever writes flushes now what came before; the failure would throw it away.
            this.broken = Some(error);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(piece.map(|frame| frame.map_err(AnswerFailure::Broken)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl fmt::Display for AnswerFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(error) => write!(f, "the upstream's answer broke off: {error}"),
            Self::Idle => f.write_str("the upstream stopped sending its answer"),
        }
    }
}

impl std::error::Error for AnswerFailure {}
