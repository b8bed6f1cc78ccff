//! `vane plan [DIR]`: what would a reload change?

use std::path::Path;

use vane_mgmt::request::Request;

use super::verdict;
use crate::connect::Context;
use crate::error::CommandError;

pub(super) fn run(context: &Context, dir: Option<&Path>) -> Result<(), CommandError> {
    verdict::show(context, &Request::Plan(verdict::dir_params(dir)?), None)
}
