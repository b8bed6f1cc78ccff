//! A client's stream with its bytes counted, beginning with those already read. Whoever drops it
//! leaves it behind to be closed properly.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::registry::Registry;
use crate::tls::stream::ClientStream;

/// A client's stream.
#[derive(Debug)]
pub(super) struct Counted {
    stream: Option<ClientStream>,
    ahead: Bytes,
    registry: Arc<Registry>,
    wire: Arc<Wire>,
}

/// What is known of a stream that somebody else owns.
#[derive(Debug, Default)]
pub(super) struct Wire {
    heard: AtomicU64,
    blocked: AtomicBool,
    left: Mutex<Option<ClientStream>>,
}

impl Wire {
    /// Bytes read so far.
    pub(super) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Whether something waits for the client to take it.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    /// The stream, once its owner has dropped it.
    pub(super) fn take(&self) -> Option<ClientStream> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Counted {
    /// Counts in `registry` what goes through `stream`, of which `ahead` has already been read.
    pub(super) fn new(stream: ClientStream, ahead: Bytes, registry: Arc<Registry>) -> Self {
        Self { stream: Some(stream), ahead, registry, wire: Arc::default() }
    }

    /// An eye on the stream.
    pub(super) fn wire(&self) -> Arc<Wire> {
        Arc::clone(&self.wire)
    }

    fn stream(&mut self) -> Pin<&mut ClientStream> {
        Pin::new(self.stream.as_mut().expect("only the drop takes the stream"))
    }

    fn note_write(&self, written: &Poll<io::Result<usize>>) {
        self.wire.blocked.store(written.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(count)) = written {
            self.registry.sent.fetch_add(*count as u64, Ordering::Relaxed);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        *self.wire.left.lock().unwrap_or_else(PoisonError::into_inner) = self.stream.take();
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if this.ahead.has_remaining() {
            let count = this.ahead.len().min(buf.remaining());
            buf.put_slice(&this.ahead.split_to(count));
        } else {
            ready!(this.stream().poll_read(cx, buf))?;
        }
        let count = buf.filled().len() - before;
        this.registry.received.fetch_add(count as u64, Ordering::Relaxed);
        this.wire.heard.fetch_add(count as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = this.stream().poll_write(cx, buf);
        this.note_write(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = this.stream().poll_write_vectored(cx, bufs);
        this.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream().poll_shutdown(cx)
    }
}
