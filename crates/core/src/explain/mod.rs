//! Why a described connection or request goes where it goes: the very walk that the executor
//! takes, written down.

mod described;
mod effect;
mod form;
mod step;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use crate::graph::facts::{ConnectionFacts, Facts, RequestFacts};
use crate::graph::walk::{self, Stop};
use crate::graph::{FlowGraph, Listener, NodeId, RuleId};
use crate::value::field::Layer;
use crate::value::listen_addr::Transport;

pub use self::described::{DescribeError, Described, DescribedRequest};
pub use self::step::{Answer, ExplainedStep};

/// What happens to a described flow, on every listener that it can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The description in one line.
    pub described: String,
    /// One for each entry into the graph; none where no listener fits.
    pub walks: Vec<Walk>,
}

/// One walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// The listeners that it starts at.
    pub listeners: Vec<(Transport, SocketAddr)>,
    /// Each question on the way, with its answer.
    pub steps: Vec<ExplainedStep>,
    /// Where it ends.
    pub end: End,
}

/// Where a walk ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A rule takes the flow.
    Rule {
        /// Its name.
        name: String,
        /// Its file and line.
        place: String,
        /// What its middleware and then its action do, in words, templates filled in.
        effects: Vec<String>,
    },
    /// The connection speaks HTTP, and no request was described.
    ServesHttp,
    /// No rule takes the request: 404, or 421 where TLS asked for another host.
    NotFound {
        /// The status of the answer.
        status: u16,
    },
    /// No rule takes the connection, which is closed.
    Closed,
}

/// Explains what a graph does with a flow.
pub fn explain(graph: &FlowGraph, described: &Described) -> Explanation {
    let mut groups: Vec<(NodeId, Vec<&Listener>)> = Vec::new();
    for listener in reached(graph, described) {
        match groups.iter_mut().find(|(entry, _)| *entry == listener.entry) {
            Some((_, members)) => members.push(listener),
            None => groups.push((listener.entry, vec![listener])),
        }
    }
    let walks = groups.iter().map(|(_, listeners)| one(graph, listeners, described));
    Explanation { described: described.to_string(), walks: walks.collect() }
}

/// The listener that is named, else those at the port of the URL, else all.
fn reached<'g>(graph: &'g FlowGraph, described: &Described) -> Vec<&'g Listener> {
    let all = || graph.listeners.iter();
    if let Some(name) = &described.listener {
        let named = |listener: &&Listener| {
            *listener.written == **name || listener.address.to_string() == **name
        };
        return all().filter(named).collect();
    }
    let port = described.request.as_ref().map(|request| request.port);
    let at_port: Vec<_> = all().filter(|each| Some(each.address.port()) == port).collect();
    if at_port.is_empty() { all().collect() } else { at_port }
}

fn one(graph: &FlowGraph, listeners: &[&Listener], described: &Described) -> Walk {
    let first = listeners[0];
    let mut connection = ConnectionFacts {
        transport: first.transport,
        remote: described.remote,
        local: first.address,
        first_bytes: None,
        handshake: None,
    };
    let mut walker = Walker { graph, described, steps: Vec::new() };
    let mut stop = walker.walk(first.entry, &Facts::of_connection(&connection));
    connection.first_bytes = Some(described.first_bytes());
    if let Stop::Needs { layer: Layer::FirstBytes, at } = stop {
        stop = walker.walk(at, &Facts::of_connection(&connection));
    }
    let facts = Facts { connection: &connection, request: described.request_facts() };
    let end = match (stop, &facts.request) {
        (Stop::ServeHttp { .. }, None) => End::ServesHttp,
        (Stop::ServeHttp { entry }, Some(request)) => match walker.walk(entry, &facts) {
            Stop::Matched { rule, next } => walker.matched(rule, next, &facts),
            _ => End::NotFound { status: unmatched(request, described) },
        },
        (Stop::Matched { rule, next }, _) => walker.matched(rule, next, &facts),
        _ => End::Closed,
    };
    let listeners = listeners.iter().map(|each| (each.transport, each.address)).collect();
    Walk { listeners, steps: walker.steps, end }
}

struct Walker<'a> {
    graph: &'a FlowGraph,
    described: &'a Described,
    steps: Vec<ExplainedStep>,
}

impl Walker<'_> {
    fn walk(&mut self, start: NodeId, facts: &Facts<'_>) -> Stop {
        let mut passed: Vec<(NodeId, NodeId)> = Vec::new();
        let stop = walk::find(self.graph, start, facts, &mut passed);
        let steps = passed.iter().filter_map(|&(at, next)| step::of(self.graph, at, next, facts));
        self.steps.extend(steps);
        stop
    }

    fn matched(&self, rule: RuleId, next: NodeId, facts: &Facts<'_>) -> End {
        let info = self.graph.rule(rule);
        End::Rule {
            name: info.name.to_string(),
            place: info.place.to_string(),
            effects: effect::of(self.graph, next, facts, self.described.unix_ms),
        }
    }
}

/// RFC 9110 §15.5.20: a request for a host that this connection was not made for.
fn unmatched(request: &RequestFacts<'_>, described: &Described) -> u16 {
    match &described.sni {
        Some(sni) if **sni != *request.host => 421,
        _ => 404,
    }
}
