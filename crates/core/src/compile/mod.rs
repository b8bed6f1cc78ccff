//! Files to a [`FlowGraph`], in passes. Each takes what the one before gives, reports every
//! problem that it finds, and goes on.

mod validate;

mod lower;

mod analyze;

mod expand;

mod merge;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::diagnostic::Diagnostics;
use crate::diagnostic::code::Code;
use crate::graph::{FlowGraph, GraphHash, RuleInfo, dump};
use crate::load::{self, Files, LoadOptions, Written};
use crate::rules::{Rule, RuleSet};
use crate::source::Sources;

/// What compiling depends on beside the files.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The variables that `${NAME}` stands for.
    pub env: BTreeMap<String, String>,
    /// The families that listeners are opened for.
    pub families: Families,
    /// Makes a variable that is not set a warning.
    pub allow_unset: bool,
}

/// The address families that listeners are opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Families {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
}

impl Default for Families {
    fn default() -> Self {
        Self { ipv4: true, ipv6: true }
    }
}

impl Families {
    fn allow(self, address: SocketAddr) -> bool {
        if address.is_ipv4() { self.ipv4 } else { self.ipv6 }
    }
}

/// What a configuration compiles to.
#[derive(Debug)]
pub struct Compiled {
    /// The graph; none if and only if there is an error among the diagnostics.
    pub graph: Option<FlowGraph>,
    /// Everything there is to say, errors and warnings.
    pub diagnostics: Diagnostics,
    /// The files, for rendering the diagnostics.
    pub sources: Sources,
}

/// Compiles the files of a configuration directory. The same input gives the same output, byte
/// for byte.
pub fn compile(files: &Files, options: &Options) -> Compiled {
    let mut diagnostics = Diagnostics::default();
    let load_options = LoadOptions { allow_unset: options.allow_unset };
    let written = load::written(files, &options.env, load_options, &mut diagnostics);
    not_served(&written, &mut diagnostics);
    let late = merge::duplicates(&written.rules, &mut diagnostics);
    let expanded = expand::expand(&written, &late, &mut diagnostics);
    let groups = analyze::groups(&expanded.set.rules, options.families);
    analyze::shadow::report(&expanded.set.rules, &groups, &mut diagnostics);
    validate::check(&expanded, &groups, options.families, &mut diagnostics);
    let lowered = (!diagnostics.has_errors()).then(|| lower::lower(&expanded.set.rules, &groups));
    drop(groups);
    let graph =
        lowered.map(|lowered| assemble(expanded.set, lowered, options.families, &written.sources));
    Compiled { graph, diagnostics, sources: written.sources }
}

fn not_served(written: &Written, diagnostics: &mut Diagnostics) {
    if let Some(log) = &written.config.access_log {
        diagnostics
            .warning(
                Code::NotAvailable,
                log.span,
                "this version of vane does not write access logs yet",
            )
            .help("everything else is served");
    }
}

fn assemble(
    set: RuleSet,
    lowered: lower::Lowered,
    families: Families,
    sources: &Sources,
) -> FlowGraph {
    let rules = set.rules.into_iter().zip(&lowered.entries);
    let rules = rules.map(|(rule, &entry)| info(rule, entry, families, sources)).collect();
    let mut graph = FlowGraph {
        listeners: lowered.listeners,
        nodes: lowered.nodes,
        rules,
        upstreams: set.upstreams,
        trusted_proxies: set.trusted_proxies,
        hash: GraphHash([0; 32]),
    };
    graph.hash = dump::hash(&graph);
    graph
}

fn info(
    rule: Rule,
    entry: crate::graph::NodeId,
    families: Families,
    sources: &Sources,
) -> RuleInfo {
    let binds = rule.binds.iter().filter(|bind| families.allow(bind.address));
    let mut binds: Vec<_> = binds.map(|bind| (bind.transport, bind.address)).collect();
    binds.sort_unstable();
    binds.dedup();
    RuleInfo {
        layer: rule.layer(),
        name: rule.name,
        place: place(rule.span, sources),
        binds,
        alternatives: rule.alternatives,
        priority: rule.priority,
        max_body: rule.max_body,
        terminates_tls: rule.terminates_tls,
        entry,
    }
}

/// File and line.
fn place(span: crate::source::Span, sources: &Sources) -> Box<str> {
    let Some(file) = sources.get(span.file) else { return Box::default() };
    [file.path(), ":", &file.line_number(span.start).to_string()].concat().into()
}
