//! Rules.

use serde_json::json;

use super::{
    action::{Cgi, Files, Forward, Redirect, Respond, Tunnel},
    middleware::Middleware,
    predicate::Predicate,
    tls::Tls,
};
use crate::{
    json::{Value, ValueKind},
    shape::{Decoder, Integer, Keyed, List, OneOrMany, SchemaDefs, Shape, True, object},
    source::Spanned,
    value::{host_pattern::HostPattern, listen_addr::ListenAddr, name::RuleName, units::ByteSize},
};

object! {
    /// What to do with which traffic. Exactly one of `forward`, `respond`, `redirect`, `files`,
    /// `tunnel`, `cgi` and `close` says what is done.
    pub struct Rule {
        /// Unique name; appears in logs, metrics and explanations.
        required "name" name: Spanned<RuleName>,
        /// Addresses to listen on: `[tcp/|udp/]` and `:443` (both families), `0.0.0.0:443`,
        /// `[::]:443`, `127.0.0.1:8080` or `[fd00::1]:80`. Port 0 asks the kernel for a free one.
        optional "listen" listen: Keyed<OneOrMany<Spanned<ListenAddr>>>,
        /// A preset in place of `listen`, `match` and `tls`: HTTPS on `:443` with a managed
        /// certificate for these names, and `:80` redirecting to it.
        optional "site" site: Keyed<OneOrMany<Spanned<HostPattern>>>,
        /// Predicates that must hold. Absent: always.
        optional "match" predicate: Keyed<Predicate>,
        /// Terminates TLS. Absent on every HTTP rule of a listener: cleartext.
        optional "tls" tls: Keyed<Box<Tls>>,
        /// Middleware, applied in order.
        optional "use" middleware: List<Spanned<Middleware>>,
        /// Proxies requests to servers: a URL, the name of an upstream, or an object.
        optional "forward" forward: Keyed<Box<Forward>>,
        /// Answers requests.
        optional "respond" respond: Keyed<Box<Respond>>,
        /// Redirects requests: a template of the target, or an object.
        optional "redirect" redirect: Keyed<Box<Redirect>>,
        /// Serves files: a directory, or an object.
        optional "files" files: Keyed<Box<Files>>,
        /// Passes bytes or datagrams on: `host:port`, `unix:/path`, or an object.
        optional "tunnel" tunnel: Keyed<Box<Tunnel>>,
        /// Runs a CGI program.
        optional "cgi" cgi: Keyed<Box<Cgi>>,
        /// Closes the connection without an answer.
        optional "close" close: Keyed<True>,
        /// Decides before specificity; higher is earlier, the default is 0.
        optional "priority" priority: Spanned<Integer<-1_000_000, 1_000_000>>,
        /// Bodies of requests above this size are refused with 413. Default: 8MiB where something
        /// buffers, else unlimited.
        optional "max_body" max_body: Spanned<ByteSize>,
    }
}

/// A file of rules: one, or a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFile {
    /// The rules without problems, in written order. A rule with a problem was reported.
    pub rules: Vec<Spanned<Box<Rule>>>,
    /// Whether a rule had a problem and is left out.
    pub incomplete: bool,
}

impl Shape for RuleFile {
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        let values = match &value.kind {
            ValueKind::Array(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        let decoded = values.iter().filter_map(|value| Spanned::decode(value, ctx));
        let rules: Vec<_> = decoded.collect();
        let incomplete = rules.len() < values.len();
        Some(Self { rules, incomplete })
    }

    fn schema(defs: &mut SchemaDefs) -> serde_json::Value {
        let rule = Rule::schema(defs);
        json!({ "anyOf": [rule, { "type": "array", "items": rule }] })
    }
}
