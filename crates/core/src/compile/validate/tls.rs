//! What has to hold of listeners that terminate TLS.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::compile::analyze::Group;
use crate::compile::analyze::order::{Branch, HostKey};
use crate::compile::expand::Expanded;
use crate::diagnostic::Diagnostics;
use crate::diagnostic::code::Code;
use crate::graph::{ListenerTls, RuleId};
use crate::rules::Rule;
use crate::rules::tls::{CertificateSource, Managed, Serving};
use crate::source::Span;
use crate::value::host_pattern::HostPattern;

pub(super) fn check(expanded: &Expanded, groups: &[Group<'_>], diagnostics: &mut Diagnostics) {
    let mut checker = Checker { expanded, reported: HashSet::new(), diagnostics };
    for group in groups {
        match &group.tls {
            Some(tls) => {
                checker.conflicts(group);
                checker.covered(group, tls);
            }
            None => checker.never_decrypted(group),
        }
    }
    checker.ordered_twice();
}

struct Checker<'a> {
    expanded: &'a Expanded,
    reported: HashSet<RuleId>,
    diagnostics: &'a mut Diagnostics,
}

impl<'a> Checker<'a> {
    fn rule(&self, id: RuleId) -> &'a Rule {
        &self.expanded.set.rules[id.0 as usize]
    }

    fn span(&self, id: RuleId) -> Span {
        self.expanded.notes[id.0 as usize].tls.unwrap_or_else(|| self.rule(id).span)
    }

    /// One name has one certificate, and one way to serve it. Managed certificates are the
    /// exception: which of them serves a name that both have does not matter to anybody.
    fn conflicts(&mut self, group: &Group<'_>) {
        let mut named: HashMap<Option<&HostPattern>, (&Serving, RuleId)> = HashMap::new();
        for id in rules_of(group) {
            let Some(tls) = &self.rule(id).tls else { continue };
            let default = tls.default.then_some(None);
            for name in tls.names.iter().map(Some).chain(default) {
                let (first, by) = *named.entry(name).or_insert((&tls.serving, id));
                if !self.agree(first, &tls.serving) && self.reported.insert(id) {
                    self.conflict(name, by, id);
                }
            }
        }
    }

    fn agree(&self, one: &Serving, other: &Serving) -> bool {
        let managed = |serving: &Serving| {
            let certificate = &self.expanded.set.certificates[serving.certificate.0 as usize];
            matches!(certificate.source, CertificateSource::Acme(_))
        };
        let same = one.certificate == other.certificate || (managed(one) && managed(other));
        same && one.min_version == other.min_version && one.client_auth == other.client_auth
    }

    fn conflict(&mut self, name: Option<&HostPattern>, first: RuleId, second: RuleId) {
        let what = name.map_or("any other name".to_owned(), |name| format!("`{name}`"));
        let message = format!("handshakes for {what} are already served in another way here");
        let (at, before) = (self.span(second), self.span(first));
        self.diagnostics
            .error(Code::CertificateConflict, at, message)
            .secondary(before, "by this")
            .help("rules that share a listener and a name share certificate, `min_version` and `client_auth`; write the same `tls` in both, or in one of them only");
    }

    /// Managed certificates for the same names from the same authority are one, wherever they
    /// serve: it is ordered once, and in one way.
    fn ordered_twice(&mut self) {
        let set = &self.expanded.set;
        let mut known = HashMap::new();
        for (id, rule) in (0..).map(RuleId).zip(&set.rules) {
            let Some(certificate) = rule.tls.as_ref().map(|tls| tls.serving.certificate) else {
                continue;
            };
            let source = &set.certificates[certificate.0 as usize].source;
            let CertificateSource::Acme(managed) = source else { continue };
            let (first, by) = *known.entry(identity(managed)).or_insert((certificate, id));
            if first != certificate && self.reported.insert(id) {
                self.managed_otherwise(&managed.names[0], by, id);
            }
        }
    }

    fn managed_otherwise(&mut self, name: &HostPattern, first: RuleId, second: RuleId) {
        let message = format!("the certificate for `{name}` is already managed in another way");
        let (at, before) = (self.span(second), self.span(first));
        self.diagnostics
            .error(Code::CertificateConflict, at, message)
            .label("the same names from the same authority")
            .secondary(before, "by this, with other settings")
            .help("such a certificate is ordered once for all rules; write the same `acme` in both, or leave it to `config.json`");
    }

    /// A handshake is refused when no certificate serves its name, so a rule without `tls` has to
    /// lie within the names of those with it.
    fn covered(&mut self, group: &Group<'_>, tls: &ListenerTls) {
        if tls.default.is_some() || !tls.unnamed.is_empty() {
            return;
        }
        let names = Names(tls.named.iter().map(|(name, _)| name).collect());
        for branches in by_rule(&group.http) {
            let rule = branches[0].rule;
            let bare = self.rule(rule).tls.is_none();
            let missed = branches.iter().all(|branch| names.miss(branch));
            if bare && missed && self.reported.insert(rule) {
                self.uncovered(rule, group);
            }
        }
    }

    fn uncovered(&mut self, id: RuleId, group: &Group<'_>) {
        let rule = self.rule(id);
        let message = format!(
            "rule `{}` has no `tls`, and its listener has no certificate for its hosts",
            rule.name
        );
        let asks = rules_of(group).into_iter().find(|id| self.rule(*id).tls.is_some());
        let terminates = self.span(asks.unwrap_or(id));
        self.diagnostics
            .error(Code::MixedListener, rule.span, message)
            .label("no handshake for these hosts succeeds")
            .secondary(terminates, "this makes the listener terminate TLS")
            .help("give the rule a `tls` of its own, add its hosts to `names`, or move it to another listener");
    }

    fn never_decrypted(&mut self, group: &Group<'_>) {
        for branch in &group.decrypted {
            let rule = self.rule(branch.rule);
            if self.reported.insert(branch.rule) {
                let message = format!("rule `{}` asks about a TLS handshake", rule.name);
                self.diagnostics
                    .error(Code::LayerConflict, rule.span, message)
                    .label("no rule of its listener terminates TLS")
                    .help("give a rule of the listener a `tls`, or ask about `tls.sni` and `tls.alpn`, which need no certificate");
            }
        }
    }
}

/// What a managed certificate is stored by.
fn identity(managed: &Managed) -> impl Eq + Hash + use<'_> {
    (&managed.names, &managed.account.directory, managed.key_type, &managed.profile)
}

/// The rules of a listener in the order of files and places.
fn rules_of(group: &Group<'_>) -> Vec<RuleId> {
    let branches = group.raw.iter().chain(&group.decrypted).chain(&group.http);
    let mut rules: Vec<_> = branches.map(|branch| branch.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

fn by_rule<'b, 'r>(branches: &'b [Branch<'r>]) -> Vec<Vec<&'b Branch<'r>>> {
    let mut sorted: Vec<_> = branches.iter().collect();
    sorted.sort_by_key(|branch| branch.rule);
    sorted.chunk_by(|one, next| one.rule == next.rule).map(<[_]>::to_vec).collect()
}

/// The names of all certificates of a listener.
struct Names<'n>(HashSet<&'n HostPattern>);

impl Names<'_> {
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
