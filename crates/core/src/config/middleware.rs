//! Middleware: what edits or inspects, then continues or ends early.

use http::HeaderName;

use crate::{
    shape::{Integer, List, Map, OneOrMany, object, single_key},
    source::Spanned,
    value::{
        field::Field, path_pattern::PathPattern, rate::Rate, regex::Regex, template::Template,
    },
};

single_key! {
    /// One step in front of the action.
    pub enum Middleware {
        /// Edits the header fields of requests.
        RequestHeaders(HeaderEdits) = "request_headers",
        /// Edits the header fields of responses.
        ResponseHeaders(HeaderEdits) = "response_headers",
        /// Changes the path of requests.
        Rewrite(Rewrite) = "rewrite",
        /// Refuses requests above a rate.
        RateLimit(RateLimit) = "rate_limit",
    }
}

object! {
    /// Edits of header fields, made in the order remove, set, add.
    pub struct HeaderEdits {
        /// Fields that have exactly this value afterwards.
        optional "set" set: Map<HeaderName, Spanned<Template>>,
        /// Values that are added to what is there.
        optional "add" add: Map<HeaderName, OneOrMany<Spanned<Template>>>,
        /// Fields that are taken away.
        optional "remove" remove: List<Spanned<HeaderName>>,
    }
}

single_key! {
    /// A change of the path. The query stays. The result is normalised again.
    pub enum Rewrite {
        /// The new path.
        Path(Spanned<Template>) = "path",
        /// Takes this prefix away where the path has it, at a segment boundary: `/api` makes
        /// `/v1` of `/api/v1` and `/` of `/api`.
        StripPrefix(Spanned<PathPattern>) = "strip_prefix",
        /// Puts this prefix in front.
        AddPrefix(Spanned<PathPattern>) = "add_prefix",
        /// Replaces what a regular expression finds.
        Replace(Replace) = "replace",
    }
}

object! {
    /// Replaces every match of a regular expression in the path.
    pub struct Replace {
        /// What is looked for; anchored only where written.
        required "regex" regex: Spanned<Regex>,
        /// What takes its place. `$1` or `${name}` are groups; since `${` in a string starts a
        /// variable, the latter is written `$${name}`.
        required "with" with: Spanned<String>,
    }
}

object! {
    /// A token bucket for each value of a field, or combination of values.
    pub struct RateLimit {
        /// What is counted apart. Default: `remote.ip`.
        optional "per" per: OneOrMany<Spanned<Field>>,
        /// Requests that are let through in the long run.
        required "rate" rate: Spanned<Rate>,
        /// Requests that may come at once. Default: those of one second, at least 1.
        optional "burst" burst: Spanned<Integer<1, 1_000_000_000>>,
        /// The status of refusals. Default: 429.
        optional "status" status: Spanned<Integer<400, 599>>,
    }
}
