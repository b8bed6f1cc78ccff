//! One declaration per configuration item: it decodes, and it is the JSON Schema.
//!
//! A type implements [`Shape`] once, mostly through the macros of this module. Decoding reports
//! every problem of an item, not only the first, and gives `None` when there was any.

mod collection;
mod decoder;
mod macros;
mod object;
mod scalar;
pub mod schema;
#[cfg(test)]
mod tests;
mod text;
pub(crate) mod word;

pub use collection::{List, Map, OneOrMany};
pub use decoder::{Decoder, Origin, Text};
pub use object::Members;
pub use scalar::{Integer, True};
pub use schema::SchemaDefs;
pub use text::TextValue;

pub(crate) use macros::{keyword, object, single_key};
pub(crate) use object::{meaningful, quoted, shortened, type_mismatch};

use crate::{
    json::Value,
    source::{Span, Spanned},
};

/// An item of the configuration that can be decoded and described.
pub trait Shape: Sized {
    /// Decodes a value. `None` when it is not one of these, which has then been reported.
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self>;

    /// Decodes the value of a member whose key stands at `key`.
    fn decode_member(_key: Span, value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        Self::decode(value, ctx)
    }

    /// The JSON Schema, draft 2020-12; named parts go to `defs`.
    fn schema(defs: &mut SchemaDefs) -> serde_json::Value;
}

impl<T: Shape> Shape for Spanned<T> {
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        Some(Self::new(T::decode(value, ctx)?, value.span))
    }

    fn schema(defs: &mut SchemaDefs) -> serde_json::Value {
        T::schema(defs)
    }
}

/// A value together with the key that it was written under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed<T> {
    /// Where the key stands.
    pub key: Span,
    /// What was written.
    pub value: T,
    /// Where the value stands.
    pub span: Span,
}

impl<T: Shape> Shape for Keyed<T> {
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        Self::decode_member(value.span, value, ctx)
    }

    fn decode_member(key: Span, value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        Some(Self { key, value: T::decode(value, ctx)?, span: value.span })
    }

    fn schema(defs: &mut SchemaDefs) -> serde_json::Value {
        T::schema(defs)
    }
}

impl<T: Shape> Shape for Box<T> {
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        T::decode(value, ctx).map(Self::new)
    }

    fn schema(defs: &mut SchemaDefs) -> serde_json::Value {
        T::schema(defs)
    }
}
