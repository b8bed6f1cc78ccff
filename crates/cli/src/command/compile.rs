//! `vane compile DIR`: what does a directory compile to?

use std::path::Path;

use vane_mgmt::request::Request;

use super::verdict;
use crate::connect::Context;
use crate::error::CommandError;

pub(super) fn run(context: &Context, dir: &Path) -> Result<(), CommandError> {
    verdict::show(context, &Request::CompileDryRun(verdict::dir_params(Some(dir))?))
}
