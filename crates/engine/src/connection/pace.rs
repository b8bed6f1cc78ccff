//! Watches that an HTTP/2 client takes what it asked for. Flow control lets a client hold an answer
//! up for as long as it likes, and with it all that the answer needs here.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::response::ResponseBody;
use crate::upstream::answer::AnswerFailure;

/// Whether a stream ends by itself; else its client has taken nothing for `limit`. The timer is set
/// only for an answer that does wait for its client.
pub(super) async fn ends(stream: impl Future<Output = ()>, pace: &Pace, limit: Duration) -> bool {
    let mut stream = pin!(stream);
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        // More is handed over only when this task runs, so it need not be woken for that.
        while let Some(since) = pace.own.since() {
            let end = since + limit;
            if end <= Instant::now() {
                return Poll::Ready(false);
            }
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
            ready!(timer.as_mut().poll(cx));
            timer.as_mut().reset(end);
        }
        Poll::Pending
    })
    .await
}

/// How an answer goes.
#[derive(Debug)]
pub(super) struct Pace {
    own: Waiting,
    connection: Arc<Waiting>,
    /// Whoever waits until the client has taken everything.
    taken: AtomicWaker,
}

/// Pieces of answers that wait for their client.
#[derive(Debug)]
pub(super) struct Waiting {
    start: Instant,
    pieces: AtomicUsize,
    /// Milliseconds from `start` to when a byte of them was last taken, or one was added.
    moved: AtomicU64,
}

impl Waiting {
    /// How many.
    pub(super) fn pieces(&self) -> usize {
        self.pieces.load(Ordering::Acquire)
    }

    /// Since when the client has taken no byte of them; nothing where there are none.
    pub(super) fn since(&self) -> Option<Instant> {
        let moved = Duration::from_millis(self.moved.load(Ordering::Relaxed));
        (self.pieces() > 0).then(|| self.start + moved)
    }

    fn note(&self, now: Instant) {
        let moved = u64::try_from((now - self.start).as_millis()).unwrap_or(u64::MAX);
        self.moved.store(moved, Ordering::Relaxed);
    }
}

impl Default for Waiting {
    fn default() -> Self {
        Self { start: Instant::now(), pieces: AtomicUsize::new(0), moved: AtomicU64::new(0) }
    }
}

impl Pace {
    /// Of a stream that nothing waits for yet; what does is counted in `connection` as well.
    pub(super) fn of(connection: Arc<Waiting>) -> Self {
        Self { own: Waiting::default(), connection, taken: AtomicWaker::new() }
    }

    fn note(&self) {
        let now = Instant::now();
        self.own.note(now);
        self.connection.note(now);
    }

    fn poll_taken(&self, cx: &Context<'_>) -> Poll<()> {
        self.taken.register(cx.waker());
        if self.own.pieces() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// An answer's body that knows what of it the client has taken.
#[derive(Debug)]
pub(super) struct Paced {
    source: ResponseBody,
    pace: Arc<Pace>,
    /// How long the latest piece was.
    latest: usize,
    /// What is left behind the last piece: trailers, or nothing.
    rest: Option<Option<HeaderMap>>,
}

impl Paced {
    /// So much may be left to HTTP/2 alone: nobody watches the last piece of an answer any more
    /// when the answer ends with it, and to end it apart costs a frame.
    const SMALL: usize = 16 * 1024;

    /// The body `source`, whose pieces `pace` counts.
    pub(super) fn new(source: ResponseBody, pace: Arc<Pace>) -> Self {
        Self { source, pace, latest: 0, rest: None }
    }

    fn poll_source(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, AnswerFailure>>> {
        let frame = match ready!(Pin::new(&mut self.source).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(failure)) => return Poll::Ready(Some(Err(failure))),
            None => {
                self.rest = Some(None);
                return Poll::Ready(None);
            }
        };
        match frame.into_data() {
            Ok(bytes) => {
                self.latest = bytes.len();
                if self.source.is_end_stream() {
                    self.rest = Some(None);
                }
                Poll::Ready(Some(Ok(Frame::data(Piece::new(bytes, &self.pace)))))
            }
            Err(frame) => {
                self.rest = Some(frame.into_trailers().ok());
                Poll::Ready(None)
            }
        }
    }
}

impl Body for Paced {
    type Data = Piece;
    type Error = AnswerFailure;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, AnswerFailure>>> {
        let this = self.get_mut();
        if this.rest.is_none()
            && let Some(frame) = ready!(this.poll_source(cx))
        {
            return Poll::Ready(Some(frame));
        }
        ready!(this.pace.poll_taken(cx));
        let trailers = this.rest.as_mut().and_then(Option::take);
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_end_stream() && self.latest <= Self::SMALL
    }

    fn size_hint(&self) -> SizeHint {
        self.source.size_hint()
    }
}

/// A piece of an answer; it waits for the client until it is dropped. The empty one does not.
#[derive(Debug, Default)]
pub(super) struct Piece {
    bytes: Bytes,
    pace: Option<Arc<Pace>>,
}

impl Piece {
    fn new(bytes: Bytes, pace: &Arc<Pace>) -> Self {
        pace.note();
        pace.own.pieces.fetch_add(1, Ordering::AcqRel);
        pace.connection.pieces.fetch_add(1, Ordering::AcqRel);
        Self { bytes, pace: Some(Arc::clone(pace)) }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(pace) = &self.pace {
            pace.note();
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let Some(pace) = &self.pace else { return };
        pace.connection.pieces.fetch_sub(1, Ordering::AcqRel);
        if pace.own.pieces.fetch_sub(1, Ordering::AcqRel) == 1 {
            pace.taken.wake();
        }
    }
}
