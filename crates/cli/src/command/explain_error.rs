//! `vane explain-error CODE`: the page of a diagnostic.

use vane_core::diagnostic::code::Code;
use vane_core::value::suggest::nearest;

use crate::connect::Context;
use crate::error::CommandError;
use crate::output::table::table;

pub(super) fn run(context: &Context, code: Option<&str>) -> Result<(), CommandError> {
    let Some(name) = code else { return list(context) };
    match Code::parse(name) {
        Some(code) => context.print(code.page()),
        None => Err(CommandError::Usage(unknown(name))),
    }
}

fn list(context: &Context) -> Result<(), CommandError> {
    let rows: Vec<_> = Code::ALL
        .iter()
        .map(|code| [code.as_str().into(), code.severity().as_str().into()])
        .collect();
    context.print(&table(["CODE", "SEVERITY"], &rows, context.output.results))
}

fn unknown(name: &str) -> String {
    match nearest(name, Code::ALL.iter().map(|code| code.as_str())) {
        Some(near) => format!("there is no diagnostic `{name}`: did you mean `{near}`?"),
        None => {
            format!(
                "there is no diagnostic `{name}`: `vane explain-error` without a code lists all"
            )
        }
    }
}
