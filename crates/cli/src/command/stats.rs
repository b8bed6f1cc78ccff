//! `vane stats`: how is the daemon?

use vane_mgmt::request::Request;
use vane_mgmt::views::{DaemonState, ReloadOutcome, ReloadView, StatsView};

use crate::connect::Context;
use crate::error::CommandError;
use crate::output::palette::Palette;
use crate::output::table::{Cell, Tone, pairs};
use crate::output::words::{bytes, count, duration, moment, short_hash};

pub(super) fn run(context: &Context) -> Result<(), CommandError> {
    context.show(&Request::Stats, rendered)
}

fn rendered(view: &StatsView, palette: Palette) -> String {
    let rows = [
        ("version", Some(view.version.as_str().into())),
        ("pid", Some(view.pid.into())),
        ("up", Some(duration(view.uptime_ms).into())),
        ("state", Some(state(view))),
        ("config", Some(view.config_dir.as_str().into())),
        ("generation", Some(generation(view).into())),
        ("rules", Some(rules(view))),
        ("last reload", view.last_reload.as_ref().map(last_reload)),
        ("old generations", old_generations(view)),
        ("connections", Some(connections(view).into())),
        ("refused", refused(view)),
        ("handshakes", handshakes(view)),
        ("requests", Some(requests(view).into())),
        ("received", Some(bytes(view.bytes.received).into())),
        ("sent", Some(bytes(view.bytes.sent).into())),
        ("upstream retries", Some(view.upstream_retries.into())),
        ("not verified", unverified(view)),
    ];
    pairs(&rows, palette)
}

fn state(view: &StatsView) -> Cell {
    let tone = match view.state {
        DaemonState::Running => Tone::Good,
        DaemonState::Draining => Tone::Uneasy,
    };
    Cell::toned(&view.state, tone)
}

fn generation(view: &StatsView) -> String {
    format!("{}, graph {}", view.generation, short_hash(&view.graph_hash))
}

fn rules(view: &StatsView) -> Cell {
    let tone = if view.warnings == 0 { Tone::Usual } else { Tone::Uneasy };
    Cell::toned(&format!("{}, {}", view.rules, count(view.warnings, "warning")), tone)
}

fn last_reload(reload: &ReloadView) -> Cell {
    let ReloadView { outcome, trigger, .. } = reload;
    let tone = match outcome {
        ReloadOutcome::Installed | ReloadOutcome::Unchanged => Tone::Usual,
        ReloadOutcome::Refused => Tone::Bad,
    };
    let (at, took) = (moment(reload.at_unix_ms), duration(reload.duration_ms));
    Cell::toned(&format!("{outcome} ({trigger}) at {at}, took {took}"), tone)
}

fn old_generations(view: &StatsView) -> Option<Cell> {
    let old = view.generations.iter().filter(|old| old.generation != view.generation);
    let words = |n: u64| count(n, "connection");
    let each: Vec<_> =
        old.map(|old| format!("{} with {}", old.generation, words(old.connections))).collect();
    (!each.is_empty()).then(|| each.join(", ").into())
}

fn connections(view: &StatsView) -> String {
    format!("{} open, {} since the start", view.connections.open, view.connections.total)
}

fn refused(view: &StatsView) -> Option<Cell> {
    let by_limit = view.connections.refused_by_limit.iter().filter(|(_, count)| **count > 0);
    let each: Vec<_> = by_limit.map(|(limit, count)| format!("{count} by {limit}")).collect();
    (!each.is_empty()).then(|| each.join(", ").into())
}

/// Those that succeeded first.
fn handshakes(view: &StatsView) -> Option<Cell> {
    let (well, ill): (Vec<_>, Vec<_>) = (view.handshakes.iter())
        .filter(|(_, count)| **count > 0)
        .partition(|(outcome, _)| matches!(outcome.as_str(), "full" | "resumed"));
    let each = well.into_iter().chain(ill).map(|(outcome, count)| format!("{count} {outcome}"));
    let each: Vec<_> = each.collect();
    (!each.is_empty()).then(|| each.join(", ").into())
}

/// Upstreams that anybody on the way can be.
fn unverified(view: &StatsView) -> Option<Cell> {
    let names = view.unverified_upstreams.join(", ");
    (!names.is_empty()).then(|| Cell::toned(&names, Tone::Uneasy))
}

fn requests(view: &StatsView) -> String {
    format!("{} active, {} since the start", view.requests.active, view.requests.total)
}
