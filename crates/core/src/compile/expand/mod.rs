//! What is written to what is meant: presets, defaults, typed operands.
//!
//! Messages never repeat a value that may have come from a variable; the quoted line shows it as
//! it is written.

mod action;
mod condition;
mod dns;
mod middleware;
mod operand;
mod rule;
mod site;
mod template;
mod tls;
mod upstream;

use std::collections::HashSet;

use crate::diagnostic::{Diagnostic, Diagnostics, code::Code};
use crate::load::Written;
use crate::rules::{Rule, RuleSet};
use crate::source::{Sources, Span};
use crate::value::suggest;

use self::tls::Certificates;
use self::upstream::Upstreams;

pub(crate) use self::site::redirect_name;

/// What the written configuration means, as far as it means anything.
#[derive(Default)]
pub(crate) struct Expanded {
    pub(crate) set: RuleSet,
    /// For each rule what only diagnostics need.
    pub(crate) notes: Vec<Notes>,
}

impl Expanded {
    fn add(&mut self, (rule, notes): Noted) {
        self.set.rules.push(rule);
        self.notes.push(notes);
    }
}

/// What is known of a rule beside its meaning.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Notes {
    /// Where the rule asks for TLS.
    pub(crate) tls: Option<Span>,
}

/// Expands every rule but those in `left_out`, by their place in `written`.
pub(crate) fn expand<'w>(
    written: &'w Written,
    left_out: &HashSet<usize>,
    diagnostics: &'w mut Diagnostics,
) -> Expanded {
    let mut ctx = Context {
        sources: &written.sources,
        diagnostics,
        upstreams: Upstreams::default(),
        certificates: Certificates::new(written.config.acme.as_ref().map(|acme| &acme.value)),
        incomplete: written.incomplete,
    };
    upstream::named(&written.config, &mut ctx);
    let acme = written.config.acme.as_ref();
    if let Some(dns) = acme.and_then(|acme| acme.value.dns.as_ref()) {
        ctx.certificates.shared_dns = dns::expand(dns, &mut ctx);
    }
    let mut expanded = Expanded::default();
    expanded.set.rules.reserve(written.rules.len());
    expanded.notes.reserve(written.rules.len());
    let kept = written.rules.iter().enumerate().filter(|(at, _)| !left_out.contains(at));
    for (_, rule) in kept {
        rule::expand(&rule.value, &mut expanded, &mut ctx);
    }
    let trusted = written.config.trusted_proxies.iter().flat_map(|list| &list.items);
    expanded.set.trusted_proxies = trusted.map(|cidr| cidr.value.network()).collect();
    expanded.set.certificates = ctx.certificates.shared_among(&mut expanded.set.rules);
    expanded.set.upstreams = ctx.upstreams.named_apart();
    expanded
}

/// A rule and what is known of it beside.
type Noted = (Rule, Notes);

/// What expanding needs beside the item.
struct Context<'a> {
    sources: &'a Sources,
    diagnostics: &'a mut Diagnostics,
    upstreams: Upstreams<'a>,
    certificates: Certificates<'a>,
    /// Something was left out, so what a name refers to may be there after all.
    incomplete: bool,
}

impl Context<'_> {
    fn error(&mut self, code: Code, at: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.diagnostics.error(code, at, message)
    }

    /// Refuses a part of the language that is not served yet.
    fn not_available(&mut self, at: Span, what: &str) -> &mut Diagnostic {
        self.error(Code::NotAvailable, at, format!("this version of vane does not {what} yet"))
    }

    /// The nearest of the words to one that is none of them. Suggestions end when problems
    /// flood, since each costs as much as there are words.
    fn nearest<'w>(&self, word: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
        (self.diagnostics.total() < MAX_SUGGESTIONS).then(|| suggest::nearest(word, words))?
    }

    /// Whether the text of a value may be shown: it is exactly as written.
    fn may_show(&self, at: Span) -> bool {
        !self.sources.text(at).contains("${")
    }
}

/// With more problems than this, no suggestion is looked for.
const MAX_SUGGESTIONS: usize = 100;
