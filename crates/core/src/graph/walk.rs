//! The one walk through a graph, for the executor and for `explain`.

use crate::graph::dispatch::HostField;
use crate::graph::facts::Facts;
use crate::graph::{FlowGraph, Node, NodeId, RuleId, evaluate};
use crate::rules::action::Action;
use crate::rules::middleware::Middleware;
use crate::value::field::Layer;

/// Where a walk has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A rule has matched; [`steps`] from here are its middleware and its action.
    Matched {
        /// Which.
        rule: RuleId,
        /// Its first middleware, or its action.
        next: NodeId,
    },
    /// More has to be known of the flow before the walk can go on at `at`.
    Needs {
        /// The layer that has to be known.
        layer: Layer,
        /// Where to go on.
        at: NodeId,
    },
    /// The connection speaks HTTP; each request starts at `entry`.
    ServeHttp {
        /// Where a request starts.
        entry: NodeId,
    },
    /// No rule matched.
    NoMatch,
}

/// Is told of every node that a walk passes. `()` hears nothing and costs nothing.
pub trait Trace {
    /// The walk stood at `node` and goes on at `next`.
    fn passed(&mut self, node: NodeId, next: NodeId);
}

impl Trace for () {
    fn passed(&mut self, _node: NodeId, _next: NodeId) {}
}

impl Trace for Vec<(NodeId, NodeId)> {
    fn passed(&mut self, node: NodeId, next: NodeId) {
        self.push((node, next));
    }
}

/// Walks from `start` until a rule has matched, more has to be known, or nothing is left.
///
/// Its cost does not grow with the number of rules: one lookup for the host, one for the path,
/// then the few predicates that the chosen bucket has left. Allocates nothing unless a predicate
/// asks for a field that has to be put together.
pub fn find(graph: &FlowGraph, start: NodeId, facts: &Facts<'_>, trace: &mut impl Trace) -> Stop {
    let mut at = start;
    loop {
        let next = match step(graph.node(at), at, facts) {
            Ok(next) => next,
            Err(stop) => return stop,
        };
        trace.passed(at, next);
        at = next;
    }
}

fn step(node: &Node, at: NodeId, facts: &Facts<'_>) -> Result<NodeId, Stop> {
    match node {
        Node::Host(dispatch) => {
            let host = match dispatch.field {
                HostField::HttpHost => facts.request.as_ref().map(|request| request.host),
                HostField::TlsSni if facts.layer() < Layer::FirstBytes => {
                    return Err(Stop::Needs { layer: Layer::FirstBytes, at });
                }
                HostField::TlsSni => sni(facts),
            };
            Ok(dispatch.choose(host))
        }
        Node::Path(dispatch) => {
            Ok(dispatch.choose(facts.request.as_ref().map_or("/", |request| request.path)))
        }
        Node::Test { layer, .. } if *layer > facts.layer() => {
            Err(Stop::Needs { layer: *layer, at })
        }
        Node::Test { condition, yes, no, .. } => {
            Ok(if evaluate::holds(condition, facts) { *yes } else { *no })
        }
        Node::Rule { rule, next } => Err(Stop::Matched { rule: *rule, next: *next }),
        Node::Decrypt { .. } if facts.layer() < Layer::Handshake => {
            Err(Stop::Needs { layer: Layer::Handshake, at })
        }
        Node::Decrypt { entry } => Ok(*entry),
        Node::ServeHttp { entry } => Err(Stop::ServeHttp { entry: *entry }),
        Node::Middleware { .. } | Node::Action(_) | Node::NoMatch => Err(Stop::NoMatch),
    }
}

fn sni<'a>(facts: &'a Facts<'_>) -> Option<&'a str> {
    facts.connection.first_bytes.as_ref()?.sni.as_deref()
}

/// One step of a matched rule.
#[derive(Debug)]
pub enum Step<'g> {
    /// Edits or inspects.
    Middleware(NodeId, &'g Middleware),
    /// Ends the walk.
    Action(NodeId, &'g Action),
}

/// The middleware of a matched rule in order, then its action.
pub fn steps(graph: &FlowGraph, next: NodeId) -> impl Iterator<Item = Step<'_>> {
    let mut at = Some(next);
    std::iter::from_fn(move || {
        let here = at.take()?;
        match graph.node(here) {
            Node::Middleware { middleware, next } => {
                at = Some(*next);
                Some(Step::Middleware(here, middleware))
            }
            Node::Action(action) => Some(Step::Action(here, action)),
            _ => None,
        }
    })
}
