//! One group of listeners: raw rules first, then HTTP.

use crate::compile::analyze::order::Branch;
use crate::compile::analyze::{Group, Socket};
use crate::compile::lower::{Builder, hosts};
use crate::graph::dispatch::HostField;
use crate::graph::{Listener, Node, NodeId};

/// Builds the one entry that all sockets of the group share.
pub(super) fn lower(group: &Group<'_>, builder: &mut Builder) -> Vec<Listener> {
    let end = if group.http.is_empty() {
        builder.no_match
    } else {
        let entry = tiers(&group.http, HostField::HttpHost, builder.no_match, builder);
        builder.push(Node::ServeHttp { entry })
    };
    let entry = tiers(&group.raw, HostField::TlsSni, end, builder);
    group.sockets.iter().map(|socket| listener(socket, entry, group.terminates_tls)).collect()
}

/// Priorities from the smallest to the largest, so that each ends in the one below it.
fn tiers(
    branches: &[Branch<'_>],
    field: HostField,
    otherwise: NodeId,
    builder: &mut Builder,
) -> NodeId {
    let tiers = branches.chunk_by(|one, next| one.priority == next.priority);
    tiers.rev().fold(otherwise, |otherwise, tier| hosts::lower(tier, field, otherwise, builder))
}

fn listener(socket: &Socket<'_>, entry: NodeId, terminates_tls: bool) -> Listener {
    Listener {
        transport: socket.transport,
        address: socket.address,
        written: socket.bind.written.to_string().into(),
        entry,
        terminates_tls,
    }
}
