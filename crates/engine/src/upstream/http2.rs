//! One HTTP/2 connection to a server, shared by all requests of a worker.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use http_body::Body as _;

use crate::body::{BodyWatch, RequestBody};
use crate::http2::pipe::{Pipe, Stopped};
use crate::http2::received::Received;
use crate::inbound::Inbound;
use crate::upstream::connect::Stream;
use crate::upstream::failure::{Failure, FailureKind, NotAnswered, Sent};
use crate::upstream::interim::Listening;
use crate::upstream::secured::Alert;

/// What a server may send of one answer before its client has read it: bytes.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// The same for all answers of a connection, which is no bound: a client that reads slowly holds its
/// own answer back and nobody else's.
const CONNECTION_WINDOW: u32 = i32::MAX.unsigned_abs();
/// How many of the requests given up in the last second are remembered: what a server has still
/// sent for them is passed over. Of others it counts as an error of the server.
const GIVEN_UP: usize = 4096;
/// How many such errors a connection outlives. h2 counts them from its beginning, and would end the
/// requests of everybody on it.
const MOST_ERRORS: usize = 100_000;
/// Bytes of an answer's head.
const HEADER_BYTES: u32 = 64 * 1024;

/// A handle on the connection; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Http2 {
    sender: SendRequest<Bytes>,
    alert: Option<Alert>,
    /// Whether the server has left a request without an answer for too long.
    is_suspect: Arc<AtomicBool>,
}

impl Http2 {
    /// Starts HTTP/2 on a fresh stream by prior knowledge. The connection is driven by a task of
    /// the current worker and ends with its last handle.
    ///
    /// # Errors
    /// When the stream fails at once.
    pub(crate) async fn handshake(stream: Stream) -> Result<Self, Failure> {
        let alert = stream.alert();
        stream.watch_peer();
        let started = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_BYTES)
            .max_concurrent_reset_streams(GIVEN_UP)
            .max_local_error_reset_streams(Some(MOST_ERRORS))
            .handshake(stream)
            .await;
        let (sender, connection) =
            started.map_err(|error| explained(Failure::stream(error), alert.as_ref()))?;
        tokio::spawn(async move {
            // Every request on it is told of the error as well, which is who reports it.
            let _ = connection.await;
        });
        Ok(Self { sender, alert, is_suspect: Arc::default() })
    }

    /// Whether it takes requests: the connection stands, and the server has neither said that it
    /// goes nor fallen silent.
    pub(crate) fn is_ready(&self) -> bool {
        if self.is_suspect.load(Ordering::Relaxed) {
            return false;
        }
        let mut cx = Context::from_waker(Waker::noop());
        !matches!(self.sender.clone().poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// Leaves the connection to the requests that are on it. A server is not asked by pings whether
    /// it is there: many take those for an attack where a stream is quiet for long.
    pub(crate) fn suspect(&self) {
        self.is_suspect.store(true, Ordering::Relaxed);
    }

    /// Sends a request and waits for the head of the answer; `listening` hears what the server says
    /// before. What is left of the body then goes on its way in a task of its own, until the server
    /// has taken nothing for `limit`.
    ///
    /// # Errors
    /// The request comes back when none of it was written.
    ///
    /// # Cancel safety
    /// Dropping the future resets the stream of the request.
    pub(crate) async fn send(
        mut self,
        request: Box<Request<RequestBody>>,
        listening: Option<&Listening>,
        rest: Rest<'_>,
    ) -> Sent {
        if let Err(error) = poll_fn(|cx| self.sender.poll_ready(cx)).await {
            return Err(NotAnswered { failure: self.explain(error), unsent: Some(request) });
        }
        let (head, body) = request.into_parts();
        let has_ended = body.is_end_stream();
        let (answer, stream) = self
            .sender
            .send_request(Request::from_parts(head, ()), has_ended)
            .map_err(|error| self.not_answered(error))?;
        let pipe = (!has_ended).then(|| Pipe::new(body, stream));
        let mut exchange = Exchange { answer, pipe, listening };
        let answer = poll_fn(|cx| exchange.poll(cx)).await;
        let answer = answer.map_err(|error| self.not_answered(error))?;
        if let Some(pipe) = exchange.pipe {
            rest.send(pipe);
        }
        Ok(received(answer))
    }

    fn not_answered(&self, error: h2::Error) -> NotAnswered {
        NotAnswered { failure: self.explain(error), unsent: None }
    }

    /// Why a request on it has failed, which may still have waited when the connection ended.
    fn explain(&self, error: h2::Error) -> Failure {
        explained(Failure::stream(error), self.alert.as_ref())
    }
}

fn explained(failure: Failure, alert: Option<&Alert>) -> Failure {
    match alert.and_then(|alert| alert.get()) {
        Some(alert) if failure.kind == FailureKind::Terminated => {
            Failure::with(FailureKind::Alert, rustls::Error::AlertReceived(*alert))
        }
        _ => failure,
    }
}

/// What bounds the rest of a request whose answer has come before its end.
#[derive(Debug)]
pub(crate) struct Rest<'a> {
    /// What becomes of the body; nothing where there is none.
    pub(crate) body: Option<&'a Arc<BodyWatch>>,
    /// How long the server may take nothing of it.
    pub(crate) limit: Duration,
}

impl Rest<'_> {
    fn send(self, mut pipe: Pipe<RequestBody>) {
        let Some(body) = self.body.map(Arc::clone) else { return };
        let limit = self.limit;
        tokio::spawn(async move {
            tokio::select! {
                sent = &mut pipe => if let Err(Stopped::Source(_)) = sent {
                    pipe.reset(Reason::CANCEL);
                },
                // The last piece may wait for the server's window as well.
                () = body.still_for(limit) => {}
            }
        });
    }
}

/// A request on its way, and its answer.
struct Exchange<'a> {
    answer: ResponseFuture,
    /// What is left to send.
    pipe: Option<Pipe<RequestBody>>,
    listening: Option<&'a Listening>,
}

impl Exchange<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<RecvStream>, h2::Error>> {
        self.poll_pipe(cx);
        self.poll_interim(cx)?;
        Pin::new(&mut self.answer).poll(cx)
    }

    /// A server may answer and take no more of the request, so only the answer says how it ends. Of
    /// a body that fails here, its watch knows why.
    fn poll_pipe(&mut self, cx: &mut Context<'_>) {
        let Some(pipe) = &mut self.pipe else { return };
        if let Poll::Ready(ended) = Pin::new(&mut *pipe).poll(cx) {
            if let Err(Stopped::Source(_)) = ended {
                pipe.reset(Reason::CANCEL);
            }
            self.pipe = None;
        }
    }

    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Result<(), h2::Error> {
        while let Poll::Ready(Some(head)) = self.answer.poll_informational(cx) {
            let head = head?;
            if let Some(listening) = self.listening {
                listening.hear(head.status(), head.headers());
            }
        }
        Ok(())
    }
}

fn received(answer: Response<RecvStream>) -> Response<Inbound> {
    let (head, stream) = answer.into_parts();
    let body = Received::new(stream, &head.headers);
    Response::from_parts(head, Inbound::Http2(body))
}
