//! What edits or inspects a request on its way to the action.

use http::{HeaderName, StatusCode};

use crate::rules::condition::Pattern;
use crate::value::field::Field;
use crate::value::rate::Rate;
use crate::value::template::Template;

/// One step between match and action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Middleware {
    /// Edits the header fields of the request before it is forwarded.
    RequestHeaders(HeaderEdit),
    /// Edits the header fields of the response before it is sent.
    ResponseHeaders(HeaderEdit),
    /// Replaces the path of the request.
    Rewrite(Rewrite),
    /// Answers early when a source asks too often.
    RateLimit(RateLimit),
}

/// Changes to a set of header fields: first `remove`, then `set`, then `add`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderEdit {
    /// Every field line of that name goes.
    pub remove: Vec<HeaderName>,
    /// Replaces every field line of that name by one.
    pub set: Vec<(HeaderName, Template)>,
    /// Appends a field line.
    pub add: Vec<(HeaderName, Template)>,
}

/// How a path is replaced. The query stays, unless a `Path` template carries its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrite {
    /// The template's value is the new path.
    Path(Template),
    /// Takes the prefix away at a segment boundary; a path without it stays.
    StripPrefix(Box<str>),
    /// Puts the prefix in front.
    AddPrefix(Box<str>),
    /// Replaces every match; `$1` and `${name}` stand for groups.
    Replace {
        /// What is looked for in the path.
        pattern: Pattern,
        /// What stands in its place.
        with: Box<str>,
    },
}

/// A token bucket for each distinct value of `per`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// The fields whose values, taken together, name a bucket; empty is one bucket for all.
    pub per: Vec<Field>,
    /// How fast a bucket fills.
    pub rate: Rate,
    /// How many requests a full bucket lets through at once; at least 1.
    pub burst: u32,
    /// The answer when the bucket is empty; 429 unless written.
    pub status: StatusCode,
}
