//! What the origin answers, by path.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use super::connection::{After, Connection, Request};
use crate::accept::Socket;
use crate::failure::Failure;
use crate::http1::{has_token, values};
use crate::tcp_origin::pattern;
use crate::wait;
use crate::ws_frame::{Frame, Side, accept_key, encode, read};

/// Answers that come before the body is read, and the interim answer that asks for it.
pub(super) async fn before_body<S: Socket>(
    connection: &mut Connection<S>,
    request: &Request,
) -> Result<Option<After>, Failure> {
    match segments(request).as_slice() {
        ["early", ..] => {
            Reply::new(200, "early").closing().send(connection, request).await?;
            return Ok(Some(After::Close));
        }
        ["expect", "refuse"] => {
            Reply::new(417, "").closing().send(connection, request).await?;
            return Ok(Some(After::Close));
        }
        ["expect", "gate", name] | ["unread", name] => {
            // Watching for the client to leave would read, and nothing is to be read here.
            connection.shared.gates.named(name).pass().await;
        }
        _ => {}
    }
    if has_token(&request.fields, "expect", "100-continue") {
        connection.wire.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    Ok(None)
}

/// Answers a request that has come in whole.
pub(super) async fn answer<S: Socket>(
    connection: &mut Connection<S>,
    request: &Request,
) -> Result<After, Failure> {
    match segments(request).as_slice() {
        ["echo" | "expect" | "unread", ..] => {
            let kind = values(&request.fields, "content-type").first().copied();
            let reply = Reply::new(200, &request.body);
            reply.field("Content-Type", kind.unwrap_or(BINARY)).send(connection, request).await
        }
        ["bytes", length] => {
            Reply::new(200, pattern(number(length))).send(connection, request).await
        }
        ["status", code] => Reply::new(number(code) as u16, "").send(connection, request).await,
        ["slow", ms] => {
            wait::pass(Duration::from_millis(number(ms) as u64)).await;
            Reply::new(200, "slow").send(connection, request).await
        }
        ["gate", name] => {
            let gate = connection.shared.gates.named(name);
            match connection.wait_at(&gate).await {
                true => Reply::new(200, *name).send(connection, request).await,
                false => Ok(After::Close),
            }
        }
        ["early-hints"] => {
            let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
            connection.wire.write(hints).await?;
            Reply::new(200, "hinted").send(connection, request).await
        }
        ["early-hints", name] => {
            let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\
                          Connection: x-hop\r\nX-Hop: 1\r\n\r\n";
            connection.wire.write(hints).await?;
            let gate = connection.shared.gates.named(name);
            match connection.wait_at(&gate).await {
                true => Reply::new(200, "hinted").send(connection, request).await,
                false => Ok(After::Close),
            }
        }
        ["close-after"] => Reply::new(200, "bye").closing().send(connection, request).await,
        ["close-unannounced"] => {
            Reply::new(200, "bye").send(connection, request).await?;
            Ok(After::Close)
        }
        ["stream", length] => stream(connection, request, number(length)).await,
        ["chunked", ..] | ["drip", ..] | ["trailers"] => chunked(connection, request).await,
        ["truncate", ..] | ["close-delimited"] | ["reset"] | ["hang-up"] => {
            broken(connection, request).await
        }
        ["ws", ..] if has_token(&request.fields, "upgrade", "websocket") => {
            websocket(connection, request).await
        }
        _ => described(request).send(connection, request).await,
    }
}

/// An answer delimited by its length.
struct Reply {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    closing: bool,
}

impl Reply {
    fn new(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self { status, fields: Vec::new(), body: body.as_ref().to_vec(), closing: false }
    }

    fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    fn closing(mut self) -> Self {
        self.closing = true;
        self
    }

    async fn send<S: Socket>(
        mut self,
        connection: &mut Connection<S>,
        request: &Request,
    ) -> Result<After, Failure> {
        let close = self.closing || connection.is_last(request);
        if close {
            self = self.field("Connection", "close");
        }
        if self.status != 204 {
            let length = self.body.len().to_string();
            self = self.field("Content-Length", &length);
        }
        let mut bytes = head(connection, request, &self).into_bytes();
        if request.method != "HEAD" && self.status != 304 {
            bytes.extend(&self.body);
        }
        connection.wire.write(&bytes).await?;
        Ok(if close { After::Close } else { After::KeepAlive })
    }
}

fn head<S: Socket>(connection: &Connection<S>, request: &Request, reply: &Reply) -> String {
    let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason(reply.status));
    let mut push = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
    for (name, value) in &reply.fields {
        push(name, value);
    }
    for id in values(&request.fields, "x-request-id") {
        push("X-Request-Id", id);
    }
    if let Some(name) = &connection.shared.options.name {
        push("X-Origin", name);
    }
    head.push_str("\r\n");
    head
}

fn described(request: &Request) -> Reply {
    let fields: Vec<_> = request.fields.iter().map(|(name, value)| json!([name, value])).collect();
    let trailers: Vec<_> =
        request.trailers.iter().map(|(name, value)| json!([name, value])).collect();
    let text = json!({ "line": request.line, "fields": fields, "trailers": trailers,
        "body_length": request.body.len() });
    Reply::new(200, text.to_string()).field("Content-Type", "application/json")
}

async fn chunked<S: Socket>(
    connection: &mut Connection<S>,
    request: &Request,
) -> Result<After, Failure> {
    let (pieces, gap) = match segments(request).as_slice() {
        ["chunked", length] => {
            (pattern(number(length)).chunks(4096).map(<[u8]>::to_vec).collect(), 0)
        }
        ["drip", count, ms] => (vec![b"drip\n".to_vec(); number(count)], number(ms)),
        _ => (vec![b"with trailers".to_vec()], 0),
    };
    let trailers = if request.path == "/trailers" { "X-Checksum: 42\r\n" } else { "" };
    let mut reply = Reply::new(200, "").field("Transfer-Encoding", "chunked");
    if !trailers.is_empty() {
        reply = reply.field("Trailer", "X-Checksum");
    }
    let head = head(connection, request, &reply);
    connection.wire.write(head.as_bytes()).await?;
    if request.method != "HEAD" {
        write_chunks(connection, pieces, Duration::from_millis(gap as u64)).await?;
        connection.wire.write(format!("0\r\n{trailers}\r\n").as_bytes()).await?;
    }
    Ok(if connection.is_last(request) { After::Close } else { After::KeepAlive })
}

async fn stream<S: Socket>(
    connection: &mut Connection<S>,
    request: &Request,
    length: usize,
) -> Result<After, Failure> {
    let reply = Reply::new(200, "").field("Content-Length", &length.to_string());
    let head = head(connection, request, &reply);
    connection.wire.write(head.as_bytes()).await?;
    let block = pattern(PIECE);
    let mut left = length;
    while left > 0 {
        let piece = left.min(PIECE);
        connection.wire.write(&block[..piece]).await?;
        connection.shared.streamed.fetch_add(piece as u64, Ordering::SeqCst);
        left -= piece;
    }
    Ok(if connection.is_last(request) { After::Close } else { After::KeepAlive })
}

async fn write_chunks<S: Socket>(
    connection: &mut Connection<S>,
    pieces: Vec<Vec<u8>>,
    gap: Duration,
) -> Result<(), Failure> {
    for piece in pieces {
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
        connection.wire.write(&chunk).await?;
        if !gap.is_zero() {
            wait::pass(gap).await;
        }
    }
    Ok(())
}

async fn broken<S: Socket>(
    connection: &mut Connection<S>,
    request: &Request,
) -> Result<After, Failure> {
    let bytes: &[u8] = match request.path.as_str() {
        "/reset" => return Ok(After::Reset),
        "/hang-up" => b"",
        "/close-delimited" => b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil close",
        "/truncate/chunked" => {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n"
        }
        _ => b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this",
    };
    connection.wire.write(bytes).await?;
    Ok(After::Close)
}

async fn websocket<S: Socket>(
    connection: &mut Connection<S>,
    request: &Request,
) -> Result<After, Failure> {
    let key = values(&request.fields, "sec-websocket-key").first().copied().unwrap_or_default();
    let reply = Reply::new(101, "")
        .field("Upgrade", "websocket")
        .field("Connection", "Upgrade")
        .field("Sec-WebSocket-Accept", &accept_key(key));
    let head = head(connection, request, &reply);
    connection.wire.write(head.as_bytes()).await?;
    loop {
        let answer = match read(&mut connection.wire, Side::Client).await? {
            Frame::Ping(payload) => Frame::Pong(payload),
            Frame::Pong(_) => continue,
            frame => frame,
        };
        connection.wire.write(&encode(&answer, Side::Server)).await?;
        if matches!(answer, Frame::Close(_)) {
            return Ok(After::Close);
        }
    }
}

fn segments(request: &Request) -> Vec<&str> {
    request.path.trim_matches('/').split('/').collect()
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_default()
}

fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        417 => "Expectation Failed",
        _ => "Status",
    }
}

const BINARY: &str = "application/octet-stream";
const PIECE: usize = 64 << 10;
