//! Conditions, middleware and actions in words.

use std::fmt::Display;

use http::HeaderName;

use crate::graph::FlowGraph;
use crate::rules::action::{Action, Forward, ForwardVersion, ForwardedHost, RespondBody, Tunnel};
use crate::rules::condition::{Condition, Predicate, Test};
use crate::rules::middleware::{HeaderEdit, Middleware, RateLimit, Rewrite};
use crate::rules::tls::{CertificateSource, Managed, Serving, TlsVersion};
use crate::rules::upstream::UpstreamTls;
use crate::value::template::Template;
use crate::value::units::Duration;

/// A condition in words, such as `http.method is any of GET, POST`.
pub fn condition(condition: &Condition) -> String {
    match condition {
        Condition::Test(test) => predicate(test),
        Condition::All(inner) if inner.is_empty() => "always".to_owned(),
        Condition::Any(inner) if inner.is_empty() => "never".to_owned(),
        Condition::All(inner) => format!("({})", join(inner.iter().map(self::condition), " and ")),
        Condition::Any(inner) => format!("({})", join(inner.iter().map(self::condition), " or ")),
        Condition::Not(inner) => format!("not {}", self::condition(inner)),
    }
}

/// Conditions that all have to hold, in words.
pub fn conditions<'c>(conditions: impl IntoIterator<Item = &'c Condition>) -> String {
    let words = join(conditions.into_iter().map(condition), " and ");
    if words.is_empty() { "always".to_owned() } else { words }
}

/// One question in words.
pub fn predicate(predicate: &Predicate) -> String {
    let field = &predicate.field;
    match &predicate.test {
        Test::Exists(true) => format!("{field} is there"),
        Test::Exists(false) => format!("{field} is not there"),
        Test::OneOf(texts) => {
            format!("{field} is {}", any_of(texts.iter().map(|text| quoted(text))))
        }
        Test::Host(patterns) => format!("{field} is {}", any_of(patterns)),
        Test::Prefix(text) => format!("{field} starts with {}", quoted(text)),
        Test::PathPrefix(text) if text.is_empty() => format!("{field} is / or below"),
        Test::PathPrefix(text) => format!("{field} is {} or below", quoted(text)),
        Test::Suffix(text) => format!("{field} ends with {}", quoted(text)),
        Test::Contains(text) => format!("{field} contains {}", quoted(text)),
        Test::Regex(pattern) => format!("{field} matches {}", quoted(pattern.as_str())),
        Test::Cidr(networks) => format!("{field} is in {}", any_of(networks)),
        Test::Address(addresses) => format!("{field} is {}", any_of(addresses)),
        Test::Port(ports) => format!("{field} is {}", any_of(ports)),
    }
}

/// A middleware in words.
pub fn middleware(middleware: &Middleware) -> String {
    match middleware {
        Middleware::RequestHeaders(edit) => format!("request_headers {}", header_edit(edit)),
        Middleware::ResponseHeaders(edit) => format!("response_headers {}", header_edit(edit)),
        Middleware::Rewrite(rewrite) => format!("rewrite {}", self::rewrite(rewrite)),
        Middleware::RateLimit(limit) => rate_limit(limit),
    }
}

/// An action in words.
pub fn action(action: &Action, graph: &FlowGraph) -> String {
    match action {
        Action::Forward(forward) => self::forward(forward, graph),
        Action::Respond(respond) => {
            let body = match &respond.body {
                RespondBody::Template(template) if template.segments().is_empty() => String::new(),
                RespondBody::Template(template) => format!(", body {}", shown(template)),
                RespondBody::File(path) => format!(", body from {path}"),
            };
            let headers = respond.headers.iter().map(|field| format!(", {}", header(field)));
            format!("respond {}{}{body}", respond.status.as_u16(), headers.collect::<String>())
        }
        Action::Redirect(redirect) => {
            format!("redirect {} to {}", redirect.status.as_u16(), redirect.to)
        }
        Action::Tunnel(tunnel) => self::tunnel(tunnel),
        Action::Close => "close".to_owned(),
    }
}

/// What a handshake is answered with, in words.
pub fn serving(serving: &Serving, graph: &FlowGraph) -> String {
    let certificate = &graph.certificate(serving.certificate).name;
    let version = match serving.min_version {
        TlsVersion::Tls12 => "",
        TlsVersion::Tls13 => ", TLS 1.3 alone",
    };
    let client = match &serving.client_auth {
        Some(auth) if auth.required => ", clients need a certificate",
        Some(_) => ", clients are asked for a certificate",
        None => "",
    };
    format!("certificate {certificate}{version}{client}")
}

/// Where a certificate comes from, in words.
pub fn certificate(source: &CertificateSource) -> String {
    match source {
        CertificateSource::Files { chain, key } => format!("from {chain}, key {key}"),
        CertificateSource::Acme(managed) => {
            let Managed { names, account, challenge, .. } = &**managed;
            let (names, directory) = (join(names, ", "), &account.directory);
            format!("from {directory} by {} for {names}", challenge.as_str())
        }
    }
}

/// How TLS is spoken to the servers of an upstream, in words; nothing where it is as usual.
pub fn upstream_tls(tls: &UpstreamTls) -> String {
    let roots = tls.ca_file.iter().map(|path| format!(", trusts {path}"));
    let name = tls.server_name.iter().map(|name| format!(", as {name}"));
    let identity = tls.identity.iter().map(|(chain, _)| format!(", shows {chain}"));
    let unverified = tls.unverified.then(|| ", NOT VERIFIED".to_owned());
    roots.chain(name).chain(identity).chain(unverified).collect()
}

/// Text as it is where it is one plain word, else quoted.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '"' | '`');
    let is_plain = !text.is_empty() && text.chars().all(plain);
    if is_plain { text.to_owned() } else { format!("{text:?}") }
}

/// How many of something there are.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A time in the largest unit that divides it.
pub fn time(time: std::time::Duration) -> String {
    let text = format!("{}ms", time.as_millis());
    Duration::parse(&text).map_or(text, |duration| duration.to_string())
}

fn forward(forward: &Forward, graph: &FlowGraph) -> String {
    let upstream = graph.upstream(forward.upstream);
    let host = match &forward.host {
        ForwardedHost::Preserve => String::new(),
        ForwardedHost::Upstream => ", host of the upstream".to_owned(),
        ForwardedHost::Template(template) => format!(", host {}", shown(template)),
    };
    let version = match forward.version {
        ForwardVersion::Auto => "",
        ForwardVersion::Http1 => ", HTTP/1.1",
        ForwardVersion::Http2 => ", HTTP/2",
    };
    let times = &forward.timeouts;
    format!(
        "forward to {}{host}{version}, timeouts connect {} response {} idle {}",
        upstream.name,
        time(times.connect),
        time(times.response),
        time(times.idle)
    )
}

fn tunnel(tunnel: &Tunnel) -> String {
    let (connect, idle) = (time(tunnel.connect_timeout), time(tunnel.idle_timeout));
    format!("tunnel to {}, timeouts connect {connect} idle {idle}", tunnel.to)
}

fn header_edit(edit: &HeaderEdit) -> String {
    let removed = edit.remove.iter().map(|name| format!("remove {name}"));
    let set = edit.set.iter().map(|field| format!("set {}", header(field)));
    let added = edit.add.iter().map(|field| format!("add {}", header(field)));
    join(removed.chain(set).chain(added), ", ")
}

fn header((name, value): &(HeaderName, Template)) -> String {
    format!("{name}: {}", shown(value))
}

fn rewrite(rewrite: &Rewrite) -> String {
    match rewrite {
        Rewrite::Path(template) => format!("path {}", shown(template)),
        Rewrite::StripPrefix(prefix) => format!("strip_prefix {}", quoted(prefix)),
        Rewrite::AddPrefix(prefix) => format!("add_prefix {}", quoted(prefix)),
        Rewrite::Replace { pattern, with } => {
            format!("replace {} with {}", quoted(pattern.as_str()), quoted(with))
        }
    }
}

fn rate_limit(limit: &RateLimit) -> String {
    let per = join(&limit.per, " and ");
    let per = if per.is_empty() { "all together".to_owned() } else { format!("per {per}") };
    let (rate, burst, status) = (limit.rate, limit.burst, limit.status.as_u16());
    format!("rate_limit {rate} {per}, burst {burst}, else {status}")
}

fn shown(template: &Template) -> String {
    quoted(&template.to_string())
}

fn any_of(items: impl IntoIterator<Item = impl Display>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    match items.as_slice() {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        several => format!("any of {}", several.join(", ")),
    }
}

fn join(items: impl IntoIterator<Item = impl Display>, between: &str) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(between)
}
