//! Whether one condition holds whenever another does. `false` may also mean: not found out.

use crate::graph::evaluate;
use crate::rules::condition::{Condition, Predicate, Test};
use crate::value::field::Field;
use crate::value::host_pattern::HostPattern;

/// Whether every condition of `wide` holds wherever all of `narrow` hold.
pub(crate) fn all_imply(narrow: &[&Condition], wide: &[&Condition]) -> bool {
    let mut fuel = FUEL;
    wide.iter().all(|wide| narrow.iter().any(|narrow| implies(narrow, wide, &mut fuel)))
}

fn implies(narrow: &Condition, wide: &Condition, fuel: &mut u32) -> bool {
    let Some(left) = fuel.checked_sub(1) else { return false };
    *fuel = left;
    match (narrow, wide) {
        (Condition::Test(narrow), Condition::Test(wide)) => test_implies(narrow, wide, fuel),
        (Condition::Not(narrow), Condition::Not(wide)) => implies(wide, narrow, fuel),
        (_, Condition::All(wide)) => wide.iter().all(|wide| implies(narrow, wide, fuel)),
        (Condition::Any(narrow), _) => narrow.iter().all(|narrow| implies(narrow, wide, fuel)),
        (_, Condition::Any(wide)) => wide.iter().any(|wide| implies(narrow, wide, fuel)),
        (Condition::All(narrow), _) => narrow.iter().any(|narrow| implies(narrow, wide, fuel)),
        (Condition::Not(_), Condition::Test(_)) | (Condition::Test(_), Condition::Not(_)) => false,
    }
}

fn test_implies(narrow: &Predicate, wide: &Predicate, fuel: &mut u32) -> bool {
    if narrow.field != wide.field {
        return false;
    }
    match (&narrow.test, &wide.test) {
        (Test::Exists(narrow), Test::Exists(wide)) => narrow == wide,
        (Test::Exists(_), _) => false,
        (_, Test::Exists(wide)) => *wide,
        (Test::Cidr(narrow), Test::Cidr(wide)) => {
            each_in(narrow, wide, fuel, |narrow, wide| wide.contains(narrow))
        }
        (Test::Address(narrow), Test::Cidr(wide)) => {
            each_in(narrow, wide, fuel, |narrow, wide| wide.contains(narrow))
        }
        (Test::Address(narrow), Test::Address(wide)) => each_in(narrow, wide, fuel, PartialEq::eq),
        (Test::Port(narrow), Test::Port(wide)) => each_in(narrow, wide, fuel, PartialEq::eq),
        (Test::Host(narrow), Test::Host(wide)) => each_in(narrow, wide, fuel, host_covers),
        _ => text_implies(narrow, &wide.test, fuel),
    }
}

fn text_implies(narrow: &Predicate, wide: &Test, fuel: &mut u32) -> bool {
    match (&narrow.test, wide) {
        (Test::OneOf(texts), Test::OneOf(wide)) => each_in(texts, wide, fuel, PartialEq::eq),
        (Test::OneOf(texts), wide) => all_pass(texts, wide, &narrow.field, fuel),
        (Test::Prefix(narrow), Test::Prefix(wide)) => narrow.starts_with(&**wide),
        (Test::Suffix(narrow), Test::Suffix(wide)) => narrow.ends_with(&**wide),
        (Test::PathPrefix(_), Test::PathPrefix(_)) => below(narrow, wide),
        (Test::Prefix(part) | Test::Suffix(part) | Test::Contains(part), Test::Contains(wide)) => {
            part.contains(&**wide)
        }
        (narrow, wide) => narrow == wide,
    }
}

/// A prefix lies below another when, as a path, it passes that other's test.
fn below(narrow: &Predicate, wide: &Test) -> bool {
    let Test::PathPrefix(prefix) = &narrow.test else { return false };
    let path = if prefix.is_empty() { "/" } else { prefix };
    evaluate::text_passes(wide, &narrow.field, path)
}

fn all_pass(texts: &[Box<str>], wide: &Test, field: &Field, fuel: &mut u32) -> bool {
    spend(fuel, texts.len()) && texts.iter().all(|text| evaluate::text_passes(wide, field, text))
}

fn host_covers(narrow: &HostPattern, wide: &HostPattern) -> bool {
    match (narrow, wide) {
        (HostPattern::Exact(name), HostPattern::OneLabel(parent)) => {
            name.split_once('.').is_some_and(|(_, rest)| *rest == **parent)
        }
        (narrow, wide) => narrow == wide,
    }
}

fn each_in<N, W>(narrow: &[N], wide: &[W], fuel: &mut u32, covers: fn(&N, &W) -> bool) -> bool {
    spend(fuel, narrow.len().saturating_mul(wide.len()))
        && narrow.iter().all(|narrow| wide.iter().any(|wide| covers(narrow, wide)))
}

fn spend(fuel: &mut u32, comparisons: usize) -> bool {
    let left = u32::try_from(comparisons).ok().and_then(|cost| fuel.checked_sub(cost));
    *fuel = left.unwrap_or(0);
    left.is_some()
}

/// How many comparisons one question may cost before it counts as not found out.
const FUEL: u32 = 4096;
