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
/// off, or a drain began before it had said anything.
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
            () = grace_ends(drain), if read.is_empty() => return None,
        }
    }
}

fn other() -> FirstBytes {
    FirstBytes { protocol: Protocol::Other, sni: None, alpn: Vec::new() }
}

async fn grace_ends(watch: &mut DrainWatch) {
    let drain = drain_begins(watch).await;
    tokio::time::sleep_until(drain.idle_until).await;
}
