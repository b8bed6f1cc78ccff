//! What the requests of one connection have in common.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use http::Response;
use vane_core::graph::facts::ConnectionFacts;
use vane_core::graph::{NodeId, RuleId};

use crate::floor::PerSecond;
use crate::message::forwarded::Peer;
use crate::program::Program;
use crate::registry::Place;
use crate::shared::{DrainWatch, Shared};
use crate::tls::serving::{Choice, LinkedTls};
use crate::upstream::connect::Stream;
use crate::upstream::interim::Listening;
use crate::worker::Worker;

/// One connection that carries requests.
#[derive(Debug)]
pub(crate) struct Flow {
    /// The generation it captured when it was accepted.
    pub(crate) program: Arc<Program>,
    /// Where each of its requests starts its walk.
    pub(crate) entry: NodeId,
    /// What is known of the connection.
    pub(crate) facts: ConnectionFacts,
    /// The peer, as forwarded requests name it.
    pub(crate) peer: Peer,
    /// Its place among the open connections.
    pub(crate) place: Place,
    /// The thread it lives on.
    pub(crate) worker: Arc<Worker>,
    /// What outlives every generation.
    pub(crate) shared: Arc<Shared>,
    /// Whether it has to end.
    pub(crate) drain: DrainWatch,
    /// Interim answers on their way to the client.
    pub(crate) interim: Arc<Interim>,
    /// What passes those of requests without a body on; made for the first.
    pub(crate) listening: OnceLock<Listening>,
    /// The other end of a tunnel that a request has asked for; taken when the answer is out.
    pub(crate) switched: Mutex<Option<Switched>>,
    /// What its handshake got; none in clear.
    pub(crate) tls: Option<FlowTls>,
    /// How fast its requests come.
    pub(crate) rate: Mutex<PerSecond>,
}

impl Flow {
    /// Whether the client should come back on a new connection: a newer generation is
    /// installed, its listener is going, or the daemon is.
    pub(crate) fn is_leaving(&self) -> bool {
        self.program.retired.is_cancelled() || self.drain.borrow().is_some()
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Whether requests for `host` may come over this connection. One that names no host is for
    /// the one that the connection is for.
    pub(crate) fn may_carry(&self, host: &str) -> bool {
        let Some(tls) = &self.tls else { return true };
        let hello = self.facts.first_bytes.as_ref();
        let asked = hello.and_then(|hello| hello.sni.as_deref());
        host.is_empty() || asked == Some(host) || tls.linked.may_carry(&tls.chosen, host)
    }

    /// Whether the handshake was what a rule wants of it.
    pub(crate) fn satisfies(&self, rule: RuleId) -> bool {
        let rule = self.program.graph.rule(rule);
        self.tls.as_ref().is_none_or(|tls| tls.chosen.satisfies(rule.tls.as_ref()))
    }

    /// The peer.
    pub(crate) fn remote(&self) -> SocketAddr {
        self.facts.remote
    }

    /// Leaves the other end of a tunnel for when the answer is out.
    pub(crate) fn switch(&self, switched: Switched) {
        *self.switched.lock().unwrap_or_else(PoisonError::into_inner) = Some(switched);
    }

    /// The other end of a tunnel that a request has asked for.
    pub(crate) fn take_switched(&self) -> Option<Switched> {
        self.switched.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What a connection with TLS was answered with.
#[derive(Debug)]
pub(crate) struct FlowTls {
    /// What other names would get.
    pub(crate) linked: Arc<LinkedTls>,
    /// What this one got.
    pub(crate) chosen: Arc<Choice>,
    /// Whether HTTP/2 was agreed on.
    pub(crate) http2: bool,
}

/// The other end of a tunnel that a request has asked for.
#[derive(Debug)]
pub(crate) struct Switched {
    /// The stream to the server.
    pub(crate) stream: Stream,
    /// What the server has already said in the new protocol.
    pub(crate) read: Bytes,
    /// How long neither side may say anything.
    pub(crate) idle: std::time::Duration,
}

/// Interim (1xx) answers on their way to a client over a connection of HTTP/1.1. hyper has no way to send them, so
/// they are written between its own writes, see [`crate::connection::guard`].
#[derive(Debug, Default)]
pub(crate) struct Interim {
    held: AtomicBool,
    waiting: AtomicBool,
    bytes: Mutex<Vec<u8>>,
}

impl Interim {
    /// Queues the head of an interim answer. One that would have to wait for earlier answers is
    /// dropped: the client is slower than the server, and the final answer says it all.
    pub(crate) fn push(&self, head: &Response<()>) {
        if !self.may_go() {
            return;
        }
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let status = head.status();
        let reason = status.canonical_reason().unwrap_or_default();
        bytes.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).as_bytes());
        for (name, value) in head.headers() {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        self.waiting.store(true, Ordering::Release);
    }

    /// Whether everything before has been written.
    pub(crate) fn may_go(&self) -> bool {
        !self.held.load(Ordering::Acquire)
    }

    /// Notes that something is being written.
    pub(crate) fn hold(&self) {
        self.held.store(true, Ordering::Release);
    }

    /// Notes that everything has been written.
    pub(crate) fn allow(&self) {
        self.held.store(false, Ordering::Release);
    }

    /// What is queued; costs one load where nothing is.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        if !self.waiting.load(Ordering::Acquire) {
            return None;
        }
        self.waiting.store(false, Ordering::Release);
        Some(std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}
