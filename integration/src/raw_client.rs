//! An HTTP/1.1 client that sends exactly the bytes it is given and reads answers strictly.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::accept::Socket;
use crate::failure::Failure;
use crate::http1::{Declared, Fields, Head, Wire, declared, has_token, parse_head, values};
use crate::wait;

/// One answer, with everything the wire said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code of the final answer, or 101.
    pub status: u16,
    /// The reason phrase as written.
    pub reason: String,
    /// The header fields in order and as written.
    pub fields: Fields,
    /// The body, without its framing.
    pub body: Vec<u8>,
    /// The trailer fields of a chunked body.
    pub trailers: Fields,
    /// The 1xx answers that came before.
    pub informational: Vec<Informational>,
    /// How the body was delimited.
    pub framing: Framing,
}

/// An interim answer (RFC 9110 §15.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Informational {
    /// 100 to 199 without 101.
    pub status: u16,
    /// Its header fields.
    pub fields: Fields,
}

/// How the body of an answer was delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// An answer that cannot have a body: to HEAD, 1xx, 204, 304.
    NoBody,
    /// By `Content-Length`.
    Length,
    /// By chunks.
    Chunked,
    /// By the end of the connection.
    Close,
}

impl Response {
    /// The value of the first field of that name, whatever the case.
    pub fn header(&self, name: &str) -> Option<&str> {
        values(&self.fields, name).first().copied()
    }

    /// The body as text, with replacement characters where it is not UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the connection may carry another request after this answer.
    pub fn keeps_alive(&self) -> bool {
        self.framing != Framing::Close
            && self.status != 101
            && !has_token(&self.fields, "connection", "close")
    }
}

/// One connection. Every operation is bounded by its limit, 10 seconds unless told otherwise.
#[derive(Debug)]
pub struct RawClient<S = TcpStream> {
    wire: Wire<S>,
    limit: Duration,
}

impl RawClient<TcpStream> {
    /// Connects.
    ///
    /// # Errors
    /// [`Failure::Refused`] when nobody listens.
    pub async fn connect(addr: SocketAddr) -> Result<Self, Failure> {
        let stream = timeout(DEFAULT_LIMIT, TcpStream::connect(addr)).await??;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }

    /// The address this end of the connection has.
    pub fn local_addr(&self) -> SocketAddr {
        self.wire.stream().local_addr().expect("a connected socket has an address")
    }

    /// Whether the peer has closed already, as far as the kernel knows; does not wait.
    pub fn is_closed_now(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match recv(self.wire.stream(), &mut [0; 1], flags) {
            Ok((_, length)) => length == 0,
            Err(Errno::AGAIN) => false,
            Err(_) => true,
        }
    }
}

impl<S: Socket> RawClient<S> {
    /// On a stream from which nothing has been read.
    pub fn over(stream: S) -> Self {
        Self { wire: Wire::new(stream), limit: DEFAULT_LIMIT }
    }

    /// Bounds each operation from now on.
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sends the bytes as they are.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
        timeout(self.limit, self.wire.write(bytes.as_ref())).await?
    }

    /// Sends the bytes in pieces of `piece` bytes, letting `gap` pass after each.
    pub async fn send_slowly(
        &mut self,
        bytes: impl AsRef<[u8]>,
        piece: usize,
        gap: Duration,
    ) -> Result<(), Failure> {
        for part in bytes.as_ref().chunks(piece) {
            self.send(part).await?;
            wait::pass(gap).await;
        }
        Ok(())
    }

    /// Sends a GET without body and reads its answer.
    pub async fn get(&mut self, path: &str, host: &str) -> Result<Response, Failure> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await?;
        self.read_response().await
    }

    /// Sends a POST with `Content-Length` and reads its answer.
    pub async fn post(&mut self, path: &str, host: &str, body: &[u8]) -> Result<Response, Failure> {
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n");
        self.exchange([head.as_bytes(), body].concat()).await
    }

    /// Sends one request while it reads the answer, so that the answer is found also where the
    /// sending failed (a refusal in the middle of a body).
    pub async fn exchange(&mut self, request: impl AsRef<[u8]>) -> Result<Response, Failure> {
        let sending = self.wire.write_while_reading(request.as_ref());
        // What the sending failed of shows again in the reading.
        let _ = timeout(self.limit, sending).await;
        self.read_response().await
    }

    /// Reads the answer to anything but HEAD.
    pub async fn read_response(&mut self) -> Result<Response, Failure> {
        timeout(self.limit, self.response(false)).await?
    }

    /// Reads the answer to HEAD, which has no body whatever its head says.
    pub async fn read_head_response(&mut self) -> Result<Response, Failure> {
        timeout(self.limit, self.response(true)).await?
    }

    /// Reads one interim answer; for tests that act between it and the final one.
    pub async fn read_informational(&mut self) -> Result<Informational, Failure> {
        let (status, _, head) = timeout(self.limit, self.status_head()).await??;
        match status {
            100..=199 => Ok(Informational { status, fields: head.fields }),
            _ => Err(Failure::Malformed(format!("the final answer {status} and no interim one"))),
        }
    }

    /// At least one byte and at most `limit`, as they come; empty when the peer has closed.
    pub async fn read_some(&mut self, limit: usize) -> Result<Vec<u8>, Failure> {
        timeout(self.limit, self.wire.some(limit)).await?
    }

    /// Exactly `length` bytes as they come.
    pub async fn read_exactly(&mut self, length: usize) -> Result<Vec<u8>, Failure> {
        timeout(self.limit, self.wire.exactly(length)).await?
    }

    /// Everything until the peer closes.
    pub async fn read_to_end(&mut self) -> Result<Vec<u8>, Failure> {
        timeout(self.limit, self.wire.rest()).await?
    }

    /// Ends the sending direction; answers can still be read.
    pub async fn half_close(&mut self) -> Result<(), Failure> {
        self.wire.half_close().await
    }

    /// Closes with a reset.
    pub fn reset(self) {
        self.wire.stream().reset_on_close();
    }

    /// Whether the peer closes, in order or by reset, within `limit`. Bytes that come meanwhile
    /// are kept for the next read.
    pub async fn is_closed_by_peer(&mut self, limit: Duration) -> bool {
        let closed = async { while matches!(self.wire.fill().await, Ok(1..)) {} };
        timeout(limit, closed).await.is_ok()
    }

    /// The stream after an upgrade, with the bytes that came right behind the answer.
    pub fn into_wire(self) -> Wire<S> {
        self.wire
    }

    async fn response(&mut self, to_head: bool) -> Result<Response, Failure> {
        let mut informational = Vec::new();
        loop {
            let (status, reason, head) = self.status_head().await?;
            if matches!(status, 100 | 102..=199) {
                informational.push(Informational { status, fields: head.fields });
                continue;
            }
            let framing = framing(status, to_head, &head.fields)?;
            let (body, trailers) = self.body(framing, &head.fields).await?;
            let fields = head.fields;
            return Ok(Response { status, reason, fields, body, trailers, informational, framing });
        }
    }

    async fn status_head(&mut self) -> Result<(u16, String, Head), Failure> {
        let raw = self.wire.head().await?;
        let head = parse_head(&raw).map_err(Failure::Malformed)?;
        let (status, reason) = status_line(&head.start)?;
        Ok((status, reason, head))
    }

    async fn body(
        &mut self,
        framing: Framing,
        fields: &Fields,
    ) -> Result<(Vec<u8>, Fields), Failure> {
        match (framing, declared(fields)) {
            (Framing::Length, Ok(Declared::Length(length))) => {
                Ok((self.wire.exactly(length).await?, Vec::new()))
            }
            (Framing::Chunked, _) => self.wire.chunked().await,
            (Framing::Close, _) => Ok((self.wire.rest().await?, Vec::new())),
            _ => Ok((Vec::new(), Vec::new())),
        }
    }
}

/// RFC 9112 §6.3, refusing the lengths that an answer without body must not carry
/// (RFC 9110 §8.6, RFC 9112 §6.1).
fn framing(status: u16, to_head: bool, fields: &Fields) -> Result<Framing, Failure> {
    let declared = declared(fields).map_err(Failure::Malformed)?;
    match (status, declared) {
        (100..=199 | 204, Declared::Length(_) | Declared::Chunked) => {
            Err(Failure::Malformed(format!("a {status} answer with {declared:?}")))
        }
        (100..=199 | 204 | 304, _) => Ok(Framing::NoBody),
        _ if to_head => Ok(Framing::NoBody),
        (_, Declared::Length(_)) => Ok(Framing::Length),
        (_, Declared::Chunked) => Ok(Framing::Chunked),
        (_, Declared::Nothing) => Ok(Framing::Close),
    }
}

fn status_line(line: &str) -> Result<(u16, String), Failure> {
    let rest = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "));
    let parts = rest.and_then(|rest| rest.split_once(' '));
    let status = parts.and_then(|(code, reason)| {
        let digits = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
        let code = digits.then(|| code.parse().ok()).flatten()?;
        Some((code, reason.to_owned()))
    });
    let known = status.filter(|(code, _)| (100..600).contains(code));
    known.ok_or_else(|| Failure::Malformed(format!("the status line {line:?}")))
}

const DEFAULT_LIMIT: Duration = Duration::from_secs(10);
