//! What has to hold between rules, and between them and this machine.

mod challenges;
mod tls;

use crate::compile::analyze::Group;
use crate::compile::expand::Expanded;
use crate::compile::{Families, Options};
use crate::diagnostic::Diagnostics;
use crate::diagnostic::code::Code;
use crate::rules::Rule;

/// Reports what cannot be served together, or not here.
pub(crate) fn check(
    expanded: &Expanded,
    groups: &[Group<'_>],
    options: &Options,
    diagnostics: &mut Diagnostics,
) {
    let families = options.families;
    suppressed(&expanded.set.rules, families, diagnostics);
    tls::check(expanded, groups, diagnostics);
    challenges::check(expanded, groups, options.acme_http_port.0, diagnostics);
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
