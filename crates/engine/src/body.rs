//! A request's body on its way to a server.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::inbound::Inbound;

/// A request's body: counted, timed, and held back until the server asks for it where the client
/// expects `100 Continue`.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// There is none.
    Empty,
    /// It streams from the client.
    Stream(Box<Streamed>),
}

/// A body that streams from the client.
#[derive(Debug)]
pub(crate) struct Streamed {
    incoming: Inbound,
    limits: BodyLimits,
    counted: u64,
    watch: Arc<BodyWatch>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What a body may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    /// Bytes; `None` is unlimited.
    pub(crate) size: Option<u64>,
    /// Time without a byte while one is waited for.
    pub(crate) idle: Duration,
}

/// What became of a body, told to whoever sent it off.
#[derive(Debug)]
pub(crate) struct BodyWatch {
    fate: AtomicU8,
    begun: Instant,
    /// Milliseconds from `begun` to when a piece was last handed over.
    last_piece: AtomicU64,
    /// Whether the next piece is still to come from the client.
    awaited: AtomicBool,
    finished: OnceLock<Instant>,
    held: AtomicBool,
    waker: AtomicWaker,
}

/// How a body failed; always the client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum BodyFailure {
    /// Larger than the rule allows.
    TooLarge = 1,
    /// Nothing came for too long.
    Idle = 2,
    /// It broke off, or its framing is wrong.
    Broken = 3,
}

impl BodyWatch {
    /// How the body failed, if it did.
    pub(crate) fn failure(&self) -> Option<BodyFailure> {
        match self.fate.load(Ordering::Acquire) {
            1 => Some(BodyFailure::TooLarge),
            2 => Some(BodyFailure::Idle),
            3 => Some(BodyFailure::Broken),
            _ => None,
        }
    }

    /// When its last byte was handed over; none while it still comes.
    pub(crate) fn finished(&self) -> Option<Instant> {
        self.finished.get().copied()
    }

    /// Whether more of it is still to go to the server; not while it is held back.
    pub(crate) fn is_under_way(&self) -> bool {
        self.finished.get().is_none() && !self.held.load(Ordering::Acquire)
    }

    /// Since when the server has taken nothing more of it; none while the client is waited for.
    pub(crate) fn untaken_since(&self) -> Option<Instant> {
        let last_piece = Duration::from_millis(self.last_piece.load(Ordering::Relaxed));
        (!self.awaited.load(Ordering::Relaxed)).then(|| self.begun + last_piece)
    }

    /// Returns when the server has taken nothing for `limit`; never once all has been handed over.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub(crate) async fn untaken_for(&self, limit: Duration) {
        self.still_for(limit).await;
        if self.finished().is_some() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns when the server has taken nothing for `limit`, or the last piece has been on its way for
    /// so long.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub(crate) async fn still_for(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let since = self.finished().or_else(|| self.untaken_since());
            let end = since.unwrap_or(now) + limit;
            if end <= now {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }

    fn note_piece(&self) {
        self.awaited.store(false, Ordering::Relaxed);
        let since = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_piece.store(since, Ordering::Relaxed);
    }

    /// Lets a body go that was held back until the server asked for it.
    pub(crate) fn release(&self) {
        self.held.store(false, Ordering::Release);
        self.waker.wake();
    }

    fn fail(&self, failure: BodyFailure) -> BodyFailure {
        self.fate.store(failure as u8, Ordering::Release);
        failure
    }
}

impl RequestBody {
    /// How long a body is held back when the server does not say `100 Continue`.
    const HOLD: Duration = Duration::from_secs(1);

    /// Wraps what the client sends. `hold` keeps it until [`BodyWatch::release`], or a second.
    pub(crate) fn new(
        incoming: Inbound,
        limits: BodyLimits,
        hold: bool,
    ) -> (Self, Option<Arc<BodyWatch>>) {
        if incoming.is_end_stream() {
            return (Self::Empty, None);
        }
        let watch = Arc::new(BodyWatch {
            fate: AtomicU8::new(0),
            begun: Instant::now(),
            last_piece: AtomicU64::new(0),
            awaited: AtomicBool::new(false),
            finished: OnceLock::new(),
            held: AtomicBool::new(hold),
            waker: AtomicWaker::new(),
        });
        let timer = hold.then(|| Box::pin(tokio::time::sleep_until(Instant::now() + Self::HOLD)));
        let streamed = Streamed { incoming, limits, counted: 0, watch: Arc::clone(&watch), timer };
        (Self::Stream(Box::new(streamed)), Some(watch))
    }
}

impl Streamed {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        ready!(self.poll_release(cx));
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(self.count(frame))),
            Poll::Ready(Some(Err(_))) => {
                Poll::Ready(Some(Err(self.watch.fail(BodyFailure::Broken))))
            }
            Poll::Ready(None) => {
                self.finish();
                Poll::Ready(None)
            }
            Poll::Pending => {
                self.watch.awaited.store(true, Ordering::Relaxed);
                self.poll_idle(cx).map(|failure| Some(Err(failure)))
            }
        }
    }

    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.watch.held.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        self.watch.waker.register(cx.waker());
        let waited = self.timer.as_mut().is_none_or(|timer| timer.as_mut().poll(cx).is_ready());
        if waited || !self.watch.held.load(Ordering::Acquire) {
            self.watch.held.store(false, Ordering::Release);
            self.timer = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyFailure> {
        self.timer = None;
        self.watch.note_piece();
        self.counted += frame.data_ref().map_or(0, |data| data.len() as u64);
        match self.limits.size {
            Some(most) if self.counted > most => Err(self.watch.fail(BodyFailure::TooLarge)),
            _ => {
                // Behind trailers nothing comes, and a server's side does not ask.
                if frame.is_trailers() || self.incoming.is_end_stream() {
                    self.finish();
                }
                Ok(frame)
            }
        }
    }

    fn finish(&self) {
        let _ = self.watch.finished.set(Instant::now());
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<BodyFailure> {
        let idle = self.limits.idle;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + idle)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(self.watch.fail(BodyFailure::Idle))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Stream(streamed) => streamed.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream(streamed) => streamed.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream(streamed) => streamed.incoming.size_hint(),
        }
    }
}

/// Whether a client waits to be asked for the body behind this head, RFC 9110 §10.1.1.
pub(crate) fn expects_continue(headers: &HeaderMap) -> bool {
    let expect = headers.get(header::EXPECT);
    expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

impl fmt::Display for BodyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the request's body is larger than the rule allows",
            Self::Idle => "the client stopped sending its body",
            Self::Broken => "the request's body broke off",
        })
    }
}

impl std::error::Error for BodyFailure {}
