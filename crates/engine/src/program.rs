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
use vane_core::graph::{FlowGraph, GraphHash, Listener, Node, NodeId};
use vane_core::rules::action::{Action, RespondBody};
use vane_core::rules::middleware::Middleware;
use vane_core::rules::upstream::{Upstream, UpstreamId};
use vane_core::value::listen_addr::Transport;

use crate::middleware::rate_limit::RateLimiter;
use crate::upstream::origin::{Origin, Origins};

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
    entries: HashMap<(Transport, SocketAddr), NodeId>,
    upstreams: Vec<Servers>,
    limiters: HashMap<NodeId, RateLimiter>,
    bodies: HashMap<NodeId, Bytes>,
}

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
    /// Links `graph`. Reads the files that its rules answer with; opens nothing.
    ///
    /// # Errors
    /// Every file that cannot be read.
    pub(crate) fn link(
        graph: Arc<FlowGraph>,
        origins: &Origins,
    ) -> Result<Self, Vec<UnreadableBody>> {
        let (bodies, problems) = read_bodies(&graph);
        if !problems.is_empty() {
            return Err(problems);
        }
        let key = |listener: &Listener| (listener.transport, listener.address);
        Ok(Self {
            generation: 0,
            retired: CancellationToken::new(),
            entries: graph.listeners.iter().map(|each| (key(each), each.entry)).collect(),
            upstreams: graph.upstreams.iter().map(|each| Servers::link(each, origins)).collect(),
            limiters: limiters(&graph),
            bodies,
            graph,
        })
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
    pub(crate) fn entry(&self, transport: Transport, address: SocketAddr) -> Option<NodeId> {
        self.entries.get(&(transport, address)).copied()
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

/// The servers of an upstream in the order of their turns.
#[derive(Debug)]
struct Servers {
    turns: Vec<Arc<Origin>>,
    next: AtomicUsize,
}

impl Servers {
    fn link(upstream: &Upstream, origins: &Origins) -> Self {
        let servers: Vec<_> =
            upstream.servers.iter().map(|server| origins.get(&server.url)).collect();
        let weights: Vec<u32> =
            upstream.servers.iter().map(|server| u32::from(server.weight)).collect();
        let turns = turns(&weights).into_iter().map(|index| Arc::clone(&servers[index]));
        Self { turns: turns.collect(), next: AtomicUsize::new(0) }
    }

    fn next(&self) -> &Arc<Origin> {
        match self.turns.as_slice() {
            [only] => only,
            turns => &turns[self.next.fetch_add(1, Ordering::Relaxed) % turns.len()],
        }
    }
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
