//! A way to a server that a test can cut while the server runs on.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::accept::Acceptor;
use crate::wait;

/// Carries bytes both ways to one server, ended when dropped. It listens on an address of its own,
/// so that its port is free for it when it comes back.
#[derive(Debug)]
pub struct Relay {
    addr: SocketAddr,
    server: SocketAddr,
    acceptor: Option<Acceptor>,
}

impl Relay {
    /// Listens on that address, such as a [private one], and on any port of it.
    ///
    /// [private one]: crate::sockets::private_address
    pub async fn start(on: Ipv4Addr, server: SocketAddr) -> Self {
        let listener = TcpListener::bind((on, 0)).await.expect("a loopback port can be bound");
        let addr = listener.local_addr().expect("a bound socket has an address");
        Self { addr, server, acceptor: Some(carry(listener, server)) }
    }

    /// Where it listens, also while it is cut.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends every connection, and returns when new ones are refused.
    pub async fn cut(&mut self) {
        self.acceptor = None;
        wait::until("connections to be refused", LIMIT, async || {
            TcpStream::connect(self.addr).await.is_err()
        })
        .await;
    }

    /// Takes connections again.
    pub async fn mend(&mut self) {
        let listener = TcpListener::bind(self.addr).await.expect("nobody else has this address");
        self.acceptor = Some(carry(listener, self.server));
    }
}

fn carry(listener: TcpListener, server: SocketAddr) -> Acceptor {
    Acceptor::start(listener, move |mut near, _| async move {
        if let Ok(mut far) = TcpStream::connect(server).await {
            // Either end may go as it likes; the other one learns of it by the close.
            let _ = copy_bidirectional(&mut near, &mut far).await;
        }
    })
}

const LIMIT: Duration = Duration::from_secs(10);
