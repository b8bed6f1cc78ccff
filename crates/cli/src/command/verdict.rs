//! What `compile` and `plan` share: a directory goes to the daemon, and its compiler's verdict
//! comes back.

use std::path::Path;

use serde::Deserialize;
use vane_mgmt::client::result_view;
use vane_mgmt::request::{DirParams, Request};

use crate::connect::Context;
use crate::error::CommandError;
use crate::output::json;
use crate::output::words::printable;

/// The fields that the views of both methods have in common.
#[derive(Debug, Deserialize)]
struct Verdict {
    ok: bool,
    text: Option<String>,
    rendered: String,
}

/// Names a directory to the daemon, which has a working directory of its own. Symbolic links are
/// left for the daemon to follow.
pub(super) fn dir_params(dir: Option<&Path>) -> Result<DirParams, CommandError> {
    let Some(dir) = dir else { return Ok(DirParams { dir: None }) };
    let absolute = std::path::absolute(dir)
        .map_err(|error| CommandError::System(format!("cannot find `{}`", dir.display()), error))?;
    match absolute.into_os_string().into_string() {
        Ok(dir) => Ok(DirParams { dir: Some(dir) }),
        Err(dir) => Err(CommandError::Usage(format!("{} is not UTF-8", dir.display()))),
    }
}

/// Asks, shows the result on stdout and what the compiler said on stderr, after the note.
///
/// # Errors
/// [`CommandError::No`] if the directory does not compile, and whatever keeps from asking.
pub(super) fn show(
    context: &Context,
    request: &Request,
    note: Option<&str>,
) -> Result<(), CommandError> {
    let result = context.ask(request)?;
    if context.output.json {
        context.print(&json::line(&result))?;
    }
    let verdict: Verdict = result_view(request.method(), result)?;
    if !context.output.json {
        context.output.note(note);
        context.output.remark(&printable(&verdict.rendered));
        context.print(&printable(&verdict.text.unwrap_or_default()))?;
    }
    conclude(verdict.ok)
}

/// The end of a command that asked whether a configuration is valid.
pub(super) fn conclude(is_valid: bool) -> Result<(), CommandError> {
    match is_valid {
        true => Ok(()),
        false => Err(CommandError::No("the configuration is invalid".to_owned())),
    }
}
