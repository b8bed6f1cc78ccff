//! `vane fields`: what can be matched?

use serde_json::{Value, json};
use vane_core::value::field::Field;

use crate::connect::Context;
use crate::error::CommandError;
use crate::output::json;
use crate::output::table::table;

pub(super) fn run(context: &Context) -> Result<(), CommandError> {
    if context.output.json {
        let object = |field: &vane_core::value::field::FieldDoc| json!({ "name": field.name, "layer": field.layer.to_string(), "doc": field.doc });
        return context.print(&json::line(&Value::Array(Field::table().map(object).collect())));
    }
    let rows: Vec<_> = Field::table()
        .map(|field| [field.name.into(), field.layer.into(), field.doc.into()])
        .collect();
    context.print(&table(["FIELD", "LAYER", "MEANING"], &rows, context.output.results))
}
