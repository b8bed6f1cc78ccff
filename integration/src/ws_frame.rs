//! WebSocket frames (RFC 6455), as much of them as echoing and counting messages needs: no
//! fragments, no extensions.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::failure::Failure;
use crate::http1::Wire;

/// One frame, which is one whole message here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A ping with its payload.
    Ping(Vec<u8>),
    /// A pong with its payload.
    Pong(Vec<u8>),
    /// The closing handshake with its code; 1005 stands for no code.
    Close(u16),
}

/// Which side writes: a client masks its frames, a server does not (RFC 6455 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The frames of a client, masked.
    Client,
    /// The frames of a server.
    Server,
}

/// The `Sec-WebSocket-Accept` value that answers a `Sec-WebSocket-Key`.
pub fn accept_key(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

/// A `Sec-WebSocket-Key` made from a number.
pub fn key_from(number: u64) -> String {
    STANDARD.encode((u128::from(number) << 64 | u128::from(!number)).to_be_bytes())
}

/// Reads one frame written by `from`.
///
/// # Errors
/// [`Failure::ClosedBeforeAnswer`] when the peer closed between frames, [`Failure::Malformed`]
/// for a wrong mask bit, reserved bits, fragments and unknown opcodes.
pub async fn read<S>(wire: &mut Wire<S>, from: Side) -> Result<Frame, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if wire.buffered() == 0 && wire.fill().await? == 0 {
        return Err(Failure::ClosedBeforeAnswer);
    }
    let start = wire.exactly(2).await?;
    let (flags, length) = (start[0], start[1]);
    let masked = length & 0x80 != 0;
    if flags & 0xf0 != 0x80 || masked != (from == Side::Client) {
        return Err(Failure::Malformed(format!("the frame head {start:02x?}")));
    }
    let length = read_length(wire, length & 0x7f).await?;
    let mask = if masked { wire.exactly(4).await? } else { vec![0; 4] };
    let mut payload = wire.exactly(length).await?;
    apply(&mask, &mut payload);
    decode(flags & 0x0f, payload)
}

/// The bytes of one frame as `side` writes it.
pub fn encode(frame: &Frame, side: Side) -> Vec<u8> {
    let (opcode, mut payload) = match frame {
        Frame::Text(text) => (1, text.clone().into_bytes()),
        Frame::Binary(bytes) => (2, bytes.clone()),
        Frame::Close(code) => (8, code.to_be_bytes().to_vec()),
        Frame::Ping(bytes) => (9, bytes.clone()),
        Frame::Pong(bytes) => (10, bytes.clone()),
    };
    let mut out = vec![0x80 | opcode];
    let bit = if side == Side::Client { 0x80 } else { 0 };
    push_length(&mut out, payload.len(), bit);
    if side == Side::Client {
        let mask = (payload.len() as u32 ^ 0x5a17_c3e9).to_be_bytes();
        out.extend(mask);
        apply(&mask, &mut payload);
    }
    out.extend(payload);
    out
}

async fn read_length<S>(wire: &mut Wire<S>, short: u8) -> Result<usize, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let bytes = match short {
        126 => wire.exactly(2).await?,
        127 => wire.exactly(8).await?,
        short => vec![short],
    };
    let length = bytes.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let fits = usize::try_from(length).ok().filter(|length| *length <= MAX_PAYLOAD);
    fits.ok_or_else(|| Failure::Malformed(format!("a frame of {length} bytes")))
}

fn push_length(out: &mut Vec<u8>, length: usize, bit: u8) {
    match length {
        0..=125 => out.push(bit | length as u8),
        126..=0xffff => {
            out.push(bit | 126);
            out.extend((length as u16).to_be_bytes());
        }
        _ => {
            out.push(bit | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
}

fn decode(opcode: u8, payload: Vec<u8>) -> Result<Frame, Failure> {
    match opcode {
        1 => String::from_utf8(payload)
            .map(Frame::Text)
            .map_err(|_| Failure::Malformed("text that is not UTF-8".to_owned())),
        2 => Ok(Frame::Binary(payload)),
        8 => Ok(Frame::Close(close_code(&payload))),
        9 => Ok(Frame::Ping(payload)),
        10 => Ok(Frame::Pong(payload)),
        other => Err(Failure::Malformed(format!("the opcode {other}"))),
    }
}

fn close_code(payload: &[u8]) -> u16 {
    payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))
}

fn apply(mask: &[u8], payload: &mut [u8]) {
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

const MAX_PAYLOAD: usize = 64 << 20;
