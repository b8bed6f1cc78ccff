//! Rules to nodes.
//!
//! Every edge leads to a node that was added earlier, so chains are built from their ends: the
//! least exact bucket of the least priority first. Buckets with the same rules and the same end
//! are one bucket.

mod chain;
mod hosts;
mod listener;
mod paths;

#[cfg(test)]
mod tests;

use crate::table::Table;

use crate::compile::analyze::Group;
use crate::compile::analyze::challenges::ChallengeSocket;
use crate::compile::analyze::order::Branch;
use crate::graph::{Listener, Node, NodeId, RuleId};
use crate::rules::Rule;

/// What the groups of listeners become.
pub(crate) struct Lowered {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) nodes: Vec<Node>,
    /// The [`Node::Rule`] of each rule.
    pub(crate) entries: Vec<NodeId>,
}

/// Builds the nodes of all listeners.
pub(crate) fn lower(
    rules: &[Rule],
    groups: &[Group<'_>],
    challenges: &[ChallengeSocket],
) -> Lowered {
    let mut builder = Builder::new(rules);
    let mut listeners: Vec<_> =
        groups.iter().flat_map(|group| listener::lower(group, &mut builder)).collect();
    let for_challenges = challenges.iter();
    listeners.extend(for_challenges.map(|socket| listener::for_challenges(socket, &mut builder)));
    listeners.sort_by_key(|listener| (listener.transport.as_str(), listener.address));
    Lowered { listeners, nodes: builder.nodes, entries: builder.entries }
}

/// Branches once for each of their keys, in the order in which buckets are built; those with the
/// same key as they were.
fn keyed<'b, 'r: 'b, K: Copy + 'b, T: Ord>(
    branches: impl Iterator<Item = &'b Branch<'r>>,
    keys: impl Fn(&'b Branch<'r>) -> &'b [K],
    turn: impl Fn(K) -> T,
) -> Vec<(K, &'b Branch<'r>)> {
    let each = |branch| keys(branch).iter().map(move |&key| (key, branch));
    let mut keyed: Vec<_> = branches.flat_map(each).collect();
    keyed.sort_by_key(|&(key, _)| turn(key));
    keyed
}

/// The branches of each bucket.
fn buckets<'k, 'b, 'r, K: Copy + PartialEq>(
    keyed: &'k [(K, &'b Branch<'r>)],
) -> impl Iterator<Item = (K, Vec<&'b Branch<'r>>)> + use<'k, 'b, 'r, K> {
    let buckets = keyed.chunk_by(|(one, _), (next, _)| one == next);
    buckets.map(|bucket| (bucket[0].0, bucket.iter().map(|&(_, branch)| branch).collect()))
}

/// The nodes so far.
struct Builder {
    nodes: Vec<Node>,
    /// The [`Node::Rule`] of each rule.
    entries: Vec<NodeId>,
    no_match: NodeId,
    /// Buckets that stand already, by their branches and by what follows them.
    buckets: Table<BucketKey, NodeId>,
}

/// The branches of a bucket, and where a flow goes on that none of them takes.
type BucketKey = (BucketKind, Vec<(RuleId, usize)>, NodeId);

/// How the branches of a bucket are asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum BucketKind {
    /// By their paths first.
    Paths,
    /// One after the other.
    Chain,
}

impl Builder {
    fn new(rules: &[Rule]) -> Self {
        let mut builder = Self {
            nodes: Vec::with_capacity(2 * rules.len()),
            entries: Vec::with_capacity(rules.len()),
            no_match: NodeId(0),
            buckets: Table::default(),
        };
        builder.no_match = builder.push(Node::NoMatch);
        for (id, rule) in (0..).map(RuleId).zip(rules) {
            let entry = builder.rule(id, rule);
            builder.entries.push(entry);
        }
        builder
    }

    fn push(&mut self, node: Node) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("fewer than 2^32 nodes"));
        self.nodes.push(node);
        id
    }

    fn rule(&mut self, rule: RuleId, meant: &Rule) -> NodeId {
        let action = self.push(Node::Action(meant.action.clone()));
        let next = meant.middleware.iter().rev().fold(action, |next, middleware| {
            self.push(Node::Middleware { middleware: middleware.clone(), next })
        });
        self.push(Node::Rule { rule, next })
    }

    fn entry(&self, rule: RuleId) -> NodeId {
        self.entries[rule.0 as usize]
    }
}
