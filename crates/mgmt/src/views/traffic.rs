//! Where traffic comes in: `get_listeners`, `get_connections`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The result of `get_listeners`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListenersView {
    /// The generation that new connections get.
    pub generation: u64,
    /// One entry for each (transport, address), with those that still drain.
    pub listeners: Vec<ListenerView>,
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListenerView {
    /// The transport.
    pub transport: Transport,
    /// The address as configured: `127.0.0.1:0`.
    pub address: String,
    /// The address that the kernel gave, once there is a socket: `127.0.0.1:41234`.
    pub local: Option<String>,
    /// What it does now.
    pub state: ListenerState,
    /// Attempts to bind so far.
    pub attempts: u32,
    /// Why the latest attempt failed, until one succeeds.
    pub error: Option<String>,
    /// Connections that are open now.
    pub connections: u64,
    /// Connections accepted since it exists.
    pub accepted: u64,
    /// The newest graph that it serves.
    pub generation: u64,
    /// Where its socket comes from.
    pub source: ListenerSource,
}

/// The result of `get_connections`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectionsView {
    /// The open connections, oldest first.
    pub connections: Vec<ConnectionView>,
}

/// One connection from a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectionView {
    /// Its number, unique in the life of the daemon.
    pub id: u64,
    /// The address of its listener: `127.0.0.1:8080`.
    pub listener: String,
    /// The client's address and port.
    pub remote: String,
    /// What it speaks.
    pub protocol: ConnectionProtocol,
    /// The graph that it captured.
    pub generation: u64,
    /// Milliseconds since it was accepted.
    pub age_ms: u64,
    /// Requests begun on it.
    pub requests: u64,
}

/// The transport of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What a listener does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListenerState {
    /// It has no socket yet and tries to get one.
    Binding,
    /// It accepts.
    Listening,
    /// It gave up binding.
    Failed,
    /// It was removed and its last connections finish.
    Draining,
    /// There is none: a socket was handed over that no rule listens on.
    Unclaimed,
}

/// Where a listener's socket comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListenerSource {
    /// The daemon bound it.
    Bound,
    /// The service manager handed it over.
    Inherited,
}

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionProtocol {
    /// The first bytes have not told yet.
    Detecting,
    /// HTTP/1.1 or HTTP/1.0.
    Http1,
    /// HTTP/2.
    Http2,
    /// Bytes, copied both ways.
    Tunnel,
    /// Bytes after an HTTP upgrade.
    Upgrade,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl fmt::Display for ListenerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Binding => "binding",
            Self::Listening => "listening",
            Self::Failed => "failed",
            Self::Draining => "draining",
            Self::Unclaimed => "unclaimed",
        })
    }
}

impl fmt::Display for ListenerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bound => "bound",
            Self::Inherited => "inherited",
        })
    }
}

impl fmt::Display for ConnectionProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Detecting => "detecting",
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::Tunnel => "tunnel",
            Self::Upgrade => "upgrade",
        })
    }
}
