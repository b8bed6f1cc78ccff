//! What has to hold between rules, and between them and this machine.

use std::collections::HashSet;

use crate::compile::Families;
use crate::compile::analyze::order::{Branch, HostKey};
use crate::compile::analyze::{Group, Socket};
use crate::compile::expand::{Expanded, TlsNote};
use crate::diagnostic::Diagnostics;
use crate::diagnostic::code::Code;
use crate::graph::RuleId;
use crate::rules::{Bind, Rule};
use crate::value::host_pattern::HostPattern;

/// Reports what cannot be served together, or not here.
pub(crate) fn check(
    expanded: &Expanded,
    groups: &[Group<'_>],
    families: Families,
    diagnostics: &mut Diagnostics,
) {
    suppressed(&expanded.set.rules, families, diagnostics);
    tls_listeners(expanded, groups, diagnostics);
    let mut reported = HashSet::new();
    for group in groups.iter().filter(|group| group.terminates_tls) {
        certificates(expanded, group, &mut reported, diagnostics);
    }
    if groups.is_empty() && !expanded.set.rules.is_empty() {
        diagnostics
            .general(Code::EmptyConfig, "no rule has a listener left")
            .help("allow a family of addresses again with `VANE_BIND_IPV4` or `VANE_BIND_IPV6`");
    }
}

fn suppressed(rules: &[Rule], families: Families, diagnostics: &mut Diagnostics) {
    let explicit = rules.iter().flat_map(|rule| &rule.binds).filter(|bind| !bind.expanded);
    for bind in explicit.filter(|bind| !families.allow(bind.address)) {
        let (family, variable) = match bind.address.is_ipv4() {
            true => ("IPv4", "VANE_BIND_IPV4"),
            false => ("IPv6", "VANE_BIND_IPV6"),
        };
        let port = bind.address.port();
        diagnostics
            .error(Code::FamilySuppressed, bind.span, format!("{family} is switched off here"))
            .label(format!("`{variable}=0` allows no such listener"))
            .help(format!("write `:{port}` for whatever family is on, or unset `{variable}`"));
    }
}

/// One warning for each address as it is written.
fn tls_listeners(expanded: &Expanded, groups: &[Group<'_>], diagnostics: &mut Diagnostics) {
    let mut seen = HashSet::new();
    let secure = groups.iter().filter(|group| group.terminates_tls);
    for socket in secure.flat_map(|group| &group.sockets) {
        let Some(bind) = first_tls_bind(expanded, socket) else { continue };
        if seen.insert(bind.written) {
            let message = format!(
                "this version of vane does not open listeners that terminate TLS yet: `{}`",
                bind.written
            );
            diagnostics
                .warning(Code::NotAvailable, bind.span, message)
                .label("nothing answers here")
                .help("the rest of the configuration is served");
        }
    }
}

fn first_tls_bind<'r>(expanded: &'r Expanded, socket: &Socket<'_>) -> Option<&'r Bind> {
    let rules = expanded.set.rules.iter().filter(|rule| rule.terminates_tls);
    let mut binds = rules.flat_map(|rule| &rule.binds);
    binds.find(|bind| bind.address == socket.address && bind.transport == socket.transport)
}

/// A handshake is refused when no certificate serves its name, so a rule without `tls` has to lie
/// within the names of those with it.
fn certificates(
    expanded: &Expanded,
    group: &Group<'_>,
    reported: &mut HashSet<RuleId>,
    diagnostics: &mut Diagnostics,
) {
    let note = |branch: &Branch<'_>| expanded.notes[branch.rule.0 as usize].tls.as_ref();
    let notes: Vec<_> = group.http.iter().filter_map(note).collect();
    if notes.is_empty() || notes.iter().any(|note| note.default || note.names.is_empty()) {
        return;
    }
    let names = Names::of(&notes);
    for branches in by_rule(&group.http) {
        let rule = branches[0].rule;
        let bare = note(branches[0]).is_none();
        if bare && branches.iter().all(|branch| names.miss(branch)) && reported.insert(rule) {
            report(&expanded.set.rules[rule.0 as usize], notes[0], diagnostics);
        }
    }
}

fn by_rule<'b, 'r>(branches: &'b [Branch<'r>]) -> Vec<Vec<&'b Branch<'r>>> {
    let mut sorted: Vec<_> = branches.iter().collect();
    sorted.sort_by_key(|branch| branch.rule);
    sorted.chunk_by(|one, next| one.rule == next.rule).map(<[_]>::to_vec).collect()
}

/// The names of all certificates of a listener.
struct Names<'n>(HashSet<&'n HostPattern>);

impl<'n> Names<'n> {
    fn of(notes: &[&'n TlsNote]) -> Self {
        Self(notes.iter().flat_map(|note| &note.names).collect())
    }

    /// Whether a branch asks for hosts that are all served by no certificate.
    fn miss(&self, branch: &Branch<'_>) -> bool {
        branch.hosts.iter().all(|host| match host {
            HostKey::Exact(name) => !self.serve(name),
            HostKey::OneLabel(_) | HostKey::Suffix(_) | HostKey::Any => false,
        })
    }

    fn serve(&self, name: &str) -> bool {
        let parent = name.split_once('.').map(|(_, parent)| HostPattern::OneLabel(parent.into()));
        self.0.contains(&HostPattern::Exact(name.into()))
            || parent.is_some_and(|parent| self.0.contains(&parent))
    }
}

fn report(rule: &Rule, note: &TlsNote, diagnostics: &mut Diagnostics) {
    let message = format!(
        "rule `{}` has no `tls`, and its listener has no certificate for its hosts",
        rule.name
    );
    diagnostics
        .error(Code::MixedListener, rule.span, message)
        .label("no handshake for these hosts succeeds")
        .secondary(note.span, "this makes the listener terminate TLS")
        .help("give the rule a `tls` of its own, add its hosts to `names`, or move it to another listener");
}
