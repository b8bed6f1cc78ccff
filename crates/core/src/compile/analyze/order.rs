//! The order in which the rules of one listener are asked.
//!
//! A rule is taken apart into branches, one for each alternative of its `match`. A branch has
//! keys, the names and paths that a lookup can decide, and a rest that has to be asked one by
//! one. Most decisive first: larger `priority`; exact host, then `*.` wildcard, then longer and
//! shorter suffix, then none; exact path, then longer and shorter prefix, then any other question
//! about the path, then none; more predicates before fewer; then file and position.

use std::cmp::Reverse;

use crate::compile::analyze::layer::Phase;
use crate::graph::RuleId;
use crate::rules::condition::{Condition, Predicate, Test};
use crate::rules::{Conjunction, Rule};
use crate::value::field::Field;
use crate::value::host_pattern::HostPattern;

/// A set of names that one lookup decides. Sorts from more to less exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum HostKey<'r> {
    /// This name.
    Exact(&'r str),
    /// One label more than this.
    OneLabel(&'r str),
    /// Any number of labels more than this.
    Suffix(&'r str),
    /// Every name, and none at all.
    Any,
}

/// A set of paths that one lookup decides. Sorts from more to less exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum PathKey<'r> {
    /// This path.
    Exact(&'r str),
    /// This path and those below it; without a trailing `/`, so the root is empty.
    Prefix(&'r str),
    /// Whatever the rest asks about the path.
    Other,
    /// Every path.
    Any,
}

/// One alternative of one rule.
#[derive(Debug, Clone)]
pub(crate) struct Branch<'r> {
    pub(crate) rule: RuleId,
    pub(crate) alternative: usize,
    pub(crate) priority: i64,
    /// Sorted, no two alike.
    pub(crate) hosts: Vec<HostKey<'r>>,
    /// Sorted, no two alike.
    pub(crate) paths: Vec<PathKey<'r>>,
    /// What the keys leave to ask.
    pub(crate) rest: Vec<&'r Condition>,
    /// How many questions the alternative has in all.
    predicates: usize,
}

impl<'r> Branch<'r> {
    /// The branches of a rule.
    pub(crate) fn all(id: RuleId, rule: &'r Rule, phase: Phase) -> impl Iterator<Item = Self> {
        let alternatives = rule.alternatives.iter().enumerate();
        alternatives.map(move |(alternative, conjunction)| Self {
            alternative,
            priority: rule.priority,
            ..Self::of(id, conjunction, phase)
        })
    }

    /// Where it stands among branches with the same keys.
    pub(crate) fn turn(&self) -> impl Ord + use<> {
        (Reverse(self.priority), Reverse(self.predicates), self.rule, self.alternative)
    }

    fn of(rule: RuleId, conjunction: &'r Conjunction, phase: Phase) -> Self {
        let mut rest: Vec<_> = conjunction.conditions.iter().collect();
        let predicates = rest.iter().copied().map(leaves).sum();
        let host_field = if phase == Phase::Http { Field::HttpHost } else { Field::TlsSni };
        let mentions_path = rest.iter().any(|condition| mentions_path(condition));
        let hosts = take_keys(&mut rest, |condition| host_keys(condition, &host_field));
        let paths = take_keys(&mut rest, path_keys);
        let other = if mentions_path { PathKey::Other } else { PathKey::Any };
        Self {
            rule,
            alternative: 0,
            priority: 0,
            hosts: hosts.unwrap_or_else(|| vec![HostKey::Any]),
            paths: paths.unwrap_or_else(|| vec![other]),
            rest,
            predicates,
        }
    }
}

/// Takes the first condition out of `rest` that is nothing but keys.
fn take_keys<'r, K: Ord>(
    rest: &mut Vec<&'r Condition>,
    keys: impl Fn(&'r Condition) -> Option<Vec<K>>,
) -> Option<Vec<K>> {
    let (at, mut found) =
        rest.iter().enumerate().find_map(|(at, condition)| Some((at, keys(condition)?)))?;
    rest.remove(at);
    found.sort();
    found.dedup();
    Some(found)
}

fn host_keys<'r>(condition: &'r Condition, field: &Field) -> Option<Vec<HostKey<'r>>> {
    match condition {
        Condition::Test(predicate) if predicate.field == *field => match &predicate.test {
            Test::Host(patterns) => Some(patterns.iter().map(host_key).collect()),
            Test::Suffix(suffix) => suffix_key(suffix).map(|key| vec![key]),
            _ => None,
        },
        Condition::Any(inner) => every(inner, |each| host_keys(each, field)),
        _ => None,
    }
}

fn host_key(pattern: &HostPattern) -> HostKey<'_> {
    match pattern {
        HostPattern::Exact(name) => HostKey::Exact(name),
        HostPattern::OneLabel(parent) => HostKey::OneLabel(parent),
    }
}

/// A suffix that starts at a label boundary.
fn suffix_key(suffix: &str) -> Option<HostKey<'_>> {
    suffix.strip_prefix('.').filter(|parent| !parent.is_empty()).map(HostKey::Suffix)
}

fn path_keys(condition: &Condition) -> Option<Vec<PathKey<'_>>> {
    match condition {
        Condition::Test(Predicate { field: Field::HttpPath, test }) => match test {
            Test::OneOf(paths) => Some(paths.iter().map(|path| PathKey::Exact(path)).collect()),
            Test::PathPrefix(prefix) => Some(vec![PathKey::Prefix(prefix.trim_end_matches('/'))]),
            _ => None,
        },
        Condition::Any(inner) => every(inner, path_keys),
        _ => None,
    }
}

/// The keys of all, where each has some.
fn every<'r, K>(
    inner: &'r [Condition],
    keys: impl Fn(&'r Condition) -> Option<Vec<K>>,
) -> Option<Vec<K>> {
    let all: Option<Vec<_>> = inner.iter().map(keys).collect();
    all.map(|all| all.into_iter().flatten().collect())
}

fn leaves(condition: &Condition) -> usize {
    match condition {
        Condition::Test(_) => 1,
        Condition::All(inner) | Condition::Any(inner) => inner.iter().map(leaves).sum(),
        Condition::Not(inner) => leaves(inner),
    }
}

fn mentions_path(condition: &Condition) -> bool {
    match condition {
        Condition::Test(predicate) => predicate.field == Field::HttpPath,
        Condition::All(inner) | Condition::Any(inner) => inner.iter().any(mentions_path),
        Condition::Not(inner) => mentions_path(inner),
    }
}
