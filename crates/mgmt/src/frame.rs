//! The form on the wire: lines of bounded length, and JSON-RPC 2.0 messages in them.

use std::io;

use serde::Serialize;
use serde_json::{Map, Number, Value};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use crate::reply::{Fault, INVALID_REQUEST, PARSE_ERROR, Reply};
use crate::request::Request;

/// Reads lines from a stream and never holds more than `limit` bytes of one.
#[derive(Debug)]
pub struct LineReader<R> {
    stream: BufReader<R>,
    line: Vec<u8>,
    complete: bool,
    limit: usize,
}

/// What came next.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line, without its LF.
    Text(&'a [u8]),
    /// The stream ended after a line.
    End,
    /// The stream ended within a line.
    Unfinished,
    /// The line is longer than the limit. The rest of it has not been read.
    TooLong,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    /// A reader of lines of up to `limit` bytes.
    pub fn new(stream: R, limit: usize) -> Self {
        Self { stream: BufReader::new(stream), line: Vec::new(), complete: false, limit }
    }

    /// Reads the next line that is not empty.
    ///
    /// Cancel safe: what was read of a line is kept for the next call.
    ///
    /// # Errors
    /// Whatever reading the stream answers.
    pub async fn next(&mut self) -> io::Result<Line<'_>> {
        loop {
            if self.complete {
                self.line.clear();
                self.complete = false;
            }
            let chunk = self.stream.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(if self.line.is_empty() { Line::End } else { Line::Unfinished });
            }
            let (text, used) = match chunk.iter().position(|&byte| byte == b'\n') {
                Some(end) => (&chunk[..end], end + 1),
                None => (chunk, chunk.len()),
            };
            if self.line.len() + text.len() > self.limit {
                return Ok(Line::TooLong);
            }
            self.line.extend_from_slice(text);
            self.complete = used > text.len();
            self.stream.consume(used);
            if self.complete && !self.line.trim_ascii().is_empty() {
                return Ok(Line::Text(&self.line));
            }
        }
    }
}

/// The id that ties an answer to its request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Id {
    /// `null`; also the id of an answer to something whose id could not be read.
    Null,
    /// A number.
    Number(Number),
    /// A string.
    Text(String),
}

/// One line from a client, understood as far as it goes.
#[derive(Debug, PartialEq)]
pub struct Incoming {
    /// Where the answer goes; absent for a notification, which gets none.
    pub id: Option<Id>,
    /// What is asked, or what is wrong with it.
    pub request: Result<Request, Fault>,
}

impl Incoming {
    /// Reads one line.
    pub fn parse(line: &[u8]) -> Self {
        match serde_json::from_slice(line) {
            Ok(Value::Object(message)) => Self::from_message(message),
            Ok(Value::Array(_)) => {
                Self::unreadable(INVALID_REQUEST, "batches are not taken: send one message a line")
            }
            Ok(_) => Self::unreadable(INVALID_REQUEST, "a request is a JSON object"),
            Err(error) => Self::unreadable(PARSE_ERROR, format!("the line is not JSON: {error}")),
        }
    }

    fn unreadable(code: i64, message: impl Into<String>) -> Self {
        Self { id: Some(Id::Null), request: Err(Fault::new(code, message)) }
    }

    fn from_message(mut message: Map<String, Value>) -> Self {
        let id = match message.remove("id") {
            None => None,
            Some(Value::Null) => Some(Id::Null),
            Some(Value::Number(number)) => Some(Id::Number(number)),
            Some(Value::String(text)) => Some(Id::Text(text)),
            Some(_) => return Self::unreadable(INVALID_REQUEST, "`id` is a number or a string"),
        };
        match call_of(message) {
            Ok((method, params)) => Self { id, request: Request::parse(&method, params) },
            // What is not a request at all is answered even where an id is missing.
            Err(fault) => Self { id: Some(id.unwrap_or(Id::Null)), request: Err(fault) },
        }
    }
}

fn call_of(mut message: Map<String, Value>) -> Result<(String, Value), Fault> {
    if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(Fault::new(INVALID_REQUEST, "`jsonrpc` must be \"2.0\""));
    }
    let Some(Value::String(method)) = message.remove("method") else {
        return Err(Fault::new(INVALID_REQUEST, "`method` must be a string"));
    };
    Ok((method, message.remove("params").unwrap_or(Value::Null)))
}

/// Writes a request as one line, LF included. `Value::Null` leaves the parameters out.
pub fn request_line(id: u64, method: &str, params: Value) -> Vec<u8> {
    let mut message = envelope();
    message.insert("id".to_owned(), id.into());
    message.insert("method".to_owned(), method.into());
    if !params.is_null() {
        message.insert("params".to_owned(), params);
    }
    line(message)
}

/// Writes an answer as one line, LF included.
pub fn reply_line(id: Id, reply: Reply) -> Vec<u8> {
    let mut message = envelope();
    message.insert("id".to_owned(), id.into());
    match reply {
        Ok(result) => message.insert("result".to_owned(), result),
        Err(fault) => message.insert("error".to_owned(), fault.into()),
    };
    line(message)
}

/// Reads an answer.
///
/// # Errors
/// What keeps the line from being a JSON-RPC 2.0 answer, in words.
pub fn parse_reply(line: &[u8]) -> Result<(Option<u64>, Reply), String> {
    let message = match serde_json::from_slice(line) {
        Ok(Value::Object(message)) => message,
        Ok(_) => return Err("it is not a JSON object".to_owned()),
        Err(error) => return Err(format!("it is not JSON: {error}")),
    };
    let id = message.get("id").and_then(Value::as_u64);
    reply_of(message).map(|reply| (id, reply))
}

fn reply_of(mut message: Map<String, Value>) -> Result<Reply, String> {
    if let Some(fault) = message.remove("error") {
        return serde_json::from_value(fault)
            .map(Err)
            .map_err(|error| format!("its `error` has an unexpected shape: {error}"));
    }
    match message.remove("result") {
        Some(result) => Ok(Ok(result)),
        None => Err("it has neither `result` nor `error`".to_owned()),
    }
}

fn envelope() -> Map<String, Value> {
    Map::from_iter([("jsonrpc".to_owned(), "2.0".into())])
}

fn line(message: Map<String, Value>) -> Vec<u8> {
    let mut line = Value::Object(message).to_string().into_bytes();
    line.push(b'\n');
    line
}

impl From<Id> for Value {
    fn from(id: Id) -> Self {
        match id {
            Id::Null => Self::Null,
            Id::Number(number) => Self::Number(number),
            Id::Text(text) => Self::String(text),
        }
    }
}

impl From<Fault> for Value {
    fn from(fault: Fault) -> Self {
        let mut object = Map::new();
        object.insert("code".to_owned(), fault.code.into());
        object.insert("message".to_owned(), fault.message.into());
        if let Some(data) = fault.data {
            object.insert("data".to_owned(), data);
        }
        Self::Object(object)
    }
}

/// The longest line that a server takes from a client, in bytes without the LF.
pub const MAX_REQUEST_BYTES: usize = 1024 * 1024;
/// The longest line that a client takes from a server: a graph of many thousand rules fits.
pub const MAX_REPLY_BYTES: usize = 512 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(text: &[u8], limit: usize) -> Vec<String> {
        let mut reader = LineReader::new(text, limit);
        let mut seen = Vec::new();
        loop {
            match reader.next().await.unwrap() {
                Line::Text(line) => seen.push(String::from_utf8_lossy(line).into_owned()),
                other => {
                    seen.push(format!("{other:?}"));
                    return seen;
                }
            }
        }
    }

    #[tokio::test]
    async fn lines_come_one_by_one_and_empty_ones_are_skipped() {
        assert_eq!(["one", "two", "End"][..], lines(b"one\n\n \r\ntwo\n", 8).await);
    }

    #[tokio::test]
    async fn an_end_within_a_line_is_seen() {
        assert_eq!(["one", "Unfinished"][..], lines(b"one\ntw", 8).await);
    }

    #[tokio::test]
    async fn the_limit_counts_without_the_line_feed() {
        assert_eq!(["12345678", "End"][..], lines(b"12345678\n", 8).await);
        assert_eq!(["TooLong"][..], lines(b"123456789\n", 8).await);
    }

    #[tokio::test]
    async fn a_line_that_arrives_in_pieces_survives_a_cancelled_read() {
        let (mut near, far) = tokio::io::duplex(64);
        let mut reader = LineReader::new(far, 64);
        tokio::io::AsyncWriteExt::write_all(&mut near, b"hal").await.unwrap();
        tokio::select! {
            biased;
            line = reader.next() => panic!("half a line is not a line: {line:?}"),
            () = tokio::task::yield_now() => {}
        }
        tokio::io::AsyncWriteExt::write_all(&mut near, b"ves\n").await.unwrap();
        assert_eq!(Line::Text(b"halves"), reader.next().await.unwrap());
    }

    fn refused(line: &str) -> (Option<Id>, i64) {
        let incoming = Incoming::parse(line.as_bytes());
        (incoming.id, incoming.request.unwrap_err().code)
    }

    #[test]
    fn what_is_not_a_request_is_refused_with_its_own_code() {
        let one = || Some(Id::Number(1.into()));
        let null = || Some(Id::Null);
        for (line, expected) in [
            ("{", (null(), PARSE_ERROR)),
            ("[]", (null(), INVALID_REQUEST)),
            ("7", (null(), INVALID_REQUEST)),
            ("{}", (null(), INVALID_REQUEST)),
            (r#"{"id":1,"method":"ping"}"#, (one(), INVALID_REQUEST)),
            (r#"{"jsonrpc":"2.0","id":1}"#, (one(), INVALID_REQUEST)),
            (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, (null(), INVALID_REQUEST)),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#, (one(), crate::reply::METHOD_NOT_FOUND)),
        ] {
            assert_eq!(expected, refused(line), "{line}");
        }
    }

    #[test]
    fn a_deep_nest_is_refused_and_not_followed() {
        assert_eq!((Some(Id::Null), PARSE_ERROR), refused(&"[".repeat(100_000)));
    }

    #[test]
    fn a_request_without_id_is_a_notification() {
        let incoming = Incoming::parse(br#"{"jsonrpc":"2.0","method":"ping"}"#);
        assert_eq!(Incoming { id: None, request: Ok(Request::Ping) }, incoming);
    }
}
