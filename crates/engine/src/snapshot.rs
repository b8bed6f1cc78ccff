//! What the engine says of itself, as plain values.

use std::net::SocketAddr;
use std::time::Instant;

use vane_core::value::listen_addr::Transport;

use crate::floor::Limit;
use crate::registry::ConnectionKind;

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
    /// How often each limit of the floor was met.
    pub refused: Vec<(Limit, u64)>,
    /// Generations that have not been freed, with their open connections; oldest first. The
    /// installed generation is always among them.
    pub generations: Vec<(u64, u64)>,
}

/// How a drain ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainReport {
    /// What did not finish within the budget, by kind; empty when everything did.
    pub cut_off: Vec<(ConnectionKind, u64)>,
}
