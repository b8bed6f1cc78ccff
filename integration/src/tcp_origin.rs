//! TCP origins for tunnels: they echo, send, swallow or stall, and count bytes.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::accept::{Acceptor, Socket};

/// What the origin does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Sends back what it gets; after the peer's half-close it ends its own direction.
    Echo,
    /// Reads to the peer's half-close, then answers with the decimal count of bytes and closes.
    CountThenAnswer,
    /// Sends that many bytes (`i % 251` at place `i`), then closes.
    SendThenClose(usize),
    /// Sends that many bytes, then resets.
    SendThenReset(usize),
    /// Accepts and never reads.
    NeverRead,
    /// Reads everything and never says a word.
    Swallow,
}

/// A TCP origin on a loopback address, ended when dropped.
#[derive(Debug)]
pub struct TcpOrigin {
    addr: SocketAddr,
    bytes: Arc<Bytes>,
    acceptor: Acceptor,
}

impl TcpOrigin {
    /// On 127.0.0.1.
    pub async fn start(behaviour: Behaviour) -> Self {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), behaviour).await
    }

    /// On ::1.
    pub async fn start_v6(behaviour: Behaviour) -> Self {
        Self::start_on((Ipv6Addr::LOCALHOST, 0).into(), behaviour).await
    }

    /// On that address of this machine.
    pub async fn start_on(addr: SocketAddr, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind(addr).await.expect("a port can be bound");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let bytes = Arc::new(Bytes::default());
        let counted = bytes.clone();
        let acceptor = Acceptor::start(listener, move |stream, _| {
            let bytes = counted.clone();
            async move { drop(serve(stream, behaviour, &bytes).await) }
        });
        Self { addr, bytes, acceptor }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Bytes received so far over all connections.
    pub fn received(&self) -> u64 {
        self.bytes.received.load(Ordering::SeqCst)
    }

    /// Bytes sent so far over all connections.
    pub fn sent(&self) -> u64 {
        self.bytes.sent.load(Ordering::SeqCst)
    }

    /// Connections accepted so far.
    pub fn connections_accepted(&self) -> u64 {
        self.acceptor.accepted()
    }

    /// Connections open now.
    pub fn connections_open(&self) -> u64 {
        self.acceptor.open()
    }

    /// Stops listening, so that new connections are refused; open ones run on.
    pub fn refuse(&self) {
        self.acceptor.refuse();
    }
}

/// The bytes that [`Behaviour::SendThenClose`] sends.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[derive(Debug, Default)]
struct Bytes {
    received: AtomicU64,
    sent: AtomicU64,
}

async fn serve(mut stream: TcpStream, behaviour: Behaviour, bytes: &Bytes) -> std::io::Result<()> {
    match behaviour {
        Behaviour::Echo => read_all(&mut stream, bytes, true).await?,
        Behaviour::Swallow => read_all(&mut stream, bytes, false).await?,
        Behaviour::NeverRead => std::future::pending().await,
        Behaviour::SendThenClose(length) => write(&mut stream, bytes, &pattern(length)).await?,
        Behaviour::SendThenReset(length) => {
            write(&mut stream, bytes, &pattern(length)).await?;
            stream.reset_on_close();
            return Ok(());
        }
        Behaviour::CountThenAnswer => {
            let before = bytes.received.load(Ordering::SeqCst);
            read_all(&mut stream, bytes, false).await?;
            let count = bytes.received.load(Ordering::SeqCst) - before;
            write(&mut stream, bytes, count.to_string().as_bytes()).await?;
        }
    }
    stream.shutdown().await?;
    // Closing with unread bytes would turn the orderly end into a reset.
    read_all(&mut stream, bytes, false).await
}

async fn read_all(stream: &mut TcpStream, bytes: &Bytes, echo: bool) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        bytes.received.fetch_add(length as u64, Ordering::SeqCst);
        if echo {
            write(stream, bytes, &buffer[..length]).await?;
        }
    }
}

async fn write(stream: &mut TcpStream, bytes: &Bytes, data: &[u8]) -> std::io::Result<()> {
    for piece in data.chunks(64 << 10) {
        stream.write_all(piece).await?;
        bytes.sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
    }
    Ok(())
}
