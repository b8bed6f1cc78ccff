//! The branches of one host, by their paths.

use std::collections::BTreeMap;

use crate::table::Table;

use crate::compile::analyze::order::{Branch, PathKey};
use crate::compile::lower::{BucketKind, Builder, chain};
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
    let mut buckets = buckets(branches);
    let mut rest = |key| buckets.remove(&key).unwrap_or_default();
    let (other, any) = (rest(PathKey::Other), rest(PathKey::Any));
    let otherwise = chain::lower(&any, otherwise, builder);
    let otherwise = chain::lower(&other, otherwise, builder);
    if buckets.is_empty() {
        return otherwise;
    }
    let mut dispatch =
        PathDispatch { exact: Table::default(), prefixes: PathTrie::new(), otherwise };
    for (key, members) in least_exact_first(&buckets) {
        let path = match key {
            PathKey::Exact(path) | PathKey::Prefix(path) => path,
            PathKey::Other | PathKey::Any => continue,
        };
        let behind = dispatch.prefixes.longest(path).unwrap_or(otherwise);
        let node = chain::lower(members, behind, builder);
        if matches!(key, PathKey::Exact(_)) {
            dispatch.exact.insert((*path).into(), node);
        } else {
            dispatch.prefixes.insert(path, node);
        }
    }
    builder.push(Node::Path(dispatch))
}

/// The branches of each bucket.
type Buckets<'b, 'r> = BTreeMap<PathKey<'r>, Vec<&'b Branch<'r>>>;

fn buckets<'b, 'r>(branches: &[&'b Branch<'r>]) -> Buckets<'b, 'r> {
    let mut buckets = Buckets::new();
    for branch in branches {
        for &path in &branch.paths {
            buckets.entry(path).or_default().push(branch);
        }
    }
    buckets
}

/// Shorter prefixes, longer prefixes, whole paths.
fn least_exact_first<'a, 'b, 'r>(
    buckets: &'a Buckets<'b, 'r>,
) -> Vec<(&'a PathKey<'r>, &'a Vec<&'b Branch<'r>>)> {
    let mut sorted: Vec<_> = buckets.iter().collect();
    sorted.sort_by_key(|(key, _)| match key {
        PathKey::Prefix(path) => (0, path.len()),
        _ => (1, 0),
    });
    sorted
}
