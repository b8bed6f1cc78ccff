//! A body as it comes in over a stream of HTTP/2.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};

use crate::http2::interim::Queue;

/// The body. To drop it before its end tells the peer that no more of it is wanted.
#[derive(Debug)]
pub(crate) struct Received {
    stream: RecvStream,
    /// Bytes that are still to come, where the head says so.
    left: Option<u64>,
    data_ended: bool,
    /// Who tells the client to send it, where the client waits for that.
    asks: Option<Arc<Queue>>,
}

impl Received {
    /// The body behind a head with these fields. h2 itself sees to it that the length holds.
    pub(crate) fn new(stream: RecvStream, head: &HeaderMap) -> Self {
        let length = head.get(header::CONTENT_LENGTH);
        let left = length.and_then(|value| value.to_str().ok()?.parse().ok());
        let left = left.or(stream.is_end_stream().then_some(0));
        Self { stream, left, data_ended: false, asks: None }
    }

    /// Has the client asked for it as soon as it is read.
    pub(crate) fn ask(&mut self, asks: Arc<Queue>) {
        self.asks = Some(asks);
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let piece = match ready!(self.stream.poll_data(cx)) {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return Poll::Ready(self.unless_complete(error).map(Err)),
            None => return Poll::Ready(None),
        };
        // Whoever reads takes it now; a stream that is gone has no window.
        let _ = self.stream.flow_control().release_capacity(piece.len());
        self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
        Poll::Ready(Some(Ok(piece)))
    }

    fn poll_trailers(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        Poll::Ready(match ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => self.unless_complete(error).map(Err),
        })
    }

    /// h2 knows of a stream that is reset whether its peer had ended it, as RFC 9113 §8.1 allows it;
    /// of one whose connection ends it does not, but the head may have said how much comes.
    fn unless_complete(&self, error: h2::Error) -> Option<h2::Error> {
        (error.is_reset() || self.left != Some(0)).then_some(error)
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = self.get_mut();
        if let Some(queue) = this.asks.take() {
            queue.ask_for_body();
        }
        while !this.data_ended {
            match ready!(this.poll_data(cx)) {
                // An empty piece says nothing, and costs whoever sends it on a frame.
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(piece) => return Poll::Ready(Some(piece.map(Frame::data))),
                None => this.data_ended = true,
            }
        }
        this.poll_trailers(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
