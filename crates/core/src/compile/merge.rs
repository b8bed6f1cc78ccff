//! Names are unique among all rules, also those that presets make.

use std::collections::HashSet;

use crate::table::Table;

use crate::compile::expand::redirect_name;
use crate::config::Rule;
use crate::diagnostic::Diagnostics;
use crate::diagnostic::code::Code;
use crate::source::{Span, Spanned};
use crate::value::name::RuleName;

/// Reports names that stand twice. Gives the places in `rules` of those that came too late.
pub(crate) fn duplicates(
    rules: &[Spanned<Box<Rule>>],
    diagnostics: &mut Diagnostics,
) -> HashSet<usize> {
    let mut first: Table<RuleName, Named> = Table::default();
    let mut late = HashSet::new();
    for (at, rule) in rules.iter().enumerate() {
        for (name, named) in names(&rule.value) {
            match first.get(&name) {
                Some(other) => {
                    report(&name, &named, other, diagnostics);
                    late.insert(at);
                }
                None => {
                    first.insert(name, named);
                }
            }
        }
    }
    late
}

/// Where a name comes from.
struct Named {
    span: Span,
    /// A preset made it.
    derived: bool,
}

fn names(rule: &Rule) -> Vec<(RuleName, Named)> {
    let Spanned { value: name, span } = &rule.name;
    let mut names = vec![(name.clone(), Named { span: *span, derived: false })];
    if rule.site.is_some() {
        let redirect = redirect_name(name).ok();
        names.extend(redirect.map(|name| (name, Named { span: *span, derived: true })));
    }
    names
}

fn report(name: &RuleName, again: &Named, first: &Named, diagnostics: &mut Diagnostics) {
    let made = format!("this `site` makes a rule `{name}` as well");
    let label = |named: &Named, plain: &str| match named.derived {
        true => made.clone(),
        false => plain.to_owned(),
    };
    diagnostics
        .error(Code::DuplicateName, again.span, format!("two rules are named `{name}`"))
        .label(label(again, "the second one"))
        .secondary(first.span, label(first, "the first one"))
        .help("names are unique in all files together; rename one of them");
}
