//! Sends a body over a stream of HTTP/2, no faster than the peer takes it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use h2::SendStream;
use http_body::Body;

use crate::message::hop_by_hop;

/// A body on its way. As a future it ends when all of it has been handed over.
///
/// # Cancel safety
/// To drop it before its end resets the stream.
#[derive(Debug)]
pub(crate) struct Pipe<B: Body> {
    body: B,
    stream: SendStream<B::Data>,
    /// A piece that waits for the peer's window, and whether it is the last.
    waiting: Option<(B::Data, bool)>,
}

/// Why a body was not sent to its end.
#[derive(Debug)]
pub(crate) enum Stopped<E> {
    /// Its source failed; the stream is still open.
    Source(E),
    /// The stream has ended: the peer wants no more of it, or the connection is gone.
    Stream,
}

impl<B> Pipe<B>
where
    B: Body + Unpin,
    B::Data: Buf + Default + Unpin,
{
    /// Sends `body` over `stream`.
    pub(crate) fn new(body: B, stream: SendStream<B::Data>) -> Self {
        Self { body, stream, waiting: None }
    }

    /// Ends the stream with an error.
    pub(crate) fn reset(&mut self, reason: h2::Reason) {
        self.stream.send_reset(reason);
    }

    /// Where the next piece would wait for the peer, this is where its reset is heard.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Stopped<B::Error>>> {
        if self.stream.poll_reset(cx).is_ready() {
            return Poll::Ready(Err(Stopped::Stream));
        }
        if self.waiting.is_some() {
            return self.poll_waiting(cx);
        }
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => Poll::Ready(self.take(frame)),
            Some(Err(error)) => Poll::Ready(Err(Stopped::Source(error))),
            None => Poll::Ready(self.send(B::Data::default(), true)),
        }
    }

    /// A claim on the windows is made only for a piece that is there, and for its first byte: the
    /// rest is claimed when it is handed over. A stream that waits for its source holds nothing back
    /// from the others.
    fn take(&mut self, frame: http_body::Frame<B::Data>) -> Result<bool, Stopped<B::Error>> {
        match frame.into_data() {
            Ok(piece) if piece.has_remaining() => {
                self.stream.reserve_capacity(1);
                self.waiting = Some((piece, self.body.is_end_stream()));
                Ok(false)
            }
            Ok(_) if self.body.is_end_stream() => self.send(B::Data::default(), true),
            Ok(_) => Ok(false),
            Err(frame) => {
                let mut trailers = frame.into_trailers().unwrap_or_default();
                // h2 refuses to send them.
                hop_by_hop::strip_response(&mut trailers, false);
                self.stream.send_trailers(trailers).map_err(|_| Stopped::Stream)?;
                Ok(true)
            }
        }
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Stopped<B::Error>>> {
        while self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(Stopped::Stream)),
            }
        }
        let (piece, is_last) = self.waiting.take().expect("asked for only when something waits");
        Poll::Ready(self.send(piece, is_last))
    }

    fn send(&mut self, piece: B::Data, is_last: bool) -> Result<bool, Stopped<B::Error>> {
        match self.stream.send_data(piece, is_last) {
            Ok(()) => Ok(is_last),
            Err(_) => Err(Stopped::Stream),
        }
    }
}

impl<B> Future for Pipe<B>
where
    B: Body + Unpin,
    B::Data: Buf + Default + Unpin,
{
    type Output = Result<(), Stopped<B::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if ready!(this.poll_step(cx))? {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
