//! Replaces the path of a request.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::fmt::Write as _;

use vane_core::graph::facts::Facts;
use vane_core::graph::read;
use vane_core::rules::middleware::Rewrite;
use vane_core::value::field::Field;
use vane_core::value::path;
use vane_core::value::template::{Segment, Template};

/// A new path, and a new query where the rewrite carries one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// Starts with `/`, normalised by RFC 3986 §6.2.2, legal in a request target.
    pub path: String,
    /// Without the `?`; nothing where the old query stays.
    pub query: Option<String>,
}

/// Why a request cannot be rewritten; the client sent something that no path has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RewriteError {
    /// A NUL, escaped or not.
    Nul,
    /// A field whose value is `.` or `..` and would move the path elsewhere.
    DotSegment,
}

/// Rewrites the path of a request; nothing where it stays as it is.
///
/// Characters that a path cannot have are escaped. In a template, `http.path`, `http.query` and
/// `http.uri` are used as they are; any other field is data, in which `/`, `?`, `&` and `%` are
/// escaped, so that a client cannot steer the path with it.
///
/// # Errors
/// The client is at fault and is answered 400.
pub fn rewrite(
    rule: &Rewrite,
    path: &str,
    facts: &Facts<'_>,
    unix_ms: impl Fn() -> u64,
) -> Result<Option<Rewritten>, RewriteError> {
    let new: Cow<'_, str> = match rule {
        Rewrite::Path(template) => return from_template(template, facts, unix_ms).map(Some),
        Rewrite::StripPrefix(prefix) => match strip_prefix(path, prefix) {
            Some(rest) => rest.into(),
            None => return Ok(None),
        },
        Rewrite::AddPrefix(prefix) => format!("{}{path}", prefix.trim_end_matches('/')).into(),
        Rewrite::Replace { pattern, with } => pattern.regex().replace_all(path, &**with),
    };
    if new == path {
        return Ok(None);
    }
    Ok(Some(Rewritten { path: legal_path(&new)?, query: None }))
}

impl fmt::Display for RewriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nul => "client misbehaved: the rewritten path would have a NUL",
            Self::DotSegment => "client misbehaved: the rewritten path would have a dot segment",
        })
    }
}

impl Error for RewriteError {}

/// What follows the prefix, where it ends at the end of a segment.
fn strip_prefix<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    match path.strip_prefix(prefix.trim_end_matches('/'))? {
        "" => Some("/"),
        rest => rest.starts_with('/').then_some(rest),
    }
}

fn from_template(
    template: &Template,
    facts: &Facts<'_>,
    unix_ms: impl Fn() -> u64,
) -> Result<Rewritten, RewriteError> {
    let mut target = String::new();
    for segment in template.segments() {
        match segment {
            Segment::Literal(text) => target.push_str(text),
            Segment::Field(Field::TimeUnixMs) => {
                push_text(&mut target, format_args!("{}", unix_ms()));
            }
            Segment::Field(field) => {
                push_field(&mut target, field, &read::text(field, facts).unwrap_or_default())?;
            }
        }
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target.as_str(), None),
    };
    Ok(Rewritten { path: legal_path(path)?, query: query.map(|query| escape(query, is_in_query)) })
}

fn push_field(target: &mut String, field: &Field, value: &str) -> Result<(), RewriteError> {
    match field {
        Field::HttpPath | Field::HttpQuery | Field::HttpUri => target.push_str(value),
        _ if value == "." || value == ".." => return Err(RewriteError::DotSegment),
        _ if value.contains('\0') => return Err(RewriteError::Nul),
        _ => value.bytes().for_each(|byte| push(target, byte, is_unreserved)),
    }
    Ok(())
}

fn legal_path(path: &str) -> Result<String, RewriteError> {
    let mut absolute = escape(path, is_in_path);
    if !absolute.starts_with('/') {
        absolute.insert(0, '/');
    }
    match path::normalise(&absolute) {
        Ok(Cow::Owned(normal)) => Ok(normal),
        Ok(Cow::Borrowed(_)) => Ok(absolute),
        Err(_) => Err(RewriteError::Nul),
    }
}

/// Escapes what is not `legal`; escapes that are there already stay.
fn escape(text: &str, legal: fn(u8) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    let bytes = text.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        let is_escape = byte == b'%'
            && matches!(bytes.get(at + 1..at + 3), Some(digits) if digits.iter().all(u8::is_ascii_hexdigit));
        if is_escape {
            escaped.push('%');
        } else {
            push(&mut escaped, byte, legal);
        }
    }
    escaped
}

fn push(text: &mut String, byte: u8, legal: fn(u8) -> bool) {
    if legal(byte) {
        text.push(char::from(byte));
    } else {
        push_text(text, format_args!("%{byte:02X}"));
    }
}

fn push_text(text: &mut String, more: fmt::Arguments<'_>) {
    text.write_fmt(more).expect("writing to a String cannot fail");
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// `pchar` of RFC 3986 §3.3 without escapes, and the slash.
fn is_in_path(byte: u8) -> bool {
    is_unreserved(byte) || b"/!$&'()*+,;=:@".contains(&byte)
}

fn is_in_query(byte: u8) -> bool {
    is_in_path(byte) || byte == b'?'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vane_core::rules::condition::Pattern;

    use super::*;
    use crate::middleware::tests::with_request;

    fn rewritten(
        rule: &Rewrite,
        target: &str,
    ) -> Result<Option<(String, Option<String>)>, RewriteError> {
        let path = target.split('?').next().unwrap();
        with_request(target, |facts| rewrite(rule, path, facts, || 17))
            .map(|new| new.map(|new| (new.path, new.query)))
    }

    fn path_of(rule: &Rewrite, target: &str) -> Option<String> {
        rewritten(rule, target).unwrap().map(|(path, _)| path)
    }

    fn to(template: &str) -> Rewrite {
        Rewrite::Path(Template::parse(template).unwrap())
    }

    #[test]
    fn a_prefix_is_taken_away_at_a_segment_boundary_only() {
        for prefix in ["/api", "/api/"] {
            let rule = Rewrite::StripPrefix(prefix.into());
            assert_eq!(path_of(&rule, "/api/x"), Some("/x".into()));
            assert_eq!(path_of(&rule, "/api"), Some("/".into()));
            assert_eq!(path_of(&rule, "/api/"), Some("/".into()));
            assert_eq!(path_of(&rule, "/apix"), None);
            assert_eq!(path_of(&rule, "/v1/api"), None);
        }
        assert_eq!(path_of(&Rewrite::StripPrefix("/".into()), "/x"), None);
    }

    #[test]
    fn a_prefix_is_put_in_front() {
        assert_eq!(path_of(&Rewrite::AddPrefix("/v1/".into()), "/x"), Some("/v1/x".into()));
        assert_eq!(path_of(&Rewrite::AddPrefix("v1".into()), "/x"), Some("/v1/x".into()));
        assert_eq!(path_of(&Rewrite::AddPrefix("/".into()), "/x"), None);
    }

    #[test]
    fn a_pattern_is_replaced_with_its_groups() {
        let pattern = Pattern::new("^/user/([0-9]+)").unwrap();
        let rule = Rewrite::Replace { pattern, with: "/u/${1}/é?".into() };
        assert_eq!(path_of(&rule, "/user/42/x"), Some("/u/42/%C3%A9%3F/x".into()));
        assert_eq!(path_of(&rule, "/other"), None);
    }

    #[test]
    fn a_template_may_carry_a_query() {
        assert_eq!(rewritten(&to("/new"), "/old?a=1"), Ok(Some(("/new".into(), None))));
        let expected = Ok(Some(("/new/old".into(), Some("from=a.example&t=17".into()))));
        let rule = to("/new{http.path}?from={http.host}&t={time.unix_ms}");
        assert_eq!(rewritten(&rule, "/old?a=1"), expected);
        assert_eq!(rewritten(&to("/x?"), "/old?a=1"), Ok(Some(("/x".into(), Some(String::new())))));
    }

    #[test]
    fn data_from_a_request_cannot_steer_the_path() {
        let rule = to("/files/{http.query.name}/show");
        let shown = |target| rewritten(&rule, target);
        let path = |path: &str| Ok(Some((path.to_owned(), None)));
        assert_eq!(shown("/?name=a%2Fb%3Fc%26%25"), path("/files/a%2Fb%3Fc%26%25/show"));
        assert_eq!(shown("/?name=..%2F..%2Fetc"), path("/files/..%2F..%2Fetc/show"));
        assert_eq!(shown("/?name=.."), Err(RewriteError::DotSegment));
        assert_eq!(shown("/?name=%00"), Err(RewriteError::Nul));
    }

    #[test]
    fn the_result_is_absolute_and_normal() {
        assert_eq!(path_of(&to("a/./b/../c d"), "/"), Some("/a/c%20d".into()));
        assert_eq!(path_of(&to("/100%"), "/"), Some("/100%25".into()));
        assert_eq!(path_of(&to("/%7euser"), "/"), Some("/~user".into()));
        assert_eq!(path_of(&to(""), "/x"), Some("/".into()));
    }

    proptest! {
        #[test]
        fn any_template_gives_a_legal_target(text in "\\PC{0,30}", target in "/[a-z./%]{0,9}") {
            let literal = text.replace('{', "{{").replace('}', "}}");
            let rule = to(&format!("{literal}{{http.path}}"));
            if let Ok(Some((path, query))) = rewritten(&rule, &target) {
                let whole = format!("{path}?{}", query.unwrap_or_default());
                prop_assert!(path.starts_with('/'));
                prop_assert!(whole.parse::<http::uri::PathAndQuery>().is_ok(), "{}", whole);
                prop_assert!(matches!(path::normalise(&path), Ok(Cow::Borrowed(_))), "{}", path);
            }
        }
    }
}
