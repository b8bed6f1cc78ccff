//! A graph as a person reads it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::{Display, Write as _};

use crate::graph::dispatch::{HostDispatch, HostField, PathDispatch};
use crate::graph::dump::words;
use crate::graph::walk::{self, Step};
use crate::graph::{FlowGraph, Listener, Node, NodeId, RuleInfo};
use crate::rules::condition::Condition;
use crate::rules::tls::{Certificate, Serving};
use crate::rules::upstream::Upstream;

pub(super) fn text(graph: &FlowGraph) -> String {
    let mut writer = Writer {
        graph,
        text: String::new(),
        shared: shared(graph),
        waiting: VecDeque::new(),
        shown: BTreeSet::new(),
    };
    writer.head();
    writer.listeners();
    writer.sections();
    writer.rules();
    writer.certificates();
    writer.upstreams();
    writer.text
}

/// A listener shows the certificates of so many names.
const MOST_NAMES: usize = 20;

struct Writer<'g> {
    graph: &'g FlowGraph,
    text: String,
    /// Nodes with a section of their own.
    shared: BTreeSet<NodeId>,
    /// Those of them that were referred to and not shown yet.
    waiting: VecDeque<NodeId>,
    /// Those of them that were referred to.
    shown: BTreeSet<NodeId>,
}

impl<'g> Writer<'g> {
    fn head(&mut self) {
        let graph = self.graph;
        let listeners = words::count(graph.listeners.len(), "listener");
        let rules = words::count(graph.rules.len(), "rule");
        let nodes = words::count(graph.nodes.len(), "node");
        self.line(0, format_args!("graph {}", graph.hash));
        self.line(0, format_args!("{listeners}, {rules}, {nodes}"));
    }

    fn listeners(&mut self) {
        let mut by_entry: BTreeMap<NodeId, Vec<&Listener>> = BTreeMap::new();
        for listener in &self.graph.listeners {
            by_entry.entry(listener.entry).or_default().push(listener);
        }
        let mut groups: Vec<_> = by_entry.into_iter().collect();
        groups.sort_by_key(|(_, listeners)| (listeners[0].transport, listeners[0].address));
        for (entry, listeners) in groups {
            self.text.push('\n');
            for listener in listeners {
                let (transport, address) = (listener.transport, listener.address);
                let purpose = match (&listener.tls, listener.only_challenges) {
                    (Some(_), _) => ", terminates TLS",
                    (None, true) => ", for challenges of certificate authorities alone",
                    (None, false) => "",
                };
                self.line(0, format_args!("listener {transport} {address}{purpose}"));
                self.handshakes(listener);
            }
            self.block(entry, 1);
        }
    }

    /// Which certificate each name gets. Not all of many: each rule shows its own.
    fn handshakes(&mut self, listener: &Listener) {
        let Some(tls) = &listener.tls else { return };
        let graph = self.graph;
        let certificate = |serving: &Serving| words::serving(serving, graph);
        for (name, serving) in tls.named.iter().take(MOST_NAMES) {
            self.line(1, format_args!("handshake for {name}: {}", certificate(serving)));
        }
        if let Some(more) = tls.named.len().checked_sub(MOST_NAMES).filter(|more| *more > 0) {
            self.line(1, format_args!("and for {}", words::count(more, "further name")));
        }
        for serving in &tls.unnamed {
            self.line(1, format_args!("handshake for its own names: {}", certificate(serving)));
        }
        match &tls.default {
            Some(serving) => {
                self.line(1, format_args!("any other handshake: {}", certificate(serving)));
            }
            None => self.line(1, "any other handshake: refused"),
        }
    }

    fn sections(&mut self) {
        while let Some(node) = self.waiting.pop_front() {
            self.line(0, format_args!("\n{node}"));
            self.body(node, 1);
        }
    }

    /// Shows a node, or refers to its section.
    fn block(&mut self, node: NodeId, depth: usize) {
        match self.short(node) {
            Some(short) => self.line(depth, short),
            None => self.body(node, depth),
        }
    }

    /// Shows a node and what a flow falls through to behind it.
    fn body(&mut self, node: NodeId, depth: usize) {
        let graph = self.graph;
        let mut at = Some(node);
        while let Some(here) = at.take() {
            at = match graph.node(here) {
                Node::Host(dispatch) => Some(self.hosts(dispatch, depth)),
                Node::Path(dispatch) => Some(self.paths(dispatch, depth)),
                Node::Test { .. } => Some(self.question(here, depth)),
                Node::Decrypt { entry } => {
                    self.line(depth, "decrypt");
                    Some(*entry)
                }
                Node::ServeHttp { entry } => {
                    self.line(depth, "serve HTTP");
                    self.block(*entry, depth + 1);
                    None
                }
                _ => None,
            };
            if let Some(short) = at.and_then(|next| self.short(next)) {
                self.line(depth, short);
                at = None;
            }
        }
    }

    fn hosts(&mut self, dispatch: &'g HostDispatch, depth: usize) -> NodeId {
        let field = match dispatch.field {
            HostField::HttpHost => "http.host",
            HostField::TlsSni => "tls.sni",
        };
        self.line(depth, format_args!("by {field}"));
        for (name, node) in dispatch.entries() {
            self.branch(&name, node, depth + 1);
        }
        dispatch.otherwise
    }

    fn paths(&mut self, dispatch: &'g PathDispatch, depth: usize) -> NodeId {
        self.line(depth, "by http.path");
        for (name, node) in dispatch.entries() {
            self.branch(&name, node, depth + 1);
        }
        dispatch.otherwise
    }

    /// Shows questions that lead on together as one.
    fn question(&mut self, at: NodeId, depth: usize) -> NodeId {
        let mut asked: Vec<&'g Condition> = Vec::new();
        let (mut here, mut end) = (at, at);
        while let Node::Test { condition, yes, no, .. } = self.graph.node(here) {
            asked.push(condition);
            (here, end) = (*yes, *no);
            if !continues(self.graph, *yes, *no) {
                break;
            }
        }
        self.branch(&format!("when {}", words::conditions(asked)), here, depth);
        end
    }

    fn branch(&mut self, what: &str, node: NodeId, depth: usize) {
        match self.short(node) {
            Some(short) => self.line(depth, format_args!("{what}: {short}")),
            None => {
                self.line(depth, format_args!("{what}:"));
                self.body(node, depth + 1);
            }
        }
    }

    /// What a node is in one word or two, if it is no more than that.
    fn short(&mut self, node: NodeId) -> Option<String> {
        match self.graph.node(node) {
            Node::NoMatch => Some("no match".to_owned()),
            Node::Rule { rule, .. } => Some(format!("rule {}", self.graph.rule(*rule).name)),
            _ if self.shared.contains(&node) => {
                if self.shown.insert(node) {
                    self.waiting.push_back(node);
                }
                Some(format!("go to {node}"))
            }
            _ => None,
        }
    }

    fn rules(&mut self) {
        for rule in &self.graph.rules {
            let (name, layer, place) = (&rule.name, rule.layer, &rule.place);
            self.line(0, format_args!("\nrule {name} ({layer}) at {place}"));
            self.binds(rule);
            for (at, all) in rule.alternatives.iter().enumerate() {
                let word = if at == 0 { "match" } else { "or" };
                self.line(1, format_args!("{word} {}", words::conditions(&all.conditions)));
            }
            if rule.priority != 0 {
                self.line(1, format_args!("priority {}", rule.priority));
            }
            if let Some(size) = rule.max_body {
                self.line(1, format_args!("max_body {size}"));
            }
            self.steps(rule);
        }
    }

    fn binds(&mut self, rule: &RuleInfo) {
        let binds: Vec<_> = rule.binds.iter().map(|(kind, at)| format!("{kind} {at}")).collect();
        let tls = match &rule.tls {
            Some(tls) => format!(", {}", words::serving(&tls.serving, self.graph)),
            None => String::new(),
        };
        let binds = if binds.is_empty() { "nowhere".to_owned() } else { binds.join(", ") };
        self.line(1, format_args!("listen {binds}{tls}"));
    }

    fn steps(&mut self, rule: &RuleInfo) {
        let Node::Rule { next, .. } = self.graph.node(rule.entry) else { return };
        for step in walk::steps(self.graph, *next) {
            match step {
                Step::Middleware(_, middleware) => {
                    self.line(1, format_args!("use {}", words::middleware(middleware)));
                }
                Step::Action(_, action) => self.line(1, words::action(action, self.graph)),
            }
        }
    }

    fn certificates(&mut self) {
        for Certificate { name, source } in &self.graph.certificates {
            self.line(0, format_args!("\ncertificate {name}"));
            self.line(1, words::certificate(source));
        }
    }

    fn upstreams(&mut self) {
        for Upstream { name, servers, tls } in &self.graph.upstreams {
            self.line(0, format_args!("\nupstream {name}{}", words::upstream_tls(tls)));
            for server in servers {
                self.line(1, format_args!("{} weight {}", server.url, server.weight));
            }
        }
        if !self.graph.trusted_proxies.is_empty() {
            self.line(0, "\ntrusted proxies");
            for network in &self.graph.trusted_proxies {
                self.line(1, network);
            }
        }
    }

    fn line(&mut self, depth: usize, words: impl Display) {
        writeln!(self.text, "{:1$}{words}", "", depth * 2).expect("a String takes every write");
    }
}

/// Nodes that are reached from several places and are more than a word.
fn shared(graph: &FlowGraph) -> BTreeSet<NodeId> {
    let mut references = vec![0u32; graph.nodes.len()];
    let mut entries: Vec<_> = graph.listeners.iter().map(|listener| listener.entry).collect();
    entries.sort_unstable();
    entries.dedup();
    let edges = graph.nodes.iter().flat_map(|node| match node {
        Node::Test { yes, no, .. } if continues(graph, *yes, *no) => vec![*yes],
        node => node.edges(),
    });
    for to in edges.chain(entries) {
        references[to.0 as usize] += 1;
    }
    (0u32..).map(NodeId).zip(references).filter(|(_, count)| *count > 1).map(|(id, _)| id).collect()
}

/// Whether `yes` asks a further question of the same rule, which fails to the same place.
fn continues(graph: &FlowGraph, yes: NodeId, no: NodeId) -> bool {
    matches!(graph.node(yes), Node::Test { no: inner, .. } if *inner == no)
}
