//! JSON with places: a strict RFC 8259 parser whose tree remembers where everything stood.
//!
//! Depth is bounded by [`MAX_DEPTH`], so neither parsing nor dropping a tree can exhaust the
//! stack, and time is linear in the text.

mod complaint;
mod parser;
mod string;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, ops::Range};

use crate::{
    diagnostic::Diagnostics,
    source::{SourceId, Span, Spanned},
};

/// Parses one text. `None` when it is not JSON, which has then been reported.
///
/// The first syntax error ends the parse of a file, since what follows it is guesswork. Duplicate
/// keys do not: each is reported and the first one kept.
pub fn parse<'t>(
    file: SourceId,
    text: &'t str,
    diagnostics: &mut Diagnostics,
) -> Option<Value<'t>> {
    parser::Parser::new(file, text, diagnostics).document()
}

/// A JSON value and where it was written. What needs no decoding is borrowed from the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value<'t> {
    /// What it is.
    pub kind: ValueKind<'t>,
    /// Where it stands, quotes and brackets included.
    pub span: Span,
}

impl<'t> Value<'t> {
    /// The place of a range of bytes inside a decoded string.
    ///
    /// Exact when the string was written without escapes, else the whole string.
    pub fn span_within(&self, range: Range<usize>) -> Span {
        let ValueKind::String(text) = &self.kind else { return self.span };
        let written_plain = self.span.range().len() == text.len() + 2;
        if !written_plain || range.end > text.len() {
            return self.span;
        }
        let start = self.span.start as usize + 1;
        Span::new(self.span.file, start + range.start, start + range.end)
    }

    /// The member with this key, when this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let ValueKind::Object(members) = &self.kind else { return None };
        members.iter().find(|member| member.key.value == key).map(|member| &member.value)
    }
}

/// The six kinds of JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueKind<'t> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as it was written; its range is the business of whoever takes it.
    Number(&'t str),
    /// A string with escapes decoded.
    String(Cow<'t, str>),
    /// A list.
    Array(Vec<Value<'t>>),
    /// An object in written order, each key once.
    Object(Vec<Member<'t>>),
}

impl ValueKind<'_> {
    /// The kind in words with its article, such as `a string`.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// One `"key": value` of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'t> {
    /// The key with escapes decoded.
    pub key: Spanned<Cow<'t, str>>,
    /// Its value.
    pub value: Value<'t>,
}

/// Lists and objects inside one another that are accepted.
pub const MAX_DEPTH: usize = 64;
