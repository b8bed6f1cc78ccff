//! Linking: a graph together with what it needs at run time.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use std::time::Instant;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use vane_core::graph::{FlowGraph, GraphHash, Node, NodeId};
use vane_core::rules::action::{Action, RespondBody};
use vane_core::rules::middleware::Middleware;
use vane_core::rules::tls::CertificateSource;
use vane_core::rules::upstream::{Server, Upstream, UpstreamId};
use vane_core::value::listen_addr::Transport;
use vane_core::value::url::Scheme;

use crate::acme::registry::Registry;
use crate::middleware::rate_limit::RateLimiter;
use crate::tls::certificate::Served;
use crate::tls::client::{ClientTls, UnusableFile};
use crate::tls::client_auth::UnusableAuthority;
use crate::tls::serving::{LinkedTls, Linker};
use crate::tls::store::{CertStore, Live, UnusableFiles};
use crate::tls::tickets::Tickets;
use crate::upstream::origin::{NoServerName, Origin, Origins};

/// Buckets that one rate limit remembers, 16 bytes each.
const MOST_BUCKETS: usize = 1 << 16;

/// A graph linked to running things. Limiters and counters in here start fresh with each
/// generation; what outlives a reload is only referred to.
#[derive(Debug)]
pub(crate) struct Program {
    /// The graph.
    pub(crate) graph: Arc<FlowGraph>,
    /// Its number; 0 until it is installed.
    pub(crate) generation: u64,
    /// Cancelled when a newer generation is installed.
    pub(crate) retired: CancellationToken,
    entries: HashMap<(Transport, SocketAddr), Entry>,
    /// The certificates of its graph, in its order.
    pub(crate) certificates: Vec<Arc<Live>>,
    upstreams: Vec<Servers>,
    limiters: HashMap<NodeId, RateLimiter>,
    bodies: HashMap<NodeId, Bytes>,
}

/// What outlives every generation and is only referred to.
pub(crate) struct DaemonScope<'a> {
    /// Every certificate in use.
    pub(crate) certificates: &'a CertStore,
    /// Where managed certificates are kept.
    pub(crate) managed: &'a Registry,
    /// The keys of session tickets.
    pub(crate) tickets: &'a Arc<Tickets>,
    /// How TLS is spoken to servers.
    pub(crate) client_tls: &'a ClientTls,
    /// Every server in use.
    pub(crate) origins: &'a Origins,
}

/// Where connections to a listener enter a graph.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Where they start their walk.
    pub(crate) node: NodeId,
    /// How their TLS is terminated; none in clear.
    pub(crate) tls: Option<Arc<LinkedTls>>,
}

/// What keeps a graph from being linked.
#[derive(Debug)]
pub enum LinkProblem {
    /// A file that a rule answers with.
    Body(UnreadableBody),
    /// A certificate of which there is no usable one from before either.
    Certificate(UnusableFiles),
    /// What clients are verified with.
    Authority(UnusableAuthority),
    /// What servers are verified with, or shown.
    Upstream(UnusableFile),
    /// A server that TLS cannot be spoken to.
    ServerName(NoServerName),
}

impl fmt::Display for LinkProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(problem) => problem.fmt(f),
            Self::Certificate(problem) => problem.fmt(f),
            Self::Authority(problem) => problem.fmt(f),
            Self::Upstream(problem) => problem.fmt(f),
            Self::ServerName(problem) => problem.fmt(f),
        }
    }
}

impl std::error::Error for LinkProblem {}

/// A file that a rule names and that cannot be read.
#[derive(Debug)]
pub struct UnreadableBody {
    /// As written in the rule.
    pub path: Box<str>,
    /// What the system says.
    pub error: io::Error,
}

impl fmt::Display for UnreadableBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read the body file `{}`: {}", self.path, self.error)
    }
}

impl std::error::Error for UnreadableBody {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl Program {
    /// Links `graph`. Reads the files that its rules name; opens nothing. Certificates that were
    /// read come beside, to be served once the program is installed.
    ///
    /// # Errors
    /// Everything that keeps it from being linked. A certificate that cannot be read is no reason
    /// where one from before serves: that goes on, and says what is wrong.
    pub(crate) fn link(
        graph: Arc<FlowGraph>,
        scope: &DaemonScope<'_>,
    ) -> Result<(Self, ReadCertificates), Vec<LinkProblem>> {
        let (bodies, unreadable) = read_bodies(&graph);
        let mut problems: Vec<_> = unreadable.into_iter().map(LinkProblem::Body).collect();
        let certificates: Vec<_> =
            graph.certificates.iter().map(|each| scope.certificates.get(each)).collect();
        let mut read = read_certificates(&certificates);
        problems.extend(read.missing.drain(..).map(LinkProblem::Certificate));
        read.fresh.extend(stored(&certificates, scope.managed));
        let entries = entries(&graph, &certificates, scope.tickets, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let upstreams = servers(&graph, scope)?;
        let program = Self {
            generation: 0,
            retired: CancellationToken::new(),
            entries,
            certificates,
            upstreams,
            limiters: limiters(&graph),
            bodies,
            graph,
        };
        Ok((program, read))
    }

    /// The program of a daemon that has no configuration yet.
    pub(crate) fn empty() -> Self {
        let graph = FlowGraph {
            listeners: Vec::new(),
            nodes: Vec::new(),
            rules: Vec::new(),
            upstreams: Vec::new(),
            certificates: Vec::new(),
            trusted_proxies: Vec::new(),
            hash: GraphHash([0; 32]),
        };
        Self {
            graph: Arc::new(graph),
            generation: 0,
            retired: CancellationToken::new(),
            entries: HashMap::new(),
            certificates: Vec::new(),
            upstreams: Vec::new(),
            limiters: HashMap::new(),
            bodies: HashMap::new(),
        }
    }

    /// With the number that it is installed under.
    pub(crate) fn installed(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// Where a connection to this listener starts its walk; none once the listener is gone.
    pub(crate) fn entry(&self, transport: Transport, address: SocketAddr) -> Option<&Entry> {
        self.entries.get(&(transport, address))
    }

    /// The server whose turn it is.
    pub(crate) fn server(&self, upstream: UpstreamId) -> &Arc<Origin> {
        self.upstreams[upstream.0 as usize].next()
    }

    /// The buckets of the rate limit at `node`.
    pub(crate) fn limiter(&self, node: NodeId) -> Option<&RateLimiter> {
        self.limiters.get(&node)
    }

    /// The content of the file that the action at `node` answers with.
    pub(crate) fn body(&self, node: NodeId) -> Option<&Bytes> {
        self.bodies.get(&node)
    }
}

/// A certificate that was read and does not serve yet.
pub(crate) type Fresh = (Arc<Live>, Arc<Served>);

/// What the files of certificates came to.
#[derive(Debug, Default)]
pub(crate) struct ReadCertificates {
    /// Those that are others than what serves.
    pub(crate) fresh: Vec<Fresh>,
    /// Those that cannot be used, where one from before goes on.
    pub(crate) kept: Vec<UnusableFiles>,
    /// Those that cannot be used, where none is from before.
    pub(crate) missing: Vec<UnusableFiles>,
}

/// Reads the certificates that come from files. Blocks.
pub(crate) fn read_certificates(certificates: &[Arc<Live>]) -> ReadCertificates {
    let mut read = ReadCertificates::default();
    for live in certificates {
        match (live.read(), live.served()) {
            (None, _) => {}
            (Some(Ok(now)), Some(before)) if now.is(&before) => live.mended(),
            (Some(Ok(now)), _) => read.fresh.push((Arc::clone(live), Arc::new(now))),
            (Some(Err(problem)), Some(_)) => {
                live.note_problem(problem.to_string());
                read.kept.push(problem);
            }
            (Some(Err(problem)), None) => read.missing.push(problem),
        }
    }
    read
}

/// Managed certificates that were stored before and do not serve yet. Blocks.
fn stored(certificates: &[Arc<Live>], managed: &Registry) -> Vec<Fresh> {
    let missing = certificates.iter().filter(|live| live.served().is_none());
    let stored = missing.filter_map(|live| match &live.source {
        CertificateSource::Acme(settings) => {
            Some((Arc::clone(live), Arc::new(managed.stored(settings)?)))
        }
        CertificateSource::Files { .. } => None,
    });
    stored.collect()
}

fn entries(
    graph: &FlowGraph,
    certificates: &[Arc<Live>],
    tickets: &Arc<Tickets>,
    problems: &mut Vec<LinkProblem>,
) -> HashMap<(Transport, SocketAddr), Entry> {
    let mut linker = Linker::new(certificates, tickets);
    let mut linked: HashMap<NodeId, Arc<LinkedTls>> = HashMap::new();
    let mut entries = HashMap::new();
    for listener in &graph.listeners {
        // Both families of one address share what they serve.
        let tls = listener.tls.as_ref().map(|tls| {
            let link = || Arc::new(linker.link(tls));
            Arc::clone(linked.entry(listener.entry).or_insert_with(link))
        });
        let key = (listener.transport, listener.address);
        entries.insert(key, Entry { node: listener.entry, tls });
    }
    problems.extend(linker.problems.drain(..).map(LinkProblem::Authority));
    entries
}

/// The servers of an upstream in the order of their turns.
#[derive(Debug)]
struct Servers {
    turns: Vec<Arc<Origin>>,
    next: AtomicUsize,
}

impl Servers {
    fn link(upstream: &Upstream, scope: &DaemonScope<'_>) -> Result<Self, LinkProblem> {
        let is_secure = |server: &Server| server.url.scheme == Scheme::Https;
        let connectors = match upstream.servers.iter().any(is_secure) {
            true => Some(scope.client_tls.get(&upstream.tls).map_err(LinkProblem::Upstream)?),
            false => None,
        };
        let origin = |server: &Server| {
            let connectors = connectors.as_ref().filter(|_| is_secure(server));
            let origin =
                scope.origins.get(&server.url, connectors.map(|each| (&upstream.tls, each)));
            origin.map_err(LinkProblem::ServerName)
        };
        let servers = upstream.servers.iter().map(origin).collect::<Result<Vec<_>, _>>()?;
        let weights: Vec<u32> =
            upstream.servers.iter().map(|server| u32::from(server.weight)).collect();
        let turns = turns(&weights).into_iter().map(|index| Arc::clone(&servers[index]));
        Ok(Self { turns: turns.collect(), next: AtomicUsize::new(0) })
    }

    fn next(&self) -> &Arc<Origin> {
        match self.turns.as_slice() {
            [only] => only,
            turns => &turns[self.next.fetch_add(1, Ordering::Relaxed) % turns.len()],
        }
    }
}

fn servers(graph: &FlowGraph, scope: &DaemonScope<'_>) -> Result<Vec<Servers>, Vec<LinkProblem>> {
    let (mut upstreams, mut problems) = (Vec::new(), Vec::new());
    for upstream in &graph.upstreams {
        match Servers::link(upstream, scope) {
            Ok(servers) => upstreams.push(servers),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(upstreams) } else { Err(problems) }
}

/// One round of turns in which each server has as many as its weight, evenly spread.
fn turns(weights: &[u32]) -> Vec<usize> {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    let weights: Vec<i64> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0_i64; weights.len()];
    let turn = |_| {
        for (credit, weight) in credit.iter_mut().zip(&weights) {
            *credit += weight;
        }
        let richest = (0..credit.len()).max_by_key(|&index| (credit[index], usize::MAX - index))?;
        credit[richest] -= total;
        Some(richest)
    };
    (0..total).map_while(turn).collect()
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

fn limiters(graph: &FlowGraph) -> HashMap<NodeId, RateLimiter> {
    let now = Instant::now();
    let limiter = |(index, node): (usize, &Node)| match node {
        Node::Middleware { middleware: Middleware::RateLimit(limit), .. } => {
            Some((node_id(index), RateLimiter::new(limit, MOST_BUCKETS, now)))
        }
        _ => None,
    };
    graph.nodes.iter().enumerate().filter_map(limiter).collect()
}

fn read_bodies(graph: &FlowGraph) -> (HashMap<NodeId, Bytes>, Vec<UnreadableBody>) {
    let (mut bodies, mut problems) = (HashMap::new(), Vec::new());
    for (index, node) in graph.nodes.iter().enumerate() {
        if let Node::Action(Action::Respond(respond)) = node
            && let RespondBody::File(path) = &respond.body
        {
            match std::fs::read(&**path) {
                Ok(content) => drop(bodies.insert(node_id(index), content.into())),
                Err(error) => problems.push(UnreadableBody { path: path.clone(), error }),
            }
        }
    }
    (bodies, problems)
}

fn node_id(index: usize) -> NodeId {
    NodeId(u32::try_from(index).expect("a graph has fewer than 2^32 nodes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_as_many_turns_as_its_weight_evenly_spread() {
        assert_eq!(turns(&[1]), [0]);
        assert_eq!(turns(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(turns(&[2, 4]), turns(&[1, 2]));
        assert_eq!(turns(&[3, 1]), [0, 0, 1, 0]);
    }
}
