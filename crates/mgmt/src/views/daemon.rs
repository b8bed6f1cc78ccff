//! The daemon as a whole: `ping`, `stats`, `shutdown`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::ReloadView;

/// The result of `ping`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PingView {
    /// The daemon's version, as in `vaned --version`.
    pub version: String,
    /// The daemon's process.
    pub pid: u32,
    /// Milliseconds since the daemon started.
    pub uptime_ms: u64,
}

/// The result of `stats`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatsView {
    /// The daemon's version, as in `vaned --version`.
    pub version: String,
    /// The daemon's process.
    pub pid: u32,
    /// Milliseconds since the daemon started.
    pub uptime_ms: u64,
    /// The configuration directory.
    pub config_dir: String,
    /// Whether the daemon takes new work.
    pub state: DaemonState,
    /// The generation that new connections get.
    pub generation: u64,
    /// The content hash of that generation's graph, in hexadecimal.
    pub graph_hash: String,
    /// How the latest reload went; absent before the first.
    pub last_reload: Option<ReloadView>,
    /// The generations that still have connections, and the current one.
    pub generations: Vec<GenerationView>,
    /// Connections from clients.
    pub connections: ConnectionCounts,
    /// TLS handshakes with clients since the start, by the name of their outcome.
    pub handshakes: BTreeMap<String, u64>,
    /// Requests from clients.
    pub requests: RequestCounts,
    /// Bytes exchanged with clients.
    pub bytes: ByteCounts,
    /// Attempts at an upstream beyond the first of each request, since the start.
    pub upstream_retries: u64,
    /// The upstreams in the current generation whose certificates are not verified, by name.
    pub unverified_upstreams: Vec<String>,
    /// Rules in the current generation.
    pub rules: u64,
    /// Warnings of the compile that made the current generation.
    pub warnings: u64,
}

/// The result of `shutdown`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrainView {
    /// Whether the daemon now drains; it ends when nothing is in flight or the budget is spent.
    pub draining: bool,
}

/// Whether the daemon takes new work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DaemonState {
    /// It does.
    Running,
    /// It lets in-flight work finish, and ends.
    Draining,
}

/// One generation and what is still on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationView {
    /// The number of the installed graph.
    pub generation: u64,
    /// Connections that captured it and are open.
    pub connections: u64,
}

/// Connections from clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionCounts {
    /// Open now.
    pub open: u64,
    /// Accepted since the start.
    pub total: u64,
    /// Turned away since the start, by the name of the limit that did it.
    pub refused_by_limit: BTreeMap<String, u64>,
}

/// Requests from clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCounts {
    /// Being served now.
    pub active: u64,
    /// Begun since the start.
    pub total: u64,
}

/// Bytes exchanged with clients since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByteCounts {
    /// From clients.
    pub received: u64,
    /// To clients.
    pub sent: u64,
}

impl fmt::Display for DaemonState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Draining => "draining",
        })
    }
}
