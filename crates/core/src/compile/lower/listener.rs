//! One group of listeners: raw rules first, then HTTP.

use crate::compile::analyze::challenges::ChallengeSocket;
use crate::compile::analyze::order::Branch;
use crate::compile::analyze::{Group, Socket};
use crate::compile::lower::{Builder, hosts};
use crate::graph::dispatch::HostField;
use crate::graph::{Listener, ListenerTls, Node, NodeId};
use crate::value::listen_addr::Transport;

/// Builds the one entry that all sockets of the group share.
pub(super) fn lower(group: &Group<'_>, builder: &mut Builder) -> Vec<Listener> {
    let end = if group.http.is_empty() {
        builder.no_match
    } else {
        let entry = tiers(&group.http, HostField::HttpHost, builder.no_match, builder);
        builder.push(Node::ServeHttp { entry })
    };
    let end = decrypt(group, end, builder);
    let entry = tiers(&group.raw, HostField::TlsSni, end, builder);
    group.sockets.iter().map(|socket| listener(socket, entry, group.tls.clone())).collect()
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

/// Rules on decrypted connections stand behind a node that asks for the handshake.
fn decrypt(group: &Group<'_>, end: NodeId, builder: &mut Builder) -> NodeId {
    if group.decrypted.is_empty() {
        return end;
    }
    let entry = tiers(&group.decrypted, HostField::TlsSni, end, builder);
    builder.push(Node::Decrypt { entry })
}

/// A listener for challenges alone: whatever else is asked of it is not found.
pub(super) fn for_challenges(socket: &ChallengeSocket, builder: &mut Builder) -> Listener {
    let entry = builder.push(Node::ServeHttp { entry: builder.no_match });
    Listener {
        transport: Transport::Tcp,
        address: socket.address,
        written: socket.written.clone(),
        entry,
        tls: None,
        only_challenges: true,
    }
}

fn listener(socket: &Socket<'_>, entry: NodeId, tls: Option<ListenerTls>) -> Listener {
    Listener {
        transport: socket.transport,
        address: socket.address,
        written: socket.bind.written.to_string().into(),
        entry,
        tls,
        only_challenges: false,
    }
}
