//! `vane reload`: read the configuration directory again, and say what became of it.

use vane_mgmt::client::result_view;
use vane_mgmt::request::Request;
use vane_mgmt::views::{ReloadOutcome, ReloadView};

use crate::connect::Context;
use crate::error::CommandError;
use crate::output::json;
use crate::output::words::{duration, printable, short_hash};

pub(super) fn run(context: &Context) -> Result<(), CommandError> {
    let result = context.ask(&Request::Reload)?;
    if context.output.json {
        return context.print(&json::line(&result));
    }
    let view: ReloadView = result_view(Request::Reload.method(), result)?;
    context.output.remark(&printable(&view.rendered));
    context.print(&(rendered(&view) + view.text.as_deref().unwrap_or_default()))
}

fn rendered(view: &ReloadView) -> String {
    let graph = printable(short_hash(&view.graph_hash));
    let (generation, took) = (view.generation, duration(view.duration_ms));
    match view.outcome {
        ReloadOutcome::Installed => {
            format!("installed generation {generation}, graph {graph}, in {took}\n")
        }
        ReloadOutcome::Unchanged => {
            format!("unchanged: generation {generation}, graph {graph}, goes on serving\n")
        }
        ReloadOutcome::Refused => {
            format!("refused: generation {generation}, graph {graph}, goes on serving\n")
        }
    }
}
