//! Branches that are asked one after the other.

use crate::compile::analyze::order::Branch;
use crate::compile::lower::{BucketKind, Builder};
use crate::graph::{Node, NodeId};
use crate::rules::condition::Condition;

/// Builds the questions of each branch, from the last; a flow that none takes goes on at
/// `otherwise`.
pub(super) fn lower(branches: &[&Branch<'_>], otherwise: NodeId, builder: &mut Builder) -> NodeId {
    if branches.is_empty() {
        return otherwise;
    }
    let members = branches.iter().map(|branch| (branch.rule, branch.alternative)).collect();
    let key = (BucketKind::Chain, members, otherwise);
    if let Some(&known) = builder.buckets.get(&key) {
        return known;
    }
    let asked = asked(branches).iter().rev();
    let node = asked.fold(otherwise, |no, branch| questions(branch, no, builder));
    builder.buckets.insert(key, node);
    node
}

/// Nothing gets past a branch that has nothing to ask.
fn asked<'a, 'b, 'r>(branches: &'a [&'b Branch<'r>]) -> &'a [&'b Branch<'r>] {
    let last = branches.iter().position(|branch| branch.rest.is_empty());
    last.map_or(branches, |last| &branches[..=last])
}

/// Shallow layers first, so that a walk waits for as little as it can.
fn questions(branch: &Branch<'_>, no: NodeId, builder: &mut Builder) -> NodeId {
    let mut rest = branch.rest.clone();
    rest.sort_by_key(|condition| condition.layer());
    let rule = builder.entry(branch.rule);
    rest.into_iter().rev().fold(rule, |yes, condition| question(condition, yes, no, builder))
}

fn question(condition: &Condition, yes: NodeId, no: NodeId, builder: &mut Builder) -> NodeId {
    let layer = condition.layer();
    builder.push(Node::Test { condition: condition.clone(), layer, yes, no })
}
