//! Booleans, whole numbers in a range, and plain strings.

use serde_json::json;

use super::{Decoder, SchemaDefs, Shape, type_mismatch};
use crate::{
    diagnostic::code::Code,
    json::{Value, ValueKind},
};

impl Shape for bool {
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        match value.kind {
            ValueKind::Bool(value) => Some(value),
            _ => {
                type_mismatch(value, "`true` or `false`", ctx);
                None
            }
        }
    }

    fn schema(_: &mut SchemaDefs) -> serde_json::Value {
        json!({ "type": "boolean" })
    }
}

impl Shape for String {
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        ctx.text(value, "a string").map(|text| text.text.into_owned())
    }

    fn schema(_: &mut SchemaDefs) -> serde_json::Value {
        json!({ "type": "string" })
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Integer<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Integer<MIN, MAX> {
    /// The number.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl<const MIN: i64, const MAX: i64> Shape for Integer<MIN, MAX> {
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        let ValueKind::Number(number) = &value.kind else {
            type_mismatch(value, "a whole number", ctx);
            return None;
        };
        match number.parse() {
            Ok(number) if (MIN..=MAX).contains(&number) => Some(Self(number)),
            _ => {
                let message = format!("expected a whole number from {MIN} to {MAX}");
                ctx.diagnostics().error(Code::BadValue, value.span, message);
                None
            }
        }
    }

    fn schema(_: &mut SchemaDefs) -> serde_json::Value {
        json!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// The literal `true`, for keys whose presence says it all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct True;

impl Shape for True {
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        if bool::decode(value, ctx)? {
            return Some(Self);
        }
        let message = "only `true` has a meaning here";
        ctx.diagnostics()
            .error(Code::BadValue, value.span, message)
            .help("leave the key out instead");
        None
    }

    fn schema(_: &mut SchemaDefs) -> serde_json::Value {
        json!({ "const": true })
    }
}
