//! `vane explain REQUEST`: which rule takes it, and why?

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use vane_core::diagnostic::render;
use vane_core::explain::{DescribeError, Described, explain};
use vane_core::graph::FlowGraph;
use vane_core::graph::facts::Protocol;
use vane_mgmt::client::result_view;
use vane_mgmt::request::Request;
use vane_mgmt::views::StatsView;

use super::verdict::conclude;
use crate::args::Explain;
use crate::connect::Context;
use crate::error::CommandError;
use crate::local::compile_directory;
use crate::output::json;
use crate::output::palette::Palette;

pub(super) fn run(context: &Context, asked: &Explain) -> Result<(), CommandError> {
    let described = described(asked).map_err(|error| CommandError::Usage(error.to_string()))?;
    let (dir, serving) = match &asked.config {
        Some(dir) => (dir.clone(), None),
        None => daemons(context)?,
    };
    let compiled = compile_directory(&dir, &context.variables, false);
    let Some(graph) = &compiled.graph else {
        let colour = context.output.remarks == Palette::Colour;
        context.output.remark(&render::text(&compiled.diagnostics, &compiled.sources, colour));
        return conclude(false);
    };
    context.output.note(difference(graph, serving.as_deref()));
    let explanation = explain(graph, &described);
    match context.output.json {
        true => context.print(&json::line(&explanation.json())),
        false => context.print(&explanation.text()),
    }
}

fn described(asked: &Explain) -> Result<Described, DescribeError> {
    let mut described = match &asked.request {
        Some(request) => Described::parse(request)?,
        None => Described::connection(),
    };
    for header in &asked.headers {
        described.header(header)?;
    }
    if let Some(ip) = asked.from {
        described.remote = SocketAddr::new(ip, 0);
    }
    if let Some(name) = &asked.sni {
        described.sni = Some(name.to_ascii_lowercase().into());
        described.protocol = Protocol::Tls;
    }
    described.listener = asked.listener.as_deref().map(Box::from);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    described.unix_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    Ok(described)
}

/// The directory of the running daemon, and the hash of what it serves.
fn daemons(context: &Context) -> Result<(PathBuf, Option<String>), CommandError> {
    let result = context.ask(&Request::Stats)?;
    let stats: StatsView = result_view(Request::Stats.method(), result)?;
    Ok((PathBuf::from(stats.config_dir), Some(stats.graph_hash)))
}

/// What to know where the directory is not what serves.
fn difference(graph: &FlowGraph, serving: Option<&str>) -> Option<&'static str> {
    let differs = serving.is_some_and(|hash| hash != graph.hash.to_string());
    differs.then_some(
        "the directory compiles to something else than what the daemon serves, and it is the \
         directory that is explained: it was changed, or the daemon has other variables",
    )
}
