//! `vane cert renew NAME`: order a managed certificate now.

use vane_mgmt::request::{RenewParams, Request};
use vane_mgmt::views::RenewView;

use crate::connect::Context;
use crate::error::CommandError;
use crate::output::words::printable;

pub(super) fn run(context: &Context, name: &str) -> Result<(), CommandError> {
    let request = Request::ForceRenew(RenewParams { name: name.to_owned() });
    context.show(&request, |view, _| rendered(view))
}

fn rendered(view: &RenewView) -> String {
    let (name, state) = (printable(&view.name), view.state);
    if view.asked {
        format!(
            "an order for `{name}` ({state}) has been asked for: `vane get certs` shows what becomes of it\n"
        )
    } else {
        format!("no order for `{name}` ({state}) has been asked for\n")
    }
}
