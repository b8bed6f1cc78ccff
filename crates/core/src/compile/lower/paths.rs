//! The branches of one host, by their paths.

use crate::table::Table;

use crate::compile::analyze::order::{Branch, PathKey};
use crate::compile::lower::{BucketKind, Builder, buckets, chain, keyed};
use crate::graph::dispatch::{PathDispatch, PathTrie};
use crate::graph::{Node, NodeId};

/// Builds the bucket of each path, from the least exact, and the node that chooses among them.
pub(super) fn lower(branches: &[&Branch<'_>], otherwise: NodeId, builder: &mut Builder) -> NodeId {
    if branches.is_empty() {
        return otherwise;
    }
    let members = branches.iter().map(|branch| (branch.rule, branch.alternative)).collect();
    let key = (BucketKind::Paths, members, otherwise);
    if let Some(&known) = builder.buckets.get(&key) {
        return known;
    }
    let node = choose(branches, otherwise, builder);
    builder.buckets.insert(key, node);
    node
}

fn choose(branches: &[&Branch<'_>], otherwise: NodeId, builder: &mut Builder) -> NodeId {
    let keyed = keyed(branches.iter().copied(), |branch| &branch.paths, |key| (rank(key), key));
    let is_general = |key| matches!(key, PathKey::Any | PathKey::Other);
    let (general, named) = keyed.split_at(keyed.partition_point(|&(key, _)| is_general(key)));
    let otherwise = buckets(general)
        .fold(otherwise, |otherwise, (_, members)| chain::lower(&members, otherwise, builder));
    if named.is_empty() {
        return otherwise;
    }
    let mut dispatch =
        PathDispatch { exact: Table::default(), prefixes: PathTrie::new(), otherwise };
    for (key, members) in buckets(named) {
        let path = match key {
            PathKey::Exact(path) | PathKey::Prefix(path) => path,
            PathKey::Other | PathKey::Any => continue,
        };
        let behind = dispatch.prefixes.longest(path).unwrap_or(otherwise);
        let node = chain::lower(&members, behind, builder);
        if matches!(key, PathKey::Exact(_)) {
            dispatch.exact.insert(path.into(), node);
        } else {
            dispatch.prefixes.insert(path, node);
        }
    }
    builder.push(Node::Path(dispatch))
}

/// Every path, paths that are asked about, shorter prefixes, longer prefixes, whole paths.
fn rank(key: PathKey<'_>) -> (u8, usize) {
    match key {
        PathKey::Any => (0, 0),
        PathKey::Other => (1, 0),
        PathKey::Prefix(path) => (2, path.len()),
        PathKey::Exact(_) => (3, 0),
    }
}
