//! What would change if one graph took the place of another.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::graph::dump::{self, words};
use crate::graph::{FlowGraph, Listener, RuleInfo};
use crate::rules::tls::CertificateSource;
use crate::rules::upstream::Upstream;

/// The difference between two graphs, in names. Every list is sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Sockets, as `tcp 0.0.0.0:443`; a listener that gains or loses TLS counts as changed.
    pub listeners: Changes,
    /// Rules; one that means something else under its old name counts as changed. Moving a rule
    /// within the files changes nothing here.
    pub rules: Changes,
    /// Certificates; one that comes from somewhere else counts as changed.
    pub certificates: Changes,
    /// Upstreams; one with other servers or weights counts as changed.
    pub upstreams: Changes,
    /// Whether the peers whose forwarded headers count are others.
    pub trusted_proxies: bool,
    /// Whether rules that are equally exact are asked in another order.
    pub order: bool,
}

/// Names that stay, come, go, or mean something else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// On both sides, and the same.
    pub kept: Vec<String>,
    /// On the new side only.
    pub added: Vec<String>,
    /// On the old side only.
    pub removed: Vec<String>,
    /// On both sides, and not the same.
    pub changed: Vec<String>,
}

impl Changes {
    /// Whether everything stays as it is.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// Compares a graph with the one that it would replace; with none, everything is added.
pub fn plan(old: Option<&FlowGraph>, new: &FlowGraph) -> Plan {
    let rules = changes(&old.map(rules).unwrap_or_default(), &rules(new));
    let listeners = changes(&old.map(listeners).unwrap_or_default(), &listeners(new));
    let upstreams = changes(&old.map(upstreams).unwrap_or_default(), &upstreams(new));
    let certificates = changes(&old.map(certificates).unwrap_or_default(), &certificates(new));
    let trusted = old.map_or(&[][..], |old| &old.trusted_proxies);
    let parts = [&listeners, &rules, &certificates, &upstreams];
    let same = parts.into_iter().all(Changes::is_empty);
    let trusted_proxies = trusted != new.trusted_proxies;
    let order = same && !trusted_proxies && old.is_some_and(|old| old.hash != new.hash);
    Plan { listeners, rules, certificates, upstreams, trusted_proxies, order }
}

impl Plan {
    /// Whether the two graphs mean the same.
    pub fn is_empty(&self) -> bool {
        self.parts().iter().all(|(_, changes)| changes.is_empty())
            && !self.trusted_proxies
            && !self.order
    }

    /// For people: a line for each difference, `+` for what comes, `-` for what goes and `~` for
    /// what changes, and a last line that counts what stays.
    pub fn text(&self) -> String {
        if self.is_empty() {
            return "nothing changes\n".to_owned();
        }
        let mut text = String::new();
        for (what, changes) in self.parts() {
            let marked = [('+', &changes.added), ('-', &changes.removed), ('~', &changes.changed)];
            for (mark, name) in marked
                .into_iter()
                .flat_map(|(mark, names)| names.iter().map(move |name| (mark, name)))
            {
                writeln!(text, "{mark} {what} {name}").expect("a String takes every write");
            }
        }
        if self.trusted_proxies {
            text.push_str("~ trusted proxies\n");
        }
        if self.order {
            text.push_str("~ order of rules\n");
        }
        let kept = self.parts().map(|(what, changes)| words::count(changes.kept.len(), what));
        writeln!(text, "{} stay", kept.join(", ")).expect("a String takes every write");
        text
    }

    /// For tools: `{listeners, rules, certificates, upstreams, trusted_proxies, order, empty}`,
    /// where the first four are `{kept, added, removed, changed}`, lists of names.
    pub fn json(&self) -> Value {
        let mut object = json!({ "empty": self.is_empty() });
        for (what, changes) in self.parts() {
            object[format!("{what}s")] = json!({
                "kept": changes.kept,
                "added": changes.added,
                "removed": changes.removed,
                "changed": changes.changed,
            });
        }
        object["trusted_proxies"] = self.trusted_proxies.into();
        object["order"] = self.order.into();
        object
    }

    fn parts(&self) -> [(&'static str, &Changes); 4] {
        [
            ("listener", &self.listeners),
            ("rule", &self.rules),
            ("certificate", &self.certificates),
            ("upstream", &self.upstreams),
        ]
    }
}

fn changes<T: PartialEq>(old: &BTreeMap<String, T>, new: &BTreeMap<String, T>) -> Changes {
    let mut changes = Changes::default();
    for (name, meaning) in new {
        let into = match old.get(name) {
            None => &mut changes.added,
            Some(before) if before == meaning => &mut changes.kept,
            Some(_) => &mut changes.changed,
        };
        into.push(name.clone());
    }
    changes.removed = old.keys().filter(|name| !new.contains_key(*name)).cloned().collect();
    changes
}

fn rules(graph: &FlowGraph) -> BTreeMap<String, String> {
    let named = |rule: &RuleInfo| (rule.name.to_string(), dump::rule_meaning(graph, rule));
    graph.rules.iter().map(named).collect()
}

fn listeners(graph: &FlowGraph) -> BTreeMap<String, bool> {
    let named = |listener: &Listener| {
        (format!("{} {}", listener.transport, listener.address), listener.tls.is_some())
    };
    graph.listeners.iter().map(named).collect()
}

fn certificates(graph: &FlowGraph) -> BTreeMap<String, &CertificateSource> {
    let all = graph.certificates.iter();
    all.map(|certificate| (certificate.name.to_string(), &certificate.source)).collect()
}

fn upstreams(graph: &FlowGraph) -> BTreeMap<String, &Upstream> {
    graph.upstreams.iter().map(|upstream| (upstream.name.to_string(), upstream)).collect()
}
