//! The open connections of one worker, and its counters.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What a connection is used for at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ConnectionKind {
    /// Its first bytes are awaited.
    Detecting = 0,
    /// It carries HTTP/1 requests.
    Http1 = 1,
    /// It carries HTTP/2 requests.
    Http2 = 2,
    /// A request turned it into a tunnel.
    Upgrade = 3,
    /// A rule tunnels it.
    Tunnel = 4,
}

impl ConnectionKind {
    const ALL: [Self; 5] = [Self::Detecting, Self::Http1, Self::Http2, Self::Upgrade, Self::Tunnel];

    /// The name used in management answers and in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detecting => "detecting",
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::Upgrade => "upgrade",
            Self::Tunnel => "tunnel",
        }
    }
}

/// How a TLS handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HandshakeOutcome {
    /// With a new session.
    Full,
    /// With a session that had been there before.
    Resumed,
    /// Refused: no certificate serves the name.
    UnknownName,
    /// Refused: the certificate has not come yet.
    NoCertificate,
    /// Refused: the client's certificate is missing or does not verify.
    ClientCertificate,
    /// Refused: no agreement, or a malformed message.
    Protocol,
    /// The client broke off.
    Broken,
    /// The client spoke in clear.
    InClear,
    /// An authority has seen the proof of a name.
    Challenge,
}

impl HandshakeOutcome {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 9] = [
        Self::Full,
        Self::Resumed,
        Self::UnknownName,
        Self::NoCertificate,
        Self::ClientCertificate,
        Self::Protocol,
        Self::Broken,
        Self::InClear,
        Self::Challenge,
    ];

    /// The name used in metrics and management answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Resumed => "resumed",
            Self::UnknownName => "unknown_name",
            Self::NoCertificate => "no_certificate",
            Self::ClientCertificate => "client_certificate",
            Self::Protocol => "protocol",
            Self::Broken => "broken",
            Self::InClear => "in_clear",
            Self::Challenge => "challenge",
        }
    }
}

/// One open connection.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Unique for the life of the process.
    pub(crate) id: u64,
    /// The listener's address as configured.
    pub(crate) listener: SocketAddr,
    /// The peer.
    pub(crate) remote: SocketAddr,
    /// The generation whose graph it captured.
    pub(crate) generation: u64,
    /// When it was accepted.
    pub(crate) since: Instant,
    /// Requests begun.
    pub(crate) requests: AtomicU64,
    /// Requests begun and not yet answered to the end.
    pub(crate) active: AtomicU32,
    kind: AtomicU8,
}

impl Entry {
    /// What it is used for.
    pub(crate) fn kind(&self) -> ConnectionKind {
        ConnectionKind::ALL[usize::from(self.kind.load(Ordering::Relaxed))]
    }

    /// Notes what it is used for from now on.
    pub(crate) fn set_kind(&self, kind: ConnectionKind) {
        self.kind.store(kind as u8, Ordering::Relaxed);
    }
}

/// The open connections of one worker, and its counters. Only its own worker writes, so the
/// lock and the counters are met by another core only when somebody looks.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    connections: Mutex<HashMap<u64, Arc<Entry>>>,
    open: AtomicUsize,
    handshakes: [AtomicU64; HandshakeOutcome::ALL.len()],
    /// Requests begun.
    pub(crate) requests: AtomicU64,
    /// Requests begun and not yet answered to the end.
    pub(crate) active: AtomicU64,
    /// Bytes read from clients.
    pub(crate) received: AtomicU64,
    /// Bytes written to clients.
    pub(crate) sent: AtomicU64,
    /// Exchanges that were tried again on another upstream connection.
    pub(crate) retries: AtomicU64,
}

impl Registry {
    /// Counts a TLS handshake.
    pub(crate) fn count_handshake(&self, outcome: HandshakeOutcome) {
        self.handshakes[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many TLS handshakes ended so.
    pub(crate) fn handshakes(&self, outcome: HandshakeOutcome) -> u64 {
        self.handshakes[outcome as usize].load(Ordering::Relaxed)
    }

    /// Open connections.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// The open connections, in no order.
    pub(crate) fn connections(&self) -> Vec<Arc<Entry>> {
        self.lock().values().cloned().collect()
    }

    /// Enters a connection until the returned place is dropped.
    pub(crate) fn enter(self: &Arc<Self>, opening: &Opening) -> Place {
        let entry = Arc::new(Entry {
            id: opening.id,
            listener: opening.listener,
            remote: opening.remote,
            generation: opening.generation,
            since: Instant::now(),
            requests: AtomicU64::new(0),
            active: AtomicU32::new(0),
            kind: AtomicU8::new(ConnectionKind::Detecting as u8),
        });
        self.lock().insert(entry.id, Arc::clone(&entry));
        self.open.fetch_add(1, Ordering::Relaxed);
        Place { registry: Arc::clone(self), entry }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Entry>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a connection when it is accepted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening {
    /// Unique for the life of the process.
    pub(crate) id: u64,
    /// The listener's address as configured.
    pub(crate) listener: SocketAddr,
    /// The peer.
    pub(crate) remote: SocketAddr,
    /// The generation whose graph it captures.
    pub(crate) generation: u64,
}

/// A connection's place in its registry.
#[derive(Debug)]
pub(crate) struct Place {
    /// The counters of its worker.
    pub(crate) registry: Arc<Registry>,
    /// What is known of it.
    pub(crate) entry: Arc<Entry>,
}

impl Place {
    /// Counts a request as under way until the returned mark is dropped.
    pub(crate) fn begin_request(&self) -> Active {
        self.entry.requests.fetch_add(1, Ordering::Relaxed);
        self.entry.active.fetch_add(1, Ordering::Relaxed);
        self.registry.requests.fetch_add(1, Ordering::Relaxed);
        self.registry.active.fetch_add(1, Ordering::Relaxed);
        Active { registry: Arc::clone(&self.registry), entry: Arc::clone(&self.entry) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.entry.id);
        self.registry.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request under way; it ends when the answer's last byte has been handed over, or is given up.
#[derive(Debug)]
pub(crate) struct Active {
    registry: Arc<Registry>,
    entry: Arc<Entry>,
}

impl Drop for Active {
    fn drop(&mut self) {
        self.entry.active.fetch_sub(1, Ordering::Relaxed);
        self.registry.active.fetch_sub(1, Ordering::Relaxed);
    }
}
