//! What the engine says of itself, as plain values.

use std::net::SocketAddr;
use std::time::Instant;

use vane_core::rules::tls::CertificateSource;
use vane_core::value::listen_addr::Transport;

use crate::floor::Limit;
use crate::registry::{ConnectionKind, HandshakeOutcome};
use crate::sockets::Source;
use crate::tls::certificate::CertificateFacts;
use crate::tls::store::Live;

/// How one listener is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerStatus {
    /// TCP or UDP.
    pub transport: Transport,
    /// The address as configured.
    pub address: SocketAddr,
    /// The address that the kernel gave, once it is bound.
    pub local: Option<SocketAddr>,
    /// What it does.
    pub state: ListenerState,
    /// Attempts to bind it so far.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// Connections open now.
    pub open: u64,
    /// Connections accepted since it was opened.
    pub accepted: u64,
    /// Where its socket comes from.
    pub source: Source,
}

impl ListenerStatus {
    /// How a socket is that was handed over and that no listener serves; with why it must not be.
    pub(crate) fn unclaimed(
        transport: Transport,
        address: SocketAddr,
        error: Option<String>,
    ) -> Self {
        Self {
            transport,
            address,
            local: Some(address),
            state: ListenerState::Unclaimed,
            attempts: 0,
            error,
            open: 0,
            accepted: 0,
            source: Source::Inherited,
        }
    }
}

/// What a listener does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerState {
    /// It is being bound, or waits for the next attempt.
    Binding,
    /// It accepts connections.
    Listening,
    /// It gave up.
    Failed,
    /// It accepts no more; connections that it accepted go on.
    Draining,
    /// There is none: a socket was handed over that no rule listens on.
    Unclaimed,
}

/// How one connection is.
#[derive(Debug, Clone)]
pub struct ConnectionStatus {
    /// Unique for the life of the process.
    pub id: u64,
    /// The listener's address as configured.
    pub listener: SocketAddr,
    /// The peer.
    pub remote: SocketAddr,
    /// What it is used for.
    pub kind: ConnectionKind,
    /// The generation whose graph it captured.
    pub generation: u64,
    /// When it was accepted.
    pub since: Instant,
    /// Requests begun on it.
    pub requests: u64,
}

/// Sums since start, over all workers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections open now.
    pub open_connections: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Requests under way.
    pub active_requests: u64,
    /// Requests begun.
    pub requests: u64,
    /// Bytes read from clients.
    pub received: u64,
    /// Bytes written to clients.
    pub sent: u64,
    /// Exchanges tried again on another upstream connection.
    pub retries: u64,
    /// How many TLS handshakes ended in each way.
    pub handshakes: Vec<(HandshakeOutcome, u64)>,
    /// How often each limit of the floor was met.
    pub refused: Vec<(Limit, u64)>,
    /// Generations that have not been freed, with their open connections; oldest first. The
    /// installed generation is always among them.
    pub generations: Vec<(u64, u64)>,
}

/// How one certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateStatus {
    /// What tools call it.
    pub name: Box<str>,
    /// Where it comes from.
    pub source: CertificateOrigin,
    /// What it does.
    pub state: CertificateState,
    /// What serves now; nothing before the first has come.
    pub served: Option<CertificateFacts>,
    /// How it is managed; nothing for one from files.
    pub managed: Option<ManagedStatus>,
    /// Why the latest attempt to have a newer one failed, in the words of whoever refused it;
    /// nothing where it did not.
    pub last_error: Option<String>,
}

impl CertificateStatus {
    /// How the one that a graph calls `name` is at `now`, seconds since 1970.
    pub(crate) fn of(name: &str, live: &Live, managed: Option<ManagedStatus>, now: u64) -> Self {
        let served = live.served().map(|served| served.facts.clone());
        let last_error = live.problem();
        let is_over = |facts: &CertificateFacts| facts.not_after < now.cast_signed();
        let state = match &served {
            None => CertificateState::Missing,
            Some(facts) if is_over(facts) => CertificateState::Expired,
            Some(_) if last_error.is_some() => CertificateState::Failing,
            Some(_) => CertificateState::Serving,
        };
        let (name, source) = (name.into(), origin(&live.source));
        Self { name, source, state, served, managed, last_error }
    }
}

fn origin(source: &CertificateSource) -> CertificateOrigin {
    match source {
        CertificateSource::Files { chain, key } => {
            CertificateOrigin::Files { chain: chain.clone(), key: key.clone() }
        }
        CertificateSource::Acme(managed) => CertificateOrigin::Acme {
            directory: managed.account.directory.clone(),
            challenge: managed.challenge.as_str(),
            names: managed.names.iter().map(ToString::to_string).collect(),
        },
    }
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateOrigin {
    /// Files.
    Files {
        /// The chain.
        chain: Box<str>,
        /// The key.
        key: Box<str>,
    },
    /// An authority that speaks ACME.
    Acme {
        /// URL of its directory.
        directory: Box<str>,
        /// How names are proven.
        challenge: &'static str,
        /// The names that are ordered.
        names: Vec<String>,
    },
}

/// What a certificate does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateState {
    /// None has come yet: handshakes for its names are refused.
    Missing,
    /// It serves.
    Serving,
    /// It serves, and the latest attempt to have a newer one failed.
    Failing,
    /// It serves although its time is over.
    Expired,
}

/// How a managed certificate is managed. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedStatus {
    /// Whether an order is under way.
    pub ordering: bool,
    /// Orders that failed in a row.
    pub failures: u32,
    /// When the last order ended, or began where it is under way.
    pub last_attempt: Option<u64>,
    /// When it will be ordered next.
    pub next_attempt: u64,
    /// Begin and end of the time in which the authority wants it renewed, RFC 9773.
    pub renewal_window: Option<(u64, u64)>,
}

/// Why a certificate is not renewed on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewRefusal {
    /// No certificate has this name.
    Unknown,
    /// It comes from files, which whoever writes them renews.
    FromFiles,
}

/// How a drain ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainReport {
    /// What did not finish within the budget, by kind; empty when everything did.
    pub cut_off: Vec<(ConnectionKind, u64)>,
}
