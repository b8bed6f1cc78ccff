//! Lists and maps.

use serde_json::json;

use super::{
    Decoder, SchemaDefs, Shape, TextValue, object::meaningful, text::parse_key, type_mismatch,
};
use crate::{
    diagnostic::{code::Code, every},
    json::{Value, ValueKind},
    source::Spanned,
};

/// One item without brackets, or a list of at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrMany<T> {
    items: Vec<T>,
}

impl<T> OneOrMany<T> {
    /// The items, at least one.
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// The items by value.
    pub fn into_items(self) -> Vec<T> {
        self.items
    }
}

impl<T: Shape> Shape for OneOrMany<T> {
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        let items = match &value.kind {
            ValueKind::Array(items) if items.is_empty() => {
                let message = "this list is empty";
                ctx.diagnostics()
                    .error(Code::BadValue, value.span, message)
                    .help("leave the key out, or write at least one item");
                return None;
            }
            ValueKind::Array(items) => every(items.iter().map(|item| T::decode(item, ctx)))?,
            _ => vec![T::decode(value, ctx)?],
        };
        Some(Self { items })
    }

    fn schema(defs: &mut SchemaDefs) -> serde_json::Value {
        let item = T::schema(defs);
        json!({ "anyOf": [item, { "type": "array", "items": item, "minItems": 1 }] })
    }
}

/// A list in brackets, which may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

impl<T: Shape> Shape for List<T> {
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        let ValueKind::Array(items) = &value.kind else {
            type_mismatch(value, "a list", ctx);
            return None;
        };
        Some(Self { items: every(items.iter().map(|item| T::decode(item, ctx)))? })
    }

    fn schema(defs: &mut SchemaDefs) -> serde_json::Value {
        json!({ "type": "array", "items": T::schema(defs) })
    }
}

/// An object whose keys the operator chooses, in written order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map<K, V> {
    /// The entries.
    pub entries: Vec<(Spanned<K>, V)>,
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<K: TextValue, V: Shape> Shape for Map<K, V> {
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        let ValueKind::Object(members) = &value.kind else {
            type_mismatch(value, "an object", ctx);
            return None;
        };
        let entries = every(meaningful(members).map(|member| {
            let (key, value) = (parse_key(&member.key, ctx), V::decode(&member.value, ctx));
            key.zip(value)
        }));
        Some(Self { entries: entries? })
    }

    fn schema(defs: &mut SchemaDefs) -> serde_json::Value {
        let mut schema = json!({ "type": "object", "additionalProperties": V::schema(defs) });
        schema["properties"] = super::schema::ignored_keys();
        if let Some(pattern) = K::PATTERN {
            let ignored = super::object::IGNORED.map(|key| key.replace('$', "\\$")).join("|");
            schema["propertyNames"] = json!({ "pattern": format!("^({ignored}|{pattern})$") });
        }
        schema
    }
}
