//! One HTTP/1.1 connection to a server.
//!
//! The connection is driven by whoever uses it, inside the same task: a request costs neither a
//! task switch nor a wake-up of another task. While it is idle nobody drives it, so before each
//! use it is asked whether it still stands.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use tokio::time::Sleep;

use crate::bell::Bell;
use crate::body::{BodyWatch, RequestBody};
use crate::inbound::Inbound;
use crate::upstream::connect::{Stream, is_quiet};
use crate::upstream::failure::{Failure, Sent};

/// What hyper makes of a request.
type Tried = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>;

/// One connection.
#[derive(Debug)]
pub(crate) struct Http1 {
    sender: http1::SendRequest<RequestBody>,
    driven: Driven,
    probe: OwnedFd,
    /// Stays with the runtime from one exchange to the next, so that to set it anew is cheap.
    timer: Pin<Box<Sleep>>,
    /// When the last exchange ended, or the connection was made.
    pub(crate) since: Instant,
    /// Whether it has carried an exchange.
    pub(crate) reused: bool,
}

type Connection = http1::Connection<TokioIo<Stream>, RequestBody>;

/// The part that moves the bytes.
#[derive(Debug)]
struct Driven {
    connection: Connection,
    closed: bool,
    bell: Arc<Bell>,
    waker: Waker,
    /// Whether the bell rings when it has something to do; else that wakes a task.
    resting: bool,
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
        let since = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until(since.into()));
        Ok(Self { sender, driven: Driven::new(connection), probe, timer, since, reused: false })
    }

    /// Whether an idle connection can carry a request. With `sure`, the kernel is asked as well
    /// as what the runtime has already been told.
    pub(crate) fn is_usable(&mut self, sure: bool) -> bool {
        self.driven.rest();
        !self.driven.closed && self.sender.is_ready() && (!sure || is_quiet(&self.probe))
    }

    /// Hands a request over; none of it is written before [`Http1::answer`] is polled.
    pub(crate) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Tried> + use<> {
        self.sender.try_send_request(request)
    }

    /// Writes the request that has just been sent and waits for the head of the answer. The timer
    /// beside it is the connection's own, for whoever bounds the wait.
    ///
    /// # Errors
    /// The request comes back when none of it was written.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the connection in the middle of an exchange: drop it as well.
    pub(crate) fn answer<'a>(
        &'a mut self,
        mut sent: Pin<&'a mut impl Future<Output = Tried>>,
    ) -> (impl Future<Output = Sent> + Unpin + 'a, Pin<&'a mut Sleep>) {
        let Self { driven, timer, .. } = self;
        let mut written = false;
        let answer = std::future::poll_fn(move |cx| {
            // An answer that is there already is taken without the connection knowing this task,
            // which it would wake to say that the first piece of its body was taken. It is not
            // there before the request is written.
            let mut idle = Context::from_waker(Waker::noop());
            if std::mem::replace(&mut written, true) {
                driven.rest();
                if let Poll::Ready(answer) = sent.as_mut().poll(&mut idle) {
                    return Poll::Ready(known(answer));
                }
            }
            driven.drive(cx);
            // Only the connection resolves the answer, and it has just been driven.
            sent.as_mut().poll(&mut idle).map(known)
        });
        (answer, timer.as_mut())
    }

    /// The next piece of an answer's body; drives the connection as needed.
    pub(crate) fn poll_body(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, hyper::Error>>> {
        // As with the head: what is there already is taken without a wake-up.
        for rested in [false, true] {
            if rested {
                self.driven.rest();
            }
            if let Poll::Ready(frame) = self.driven.piece_of(body) {
                return Poll::Ready(frame);
            }
        }
        self.driven.drive(cx);
        self.driven.piece_of(body)
    }

    /// Whether the exchange is over on both sides and another one may follow.
    pub(crate) fn is_reusable(&mut self) -> bool {
        // Mostly the poll that brought the last byte has brought this about as well.
        self.driven.resting &= self.sender.is_ready();
        self.driven.rest();
        !self.driven.closed && self.sender.is_ready()
    }

    /// Takes the stream back after an upgrade, with the bytes already read from it.
    pub(crate) fn into_stream(self) -> (Stream, bytes::Bytes) {
        let parts = self.driven.connection.into_parts();
        (parts.io.into_inner(), parts.read_buf)
    }

    /// Leaves the connection to a task of its own until both sides of the exchange have ended, or
    /// the server has taken nothing of the request for `limit`.
    pub(crate) fn run_apart(self, body: Arc<BodyWatch>, limit: Duration) {
        tokio::spawn(async move {
            tokio::select! {
                // Whoever reads the answer is told of an error as well.
                _ = self.driven.connection => {}
                () = body.untaken_for(limit) => {}
            }
        });
    }
}

impl Driven {
    fn new(connection: Connection) -> Self {
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        Self { connection, closed: false, bell, waker, resting: false }
    }

    /// Drives it; what it waits for wakes the task of `cx`.
    fn drive(&mut self, cx: &mut Context<'_>) {
        self.resting = false;
        poll(&mut self.connection, &mut self.closed, cx);
    }

    /// What is there of a body that comes over it. That the last piece was taken rings the bell, but
    /// gives the connection nothing to do.
    fn piece_of(
        &self,
        body: &mut Incoming,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, hyper::Error>>> {
        let had_rung = self.bell.has_rung();
        let piece = Pin::new(&mut *body).poll_frame(&mut Context::from_waker(Waker::noop()));
        if !had_rung && body.is_end_stream() {
            self.bell.hush();
        }
        piece
    }

    /// Drives it until it has nothing to do; what it waits for wakes nobody, and is seen at the
    /// next rest. Costs nothing where it rests already and nothing has come.
    fn rest(&mut self) {
        if !self.resting || self.bell.has_rung() {
            self.bell.hush();
            let mut cx = Context::from_waker(&self.waker);
            poll(&mut self.connection, &mut self.closed, &mut cx);
            self.resting = true;
        }
    }
}

fn known(tried: Tried) -> Sent {
    match tried {
        Ok(answer) => Ok(answer.map(Inbound::Http1)),
        Err(error) => Err(error.into()),
    }
}

fn poll(connection: &mut Connection, closed: &mut bool, cx: &mut Context<'_>) {
    if !*closed {
        // An error is told to the sender of the request as well, which is who reports it.
        *closed = connection.poll_without_shutdown(cx).is_ready();
    }
}
