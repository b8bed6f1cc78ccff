//! TLS in front of origins in clear: it takes note of each handshake, carries bytes to whichever
//! origin speaks what was agreed on, and ends connections as the test says.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncWriteExt, copy, sink, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::accept::{Acceptor, Socket};

/// The front, ended when dropped.
#[derive(Debug)]
pub struct TlsFront {
    addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Acceptor,
}

/// What a handshake came to, as the server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The name that was asked for.
    pub sni: Option<String>,
    /// The protocol that was agreed on.
    pub alpn: Option<String>,
    /// Whether a session was resumed.
    pub resumed: bool,
    /// Whether the client showed a certificate.
    pub identified: bool,
}

/// How connections end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With `close_notify`.
    Orderly,
    /// With the end of the stream, and no word of TLS.
    Abrupt,
    /// With a reset.
    Reset,
}

impl TlsFront {
    /// On 127.0.0.1. Where HTTP/2 is agreed on, bytes go to `http2`, else to `http1`.
    pub async fn start(config: Arc<ServerConfig>, http1: SocketAddr, http2: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a loopback port can be bound");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared::new(config));
        let served = shared.clone();
        let acceptor = Acceptor::start(listener, move |stream, _| {
            let shared = served.clone();
            async move { drop(serve(stream, &shared, http1, http2).await) }
        });
        Self { addr, shared, acceptor }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What a `forward` action names: `https://127.0.0.1:1234`.
    pub fn url(&self) -> String {
        format!("https://{}", self.addr)
    }

    /// The handshakes that came to an end, in that order.
    pub fn handshakes(&self) -> Vec<Seen> {
        self.shared.seen().clone()
    }

    /// What was agreed on by ALPN in each handshake.
    pub fn agreed(&self) -> Vec<String> {
        let seen = self.handshakes().into_iter();
        seen.map(|seen| seen.alpn.unwrap_or_else(|| "none".to_owned())).collect()
    }

    /// Connections accepted so far.
    pub fn connections_accepted(&self) -> u64 {
        self.acceptor.accepted()
    }

    /// Connections open now.
    pub fn connections_open(&self) -> u64 {
        self.acceptor.open()
    }

    /// Shakes hands like that from now on.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        *self.shared.config() = config;
    }

    /// Ends its connections from now on like that where an origin ends one; in good order at first.
    pub fn end_with(&self, ending: Ending) {
        *self.shared.ending() = ending;
    }

    /// Ends all connections that are open. They are gone when none is open any more.
    pub fn end_all(&self, ending: Ending) {
        self.shared.order.send_replace(Some(Order::End(ending)));
    }

    /// Changes the keys on the one connection that is open, on which nothing may be under way.
    /// Returns when the client has been sent these bytes that are no data.
    pub async fn update_keys(&self) {
        let mut updated = self.shared.updated.subscribe();
        updated.mark_unchanged();
        self.shared.order.send_replace(Some(Order::UpdateKeys));
        let told = timeout(LIMIT, updated.changed()).await;
        assert!(told.is_ok(), "no connection has changed its keys within {LIMIT:?}");
    }
}

#[derive(Debug, Clone, Copy)]
enum Order {
    End(Ending),
    UpdateKeys,
}

#[derive(Debug)]
struct Shared {
    config: Mutex<Arc<ServerConfig>>,
    ending: Mutex<Ending>,
    seen: Mutex<Vec<Seen>>,
    order: watch::Sender<Option<Order>>,
    updated: watch::Sender<()>,
}

impl Shared {
    fn new(config: Arc<ServerConfig>) -> Self {
        Self {
            config: Mutex::new(config),
            ending: Mutex::new(Ending::Orderly),
            seen: Mutex::default(),
            order: watch::Sender::new(None),
            updated: watch::Sender::new(()),
        }
    }

    fn config(&self) -> MutexGuard<'_, Arc<ServerConfig>> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ending(&self) -> MutexGuard<'_, Ending> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(
    stream: TcpStream,
    shared: &Shared,
    http1: SocketAddr,
    http2: SocketAddr,
) -> std::io::Result<()> {
    let mut orders = shared.order.subscribe();
    let acceptor = TlsAcceptor::from(shared.config().clone());
    let mut near = acceptor.accept(stream).await?;
    let seen = seen(&near);
    let server = if seen.alpn.as_deref() == Some("h2") { http2 } else { http1 };
    shared.seen().push(seen);
    let mut far = TcpStream::connect(server).await?;
    far.set_nodelay(true)?;
    loop {
        let order = tokio::select! {
            carried = carry(&mut near, &mut far) => {
                carried?;
                let ending = *shared.ending();
                end(&mut near, ending).await?;
                if ending == Ending::Orderly {
                    // Closing with unread bytes would take the answer back.
                    let _ = timeout(LINGER, copy(&mut near, &mut sink())).await;
                }
                return Ok(());
            }
            changed = orders.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                *orders.borrow_and_update()
            }
        };
        match order {
            Some(Order::End(ending)) => return end(&mut near, ending).await,
            Some(Order::UpdateKeys) => {
                near.get_mut().1.refresh_traffic_keys().map_err(std::io::Error::other)?;
                near.flush().await?;
                shared.updated.send_replace(());
            }
            None => {}
        }
    }
}

/// Until the origin has ended its direction.
async fn carry(near: &mut TlsStream<TcpStream>, far: &mut TcpStream) -> std::io::Result<()> {
    let (mut near_read, mut near_write) = split(near);
    let (mut far_read, mut far_write) = far.split();
    let inwards = async {
        copy(&mut near_read, &mut far_write).await?;
        far_write.shutdown().await?;
        std::future::pending().await
    };
    tokio::select! {
        carried = copy(&mut far_read, &mut near_write) => carried.map(drop),
        failed = inwards => failed,
    }
}

async fn end(near: &mut TlsStream<TcpStream>, ending: Ending) -> std::io::Result<()> {
    match ending {
        Ending::Orderly => near.shutdown().await?,
        Ending::Abrupt => near.get_mut().0.shutdown().await?,
        Ending::Reset => near.reset_on_close(),
    }
    Ok(())
}

fn seen(stream: &TlsStream<TcpStream>) -> Seen {
    let (_, tls) = stream.get_ref();
    Seen {
        sni: tls.server_name().map(str::to_owned),
        alpn: tls.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
        resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
        identified: tls.peer_certificates().is_some(),
    }
}

/// As long as an origin of this crate reads on after its answer.
const LINGER: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(10);
