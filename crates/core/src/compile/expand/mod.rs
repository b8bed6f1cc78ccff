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
mod upstream;

use std::collections::HashSet;

use crate::diagnostic::{Diagnostic, Diagnostics, code::Code};
use crate::load::Written;
use crate::rules::{Rule, RuleSet};
use crate::source::{Sources, Span};
use crate::value::host_pattern::HostPattern;
use crate::value::suggest;

use self::upstream::Upstreams;

pub(crate) use self::site::redirect_name;

/// What the written configuration means, as far as it means anything.
pub(crate) struct Expanded {
    pub(crate) set: RuleSet,
    /// For each rule what only diagnostics need.
    pub(crate) notes: Vec<Notes>,
}

/// What is known of a rule beside its meaning.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes {
    /// Where the rule asks for TLS.
    pub(crate) tls: Option<TlsNote>,
}

/// The certificate that a rule asks for.
#[derive(Debug, Clone)]
pub(crate) struct TlsNote {
    /// Where it does.
    pub(crate) span: Span,
    /// The names that the certificate serves.
    pub(crate) names: Vec<HostPattern>,
    /// Whether it is served when no name matches.
    pub(crate) default: bool,
}

/// Expands every rule but those in `left_out`, by their place in `written`.
pub(crate) fn expand(
    written: &Written,
    left_out: &HashSet<usize>,
    diagnostics: &mut Diagnostics,
) -> Expanded {
    let mut ctx = Context {
        sources: &written.sources,
        diagnostics,
        upstreams: Upstreams::default(),
        incomplete: written.incomplete,
    };
    upstream::named(&written.config, &mut ctx);
    let acme = written.config.acme.as_ref();
    if let Some(dns) = acme.and_then(|acme| acme.value.dns.as_ref()) {
        dns::expand(dns, &mut ctx);
    }
    let (mut rules, mut notes) = (Vec::new(), Vec::new());
    let kept = written.rules.iter().enumerate().filter(|(at, _)| !left_out.contains(at));
    for (_, rule) in kept {
        for (rule, note) in rule::expand(&rule.value, &mut ctx) {
            rules.push(rule);
            notes.push(note);
        }
    }
    let trusted = written.config.trusted_proxies.iter().flat_map(|list| &list.items);
    let trusted_proxies = trusted.map(|cidr| cidr.value.network()).collect();
    Expanded { set: RuleSet { rules, upstreams: ctx.upstreams.all, trusted_proxies }, notes }
}

/// A rule and what is known of it beside.
type Noted = (Rule, Notes);

/// What expanding needs beside the item.
struct Context<'a> {
    sources: &'a Sources,
    diagnostics: &'a mut Diagnostics,
    upstreams: Upstreams,
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
