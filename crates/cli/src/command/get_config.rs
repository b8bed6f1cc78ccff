//! `vane get config`: what serves now?

use vane_mgmt::request::Request;
use vane_mgmt::views::ConfigView;

use crate::connect::Context;
use crate::error::CommandError;
use crate::output::palette::Palette;
use crate::output::words::printable;

pub(super) fn run(context: &Context) -> Result<(), CommandError> {
    context.show(&Request::GetConfig, rendered)
}

fn rendered(view: &ConfigView, palette: Palette) -> String {
    let head = format!("generation {}, graph {}", view.generation, printable(&view.graph_hash));
    format!("{}\n\n{}\n", palette.bold(&head), printable(view.text.trim_end()))
}
