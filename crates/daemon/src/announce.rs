//! Says what to open.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use vane_core::graph::{FlowGraph, Node, NodeId};
use vane_engine::snapshot::ListenerState;

use crate::world::World;

/// Logs an address to open for each listener that serves HTTP.
pub(crate) fn announce(world: &World) {
    let graph = world.engine.graph();
    if graph.listeners.is_empty() {
        tracing::warn!(dir = %world.settings.dir.display(), "nothing is served: there is no listener");
    }
    for url in urls(world, &graph) {
        tracing::info!("serving {url}");
    }
}

fn urls(world: &World, graph: &FlowGraph) -> Vec<String> {
    let serves_http = |address: SocketAddr| {
        graph.listeners.iter().any(|listener| {
            listener.address == address
                && listener.tls.is_none()
                && reaches_http(graph, listener.entry)
        })
    };
    let listeners = world.engine.listeners().into_iter();
    let mut urls: Vec<_> = listeners
        .filter(|status| status.state == ListenerState::Listening && serves_http(status.address))
        .filter_map(|status| status.local.map(url))
        .collect();
    urls.sort();
    urls.dedup();
    urls
}

/// What a person on this host opens: the wildcard addresses stand for every address.
fn url(local: SocketAddr) -> String {
    let ip = match local.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, local.port()))
}

fn reaches_http(graph: &FlowGraph, entry: NodeId) -> bool {
    let (mut seen, mut waiting) = (HashSet::new(), vec![entry]);
    while let Some(id) = waiting.pop() {
        let node = graph.node(id);
        if matches!(node, Node::ServeHttp { .. }) {
            return true;
        }
        waiting.extend(node.edges().into_iter().filter(|edge| seen.insert(*edge)));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcard_addresses_are_shown_as_what_can_be_opened() {
        for (local, expected) in [
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("[::]:80", "http://[::1]:80"),
            ("192.0.2.1:80", "http://192.0.2.1:80"),
        ] {
            assert_eq!(url(local.parse().expect("an address")), expected);
        }
    }
}
