//! Values of templates.

use std::fmt::Write as _;

use crate::graph::facts::Facts;
use crate::graph::read;
use crate::value::field::Field;
use crate::value::template::{Segment, Template};

/// The value of `template` for a flow; a field that the flow does not have is empty.
/// `unix_ms` is asked for only when the template has the time in it.
pub fn render(template: &Template, facts: &Facts<'_>, unix_ms: impl Fn() -> u64) -> String {
    let mut value = String::new();
    for segment in template.segments() {
        match segment {
            Segment::Literal(text) => value.push_str(text),
            Segment::Field(Field::TimeUnixMs) => {
                write!(value, "{}", unix_ms()).expect("writing to a String cannot fail");
            }
            Segment::Field(field) => {
                value.push_str(read::text(field, facts).as_deref().unwrap_or_default());
            }
        }
    }
    value
}
