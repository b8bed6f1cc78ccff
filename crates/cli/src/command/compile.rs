//! `vane compile DIR`: what does a directory compile to?

use std::path::Path;

use vane_mgmt::request::Request;

use super::verdict;
use crate::connect::Context;
use crate::error::CommandError;

pub(super) fn run(context: &Context, dir: &Path) -> Result<(), CommandError> {
    let request = Request::CompileDryRun(verdict::dir_params(Some(dir))?);
    let note = format!("compiled by the daemon at {}", context.socket.display());
    verdict::show(context, &request, Some(&note))
}
