//! Middleware.

use http::{HeaderName, StatusCode};

use crate::compile::expand::{Context, template};
use crate::config::middleware as written;
use crate::diagnostic::code::Code;
use crate::diagnostic::every;
use crate::rules::condition::Pattern;
use crate::rules::middleware::{HeaderEdit, Middleware, RateLimit, Rewrite};
use crate::source::{Span, Spanned};
use crate::value::field::Field;
use crate::value::path_pattern::PathPattern;
use crate::value::rate::Rate;
use crate::value::template::{Segment, Template};

/// Expands every middleware, and gives them if all are well.
pub(super) fn expand(
    list: &[Spanned<written::Middleware>],
    ctx: &mut Context<'_>,
) -> Option<Vec<Middleware>> {
    every(list.iter().map(|each| one(&each.value, ctx)))
}

fn one(middleware: &written::Middleware, ctx: &mut Context<'_>) -> Option<Middleware> {
    match middleware {
        written::Middleware::RequestHeaders(edits) => {
            header_edit(edits, ctx).map(Middleware::RequestHeaders)
        }
        written::Middleware::ResponseHeaders(edits) => {
            header_edit(edits, ctx).map(Middleware::ResponseHeaders)
        }
        written::Middleware::Rewrite(change) => rewrite(change, ctx).map(Middleware::Rewrite),
        written::Middleware::RateLimit(limit) => rate_limit(limit, ctx).map(Middleware::RateLimit),
    }
}

fn header_edit(edits: &written::HeaderEdits, ctx: &mut Context<'_>) -> Option<HeaderEdit> {
    let remove = edits.remove.iter().flat_map(|list| &list.items);
    let set = edits.set.iter().flat_map(|map| &map.entries);
    let set = set.map(|(name, value)| (name, value)).collect();
    let add = edits.add.iter().flat_map(|map| &map.entries);
    let add = add.flat_map(|(name, values)| values.items().iter().map(move |value| (name, value)));
    let (set, add) = (headers(set, ctx), headers(add.collect(), ctx));
    Some(HeaderEdit {
        remove: remove.map(|name| name.value.clone()).collect(),
        set: set?,
        add: add?,
    })
}

/// Header fields as they are written.
type Pairs<'w> = Vec<(&'w Spanned<HeaderName>, &'w Spanned<Template>)>;

fn headers(pairs: Pairs<'_>, ctx: &mut Context<'_>) -> Option<Vec<(HeaderName, Template)>> {
    every(pairs.into_iter().map(|(name, value)| template::header(name, value, ctx)))
}

fn rewrite(change: &written::Rewrite, ctx: &mut Context<'_>) -> Option<Rewrite> {
    match change {
        written::Rewrite::Path(path) => new_path(path, ctx).map(Rewrite::Path),
        written::Rewrite::StripPrefix(text) => prefix(text, ctx).map(Rewrite::StripPrefix),
        written::Rewrite::AddPrefix(text) => prefix(text, ctx).map(Rewrite::AddPrefix),
        written::Rewrite::Replace(replace) => Some(Rewrite::Replace {
            pattern: Pattern::from(&replace.regex.value),
            with: replace.with.value.as_str().into(),
        }),
    }
}

/// A path that starts with text starts with `/`.
fn new_path(path: &Spanned<Template>, ctx: &mut Context<'_>) -> Option<Template> {
    let rooted = match path.value.segments().first() {
        Some(Segment::Literal(text)) => text.starts_with('/'),
        Some(Segment::Field(_)) => true,
        None => false,
    };
    if !rooted {
        ctx.error(Code::BadPathPattern, path.span, "a path starts with `/`");
        return None;
    }
    template::available(path, ctx)
}

fn prefix(path: &Spanned<PathPattern>, ctx: &mut Context<'_>) -> Option<Box<str>> {
    let prefix = path.value.as_str().trim_end_matches('/');
    if prefix.is_empty() {
        ctx.error(Code::BadPathPattern, path.span, "the prefix `/` changes nothing")
            .help("take this rewrite away, or write the prefix that is meant, such as `/api`");
        return None;
    }
    Some(prefix.into())
}

fn rate_limit(limit: &written::RateLimit, ctx: &mut Context<'_>) -> Option<RateLimit> {
    let per = match &limit.per {
        Some(fields) => {
            let fields = fields.items().iter();
            every(fields.map(|field| countable(&field.value, field.span, ctx)))?
        }
        None => vec![Field::RemoteIp],
    };
    let burst = limit.burst.as_ref().and_then(|burst| u32::try_from(burst.value.get()).ok());
    let status = limit.status.as_ref().and_then(|status| u16::try_from(status.value.get()).ok());
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    Some(RateLimit {
        per,
        rate: limit.rate.value,
        burst: burst.unwrap_or_else(|| of_one_second(limit.rate.value)),
        status: status.unwrap_or(StatusCode::TOO_MANY_REQUESTS),
    })
}

fn countable(field: &Field, span: Span, ctx: &mut Context<'_>) -> Option<Field> {
    if !field.is_matchable() {
        let message = format!("`{field}` is different every time, so it would limit nothing");
        ctx.error(Code::BadValue, span, message).help("count by `remote.ip`, for example");
        return None;
    }
    template::known(field, span, ctx).then(|| field.clone())
}

/// What comes in one second, rounded up.
fn of_one_second(rate: Rate) -> u32 {
    let seconds = u32::try_from(rate.per().length().as_secs()).unwrap_or(u32::MAX);
    rate.count().div_ceil(seconds.max(1)).max(1)
}
