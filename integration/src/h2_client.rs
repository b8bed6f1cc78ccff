//! An HTTP/2 client: in cleartext by prior knowledge (RFC 9113 §3.3), or on a stream that the test
//! has opened.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest, handshake};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::accept::Socket;
use crate::failure::Failure;
use crate::h2_body::{read_body, send_all, send_piece};

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The final status code.
    pub status: u16,
    /// Its header fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
    /// The trailer fields, if there were any.
    pub trailers: Option<HeaderMap>,
    /// The interim answers that came before.
    pub informational: Vec<Interim>,
}

impl Answer {
    /// The value of the first field of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// An interim answer (RFC 9110 §15.2).
#[derive(Debug, Clone)]
pub struct Interim {
    /// Its status code.
    pub status: u16,
    /// Its header fields.
    pub headers: HeaderMap,
}

/// How a connection ended, or is about to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// GOAWAY with NO_ERROR: streams under way finish, new ones go elsewhere.
    Graceful,
    /// GOAWAY with an error.
    GoAway(Reason),
    /// The connection ended without GOAWAY; the text says how.
    WithoutGoAway(String),
}

/// One connection, shared by its clones. Each exchange is bounded by 10 seconds unless told
/// otherwise.
#[derive(Debug, Clone)]
pub struct H2Client {
    send: SendRequest<Bytes>,
    scheme: &'static str,
    authority: String,
    limit: Duration,
    over: watch::Receiver<bool>,
}

impl H2Client {
    /// Connects and sends the preface. `:authority` is the address unless told otherwise.
    pub async fn connect(addr: SocketAddr) -> Result<Self, Failure> {
        let stream = timeout(DEFAULT_LIMIT, TcpStream::connect(addr)).await??;
        stream.set_nodelay(true)?;
        Self::over(stream, "http", &addr.to_string()).await
    }

    /// Sends the preface on a stream from which nothing has been read. `scheme` and `authority`
    /// are those of the requests.
    pub async fn over<S: Socket>(
        stream: S,
        scheme: &'static str,
        authority: &str,
    ) -> Result<Self, Failure> {
        let opened = timeout(DEFAULT_LIMIT, handshake(stream)).await?;
        let (send, connection) = opened.map_err(|error| failure(&error, Failure::Reset))?;
        let (tell, over) = watch::channel(false);
        tokio::spawn(async move {
            // How it ended is read from the streams, which know it earlier.
            drop(connection.await);
            tell.send_replace(true);
        });
        Ok(Self { send, scheme, authority: authority.to_owned(), limit: DEFAULT_LIMIT, over })
    }

    /// Sends this `:authority` from now on.
    pub fn with_authority(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.authority);
        self
    }

    /// Bounds each exchange from now on.
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// A GET.
    pub async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.exchange(self.request(Method::GET, path), Bytes::new(), None).await
    }

    /// A POST of that body.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Result<Answer, Failure> {
        self.exchange(self.request(Method::POST, path), body.into(), None).await
    }

    /// A request head for [`H2Client::exchange`] and [`H2Client::open`], to add fields to.
    ///
    /// # Panics
    /// When path and authority make no URI.
    pub fn request(&self, method: Method, path: &str) -> Request<()> {
        let uri = format!("{}://{}{path}", self.scheme, self.authority);
        let request = Request::builder().method(method).uri(uri);
        request.body(()).expect("the test gave a valid path and authority")
    }

    /// Sends a request while it reads the answer.
    ///
    /// # Errors
    /// [`Failure::NotProcessed`] when the request was not put on the wire or the peer says that
    /// it has not looked at it.
    pub async fn exchange(
        &self,
        request: Request<()>,
        body: Bytes,
        trailers: Option<HeaderMap>,
    ) -> Result<Answer, Failure> {
        let exchanged = async {
            let end = body.is_empty() && trailers.is_none();
            let (response, out) = self.start(request, end).await?;
            let sending = async { if end { Ok(()) } else { send_all(out, body, trailers).await } };
            // A peer may answer before it has the whole body, so the answer decides.
            let (_, answer) = tokio::join!(sending, answer_of(response));
            answer
        };
        let answer = timeout(self.limit, exchanged).await?;
        answer.map_err(|failure| self.blame(failure))
    }

    /// Sends a head and leaves the rest to the test.
    pub async fn open(&self, request: Request<()>) -> Result<Stream, Failure> {
        let (response, out) = timeout(self.limit, self.start(request, false)).await??;
        Ok(Stream { out, response, limit: self.limit })
    }

    /// How the connection ended or is about to; `None` while it takes new streams.
    pub fn ending(&self) -> Option<Ending> {
        let mut send = self.send.clone();
        match send.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(error)) => Some(ending(&error)),
            _ if *self.over.borrow() => Some(Ending::WithoutGoAway("ended".to_owned())),
            _ => None,
        }
    }

    /// Returns once the connection has ended altogether.
    ///
    /// # Errors
    /// [`Failure::TimedOut`] when it has not within `limit`.
    pub async fn ended(&self, limit: Duration) -> Result<(), Failure> {
        let mut over = self.over.clone();
        // An error means that the driver is gone, and the connection with it.
        let _ = timeout(limit, over.wait_for(|over| *over)).await?;
        Ok(())
    }

    /// An end that came with an error in GOAWAY is no orderly close.
    fn blame(&self, failure: Failure) -> Failure {
        let closed = matches!(failure, Failure::ClosedBeforeAnswer | Failure::Truncated);
        match self.ending() {
            Some(Ending::GoAway(_)) if closed => Failure::Reset,
            _ => failure,
        }
    }

    async fn start(
        &self,
        request: Request<()>,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), Failure> {
        let ready = self.send.clone().ready().await;
        let mut send = ready.map_err(|_| Failure::NotProcessed)?;
        send.send_request(request, end).map_err(|_| Failure::NotProcessed)
    }
}

/// A stream whose head has been sent.
#[derive(Debug)]
pub struct Stream {
    out: SendStream<Bytes>,
    response: ResponseFuture,
    limit: Duration,
}

impl Stream {
    /// The same with another bound on what follows.
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Sends a part of the body as the window allows.
    pub async fn send(&mut self, data: impl Into<Bytes>) -> Result<(), Failure> {
        let sent = timeout(self.limit, send_piece(&mut self.out, data.into())).await?;
        sent.map_err(|error| failure(&error, Failure::ClosedBeforeAnswer))
    }

    /// Ends the body.
    pub fn end(&mut self) -> Result<(), Failure> {
        let ended = self.out.send_data(Bytes::new(), true);
        ended.map_err(|error| failure(&error, Failure::ClosedBeforeAnswer))
    }

    /// Resets the stream.
    pub fn reset(mut self, reason: Reason) {
        self.out.send_reset(reason);
    }

    /// The next interim answer; for tests that act between it and the final one.
    ///
    /// # Errors
    /// [`Failure::Malformed`] when the final answer comes instead.
    pub async fn interim(&mut self) -> Result<Interim, Failure> {
        let next = poll_fn(|cx| poll_interim(&mut self.response, cx));
        let final_came = || Failure::Malformed("the final answer and no interim one".to_owned());
        timeout(self.limit, next).await??.ok_or_else(final_came)
    }

    /// The head of the answer, and its body to be read as it comes; the request can still be
    /// written to through what is left.
    pub async fn head(
        self,
    ) -> Result<(http::response::Parts, RecvStream, SendStream<Bytes>), Failure> {
        let response = timeout(self.limit, self.response).await?;
        let response = response.map_err(|error| failure(&error, Failure::ClosedBeforeAnswer))?;
        let (head, body) = response.into_parts();
        Ok((head, body, self.out))
    }

    /// The whole answer.
    pub async fn answer(self) -> Result<Answer, Failure> {
        let _out = self.out;
        timeout(self.limit, answer_of(self.response)).await?
    }
}

async fn answer_of(mut response: ResponseFuture) -> Result<Answer, Failure> {
    let informational = interim(&mut response).await?;
    let response = response.await.map_err(|error| failure(&error, Failure::ClosedBeforeAnswer))?;
    let (head, mut body) = response.into_parts();
    let read = read_body(&mut body).await;
    let (body, trailers) = read.map_err(|error| failure(&error, Failure::Truncated))?;
    let status = head.status.as_u16();
    Ok(Answer { status, headers: head.headers, body, trailers, informational })
}

async fn interim(response: &mut ResponseFuture) -> Result<Vec<Interim>, Failure> {
    let mut seen = Vec::new();
    while let Some(answer) = poll_fn(|cx| poll_interim(response, cx)).await? {
        seen.push(answer);
    }
    Ok(seen)
}

/// Nothing once the final answer has come.
fn poll_interim(
    response: &mut ResponseFuture,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Interim>, Failure>> {
    response.poll_informational(cx).map(|next| match next {
        Some(Ok(head)) => {
            let (status, headers) = (head.status().as_u16(), head.headers().clone());
            Ok(Some(Interim { status, headers }))
        }
        Some(Err(error)) => Err(failure(&error, Failure::ClosedBeforeAnswer)),
        None => Ok(None),
    })
}

/// `closed` is what an orderly end of the connection means at this point of the exchange.
fn failure(error: &h2::Error, closed: Failure) -> Failure {
    if let Some(io) = error.get_io() {
        return match io.kind() {
            // What `h2` reports for the end of the byte stream.
            ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => closed,
            kind => std::io::Error::from(kind).into(),
        };
    }
    match error.reason() {
        Some(Reason::REFUSED_STREAM) if error.is_remote() => Failure::NotProcessed,
        Some(Reason::NO_ERROR) if error.is_go_away() => Failure::NotProcessed,
        _ if error.is_remote() => Failure::Reset,
        _ => Failure::Malformed(error.to_string()),
    }
}

fn ending(error: &h2::Error) -> Ending {
    match error.reason() {
        Some(Reason::NO_ERROR) if error.is_go_away() => Ending::Graceful,
        Some(reason) if error.is_go_away() => Ending::GoAway(reason),
        _ => Ending::WithoutGoAway(error.to_string()),
    }
}

const DEFAULT_LIMIT: Duration = Duration::from_secs(10);
