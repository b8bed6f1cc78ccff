//! `vane shutdown`: let in-flight work finish, and end.

use vane_mgmt::request::{Request, ShutdownParams};
use vane_mgmt::views::DrainView;

use crate::connect::Context;
use crate::error::CommandError;

pub(super) fn run(context: &Context, budget_secs: Option<u64>) -> Result<(), CommandError> {
    let request = Request::Shutdown(ShutdownParams { budget_secs });
    context.show(&request, |view, _| rendered(view))
}

fn rendered(view: &DrainView) -> String {
    let words = if view.draining {
        "draining: the daemon ends when nothing is in flight or its budget is spent"
    } else {
        "the daemon does not drain"
    };
    format!("{words}\n")
}
