//! Opens connections to servers.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use vane_core::value::endpoint::{Endpoint, Host};

use crate::upstream::failure::{Failure, FailureKind};
use crate::upstream::secured::{Alert, Secured};

/// How long a peer may be silent before the kernel asks whether it is there.
const PROBE: Duration = Duration::from_secs(20);
/// How many questions in a row it may leave without an answer.
const PROBES: u32 = 2;

/// A connection to a server.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
    /// Over TLS.
    Tls(Box<Secured>),
}

impl Stream {
    /// Connects within `limit`, trying every address of a name in turn.
    ///
    /// # Errors
    /// Says whether the name, the connection or the time failed.
    ///
    /// # Cancel safety
    /// Dropping the future gives the attempt up; nothing stays open.
    pub(crate) async fn connect(target: &Endpoint, limit: Duration) -> Result<Self, Failure> {
        let deadline = Instant::now() + limit;
        let connecting = async {
            match target {
                Endpoint::Tcp { host, port } => {
                    let addresses = resolve(host, *port).await?;
                    tcp(&addresses, deadline).await.map(Self::Tcp)
                }
                Endpoint::Unix(path) => match UnixStream::connect(&**path).await {
                    Ok(stream) => Ok(Self::Unix(stream)),
                    Err(error) => Err(Failure::connect(error)),
                },
            }
        };
        match tokio::time::timeout(limit, connecting).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::new(FailureKind::ConnectTimeout)),
        }
    }

    /// Connects within `limit` and shakes hands, offering what `config` does. Whether HTTP/2 was
    /// agreed on.
    ///
    /// # Errors
    /// As [`Self::connect`], or what was wrong with the handshake.
    ///
    /// # Cancel safety
    /// Dropping the future gives the attempt up; nothing stays open.
    pub(crate) async fn secure(
        target: &Endpoint,
        name: ServerName<'static>,
        config: Arc<ClientConfig>,
        limit: Duration,
    ) -> Result<(Self, bool), Failure> {
        let deadline = Instant::now() + limit;
        let Self::Tcp(stream) = Self::connect(target, limit).await? else {
            return Err(Failure::new(FailureKind::Connect));
        };
        let handshake = TlsConnector::from(config).connect(name, stream);
        match tokio::time::timeout_at(deadline, handshake).await {
            Ok(Ok(stream)) => {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                Ok((Self::Tls(Box::new(Secured::new(stream))), http2))
            }
            Ok(Err(error)) => Err(Failure::handshake(error)),
            Err(_) => Err(Failure::new(FailureKind::ConnectTimeout)),
        }
    }

    /// Makes the coming close a reset, where the transport knows one.
    pub(crate) fn reset_on_close(&self) {
        if let Some(stream) = self.tcp() {
            // Fails only on a socket that is gone already.
            let _ = stream.set_zero_linger();
        }
    }

    /// Has the kernel end a connection whose peer is gone without a word, for one that is shared
    /// and kept.
    pub(crate) fn watch_peer(&self) {
        let Some(stream) = self.tcp() else { return };
        let socket = SockRef::from(stream);
        let keepalive =
            TcpKeepalive::new().with_time(PROBE).with_interval(PROBE).with_retries(PROBES);
        // Without it the times of requests still hold. A bound on what is not acknowledged would
        // also end the connection of a server that is there and does not read for so long.
        let _ = socket.set_tcp_keepalive(&keepalive);
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Tls(stream) => Some(stream.tcp()),
            Self::Unix(_) => None,
        }
    }

    /// The alert that it has ended with; nothing where TLS is not spoken.
    pub(crate) fn alert(&self) -> Option<Alert> {
        match self {
            Self::Tls(stream) => Some(stream.alert()),
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }

    /// A second handle on the same socket, for [`is_quiet`].
    pub(crate) fn probe(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(stream) => stream.as_fd().try_clone_to_owned(),
            Self::Unix(stream) => stream.as_fd().try_clone_to_owned(),
            Self::Tls(stream) => stream.tcp().as_fd().try_clone_to_owned(),
        }
    }
}

/// Whether the peer has neither closed the connection nor sent anything, as far as the kernel
/// knows at this moment.
pub(crate) fn is_quiet(probe: &OwnedFd) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    let mut byte = [0_u8; 1];
    matches!(rustix::net::recv(probe, &mut byte, flags), Err(Errno::AGAIN))
}

/// A connection to the first of these that takes one.
async fn tcp(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Failure> {
    let mut last = None;
    for (index, address) in addresses.iter().enumerate() {
        // An address that does not answer leaves the others their share of the time.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let connecting = tokio::time::timeout(share, TcpStream::connect(address));
        match connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => {
                // Without it small pieces of a streamed body wait for acknowledgements.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| Failure::new(FailureKind::Resolve), Failure::connect))
}

async fn resolve(host: &Host, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    match host {
        Host::Ip(address) => Ok(vec![SocketAddr::new(*address, port)]),
        Host::Name(name) => match tokio::net::lookup_host((&**name, port)).await {
            Ok(addresses) => Ok(addresses.collect()),
            Err(error) => Err(Failure::with(FailureKind::Resolve, error)),
        },
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // The kernel takes a single piece more cheaply as such.
        if let [whole] = bufs {
            return self.poll_write(cx, whole);
        }
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket, Type};

    use super::*;

    /// A listening socket, and connections that fill its queue: further ones are not answered.
    async fn full() -> (SocketAddr, Socket, Vec<TcpStream>) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        socket.bind(&any.into()).expect("a free port");
        socket.listen(0).expect("a bound socket");
        let address = socket.local_addr().ok().and_then(|address| address.as_socket());
        let address = address.expect("a bound socket");
        let mut waiting = Vec::new();
        let patience = Duration::from_millis(300);
        while let Ok(stream) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
            waiting.push(stream.expect("room in the queue"));
        }
        (address, socket, waiting)
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_leaves_the_next_its_share_of_the_time() {
        let (dead, _socket, _waiting) = full().await;
        let alive = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let alive_at = alive.local_addr().expect("a bound socket");
        let limit = Duration::from_secs(1);
        let begun = Instant::now();
        let addresses = [dead, dead, alive_at];
        let connecting = tcp(&addresses, begun + limit);
        let stream = tokio::time::timeout(limit, connecting).await.expect("in time");
        let peer = stream.expect("one of them answers").peer_addr().expect("connected");
        assert_eq!(peer, alive_at);
        assert!(begun.elapsed() >= limit / 2, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_server_that_is_there_may_read_nothing_for_as_long_as_it_likes() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let stream = Stream::Tcp(TcpStream::connect(address).await.expect("it listens"));
        stream.watch_peer();
        let socket = SockRef::from(stream.tcp().expect("TCP"));
        assert!(socket.keepalive().expect("an option"));
        assert_eq!(socket.tcp_user_timeout().expect("an option"), None);
    }

    #[tokio::test]
    async fn an_address_that_refuses_leaves_its_time_to_the_next() {
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let gone_at = gone.local_addr().expect("a bound socket");
        drop(gone);
        let failure = tcp(&[gone_at], Instant::now() + Duration::from_secs(1)).await;
        assert_eq!(failure.expect_err("nobody listens").kind, FailureKind::Refused);
        let alive = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let alive_at = alive.local_addr().expect("a bound socket");
        let stream = tcp(&[gone_at, alive_at], Instant::now() + Duration::from_secs(1)).await;
        assert_eq!(stream.expect("one answers").peer_addr().expect("connected"), alive_at);
    }
}
