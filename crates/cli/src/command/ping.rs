//! `vane ping`: is the daemon there, and does it serve?

use vane_mgmt::request::Request;
use vane_mgmt::views::PingView;

use crate::connect::Context;
use crate::error::CommandError;
use crate::output::words;

pub(super) fn run(context: &Context) -> Result<(), CommandError> {
    context.show(&Request::Ping, |view, _| rendered(view))
}

fn rendered(view: &PingView) -> String {
    let version = words::printable(&view.version);
    format!("vaned {version}, pid {}, up {}\n", view.pid, words::duration(view.uptime_ms))
}
