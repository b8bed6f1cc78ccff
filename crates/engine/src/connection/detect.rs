//! Reads the first bytes of a connection until they tell what it speaks.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use vane_core::graph::facts::{FirstBytes, Protocol};

use crate::shared::{DrainWatch, drain_begins};
use crate::wire::first_bytes::{Verdict, classify};

/// What the connection speaks, and the bytes that told. Nothing where the client closed, broke
/// off, or a drain left it no more time.
pub(super) async fn first_bytes(
    stream: &mut TcpStream,
    limit: Duration,
    drain: &mut DrainWatch,
) -> Option<(FirstBytes, Bytes)> {
    let deadline = Instant::now() + limit;
    let mut read = BytesMut::with_capacity(4096);
    loop {
        match classify(&read) {
            Verdict::Known(known) => return Some((known, read.freeze())),
            Verdict::NeedMore => {}
        }
        let silent = read.is_empty();
        tokio::select! {
            count = stream.read_buf(&mut read) => match count {
                Ok(0) | Err(_) if read.is_empty() => return None,
                Ok(0) => return Some((other(), read.freeze())),
                Ok(_) => {}
                Err(_) => return None,
            },
            () = tokio::time::sleep_until(deadline) => {
                return Some((other(), read.freeze()));
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
