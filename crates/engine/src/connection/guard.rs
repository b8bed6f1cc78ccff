//! Stands between a client's HTTP/1 stream and hyper: lets through only what no two parsers
//! read differently, keeps the times that the floor bounds, and writes interim answers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::floor::Limit;
use crate::flow::Interim;
use crate::registry::Registry;
use crate::shared::Shared;
use crate::tls::stream::ClientStream;
use crate::wire::scanner::{HeadLimits, Phase, RequestScanner, ViolationKind};

/// What hyper is given in place of what is unfit, so that it refuses the request as it should once
/// all earlier answers are out. It ends the head: hyper does not look again at one that came in
/// part until it has seen the end.
fn poison(kind: ViolationKind) -> &'static [u8] {
    match kind {
        // hyper has the same limits and answers 431 when it meets what is beyond them.
        ViolationKind::HeadTooLarge | ViolationKind::TargetTooLong => b"x",
        ViolationKind::TooManyFields => b"x:\r\n\r\n",
        // Legal nowhere in a head.
        _ => b"\0\r\n\r\n",
    }
}

/// A client's stream.
#[derive(Debug)]
pub(crate) struct Guard {
    stream: ClientStream,
    ahead: Bytes,
    scanner: RequestScanner,
    /// What the client sent from the first byte on that is unfit to be passed on.
    unfit: Option<Bytes>,
    /// What stands for it, and how much of that hyper has been given.
    poison: (&'static [u8], usize),
    /// What TLS had sent when a flush was last held up.
    sent: u64,
    interim: Arc<Interim>,
    pending: Vec<u8>,
    shared: Arc<Shared>,
    registry: Arc<Registry>,
    remote: std::net::IpAddr,
    times: Arc<Times>,
}

/// When a client's stream last changed its state; written by the guard, read by the
/// connection's one timer.
#[derive(Debug)]
pub(crate) struct Times {
    start: Instant,
    state: AtomicU64,
    blocked: AtomicU64,
}

/// What a client's stream is waiting for, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaiting {
    /// The next request.
    Request(Instant),
    /// The rest of a head.
    Head(Instant),
    /// Nothing that the floor bounds here: a body is timed by whoever reads it.
    Nothing,
}

impl Times {
    const HEAD: u64 = 1;
    const OTHER: u64 = 2;

    fn new() -> Self {
        Self { start: Instant::now(), state: AtomicU64::new(0), blocked: AtomicU64::new(0) }
    }

    /// What is awaited from the client.
    pub(crate) fn awaiting(&self) -> Awaiting {
        let state = self.state.load(Ordering::Relaxed);
        let since = self.start + std::time::Duration::from_millis(state >> 2);
        match state & 3 {
            0 => Awaiting::Request(since),
            Self::HEAD => Awaiting::Head(since),
            _ => Awaiting::Nothing,
        }
    }

    /// Since when the client has taken no byte that waits for it.
    pub(crate) fn blocked(&self) -> Option<Instant> {
        match self.blocked.load(Ordering::Relaxed) {
            0 => None,
            millis => Some(self.start + std::time::Duration::from_millis(millis - 1)),
        }
    }

    /// Notes that an answer is out and the next request may come.
    pub(crate) fn idle_again(&self) {
        if self.state.load(Ordering::Relaxed) & 3 == Self::OTHER {
            self.state.store(self.now() << 2, Ordering::Relaxed);
        }
    }

    /// Counts the time for a head that has begun anew.
    pub(crate) fn head_again(&self) {
        if self.state.load(Ordering::Relaxed) & 3 == Self::HEAD {
            self.state.store(self.now() << 2 | Self::HEAD, Ordering::Relaxed);
        }
    }

    fn enter(&self, phase: Phase) {
        let next = match phase {
            Phase::Head => Self::HEAD,
            Phase::Idle | Phase::Body => Self::OTHER,
        };
        if self.state.load(Ordering::Relaxed) & 3 != next {
            self.state.store(self.now() << 2 | next, Ordering::Relaxed);
        }
    }

    fn note_blocked(&self, blocked: bool) {
        match (blocked, self.blocked.load(Ordering::Relaxed)) {
            (true, 0) => self.blocked.store(self.now() + 1, Ordering::Relaxed),
            (false, since) if since != 0 => self.blocked.store(0, Ordering::Relaxed),
            _ => {}
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX >> 2)
    }
}

impl Guard {
    /// Guards `stream`, of which `ahead` has already been read.
    pub(crate) fn new(
        stream: ClientStream,
        ahead: Bytes,
        interim: Arc<Interim>,
        registry: Arc<Registry>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let floor = &shared.settings.floor;
        let limits = HeadLimits {
            max_fields: floor.header_count,
            max_bytes: floor.header_bytes,
            max_target: floor.header_bytes,
        };
        Ok(Self {
            remote: stream.socket().peer_addr()?.ip(),
            stream,
            ahead,
            scanner: RequestScanner::new(limits),
            unfit: None,
            poison: (b"", 0),
            sent: 0,
            interim,
            pending: Vec::new(),
            shared,
            registry,
            times: Arc::new(Times::new()),
        })
    }

    /// The times that the connection's timer watches.
    pub(crate) fn times(&self) -> Arc<Times> {
        Arc::clone(&self.times)
    }

    /// The stream, and what its client sent that has not been used as HTTP: `read` is what hyper
    /// has left.
    pub(crate) fn into_parts(self, read: &Bytes) -> (ClientStream, Bytes) {
        let mut unused = BytesMut::from(&read[..]);
        if let Some(unfit) = self.unfit {
            unused.truncate(unused.len().saturating_sub(self.poison.1));
            unused.extend_from_slice(&unfit);
        }
        unused.extend_from_slice(&self.ahead);
        (self.stream, unused.freeze())
    }

    fn inspect(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let fresh = &mut buf.filled_mut()[before..];
        let Err(violation) = self.scanner.feed(fresh) else {
            if !fresh.is_empty() {
                self.times.enter(self.scanner.phase());
            }
            return;
        };
        self.unfit = Some(Bytes::copy_from_slice(&fresh[violation.at..]));
        buf.set_filled(before + violation.at);
        self.poison = (poison(violation.kind), 0);
        self.give_poison(buf);
        self.times.enter(Phase::Body);
        self.shared.floor.refuse(Limit::Head, self.remote, &violation.kind.to_string());
    }

    /// Where nothing is left of the poison, this is the end of the stream.
    fn give_poison(&mut self, buf: &mut ReadBuf<'_>) {
        let (poison, given) = self.poison;
        let rest = &poison[given..];
        let count = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..count]);
        self.poison.1 += count;
    }

    /// Writes queued interim answers, if hyper has written all that comes before them.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.pending.is_empty() {
            match self.interim.take() {
                Some(bytes) => self.pending = bytes,
                None => return Poll::Ready(Ok(())),
            }
        }
        while !self.pending.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.pending))?;
            self.pending.drain(..count);
        }
        Poll::Ready(Ok(()))
    }

    /// Fails when the client has reset its connection, which hyper does not see while it reads
    /// nothing: an answer is being made that nobody waits for.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut byte = [0_u8; 1];
        match self.stream.socket().poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
            Poll::Ready(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// TLS takes more than the client does. What it holds waits for the client all the same.
    fn note_flush(&mut self, held_up: bool) {
        let sent = self.stream.sent();
        if held_up && std::mem::replace(&mut self.sent, sent) != sent {
            self.times.note_blocked(false);
        }
        self.times.note_blocked(held_up);
    }

    fn note_write(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.times.note_blocked(written.is_pending());
        if let Poll::Ready(Ok(count)) = &written {
            self.registry.sent.fetch_add(*count as u64, Ordering::Relaxed);
        }
        written
    }
}

impl AsyncRead for Guard {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.unfit.is_some() {
            this.give_poison(buf);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        if this.ahead.has_remaining() {
            let count = this.ahead.len().min(buf.remaining());
            buf.put_slice(&this.ahead.split_to(count));
        } else {
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        }
        let count = buf.filled().len() - before;
        this.registry.received.fetch_add(count as u64, Ordering::Relaxed);
        this.inspect(buf, before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guard {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.interim.may_go() {
            ready!(this.poll_interim(cx))?;
            this.interim.hold();
        }
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.note_write(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.interim.may_go() {
            ready!(this.poll_interim(cx))?;
            this.interim.hold();
        }
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.note_write(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when it has nothing left to write, which is when an interim answer may go.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.interim.allow();
        ready!(this.poll_interim(cx))?;
        if this.times.awaiting() == Awaiting::Nothing {
            this.poll_reset(cx)?;
        }
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.note_flush(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
