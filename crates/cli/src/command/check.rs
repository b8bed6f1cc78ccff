//! `vane check DIR`: is a directory valid?

use std::path::Path;

use serde_json::json;
use vane_core::compile::Compiled;
use vane_core::diagnostic::render;

use super::verdict::conclude;
use crate::connect::Context;
use crate::error::CommandError;
use crate::local::compile_directory;
use crate::output::json;
use crate::output::palette::Palette;
use crate::output::words::count;

pub(super) fn run(context: &Context, dir: &Path, allow_unset: bool) -> Result<(), CommandError> {
    let compiled = compile_directory(dir, &context.variables, allow_unset);
    if context.output.json {
        context.print(&json::line(&for_programs(&compiled)))?;
    } else {
        let colour = context.output.remarks == Palette::Colour;
        context.output.remark(&render::text(&compiled.diagnostics, &compiled.sources, colour));
        context.print(&summary(dir, &compiled))?;
    }
    conclude(compiled.graph.is_some())
}

fn for_programs(compiled: &Compiled) -> serde_json::Value {
    json!({
        "ok": compiled.graph.is_some(),
        "graph_hash": compiled.graph.as_ref().map(|graph| graph.hash.to_string()),
        "diagnostics": render::json(&compiled.diagnostics, &compiled.sources),
    })
}

fn summary(dir: &Path, compiled: &Compiled) -> String {
    let dir = dir.display();
    let count = |number: usize, noun| count(number as u64, noun);
    match &compiled.graph {
        None => format!("{dir}: invalid: {}\n", count(compiled.diagnostics.errors(), "error")),
        Some(graph) => {
            let listeners = count(graph.listeners.len(), "listener");
            let rules = count(graph.rules.len(), "rule");
            let warnings = count(compiled.diagnostics.warnings(), "warning");
            format!("{dir}: valid: {listeners}, {rules}, {warnings}\n")
        }
    }
}
