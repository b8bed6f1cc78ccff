//! HTTP/2 frames written by hand, for peers that misbehave in ways no library lets through.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::accept::Socket;
use crate::failure::Failure;
use crate::raw_client::RawClient;

/// One frame as it came (RFC 9113 §4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The type, such as 0x7 for GOAWAY.
    pub kind: u8,
    /// The flags of that type.
    pub flags: u8,
    /// The stream, 0 for the connection.
    pub stream: u32,
    /// The payload.
    pub payload: Vec<u8>,
}

/// A connection on which the preface and empty settings have been sent.
#[derive(Debug)]
pub struct H2Raw<S = TcpStream> {
    client: RawClient<S>,
    next_stream: u32,
}

impl H2Raw<TcpStream> {
    /// Connects and sends the preface.
    pub async fn connect(addr: SocketAddr) -> Result<Self, Failure> {
        Self::over(RawClient::connect(addr).await?).await
    }
}

impl<S: Socket> H2Raw<S> {
    /// Sends the preface on a connection from which nothing has been read.
    pub async fn over(mut client: RawClient<S>) -> Result<Self, Failure> {
        let settings = frame(SETTINGS, 0, 0, &[]);
        client.send([PREFACE, &settings].concat()).await?;
        Ok(Self { client, next_stream: 1 })
    }

    /// The server's side of a connection: reads the preface and sends empty settings.
    pub async fn accepted(mut client: RawClient<S>) -> Result<Self, Failure> {
        client.read_exactly(PREFACE.len()).await?;
        client.send(frame(SETTINGS, 0, 0, &[])).await?;
        Ok(Self { client, next_stream: 2 })
    }

    /// The streams of the next `count` frames of that type, past all other frames.
    pub async fn streams_of(&mut self, kind: u8, count: usize) -> Result<Vec<u32>, Failure> {
        let mut streams = Vec::new();
        while streams.len() < count {
            let frame = self.next_frame().await?;
            if frame.kind == kind {
                streams.push(frame.stream);
            }
        }
        Ok(streams)
    }

    /// Sends any bytes, such as those of [`frame`].
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.client.send(bytes).await
    }

    /// The HEADERS frame of a GET without body on the next stream, and the number of that stream;
    /// to be sent by the test.
    pub fn get(&mut self, path: &str, authority: &str) -> (Vec<u8>, u32) {
        let stream = self.next_stream;
        self.next_stream += 2;
        (frame(HEADERS, END_STREAM | END_HEADERS, stream, &header_block(path, authority)), stream)
    }

    /// Opens `count` streams and resets each in the same breath (the "rapid reset" attack).
    ///
    /// # Errors
    /// How the peer cut the attack short, when it closed while bytes were being sent.
    pub async fn rapid_reset(&mut self, path: &str, count: usize) -> Result<(), Failure> {
        let mut burst = Vec::new();
        for _ in 0..count {
            let (headers, stream) = self.get(path, "rapid.example.com");
            burst.extend(headers);
            burst.extend(frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()));
        }
        self.send(&burst).await
    }

    /// Lets streams begin with a window of so many bytes from now on.
    pub async fn set_initial_window(&mut self, window: u32) -> Result<(), Failure> {
        let setting = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &window.to_be_bytes()].concat();
        self.send(&frame(SETTINGS, 0, 0, &setting)).await
    }

    /// The length of the body that comes on a stream, past all other frames.
    ///
    /// # Errors
    /// How it ended before its end.
    pub async fn body(&mut self, stream: u32) -> Result<usize, Failure> {
        let mut length = 0;
        loop {
            let frame = self.next_frame().await?;
            match frame.kind {
                RST_STREAM if frame.stream == stream => return Err(Failure::Reset),
                DATA if frame.stream == stream => length += frame.payload.len(),
                DATA | HEADERS => {}
                _ => continue,
            }
            if frame.stream == stream && frame.flags & END_STREAM != 0 {
                return Ok(length);
            }
        }
    }

    /// The next frame, whatever it is. Settings and pings are not acknowledged.
    pub async fn next_frame(&mut self) -> Result<Frame, Failure> {
        let head = self.client.read_exactly(9).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & (u32::MAX >> 1);
        let payload = self.client.read_exactly(length as usize).await?;
        Ok(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The error code of the GOAWAY that comes within `limit`, past all other frames.
    ///
    /// # Errors
    /// How the connection ended without one.
    pub async fn go_away(&mut self, limit: Duration) -> Result<u32, Failure> {
        let awaited = async {
            loop {
                let frame = self.next_frame().await?;
                if frame.kind == GOAWAY {
                    return code_of(&frame.payload);
                }
            }
        };
        timeout(limit, awaited).await?
    }
}

/// The bytes of one frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head, stream.to_be_bytes().as_slice(), payload].concat()
}

/// The bytes of a frame that opens the window of a stream, or of the connection, by so many bytes.
pub fn widened(stream: u32, bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

/// The HEADERS frame of a whole answer without body, with status 200.
pub fn ok(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &[STATUS_200])
}

/// The HEADERS frame of an answer with status 200 whose body follows.
pub fn ok_with_body(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &[STATUS_200])
}

/// A request in literals without indexing and entries of the static table (RFC 7541 §6).
fn header_block(path: &str, authority: &str) -> Vec<u8> {
    let mut block = vec![METHOD_GET, SCHEME_HTTP];
    for (index, value) in [(PATH, path), (AUTHORITY, authority)] {
        assert!(value.len() < 127, "the length of a literal fits in one byte here");
        block.extend([index, value.len() as u8]);
        block.extend(value.bytes());
    }
    block
}

fn code_of(payload: &[u8]) -> Result<u32, Failure> {
    let code = payload.get(4..8).and_then(|bytes| bytes.try_into().ok());
    let code = code.ok_or_else(|| Failure::Malformed("a GOAWAY without a code".to_owned()))?;
    Ok(u32::from_be_bytes(code))
}

/// The frame type that carries a body.
pub const DATA: u8 = 0x0;
/// The frame type that carries a request head.
pub const HEADERS: u8 = 0x1;
/// The frame type that ends a stream at once.
pub const RST_STREAM: u8 = 0x3;
/// The frame type of settings.
pub const SETTINGS: u8 = 0x4;
/// The frame type of a question whether the peer is there, and of its answer.
pub const PING: u8 = 0x6;
/// The frame type that ends a connection.
pub const GOAWAY: u8 = 0x7;
/// The frame type that opens a window.
pub const WINDOW_UPDATE: u8 = 0x8;
/// The flag of HEADERS and DATA that nothing follows.
pub const END_STREAM: u8 = 0x1;
/// The flag of HEADERS that no CONTINUATION follows.
pub const END_HEADERS: u8 = 0x4;
/// The error code of a peer that has had enough.
pub const ENHANCE_YOUR_CALM: u32 = 0xb;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const CANCEL: u32 = 0x8;
const INITIAL_WINDOW_SIZE: u16 = 0x4;
const STATUS_200: u8 = 0x88;
const METHOD_GET: u8 = 0x82;
const SCHEME_HTTP: u8 = 0x86;
const PATH: u8 = 0x04;
const AUTHORITY: u8 = 0x01;
