//! `vane compile DIR`: what does a directory compile to? The daemon says, or this process where
//! no daemon answers.

use std::path::Path;

use vane_core::compile::Compiled;
use vane_core::diagnostic::render;
use vane_core::graph::dump;
use vane_mgmt::error::{ClientError, Unreachable};
use vane_mgmt::request::Request;
use vane_mgmt::views::CompileView;

use super::verdict;
use crate::connect::Context;
use crate::error::CommandError;
use crate::local::compile_directory;
use crate::output::json;
use crate::output::palette::Palette;

pub(super) fn run(context: &Context, dir: &Path) -> Result<(), CommandError> {
    let request = Request::CompileDryRun(verdict::dir_params(Some(dir))?);
    let note = format!("compiled by the daemon at {}", context.socket.display());
    match verdict::show(context, &request, Some(&note)) {
        Err(CommandError::Daemon(ClientError::NoDaemon { why, .. })) => locally(context, dir, &why),
        shown => shown,
    }
}

fn locally(context: &Context, dir: &Path, why: &Unreachable) -> Result<(), CommandError> {
    let compiled = compile_directory(dir, &context.variables, false);
    if context.output.json {
        context.print(&json::text(&view(&compiled)))?;
    } else {
        let socket = context.socket.display();
        let note = format!("compiled by vane, since no daemon answers at {socket}: {why}");
        context.output.note(Some(&note));
        let colour = context.output.remarks == Palette::Colour;
        context.output.remark(&render::text(&compiled.diagnostics, &compiled.sources, colour));
        context.print(&compiled.graph.as_ref().map(dump::text).unwrap_or_default())?;
    }
    verdict::conclude(compiled.graph.is_some())
}

/// What a daemon would have answered.
fn view(compiled: &Compiled) -> CompileView {
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
