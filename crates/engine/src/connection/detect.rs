//! Reads the first bytes of a connection until they tell what it speaks.

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use vane_core::graph::facts::{FirstBytes, Protocol};

use crate::shared::{DrainWatch, drain_begins};
use crate::wire::first_bytes::{Verdict, classify};

/// What was read of a connection.
pub(super) struct Seen {
    /// What it speaks.
    pub(super) known: FirstBytes,
    /// The bytes that told, or did not tell.
    pub(super) read: Bytes,
    /// Whether they did not tell before time was up.
    pub(super) late: bool,
}

/// What the connection speaks, as far as it has said so by `deadline`. Nothing where the client
/// closed, broke off, or a drain left it no more time.
pub(super) async fn first_bytes(
    stream: &mut TcpStream,
    deadline: Instant,
    drain: &mut DrainWatch,
) -> Option<Seen> {
    let mut read = BytesMut::with_capacity(4096);
    loop {
        match classify(&read) {
            Verdict::Known(known) => return Some(Seen { known, read: read.freeze(), late: false }),
            Verdict::NeedMore => {}
        }
        let silent = read.is_empty();
        tokio::select! {
            count = stream.read_buf(&mut read) => match count {
                Ok(0) | Err(_) if read.is_empty() => return None,
                Ok(0) => return Some(Seen { known: other(), read: read.freeze(), late: false }),
                Ok(_) => {}
                Err(_) => return None,
            },
            () = tokio::time::sleep_until(deadline) => {
                return Some(Seen { known: other(), read: read.freeze(), late: true });
            }
            () = time_is_up(drain, silent) => return None,
        }
    }
}

fn other() -> FirstBytes {
    FirstBytes { protocol: Protocol::Other, sni: None, alpn: Vec::new() }
}

/// Returns when a drain gives a connection no more time: soon to a silent one, the whole budget
/// to one that has begun to speak.
async fn time_is_up(watch: &mut DrainWatch, silent: bool) {
    loop {
        let drain = drain_begins(watch).await;
        let end = if silent { drain.idle_until } else { drain.abort_at };
        tokio::select! {
            () = tokio::time::sleep_until(end) => return,
            Ok(()) = watch.changed() => {}
        }
    }
}
