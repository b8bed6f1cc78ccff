//! `vane get connections`: who is connected?

use vane_mgmt::request::Request;
use vane_mgmt::views::{ConnectionView, ConnectionsView};

use crate::connect::Context;
use crate::error::CommandError;
use crate::output::palette::Palette;
use crate::output::table::{Cell, table};
use crate::output::words::duration;

pub(super) fn run(context: &Context) -> Result<(), CommandError> {
    context.show(&Request::GetConnections, rendered)
}

fn rendered(view: &ConnectionsView, palette: Palette) -> String {
    if view.connections.is_empty() {
        return "no connections are open\n".to_owned();
    }
    let rows: Vec<_> = view.connections.iter().map(row).collect();
    table(HEADINGS, &rows, palette)
}

fn row(connection: &ConnectionView) -> [Cell; 7] {
    [
        connection.id.into(),
        connection.listener.as_str().into(),
        connection.remote.as_str().into(),
        connection.protocol.into(),
        connection.generation.into(),
        duration(connection.age_ms).into(),
        connection.requests.into(),
    ]
}

const HEADINGS: [&str; 7] =
    ["ID", "LISTENER", "REMOTE", "PROTOCOL", "GENERATION", "AGE", "REQUESTS"];
