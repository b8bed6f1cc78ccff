//! HTTP/1.1 messages read strictly (RFC 9112): what two parsers could read differently is a
//! failure here. Shared by the client and the origin, and by no product code, so that neither
//! side of a test excuses the other.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::failure::Failure;

/// Header or trailer fields in the order and spelling of the wire.
pub type Fields = Vec<(String, String)>;

/// A message head taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The request line or status line, without its CRLF.
    pub start: String,
    /// The header fields as written; values without surrounding blanks.
    pub fields: Fields,
}

/// How a head says that its body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declared {
    /// Neither length nor coding.
    Nothing,
    /// `Content-Length`.
    Length(usize),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// A byte stream with what has been read from it and not yet used.
#[derive(Debug)]
pub struct Wire<S> {
    stream: S,
    buffer: BytesMut,
}

/// What went on while a message was being sent.
enum Step {
    Wrote(usize),
    Flushed,
    Read(usize),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Over a stream from which nothing has been read.
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::with_capacity(8192) }
    }

    /// The stream below.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Bytes read from the stream and not yet used.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Writes all bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Ends the writing direction.
    pub async fn half_close(&mut self) -> Result<(), Failure> {
        Ok(self.stream.shutdown().await?)
    }

    /// Reads once into the buffer; 0 means that the peer has closed. Cancel safe.
    pub async fn fill(&mut self) -> Result<usize, Failure> {
        Ok(self.stream.read_buf(&mut self.buffer).await?)
    }

    /// The next message head, with the empty line that ends it. Cancel safe.
    ///
    /// # Errors
    /// [`Failure::ClosedBeforeAnswer`] when the peer closed with nothing sent.
    pub async fn head(&mut self) -> Result<Vec<u8>, Failure> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                return Ok(self.buffer.split_to(at + 4).to_vec());
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(malformed("a head without end"));
            }
            if self.fill().await? == 0 {
                return Err(match self.buffer.is_empty() {
                    true => Failure::ClosedBeforeAnswer,
                    false => Failure::Truncated,
                });
            }
        }
    }

    /// Exactly `length` bytes.
    pub async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Failure> {
        while self.buffer.len() < length {
            self.fill_more().await?;
        }
        Ok(self.buffer.split_to(length).to_vec())
    }

    /// At least one byte and at most `limit`; empty at the end of the stream. Cancel safe.
    pub async fn some(&mut self, limit: usize) -> Result<Vec<u8>, Failure> {
        if self.buffer.is_empty() && self.fill().await? == 0 {
            return Ok(Vec::new());
        }
        let length = self.buffer.len().min(limit);
        Ok(self.buffer.split_to(length).to_vec())
    }

    /// Everything until the peer closes.
    pub async fn rest(&mut self) -> Result<Vec<u8>, Failure> {
        while self.fill().await? > 0 {}
        Ok(self.buffer.split().to_vec())
    }

    /// A chunked body and its trailer fields.
    pub async fn chunked(&mut self) -> Result<(Vec<u8>, Fields), Failure> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            match chunk_size(&line)? {
                0 => return Ok((body, self.trailers().await?)),
                size => body.extend(self.exactly(size).await?),
            }
            if self.exactly(2).await? != b"\r\n" {
                return Err(malformed("a chunk without CRLF at its end"));
            }
        }
    }

    /// Writes all bytes and takes in what comes meanwhile, so that a peer that answers before it
    /// has read everything blocks neither side.
    ///
    /// # Errors
    /// [`Failure::ClosedBeforeAnswer`] when the peer ends its direction before everything is
    /// written; what it sent before is kept for the next read.
    pub async fn write_while_reading(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut rest = bytes;
        loop {
            match poll_fn(|cx| self.poll_either(rest, cx)).await? {
                Step::Flushed => return Ok(()),
                Step::Wrote(length) => rest = &rest[length..],
                Step::Read(0) => return Err(Failure::ClosedBeforeAnswer),
                Step::Read(_) => {}
            }
        }
    }

    /// Writes `rest`, or flushes when nothing is left of it; where neither goes on, reads.
    fn poll_either(&mut self, rest: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<Step>> {
        let stream = Pin::new(&mut self.stream);
        let written = match rest.is_empty() {
            true => stream.poll_flush(cx).map_ok(|()| Step::Flushed),
            false => stream.poll_write(cx, rest).map_ok(Step::Wrote),
        };
        if written.is_ready() {
            return written;
        }
        // A read that has not happened leaves nothing behind, so it can begin anew each time.
        let read = pin!(self.stream.read_buf(&mut self.buffer));
        read.poll(cx).map_ok(Step::Read)
    }

    async fn trailers(&mut self) -> Result<Fields, Failure> {
        let mut fields = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                return Ok(fields);
            }
            fields.push(field(&line).map_err(Failure::Malformed)?);
        }
    }

    async fn line(&mut self) -> Result<Vec<u8>, Failure> {
        loop {
            if let Some(at) = find(&self.buffer, b"\n") {
                let mut line = self.buffer.split_to(at + 1).to_vec();
                line.pop();
                return match line.pop() {
                    Some(b'\r') => Ok(line),
                    _ => Err(malformed("a line that ends in a bare LF")),
                };
            }
            self.fill_more().await?;
        }
    }

    async fn fill_more(&mut self) -> Result<(), Failure> {
        match self.fill().await? {
            0 => Err(Failure::Truncated),
            _ => Ok(()),
        }
    }
}

/// Takes a head apart, as [`Wire::head`] yields it.
///
/// # Errors
/// What is wrong: bare CR or LF, NUL, folded lines, blanks before the colon, names that are no
/// tokens.
pub fn parse_head(raw: &[u8]) -> Result<Head, String> {
    let text = raw.strip_suffix(b"\r\n\r\n").ok_or("a head without its empty line")?;
    let mut lines = split_lines(text)?.into_iter();
    let start = latin1(lines.next().ok_or("an empty head")?);
    let fields = lines.map(field).collect::<Result<_, _>>()?;
    Ok(Head { start, fields })
}

/// How the fields delimit the body (RFC 9112 §6.3).
///
/// # Errors
/// Both ways at once, either twice, a coding that is not exactly `chunked`, a length that is not
/// digits.
pub fn declared(fields: &Fields) -> Result<Declared, String> {
    let codings = values(fields, "transfer-encoding");
    let lengths = values(fields, "content-length");
    match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => Ok(Declared::Nothing),
        ([coding], []) if coding.eq_ignore_ascii_case("chunked") => Ok(Declared::Chunked),
        ([], [length]) => decimal(length).map(Declared::Length),
        _ => Err(format!("transfer-encoding {codings:?} with content-length {lengths:?}")),
    }
}

/// All values of the fields of that name, whatever the case of the name.
pub fn values<'a>(fields: &'a Fields, name: &str) -> Vec<&'a str> {
    let named = fields.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.as_str()).collect()
}

/// Whether a list-valued field of that name contains the token, whatever the case.
pub fn has_token(fields: &Fields, name: &str, token: &str) -> bool {
    let lists = values(fields, name).into_iter();
    lists.flat_map(|list| list.split(',')).any(|own| own.trim().eq_ignore_ascii_case(token))
}

fn split_lines(text: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut lines = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        lines.push(line);
    }
    let last = lines.len() - 1;
    for (at, line) in lines.iter_mut().enumerate() {
        if at < last {
            *line = line.strip_suffix(b"\r").ok_or("a line that ends in a bare LF")?;
        }
        if line.iter().any(|byte| matches!(byte, b'\r' | 0)) {
            return Err(format!("a bare CR or NUL in {:?}", latin1(line)));
        }
    }
    Ok(lines)
}

fn field(line: &[u8]) -> Result<(String, String), String> {
    let text = latin1(line);
    let (name, value) = text.split_once(':').ok_or(format!("a field without a colon: {text:?}"))?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("a field name that is no token: {name:?}"));
    }
    let value = value.trim_matches([' ', '\t']);
    match value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        true => Err(format!("a control character in {text:?}")),
        false => Ok((name.to_owned(), value.to_owned())),
    }
}

fn chunk_size(line: &[u8]) -> Result<usize, Failure> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let text = std::str::from_utf8(digits).unwrap_or_default();
    if text.is_empty() || text.len() > 8 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(malformed(&format!("the chunk size {:?}", latin1(line))));
    }
    usize::from_str_radix(text, 16).map_err(|error| malformed(&error.to_string()))
}

fn decimal(text: &str) -> Result<usize, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number.ok_or(format!("the content-length {text:?}"))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn malformed(what: &str) -> Failure {
    Failure::Malformed(what.to_owned())
}

const MAX_HEAD: usize = 1 << 20;
