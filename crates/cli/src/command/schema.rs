//! `vane schema {config,rules}`: the JSON Schema of a kind of file.

use vane_core::config::schema;

use crate::args::FileKind;
use crate::connect::Context;
use crate::error::CommandError;

pub(super) fn run(context: &Context, of: FileKind) -> Result<(), CommandError> {
    let schema = match of {
        FileKind::Config => schema::config(),
        FileKind::Rules => schema::rules(),
    };
    context.print(&format!("{schema:#}\n"))
}
