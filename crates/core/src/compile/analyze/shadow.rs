//! Finds rules that can never match because rules in front of them take everything.
//!
//! Branches are taken in the order in which they are asked. Each is looked up among those before
//! it whose keys cover its own, and compared with a bounded number of them, so the cost stays
//! near linear. What is not found out counts as reachable: a warning is always true.

use crate::table::Table;

use crate::compile::analyze::Group;
use crate::compile::analyze::implies::all_imply;
use crate::compile::analyze::layer::Phase;
use crate::compile::analyze::order::{Branch, HostKey, PathKey};
use crate::diagnostic::Diagnostics;
use crate::diagnostic::code::Code;
use crate::graph::RuleId;
use crate::rules::Rule;
use crate::rules::condition::Condition;

/// Warns of every rule that nothing can reach, naming those in front of it.
pub(crate) fn report(rules: &[Rule], groups: &[Group<'_>], diagnostics: &mut Diagnostics) {
    let mut verdicts = vec![Verdict::default(); rules.len()];
    for group in groups {
        judge(group, &mut verdicts);
    }
    for (rule, verdict) in rules.iter().zip(&verdicts) {
        if !verdict.reachable && !verdict.behind.is_empty() {
            warn(rule, &verdict.behind, rules, diagnostics);
        }
    }
}

/// What is known of one rule.
#[derive(Debug, Clone, Default)]
struct Verdict {
    /// Some branch of it gets something on some listener.
    reachable: bool,
    /// The rules that take the rest.
    behind: Vec<RuleId>,
}

fn judge(group: &Group<'_>, verdicts: &mut [Verdict]) {
    let mut raw = Index::default();
    for branch in &group.raw {
        judge_branch(branch, &mut raw, verdicts);
    }
    let takes_all = raw.everything();
    let mut http = Index::default();
    for branch in &group.http {
        match takes_all {
            Some(in_front) => verdicts[branch.rule.0 as usize].take(branch.rule, in_front),
            None => judge_branch(branch, &mut http, verdicts),
        }
    }
}

fn judge_branch<'r>(branch: &'r Branch<'r>, index: &mut Index<'r>, verdicts: &mut [Verdict]) {
    let verdict = &mut verdicts[branch.rule.0 as usize];
    if branch.hosts.len().saturating_mul(branch.paths.len()) > MAX_KEYS {
        verdict.reachable = true;
        return;
    }
    for &host in &branch.hosts {
        for &path in &branch.paths {
            match index.in_front_of(branch, host, path) {
                Some(in_front) => verdict.take(branch.rule, in_front),
                None => {
                    verdict.reachable = true;
                    index.insert(branch, host, path);
                }
            }
        }
    }
}

impl Verdict {
    fn take(&mut self, rule: RuleId, in_front: RuleId) {
        if in_front != rule && !self.behind.contains(&in_front) && self.behind.len() < MAX_NAMED {
            self.behind.push(in_front);
        }
    }
}

/// The branches taken so far, by their keys.
#[derive(Default)]
struct Index<'r> {
    buckets: Table<(HostKey<'r>, PathKey<'r>), Bucket<'r>>,
    /// The largest priority of all.
    highest: Option<i64>,
}

/// Branches with the same keys.
#[derive(Default)]
struct Bucket<'r> {
    /// The first that asks nothing more.
    unconditional: Option<&'r Branch<'r>>,
    /// Those that ask more, as far as each newcomer is compared with them.
    near: Vec<&'r Branch<'r>>,
    /// The first of each rest among those beyond.
    far: Table<&'r [&'r Condition], &'r Branch<'r>>,
}

impl<'r> Index<'r> {
    fn insert(&mut self, branch: &'r Branch<'r>, host: HostKey<'r>, path: PathKey<'r>) {
        self.highest.get_or_insert(branch.priority);
        let bucket = self.buckets.entry((host, path)).or_default();
        if branch.rest.is_empty() {
            bucket.unconditional.get_or_insert(branch);
        } else if bucket.near.len() < MAX_COMPARED {
            bucket.near.push(branch);
        } else {
            bucket.far.entry(&branch.rest).or_insert(branch);
        }
    }

    /// Branches with the same keys were asked in the order of insertion; of those with wider
    /// keys, only a larger priority puts one in front.
    fn in_front_of(
        &self,
        branch: &Branch<'r>,
        host: HostKey<'r>,
        path: PathKey<'r>,
    ) -> Option<RuleId> {
        let own = self.buckets.get(&(host, path));
        own.and_then(|bucket| bucket.covers(branch, i64::MIN))
            .or_else(|| self.above(branch, host, path))
    }

    fn above(&self, branch: &Branch<'r>, host: HostKey<'r>, path: PathKey<'r>) -> Option<RuleId> {
        self.highest.filter(|&highest| highest > branch.priority)?;
        let least = branch.priority.checked_add(1)?;
        covering_hosts(host)
            .flat_map(|host| covering_paths(path).map(move |path| (host, path)))
            .filter_map(|keys| self.buckets.get(&keys))
            .find_map(|bucket| bucket.covers(branch, least))
    }

    /// The rule that takes whatever comes.
    fn everything(&self) -> Option<RuleId> {
        let bucket = self.buckets.get(&(HostKey::Any, PathKey::Any))?;
        bucket.unconditional.map(|branch| branch.rule)
    }
}

impl Bucket<'_> {
    /// The rule of a branch with at least this priority that takes all that `branch` would.
    fn covers(&self, branch: &Branch<'_>, least: i64) -> Option<RuleId> {
        let near = self.near.iter().filter(|in_front| all_imply(&branch.rest, &in_front.rest));
        let far = self.far.get(branch.rest.as_slice());
        self.unconditional
            .iter()
            .chain(near)
            .chain(far)
            .find(|in_front| in_front.priority >= least)
            .map(|in_front| in_front.rule)
    }
}

/// The keys whose names include all names of `host`, itself first.
fn covering_hosts(host: HostKey<'_>) -> impl Iterator<Item = HostKey<'_>> {
    let (one_label, parent) = match host {
        HostKey::Exact(name) => {
            let parent = name.split_once('.').map(|(_, parent)| parent);
            (parent.map(HostKey::OneLabel), parent)
        }
        HostKey::OneLabel(parent) => (None, Some(parent)),
        HostKey::Suffix(name) => (None, name.split_once('.').map(|(_, parent)| parent)),
        HostKey::Any => (None, None),
    };
    let parents = std::iter::successors(parent, |name| name.split_once('.').map(|(_, rest)| rest));
    let any = (host != HostKey::Any).then_some(HostKey::Any);
    [Some(host), one_label].into_iter().flatten().chain(parents.map(HostKey::Suffix)).chain(any)
}

/// The keys whose paths include all paths of `path`, itself first.
fn covering_paths(path: PathKey<'_>) -> impl Iterator<Item = PathKey<'_>> {
    let own = match path {
        PathKey::Exact(text) => Some(text.trim_end_matches('/')),
        PathKey::Prefix(text) => text.rfind('/').map(|end| &text[..end]),
        PathKey::Other | PathKey::Any => None,
    };
    let prefixes = std::iter::successors(own, |text| text.rfind('/').map(|end| &text[..end]));
    let any = (path != PathKey::Any).then_some(PathKey::Any);
    std::iter::once(path).chain(prefixes.map(PathKey::Prefix)).chain(any)
}

fn warn(rule: &Rule, behind: &[RuleId], rules: &[Rule], diagnostics: &mut Diagnostics) {
    let names: Vec<_> =
        behind.iter().map(|id| format!("`{}`", rules[id.0 as usize].name)).collect();
    let names = names.join(" and ");
    let message = format!(
        "rule `{}` can never match: {names} in front of it takes all that it would",
        rule.name
    );
    let warning = diagnostics.report(Code::UnreachableRule, rule.span, message);
    warning.label("nothing is left for this rule");
    for id in behind {
        warning.secondary(rules[id.0 as usize].span, "this one is asked first");
    }
    let raw = behind.iter().any(|id| Phase::of(&rules[id.0 as usize]) == Phase::Raw);
    let raw = raw && Phase::of(rule) == Phase::Http;
    warning.help(match raw {
        true => {
            format!("connections are asked about before requests; narrow the `match` of {names}")
        }
        false => format!(
            "narrow the `match` of {names}, give this one a higher `priority`, or remove it"
        ),
    });
}

/// A branch with more pairs of host and path than this is taken as reachable.
const MAX_KEYS: usize = 128;
/// How many branches of a bucket one branch is compared with.
const MAX_COMPARED: usize = 32;
/// How many rules a warning names.
const MAX_NAMED: usize = 3;
