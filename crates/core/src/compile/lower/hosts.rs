//! Branches of one priority, by their hosts.

use std::cmp::Reverse;

use crate::table::Table;

use crate::compile::analyze::order::{Branch, HostKey};
use crate::compile::lower::{Builder, buckets, keyed, paths};
use crate::graph::dispatch::{HostDispatch, HostField, parent_domain};
use crate::graph::{Node, NodeId};

/// Builds the bucket of each host, from the least exact, and the node that chooses among them.
pub(super) fn lower(
    branches: &[Branch<'_>],
    field: HostField,
    otherwise: NodeId,
    builder: &mut Builder,
) -> NodeId {
    let keyed = keyed(branches.iter(), |branch| &branch.hosts, |key| (rank(key), Reverse(key)));
    let (any, named) = keyed.split_at(keyed.partition_point(|(key, _)| *key == HostKey::Any));
    let otherwise = buckets(any)
        .fold(otherwise, |otherwise, (_, members)| paths::lower(&members, otherwise, builder));
    if named.is_empty() {
        return otherwise;
    }
    let mut dispatch = HostDispatch {
        field,
        exact: Table::default(),
        one_label: Table::default(),
        suffixes: Table::default(),
        otherwise,
    };
    for (key, members) in buckets(named) {
        let behind = behind(key, &dispatch);
        let node = paths::lower(&members, behind, builder);
        let (names, name) = match key {
            HostKey::Exact(name) => (&mut dispatch.exact, name),
            HostKey::OneLabel(parent) => (&mut dispatch.one_label, parent),
            HostKey::Suffix(parent) => (&mut dispatch.suffixes, parent),
            HostKey::Any => continue,
        };
        names.insert(name.into(), node);
    }
    builder.push(Node::Host(dispatch))
}

/// From less to more exact. Keys sort the other way round, but suffixes among themselves by name.
fn rank(key: HostKey<'_>) -> (u8, usize) {
    match key {
        HostKey::Any => (0, 0),
        HostKey::Suffix(parent) => (1, parent.len()),
        HostKey::OneLabel(_) => (2, 0),
        HostKey::Exact(_) => (3, 0),
    }
}

/// The next less exact bucket that covers all names of `key`.
fn behind(key: HostKey<'_>, dispatch: &HostDispatch) -> NodeId {
    let (one_label, parent) = match key {
        HostKey::Exact(name) => (parent_domain(name), parent_domain(name)),
        HostKey::OneLabel(parent) => (None, Some(parent)),
        HostKey::Suffix(name) => (None, parent_domain(name)),
        HostKey::Any => (None, None),
    };
    let one_label = one_label.and_then(|parent| dispatch.one_label.get(parent));
    let parents = std::iter::successors(parent, |name| parent_domain(name));
    let suffix = || parents.into_iter().find_map(|name| dispatch.suffixes.get(name));
    one_label.or_else(suffix).copied().unwrap_or(dispatch.otherwise)
}
