//! The story of one TCP connection: admitted, told apart, walked, served, ended.

mod counted;
mod detect;
pub(crate) mod guard;
mod http1;
mod http2;
mod linger;
mod pace;
mod secure;
mod seldom;
mod stream;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::time::Instant;
use vane_core::graph::facts::{ConnectionFacts, Facts, FirstBytes, Protocol};
use vane_core::graph::walk::{self, Step, Stop};
use vane_core::graph::{NodeId, RuleId};
use vane_core::rules::action::{Action, Tunnel};
use vane_core::value::field::Layer;
use vane_core::value::listen_addr::Transport;

use crate::connection::detect::Seen;
use crate::floor::{Admission, Limit};
use crate::flow::{Flow, FlowTls, Interim};
use crate::message::forwarded::Peer;
use crate::program::{Entry, Program};
use crate::registry::{ConnectionKind, Opening, Place};
use crate::shared::{DrainWatch, Shared, drain_begins};
use crate::tls::serving::LinkedTls;
use crate::tls::stream::ClientStream;
use crate::tunnel::{self, Copied, End};
use crate::upstream::connect::Stream;
use crate::worker::Worker;

/// An accepted connection and all that it needs to be served.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// The socket, non-blocking.
    pub(crate) socket: std::net::TcpStream,
    /// The peer.
    pub(crate) remote: SocketAddr,
    /// The listener's address as configured.
    pub(crate) listener: SocketAddr,
    /// The generation it has captured.
    pub(crate) program: Arc<Program>,
    /// Where it starts its walk, and how its TLS is terminated.
    pub(crate) entry: Entry,
    /// Whether it has to end.
    pub(crate) drain: DrainWatch,
    /// What outlives every generation.
    pub(crate) shared: Arc<Shared>,
    /// Its place within the floor's limits.
    pub(crate) admission: Admission,
}

/// A connection on its thread, not yet told apart.
#[derive(Debug)]
struct Connection {
    stream: ClientStream,
    read: Bytes,
    since: Instant,
    /// Whether it did not say in time what it speaks.
    late: bool,
    tls: Option<Arc<LinkedTls>>,
    secured: Option<FlowTls>,
    facts: ConnectionFacts,
    program: Arc<Program>,
    place: Place,
    worker: Arc<Worker>,
    drain: DrainWatch,
    shared: Arc<Shared>,
}

/// Serves a connection to its end, on the current worker.
///
/// # Cancel safety
/// Dropping the future closes the connection at once.
pub(crate) async fn serve(accepted: Accepted, worker: Arc<Worker>) {
    let entry = accepted.entry.node;
    let (connection, _admission) = match open(accepted, worker) {
        Ok(opened) => opened,
        Err(error) => return tracing::debug!(%error, "connection was gone before it was served"),
    };
    connection.walk(entry).await;
}

fn open(accepted: Accepted, worker: Arc<Worker>) -> std::io::Result<(Connection, Admission)> {
    let stream = TcpStream::from_std(accepted.socket)?;
    // Answers are written whole; waiting to fill a packet only delays their last piece.
    stream.set_nodelay(true)?;
    let opening = Opening {
        id: accepted.shared.connection_id(),
        listener: accepted.listener,
        remote: accepted.remote,
        generation: accepted.program.generation,
    };
    let connection = Connection {
        facts: ConnectionFacts {
            transport: Transport::Tcp,
            remote: accepted.remote,
            local: stream.local_addr()?,
            first_bytes: None,
            handshake: None,
        },
        stream: ClientStream::Clear(stream),
        read: Bytes::new(),
        since: Instant::now(),
        late: false,
        tls: accepted.entry.tls,
        secured: None,
        place: worker.registry.enter(&opening),
        program: accepted.program,
        worker,
        drain: accepted.drain,
        shared: accepted.shared,
    };
    Ok((connection, accepted.admission))
}

impl Connection {
    async fn walk(mut self, entry: NodeId) {
        let mut at = entry;
        loop {
            let facts = Facts::of_connection(&self.facts);
            match walk::find(&self.program.graph, at, &facts, &mut ()) {
                Stop::Needs { layer: Layer::FirstBytes, at: here } => {
                    at = here;
                    if !self.detect().await {
                        return;
                    }
                }
                Stop::Needs { layer: Layer::Handshake, at: here } if self.tls.is_some() => {
                    at = here;
                    match self.secure().await {
                        Some(secured) => self = secured,
                        None => return,
                    }
                }
                Stop::ServeHttp { entry } => return self.serve_http(entry).await,
                Stop::Matched { rule, next } if self.satisfies(rule) => {
                    return self.act(next).await;
                }
                Stop::Matched { .. } | Stop::Needs { .. } | Stop::NoMatch => return,
            }
        }
    }

    fn satisfies(&self, rule: RuleId) -> bool {
        let rule = self.program.graph.rule(rule);
        self.secured.as_ref().is_none_or(|tls| tls.chosen.satisfies(rule.tls.as_ref()))
    }

    /// Reads until the first bytes are told apart; whether the connection goes on.
    async fn detect(&mut self) -> bool {
        let floor = &self.shared.settings.floor;
        let limit = match self.tls {
            Some(_) => floor.header_time.min(floor.handshake_time),
            None => floor.header_time,
        };
        let ClientStream::Clear(stream) = &mut self.stream else { return true };
        let deadline = self.since + limit;
        let seen = detect::first_bytes(stream, deadline, &mut self.drain).await;
        let Some(Seen { known, read, late }) = seen else { return false };
        self.facts.first_bytes = Some(known);
        (self.read, self.late) = (read, late);
        true
    }

    async fn act(self, next: NodeId) {
        for step in walk::steps(&Arc::clone(&self.program).graph, next) {
            if let Step::Action(_, Action::Tunnel(tunnel)) = step {
                return self.tunnel(tunnel).await;
            }
        }
    }

    async fn tunnel(mut self, tunnel: &Tunnel) {
        self.place.entry.set_kind(ConnectionKind::Tunnel);
        let connected = tokio::select! {
            connected = Stream::connect(&tunnel.to, tunnel.connect_timeout) => connected,
            () = abort_time(&mut self.drain) => {
                self.shared.cut.count(ConnectionKind::Tunnel, 1);
                return drop(self.stream.socket().set_zero_linger());
            }
        };
        let target = match connected {
            Ok(target) => target,
            Err(failure) => {
                let remote = self.facts.remote;
                // A target that broke off at once looks the same from here.
                let _ = self.stream.socket().set_zero_linger();
                return tracing::warn!(%remote, target = %tunnel.to, %failure, "tunnel failed");
            }
        };
        let client = (self.stream, self.read);
        let ends = Ends { client, target: (target, Bytes::new()), idle: tunnel.idle_timeout };
        ends.copy(&self.place, &mut self.drain, &self.shared).await;
    }

    async fn serve_http(mut self, entry: NodeId) {
        if self.facts.first_bytes.is_none() && !self.detect().await {
            return;
        }
        if self.tls.is_some() && self.secured.is_none() {
            match self.secure().await {
                Some(secured) => self = secured,
                None => return,
            }
        }
        if self.secured.is_none() && self.read.is_empty() {
            let remote = self.facts.remote.ip();
            return self.shared.floor.refuse(Limit::HeadTime, remote, "no first byte");
        }
        self.requests(entry).await;
    }

    async fn requests(self, entry: NodeId) {
        let protocol = self.facts.first_bytes.as_ref().map(|known: &FirstBytes| known.protocol);
        let flow = Flow {
            entry,
            program: self.program,
            peer: Peer::new(self.facts.remote.ip()),
            facts: self.facts,
            place: self.place,
            worker: self.worker,
            shared: self.shared,
            drain: self.drain,
            interim: Arc::new(Interim::default()),
            listening: OnceLock::new(),
            switched: Mutex::default(),
            rate: Mutex::default(),
            tls: self.secured,
        };
        let http2 = protocol == Some(Protocol::Http2);
        match protocol {
            _ if flow.tls.as_ref().map_or(http2, |tls| tls.http2) => {
                http2::serve(self.stream, self.read, Arc::new(flow)).await;
            }
            Some(Protocol::Tls) if flow.tls.is_none() => {
                tracing::debug!(remote = %flow.remote(), "TLS on a listener in clear");
            }
            _ => http1::serve(self.stream, self.read, Arc::new(flow)).await,
        }
    }
}

/// Both ends of a tunnel.
struct Ends {
    client: (ClientStream, Bytes),
    target: (Stream, Bytes),
    idle: std::time::Duration,
}

impl Ends {
    /// Copies until both sides have ended, or the drain's budget is used up.
    async fn copy(mut self, place: &Place, drain: &mut DrainWatch, shared: &Shared) {
        let mut copied = Copied::default();
        let (client, target) = (&mut self.client.0, &mut self.target.0);
        let ends = ((client, self.client.1), (target, self.target.1));
        let copying = tunnel::run(ends.0, ends.1, self.idle, &mut copied);
        let end = tokio::select! {
            end = copying => Some(end),
            () = abort_time(drain) => None,
        };
        if !matches!(end, Some(End::Closed)) {
            // Neither side may take a tunnel that broke for one that has said all.
            let _ = self.client.0.socket().set_zero_linger();
            self.target.0.reset_on_close();
        }
        place.registry.received.fetch_add(copied.to_target, Ordering::Relaxed);
        place.registry.sent.fetch_add(copied.to_client, Ordering::Relaxed);
        if end.is_none() {
            shared.cut.count(place.entry.kind(), 1);
        }
        report(place, end.as_ref(), copied);
    }
}

fn report(place: &Place, end: Option<&End>, copied: Copied) {
    let how = match end {
        None => "cut off by a drain".to_owned(),
        Some(End::Closed) => "closed".to_owned(),
        Some(End::Broken(error)) => format!("broken: {error}"),
        Some(End::Idle) => "idle for too long".to_owned(),
    };
    let kind = place.entry.kind().as_str();
    let (received, sent) = (copied.to_target, copied.to_client);
    tracing::info!(remote = %place.entry.remote, kind, received, sent, how, "tunnel ended");
}

/// Returns when a drain has used up its budget.
async fn abort_time(watch: &mut DrainWatch) {
    let mut drain = drain_begins(watch).await;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(drain.abort_at) => return,
            changed = watch.changed() => match changed {
                Ok(()) => drain = drain_begins(watch).await,
                Err(_) => return tokio::time::sleep_until(drain.abort_at).await,
            },
        }
    }
}
