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
    /// The port that certificate authorities reach `http-01` challenges through.
    pub acme_http_port: AcmeHttpPort,
}

/// The port of `http-01` challenges: 80, but where another one stands behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcmeHttpPort(pub u16);

impl Default for AcmeHttpPort {
    fn default() -> Self {
        Self(80)
    }
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
    validate::check(&expanded, &groups, options, &mut diagnostics);
    let challenges = analyze::challenges::listeners(&expanded.set.certificates, &groups, options);
    let lowered = (!diagnostics.has_errors())
        .then(|| lower::lower(&expanded.set.rules, &groups, &challenges));
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
        certificates: set.certificates,
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
        tls: rule.tls,
        entry,
    }
}

/// File and line.
fn place(span: crate::source::Span, sources: &Sources) -> Box<str> {
    let Some(file) = sources.get(span.file) else { return Box::default() };
    [file.path(), ":", &file.line_number(span.start).to_string()].concat().into()
}
