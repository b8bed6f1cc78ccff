//! What fields are compared with, in the form that is compared.

use std::borrow::Cow;
use std::net::IpAddr;

use http::Method;

use crate::compile::expand::Context;
use crate::config::predicate::Scalar;
use crate::diagnostic::code::Code;
use crate::diagnostic::every;
use crate::rules::condition::Test;
use crate::source::{Span, Spanned};
use crate::value::field::{Field, PeerCertField};
use crate::value::host_pattern::HostPattern;
use crate::value::{Explain, is_v4_mapped, path as paths};

/// What the values of a field are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Addresses.
    Address,
    /// Ports.
    Port,
    /// One of few words.
    Word(&'static [&'static str]),
    /// Host names; always there.
    Host,
    /// Names of servers, which a client may leave out.
    ServerName,
    /// Normalised paths.
    Path,
    /// Methods, in which case counts.
    Method,
    /// Bytes in hexadecimal.
    Hex,
    /// Any text.
    Text {
        /// Whether a flow may have none.
        optional: bool,
    },
}

impl Kind {
    pub(super) fn of(field: &Field) -> Self {
        match field {
            Field::RemoteIp | Field::LocalIp => Self::Address,
            Field::RemotePort | Field::LocalPort => Self::Port,
            Field::Transport => Self::Word(&["tcp", "udp"]),
            Field::Protocol => Self::Word(&["tls", "http1", "http2", "quic", "other"]),
            Field::HttpVersion => Self::Word(&["1.0", "1.1", "2", "3"]),
            Field::HttpScheme => Self::Word(&["http", "https"]),
            Field::TlsVersion => Self::Word(&["1.2", "1.3"]),
            Field::TlsPeerCert(PeerCertField::Present) => Self::Word(&["true", "false"]),
            Field::TlsPeerCert(
                PeerCertField::Serial
                | PeerCertField::FingerprintSha256
                | PeerCertField::SpkiSha256,
            ) => Self::Hex,
            Field::HttpHost => Self::Host,
            Field::TlsSni => Self::ServerName,
            Field::HttpPath => Self::Path,
            Field::HttpMethod => Self::Method,
            Field::HttpUri => Self::Text { optional: false },
            _ => Self::Text { optional: true },
        }
    }

    /// The operators that apply, for people.
    pub(super) fn operators(self) -> &'static str {
        match self {
            Self::Address => "`equals`, `not_equals`, `one_of` and `cidr`",
            Self::Port | Self::Word(_) | Self::Hex => "`equals`, `not_equals` and `one_of`",
            Self::ServerName | Self::Text { optional: true } => {
                "`equals`, `not_equals`, `one_of`, `prefix`, `suffix`, `contains`, `regex` and `exists`"
            }
            Self::Host | Self::Path | Self::Method | Self::Text { optional: false } => {
                "`equals`, `not_equals`, `one_of`, `prefix`, `suffix`, `contains` and `regex`"
            }
        }
    }
}

/// The test that a field of this kind is one of these values.
pub(super) fn one_of(
    kind: Kind,
    values: &[Spanned<Scalar>],
    ctx: &mut Context<'_>,
) -> Option<Test> {
    match kind {
        Kind::Address => each(values, ctx, address).map(Test::Address),
        Kind::Port => each(values, ctx, port).map(Test::Port),
        Kind::Word(words) => {
            each(values, ctx, |text, span, ctx| word(words, text, span, ctx)).map(Test::OneOf)
        }
        Kind::Host | Kind::ServerName => each(values, ctx, host).map(Test::Host),
        Kind::Path => each(values, ctx, exact_path).map(Test::OneOf),
        Kind::Method => each(values, ctx, method).map(Test::OneOf),
        Kind::Hex => each(values, ctx, hex).map(Test::OneOf),
        Kind::Text { .. } => each(values, ctx, |text, _, _| Some(text.into())).map(Test::OneOf),
    }
}

/// The start of paths, normalised and without its last `/`.
pub(super) fn path_prefix(value: &Spanned<Scalar>, ctx: &mut Context<'_>) -> Option<Test> {
    let Some(text) = text(&value.value) else { return Some(Test::PathPrefix("".into())) };
    let normal = path(&text, value.span, ctx)?;
    if normal.ends_with("/*") {
        no_wildcard(value.span, ctx);
    }
    Some(Test::PathPrefix(normal.trim_end_matches('/').into()))
}

/// A part of a text: its start, its end, or something in it.
pub(super) fn part(kind: Kind, value: &Spanned<Scalar>, ctx: &mut Context<'_>) -> Option<Box<str>> {
    let Some(text) = text(&value.value) else { return Some("".into()) };
    if text.is_empty() {
        ctx.error(Code::BadValue, value.span, "every text has the empty one in it")
            .help("write the part that is looked for");
        return None;
    }
    Some(match kind {
        Kind::Host | Kind::ServerName => text.to_ascii_lowercase().into(),
        _ => text.into(),
    })
}

/// The normal form of a written path.
fn path<'t>(text: &'t str, span: Span, ctx: &mut Context<'_>) -> Option<Cow<'t, str>> {
    if text.contains(['?', '#']) {
        ctx.error(Code::BadPathPattern, span, "a path has no query and no fragment")
            .help("match the query with `http.query`, or both with `http.uri`; a `?` in a path is written `%3F`");
        return None;
    }
    match paths::normalise(text) {
        Ok(normal) => {
            if normal != text {
                not_normal(&normal, span, ctx);
            }
            Some(normal)
        }
        Err(error) => {
            let help = error.help();
            ctx.error(Code::BadPathPattern, span, error.to_string()).help.extend(help);
            None
        }
    }
}

/// Every operand in its own form. One whose variable is unset asks for nothing.
fn each<T>(
    values: &[Spanned<Scalar>],
    ctx: &mut Context<'_>,
    parse: impl Fn(&str, Span, &mut Context<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let texts = values.iter().filter_map(|value| Some((text(&value.value)?, value.span)));
    every(texts.map(|(text, span)| parse(&text, span, ctx)))
}

/// The text of an operand; none where its variable is unset.
fn text(value: &Scalar) -> Option<Cow<'_, str>> {
    match value {
        Scalar::Text(text) => Some(Cow::Borrowed(text)),
        Scalar::Number(number) => Some(Cow::Owned(number.to_string())),
        Scalar::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
        Scalar::Unset => None,
    }
}

fn address(text: &str, span: Span, ctx: &mut Context<'_>) -> Option<IpAddr> {
    let Ok(address) = text.parse::<IpAddr>() else {
        let error = ctx.error(Code::BadValue, span, "this is not an IP address");
        if text.contains('/') {
            error.help("networks are asked for with `cidr`, as in `{ \"cidr\": \"10.0.0.0/8\" }`");
        }
        return None;
    };
    if is_v4_mapped(address) {
        ctx.error(Code::BadValue, span, "an IPv4 address mapped into IPv6 never matches")
            .help("write the IPv4 address alone");
        return None;
    }
    Some(address)
}

fn port(text: &str, span: Span, ctx: &mut Context<'_>) -> Option<u16> {
    let port = text.parse().ok();
    if port.is_none() {
        ctx.error(Code::BadValue, span, "a port is a number from 0 to 65535");
    }
    port
}

fn word(words: &[&'static str], text: &str, span: Span, ctx: &mut Context<'_>) -> Option<Box<str>> {
    if words.contains(&text) {
        return Some(text.into());
    }
    let known: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    let meant = ctx.nearest(text, words.iter().copied());
    let error = ctx.error(Code::BadValue, span, "this field never has this value");
    if let Some(meant) = meant {
        error.label(format!("did you mean `{meant}`?"));
    }
    error.help(format!("it is one of {}", known.join(", ")));
    None
}

fn host(text: &str, span: Span, ctx: &mut Context<'_>) -> Option<HostPattern> {
    match HostPattern::parse(text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let help = error.help();
            ctx.error(Code::BadHostPattern, span, error.to_string()).help.extend(help);
            None
        }
    }
}

fn exact_path(text: &str, span: Span, ctx: &mut Context<'_>) -> Option<Box<str>> {
    let normal = path(text, span, ctx)?;
    if normal.ends_with('*') {
        no_wildcard(span, ctx);
    }
    Some(normal.into())
}

/// RFC 9110 §9.1: methods are case-sensitive tokens.
fn method(text: &str, span: Span, ctx: &mut Context<'_>) -> Option<Box<str>> {
    let Ok(method) = Method::from_bytes(text.as_bytes()) else {
        ctx.error(Code::BadValue, span, "this is not a method").help("write one, such as `GET`");
        return None;
    };
    let upper = text.to_ascii_uppercase();
    if upper != text && STANDARD_METHODS.contains(&upper.as_str()) {
        ctx.diagnostics
            .warning(
                Code::BadValue,
                span,
                "methods are case-sensitive, so this matches no ordinary request",
            )
            .label(format!("did you mean `{upper}`?"));
    }
    Some(method.as_str().into())
}

/// As other tools print it: in any case, bytes with or without colons between them.
fn hex(text: &str, span: Span, ctx: &mut Context<'_>) -> Option<Box<str>> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        ctx.error(Code::BadValue, span, "this is not hexadecimal")
            .help("write digits and letters from `a` to `f`, with colons between bytes or without");
        return None;
    }
    Some(digits.to_ascii_lowercase().into())
}

fn not_normal(normal: &str, span: Span, ctx: &mut Context<'_>) {
    let shown = ctx.may_show(span).then(|| format!("that form is `{normal}`"));
    let message = "paths are compared in their normal form, and this is not one";
    let warning = ctx.diagnostics.warning(Code::BadPathPattern, span, message);
    warning.label = shown;
    warning.help("write it so to say what is compared");
}

fn no_wildcard(span: Span, ctx: &mut Context<'_>) {
    let message = "a `*` in a path is no wildcard";
    ctx.diagnostics
        .warning(Code::BadPathPattern, span, message)
        .label("this matches a `*` only")
        .help("for everything below a path use `prefix`, as in `{ \"prefix\": \"/api\" }`");
}

const STANDARD_METHODS: &[&str] =
    &["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
