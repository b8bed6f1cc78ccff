//! A WebSocket client that echoes and counts messages.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::accept::Socket;
use crate::failure::Failure;
use crate::http1::{Wire, has_token};
use crate::raw_client::{RawClient, Response};
use crate::ws_frame::{Frame, Side, accept_key, encode, key_from, read};

/// One WebSocket after its handshake. Operations are bounded by 10 seconds each.
#[derive(Debug)]
pub struct WebSocket<S = TcpStream> {
    wire: Wire<S>,
    /// The answer to the handshake, status 101.
    pub handshake: Response,
}

impl WebSocket<TcpStream> {
    /// Connects and does the opening handshake; see [`WebSocket::over`].
    pub async fn connect(addr: SocketAddr, path: &str, host: &str) -> Result<Self, Failure> {
        Self::over(RawClient::connect(addr).await?, path, host).await
    }
}

impl<S: Socket> WebSocket<S> {
    /// Does the opening handshake (RFC 6455 §4.1) on a connection that waits for a request.
    ///
    /// # Errors
    /// [`Failure::Malformed`] with the status or the missing field when the server does not
    /// switch protocols as it should.
    pub async fn over(mut client: RawClient<S>, path: &str, host: &str) -> Result<Self, Failure> {
        let key = key_from(NEXT_KEY.fetch_add(1, Ordering::Relaxed));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        let handshake = client.exchange(request).await?;
        check_handshake(&handshake, &key)?;
        Ok(Self { wire: client.into_wire(), handshake })
    }

    /// Sends one frame.
    pub async fn send(&mut self, frame: &Frame) -> Result<(), Failure> {
        timeout(LIMIT, self.wire.write(&encode(frame, Side::Client))).await?
    }

    /// The next frame, whatever it is.
    pub async fn receive(&mut self) -> Result<Frame, Failure> {
        timeout(LIMIT, read(&mut self.wire, Side::Server)).await?
    }

    /// The next text, binary or closing frame; pings that come before it are answered.
    pub async fn message(&mut self) -> Result<Frame, Failure> {
        loop {
            match self.receive().await? {
                Frame::Ping(payload) => self.send(&Frame::Pong(payload)).await?,
                Frame::Pong(_) => {}
                frame => return Ok(frame),
            }
        }
    }

    /// Sends a text and yields the text that comes back.
    ///
    /// # Errors
    /// [`Failure::Malformed`] when something else than a text comes back.
    pub async fn echo(&mut self, text: &str) -> Result<String, Failure> {
        self.send(&Frame::Text(text.to_owned())).await?;
        match self.message().await? {
            Frame::Text(text) => Ok(text),
            other => Err(Failure::Malformed(format!("{other:?} in place of an echo"))),
        }
    }

    /// Does the closing handshake and yields the code that the server answers with.
    pub async fn close(mut self, code: u16) -> Result<u16, Failure> {
        self.send(&Frame::Close(code)).await?;
        loop {
            if let Frame::Close(code) = self.receive().await? {
                return Ok(code);
            }
        }
    }
}

fn check_handshake(answer: &Response, key: &str) -> Result<(), Failure> {
    let wrong = if answer.status != 101 {
        Some(format!("status {} in place of 101", answer.status))
    } else if !has_token(&answer.fields, "upgrade", "websocket") {
        Some("an answer without `Upgrade: websocket`".to_owned())
    } else if !has_token(&answer.fields, "connection", "upgrade") {
        Some("an answer without `Connection: Upgrade`".to_owned())
    } else if answer.header("sec-websocket-accept") != Some(&accept_key(key)) {
        Some("a wrong Sec-WebSocket-Accept".to_owned())
    } else {
        None
    };
    wrong.map_or(Ok(()), |wrong| Err(Failure::Malformed(format!("WebSocket handshake: {wrong}"))))
}

static NEXT_KEY: AtomicU64 = AtomicU64::new(1);

const LIMIT: Duration = Duration::from_secs(10);
