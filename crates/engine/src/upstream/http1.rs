//! One HTTP/1.1 connection to a server.
//!
//! The connection is driven by whoever uses it, inside the same task: a request costs neither a
//! task switch nor a wake-up of another task. While it is idle nobody drives it, so before each
//! use it is asked whether it still stands.

use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;

use crate::body::{BodyWatch, RequestBody};
use crate::upstream::connect::{Stream, is_quiet};
use crate::upstream::failure::Failure;

/// One connection.
#[derive(Debug)]
pub(crate) struct Http1 {
    sender: http1::SendRequest<RequestBody>,
    connection: http1::Connection<TokioIo<Stream>, RequestBody>,
    probe: OwnedFd,
    /// When the last exchange ended, or the connection was made.
    pub(crate) since: Instant,
    /// Whether it has carried an exchange.
    pub(crate) reused: bool,
    closed: bool,
}

impl Http1 {
    /// Prepares a fresh stream for requests.
    ///
    /// # Errors
    /// When the stream fails at once.
    pub(crate) async fn handshake(stream: Stream) -> Result<Self, Failure> {
        let probe = stream.probe().map_err(Failure::connect)?;
        let (sender, connection) = http1::Builder::new()
            .handshake(TokioIo::new(stream))
            .await
            .map_err(Failure::exchange)?;
        Ok(Self { sender, connection, probe, since: Instant::now(), reused: false, closed: false })
    }

    /// Whether an idle connection can carry a request. With `sure`, the kernel is asked as well
    /// as what the runtime has already been told.
    pub(crate) fn is_usable(&mut self, sure: bool) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.closed && self.sender.is_ready() && (!sure || is_quiet(&self.probe))
    }

    /// Sends a request and waits for the head of the answer.
    ///
    /// # Errors
    /// The request comes back when none of it was written.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the connection in the middle of an exchange: drop it as well.
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let (connection, closed) = (&mut self.connection, &mut self.closed);
        std::future::poll_fn(|cx| {
            // An answer that is there already is taken without the connection knowing this task,
            // which it would wake to say that the first piece of its body was taken.
            let mut idle = Context::from_waker(Waker::noop());
            for known in [false, true] {
                if !*closed {
                    let cx = if known { &mut *cx } else { &mut idle };
                    *closed = poll_connection(connection, cx).is_ready();
                }
                // Only the connection resolves the answer, and it has just been driven.
                if let Poll::Ready(answer) = answer.as_mut().poll(&mut idle) {
                    return Poll::Ready(answer);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The next piece of an answer's body; drives the connection as needed.
    pub(crate) fn poll_body(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, hyper::Error>>> {
        // As with the head: what is there already is taken without a wake-up.
        let mut idle = Context::from_waker(Waker::noop());
        for known in [false, true] {
            if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(&mut idle) {
                return Poll::Ready(frame);
            }
            self.drive(if known { cx } else { &mut idle });
        }
        Pin::new(body).poll_frame(&mut idle)
    }

    /// Whether the exchange is over on both sides and another one may follow.
    pub(crate) fn is_reusable(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.closed && self.sender.is_ready()
    }

    /// Takes the stream back after an upgrade, with the bytes already read from it.
    pub(crate) fn into_stream(self) -> (Stream, bytes::Bytes) {
        let parts = self.connection.into_parts();
        (parts.io.into_inner(), parts.read_buf)
    }

    /// Leaves the connection to a task of its own until both sides of the exchange have ended, or
    /// the server has taken nothing of the request for `limit`.
    pub(crate) fn run_apart(self, body: Arc<BodyWatch>, limit: Duration) {
        tokio::spawn(async move {
            tokio::select! {
                // Whoever reads the answer is told of an error as well.
                _ = self.connection => {}
                () = body.untaken_for(limit) => {}
            }
        });
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.closed {
            self.closed = poll_connection(&mut self.connection, cx).is_ready();
        }
    }
}

fn poll_connection(
    connection: &mut http1::Connection<TokioIo<Stream>, RequestBody>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    // An error is told to the sender of the request as well, which is who reports it.
    connection.poll_without_shutdown(cx).map(|_| ())
}
