//! Names are unique among all rules, also those that presets make.

use std::borrow::Cow;
use std::collections::HashSet;
use std::iter;

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
    let mut first: Table<Cow<'_, RuleName>, Named> = Table::default();
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

fn names(rule: &Rule) -> impl Iterator<Item = (Cow<'_, RuleName>, Named)> {
    let Spanned { value: name, span } = &rule.name;
    let redirect = rule.site.as_ref().and_then(|_| redirect_name(name).ok());
    let own = (Cow::Borrowed(name), Named { span: *span, derived: false });
    let derived = redirect.map(|name| (Cow::Owned(name), Named { span: *span, derived: true }));
    iter::once(own).chain(derived)
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
