//! From what the engine and the compiler say to what management shows.

pub(crate) mod certs;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use vane_core::compile::Compiled;
use vane_core::diagnostic::render;
use vane_core::graph::{FlowGraph, dump};
use vane_core::plan::plan;
use vane_core::value::listen_addr::Transport as Written;
use vane_engine::registry::HandshakeOutcome;
use vane_engine::snapshot::{self, ConnectionStatus, Counters, ListenerStatus};
use vane_engine::sockets::Source;
use vane_mgmt::views::{
    ByteCounts, CompileView, ConfigView, ConnectionCounts, ConnectionProtocol, ConnectionView,
    ConnectionsView, DaemonState, GenerationView, ListenerSource, ListenerState, ListenerView,
    ListenersView, PingView, PlanView, ReloadOutcome, ReloadView, RequestCounts, StatsView,
    Transport,
};

use crate::world::World;

/// The result of `ping`.
pub(crate) fn ping(world: &World) -> PingView {
    PingView {
        version: VERSION.to_owned(),
        pid: std::process::id(),
        uptime_ms: milliseconds(world.started.elapsed()),
    }
}

/// The result of `stats`.
pub(crate) fn stats(world: &World) -> StatsView {
    let PingView { version, pid, uptime_ms } = ping(world);
    let graph = world.engine.graph();
    let counters = world.engine.counters();
    StatsView {
        version,
        pid,
        uptime_ms,
        config_dir: world.settings.dir.display().to_string(),
        state: if world.is_draining() { DaemonState::Draining } else { DaemonState::Running },
        generation: world.engine.generation(),
        graph_hash: graph.hash.to_string(),
        last_reload: world.latest(),
        generations: generations(&counters),
        connections: connection_counts(&counters),
        handshakes: handshakes(&counters),
        requests: RequestCounts { active: counters.active_requests, total: counters.requests },
        bytes: ByteCounts { received: counters.received, sent: counters.sent },
        upstream_retries: counters.retries,
        unverified_upstreams: unverified(&graph),
        rules: graph.rules.len() as u64,
        warnings: world.installed().warnings as u64,
    }
}

/// How the daemon serves, in one line for the service manager.
pub(crate) fn status(world: &World) -> String {
    let listeners = world.engine.listeners();
    let configured = |status: &&ListenerStatus| {
        use snapshot::ListenerState::{Draining, Unclaimed};
        !matches!(status.state, Draining | Unclaimed)
    };
    let all = listeners.iter().filter(configured).count();
    let serves = |status: &&ListenerStatus| status.state == snapshot::ListenerState::Listening;
    let serving = listeners.iter().filter(serves).count();
    let rules = world.engine.graph().rules.len();
    let generation = world.engine.generation();
    format!("generation {generation} serves: {serving} of {all} listeners, {rules} rules")
}

/// How the daemon serves after a reload, in one line for the service manager.
pub(crate) fn summary(world: &World, reload: &ReloadView) -> String {
    let status = status(world);
    match reload.outcome {
        ReloadOutcome::Refused => format!("{status}; the last reload was refused: see the log"),
        ReloadOutcome::Installed | ReloadOutcome::Unchanged => status,
    }
}

/// The result of `get_config`.
pub(crate) fn config(world: &World) -> ConfigView {
    let graph = world.engine.graph();
    ConfigView {
        generation: world.engine.generation(),
        graph_hash: graph.hash.to_string(),
        text: dump::text(&graph),
        graph: dump::json(&graph),
    }
}

/// The result of `get_listeners`.
pub(crate) fn listeners(world: &World) -> ListenersView {
    let generation = world.engine.generation();
    let listeners = world.engine.listeners();
    let listeners = listeners.into_iter().map(|status| listener(status, generation)).collect();
    ListenersView { generation, listeners }
}

/// The result of `get_connections`.
pub(crate) fn connections(world: &World) -> ConnectionsView {
    let now = Instant::now();
    let mut connections = world.engine.connections();
    connections.sort_by_key(|connection| connection.id);
    let connections = connections.iter().map(|status| connection(status, now)).collect();
    ConnectionsView { connections }
}

/// The result of `compile_dry_run`.
pub(crate) fn compiled(compiled: &Compiled) -> CompileView {
    let graph = compiled.graph.as_ref();
    CompileView {
        ok: graph.is_some(),
        graph_hash: graph.map(|graph| graph.hash.to_string()),
        text: graph.map(dump::text),
        graph: graph.map(dump::json),
        diagnostics: render::json(&compiled.diagnostics, &compiled.sources),
        rendered: render::text(&compiled.diagnostics, &compiled.sources, false),
    }
}

/// The result of `plan`, against what serves.
pub(crate) fn planned(world: &World, compiled: &Compiled) -> PlanView {
    let serving = world.engine.graph();
    let plan = compiled.graph.as_ref().map(|graph| plan(Some(&serving), graph));
    PlanView {
        ok: plan.is_some(),
        plan: plan.as_ref().map(vane_core::plan::Plan::json),
        text: plan.as_ref().map(vane_core::plan::Plan::text),
        diagnostics: render::json(&compiled.diagnostics, &compiled.sources),
        rendered: render::text(&compiled.diagnostics, &compiled.sources, false),
    }
}

fn unverified(graph: &FlowGraph) -> Vec<String> {
    let unverified = graph.upstreams.iter().filter(|upstream| upstream.tls.unverified);
    unverified.map(|upstream| upstream.name.to_string()).collect()
}

fn generations(counters: &Counters) -> Vec<GenerationView> {
    let view = |&(generation, connections): &(u64, u64)| GenerationView { generation, connections };
    counters.generations.iter().map(view).collect()
}

fn connection_counts(counters: &Counters) -> ConnectionCounts {
    let refused = counters.refused.iter().map(|(limit, count)| (limit.as_str().to_owned(), *count));
    ConnectionCounts {
        open: counters.open_connections,
        total: counters.accepted,
        refused_by_limit: refused.collect(),
    }
}

fn handshakes(counters: &Counters) -> BTreeMap<String, u64> {
    let count = |(outcome, count): &(HandshakeOutcome, u64)| (outcome.as_str().to_owned(), *count);
    counters.handshakes.iter().map(count).collect()
}

fn listener(status: ListenerStatus, generation: u64) -> ListenerView {
    ListenerView {
        transport: match status.transport {
            Written::Tcp => Transport::Tcp,
            Written::Udp => Transport::Udp,
        },
        address: status.address.to_string(),
        local: status.local.map(|local| local.to_string()),
        state: match status.state {
            snapshot::ListenerState::Binding => ListenerState::Binding,
            snapshot::ListenerState::Listening => ListenerState::Listening,
            snapshot::ListenerState::Failed => ListenerState::Failed,
            snapshot::ListenerState::Draining => ListenerState::Draining,
            snapshot::ListenerState::Unclaimed => ListenerState::Unclaimed,
        },
        attempts: status.attempts,
        error: status.error,
        connections: status.open,
        accepted: status.accepted,
        generation,
        source: match status.source {
            Source::Bound => ListenerSource::Bound,
            Source::Inherited | Source::Kept => ListenerSource::Inherited,
        },
    }
}

fn connection(status: &ConnectionStatus, now: Instant) -> ConnectionView {
    ConnectionView {
        id: status.id,
        listener: status.listener.to_string(),
        remote: status.remote.to_string(),
        protocol: match status.kind.as_str() {
            "http1" => ConnectionProtocol::Http1,
            "http2" => ConnectionProtocol::Http2,
            "upgrade" => ConnectionProtocol::Upgrade,
            "tunnel" => ConnectionProtocol::Tunnel,
            _ => ConnectionProtocol::Detecting,
        },
        generation: status.generation,
        age_ms: milliseconds(now.saturating_duration_since(status.since)),
        requests: status.requests,
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
