//! Rules and upstreams in JSON, streamed: hashing ten thousand rules builds no tree.

use std::fmt::{self, Display};
use std::net::SocketAddr;

use http::HeaderName;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::graph::dump::tls::{self, CertificateForm, RuleTlsForm, UpstreamTlsForm};
use crate::graph::walk::{self, Step};
use crate::graph::{FlowGraph, Node, NodeId, RuleInfo};
use crate::rules::action::{Action, ForwardVersion, ForwardedHost, RespondBody};
use crate::rules::condition::{Condition, Test};
use crate::rules::middleware::{HeaderEdit, Middleware, Rewrite};
use crate::rules::upstream::{Server, Upstream, UpstreamTls};
use crate::value::field::{Field, Layer};
use crate::value::host_pattern::HostPattern;
use crate::value::listen_addr::Transport;
use crate::value::template::Template;
use crate::value::units::ByteSize;

/// What a graph means: what two configurations have to share to be the same. Its rules are made
/// one at a time.
pub(super) struct Meaning<'g>(pub(super) &'g FlowGraph);

impl Serialize for Meaning<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let graph = self.0;
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry("rules", &RuleMeanings(graph))?;
        let certificates: Vec<_> = graph.certificates.iter().map(CertificateForm::of).collect();
        map.serialize_entry("certificates", &certificates)?;
        map.serialize_entry("secrets", &tls::secrets(&graph.certificates))?;
        let upstreams: Vec<_> = graph.upstreams.iter().map(UpstreamForm).collect();
        map.serialize_entry("upstreams", &upstreams)?;
        map.serialize_entry("trusted_proxies", &shown(&graph.trusted_proxies))?;
        map.end()
    }
}

struct RuleMeanings<'g>(&'g FlowGraph);

impl Serialize for RuleMeanings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.rules.iter().map(|rule| RuleForm::meaning(self.0, rule)))
    }
}

/// A rule as one object.
#[derive(Serialize)]
pub(super) struct RuleForm<'g> {
    name: &'g str,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<&'g str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<Shown<NodeId>>,
    layer: LayerForm,
    listen: Vec<Shown<BindForm>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<RuleTlsForm<'g>>,
    priority: i64,
    max_body: Option<u64>,
    r#match: Vec<Vec<ConditionForm<'g>>>,
    r#use: Vec<MiddlewareForm<'g>>,
    action: Option<ActionForm<'g>>,
}

impl<'g> RuleForm<'g> {
    pub(super) fn of(graph: &'g FlowGraph, rule: &'g RuleInfo) -> Self {
        let (place, entry) = (Some(&*rule.place), Some(Shown(rule.entry)));
        Self { place, entry, ..Self::meaning(graph, rule) }
    }

    /// Without its place and ids.
    pub(super) fn meaning(graph: &'g FlowGraph, rule: &'g RuleInfo) -> Self {
        let mut form = Self {
            name: rule.name.as_str(),
            place: None,
            entry: None,
            layer: LayerForm(rule.layer),
            listen: rule.binds.iter().map(|&(kind, at)| Shown(BindForm(kind, at))).collect(),
            tls: rule.tls.as_ref().map(|tls| RuleTlsForm::of(tls, graph)),
            priority: rule.priority,
            max_body: rule.max_body.map(ByteSize::bytes),
            r#match: alternatives(rule),
            r#use: Vec::new(),
            action: None,
        };
        let Node::Rule { next, .. } = graph.node(rule.entry) else { return form };
        for step in walk::steps(graph, *next) {
            match step {
                Step::Middleware(_, middleware) => form.r#use.push(MiddlewareForm::of(middleware)),
                Step::Action(_, action) => form.action = Some(ActionForm::of(action, graph)),
            }
        }
        form
    }
}

fn alternatives(rule: &RuleInfo) -> Vec<Vec<ConditionForm<'_>>> {
    let all = rule.alternatives.iter();
    all.map(|all| all.conditions.iter().map(ConditionForm).collect()).collect()
}

/// As it could be written.
struct BindForm(Transport, SocketAddr);

impl Display for BindForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0.as_str(), self.1)
    }
}

pub(super) struct LayerForm(pub(super) Layer);

impl Serialize for LayerForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

/// In the spelling of the configuration language.
pub(super) struct ConditionForm<'g>(pub(super) &'g Condition);

impl Serialize for ConditionForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self.0 {
            Condition::Test(predicate) => {
                map.serialize_entry(&predicate.field.name(), &TestForm(&predicate.test))?;
            }
            Condition::All(inner) => map.serialize_entry("all_of", &list(inner))?,
            Condition::Any(inner) => map.serialize_entry("any_of", &list(inner))?,
            Condition::Not(inner) => map.serialize_entry("not", &ConditionForm(inner))?,
        }
        map.end()
    }
}

fn list(inner: &[Condition]) -> Vec<ConditionForm<'_>> {
    inner.iter().map(ConditionForm).collect()
}

struct TestForm<'g>(&'g Test);

impl Serialize for TestForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self.0 {
            Test::Exists(wanted) => map.serialize_entry("exists", wanted)?,
            Test::OneOf(texts) => map.serialize_entry("one_of", texts)?,
            Test::Host(patterns) => {
                let names: Vec<_> = patterns.iter().map(HostPattern::name).collect();
                map.serialize_entry("one_of", &names)?;
            }
            Test::Prefix(text) => map.serialize_entry("prefix", text)?,
            Test::PathPrefix(text) if text.is_empty() => map.serialize_entry("prefix", "/")?,
            Test::PathPrefix(text) => map.serialize_entry("prefix", text)?,
            Test::Suffix(text) => map.serialize_entry("suffix", text)?,
            Test::Contains(text) => map.serialize_entry("contains", text)?,
            Test::Regex(pattern) => map.serialize_entry("regex", pattern.as_str())?,
            Test::Cidr(networks) => map.serialize_entry("cidr", &shown(networks))?,
            Test::Address(addresses) => map.serialize_entry("one_of", &shown(addresses))?,
            Test::Port(ports) => map.serialize_entry("one_of", ports)?,
        }
        map.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MiddlewareForm<'g> {
    RequestHeaders(HeaderEditForm<'g>),
    ResponseHeaders(HeaderEditForm<'g>),
    Rewrite(RewriteForm<'g>),
    RateLimit { per: Vec<Shown<&'g Field>>, rate: String, burst: u32, status: u16 },
}

impl<'g> MiddlewareForm<'g> {
    pub(super) fn of(middleware: &'g Middleware) -> Self {
        match middleware {
            Middleware::RequestHeaders(edit) => Self::RequestHeaders(HeaderEditForm::of(edit)),
            Middleware::ResponseHeaders(edit) => Self::ResponseHeaders(HeaderEditForm::of(edit)),
            Middleware::Rewrite(rewrite) => Self::Rewrite(RewriteForm::of(rewrite)),
            Middleware::RateLimit(limit) => Self::RateLimit {
                per: shown(&limit.per),
                rate: limit.rate.to_string(),
                burst: limit.burst,
                status: limit.status.as_u16(),
            },
        }
    }
}

/// Pairs, not an object: a name may stand twice, and the order is kept.
#[derive(Serialize)]
pub(super) struct HeaderEditForm<'g> {
    remove: Vec<&'g str>,
    set: Vec<HeaderForm<'g>>,
    add: Vec<HeaderForm<'g>>,
}

type HeaderForm<'g> = (&'g str, Shown<&'g Template>);

impl<'g> HeaderEditForm<'g> {
    fn of(edit: &'g HeaderEdit) -> Self {
        Self {
            remove: edit.remove.iter().map(HeaderName::as_str).collect(),
            set: headers(&edit.set),
            add: headers(&edit.add),
        }
    }
}

fn headers(fields: &[(HeaderName, Template)]) -> Vec<HeaderForm<'_>> {
    fields.iter().map(|(name, value)| (name.as_str(), Shown(value))).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RewriteForm<'g> {
    Path(Shown<&'g Template>),
    StripPrefix(&'g str),
    AddPrefix(&'g str),
    Replace { regex: &'g str, with: &'g str },
}

impl<'g> RewriteForm<'g> {
    fn of(rewrite: &'g Rewrite) -> Self {
        match rewrite {
            Rewrite::Path(template) => Self::Path(Shown(template)),
            Rewrite::StripPrefix(prefix) => Self::StripPrefix(prefix),
            Rewrite::AddPrefix(prefix) => Self::AddPrefix(prefix),
            Rewrite::Replace { pattern, with } => Self::Replace { regex: pattern.as_str(), with },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ActionForm<'g> {
    Forward {
        upstream: &'g str,
        host: HostForm<'g>,
        connect_ms: u64,
        response_ms: u64,
        idle_ms: u64,
        version: &'static str,
    },
    Respond {
        status: u16,
        headers: Vec<HeaderForm<'g>>,
        body: BodyForm<'g>,
    },
    Redirect {
        to: Shown<&'g Template>,
        status: u16,
    },
    Tunnel {
        to: String,
        connect_ms: u64,
        idle_ms: u64,
    },
    Close,
}

impl<'g> ActionForm<'g> {
    pub(super) fn of(action: &'g Action, graph: &'g FlowGraph) -> Self {
        match action {
            Action::Forward(forward) => Self::Forward {
                upstream: &graph.upstream(forward.upstream).name,
                host: HostForm::of(&forward.host),
                connect_ms: milliseconds(forward.timeouts.connect),
                response_ms: milliseconds(forward.timeouts.response),
                idle_ms: milliseconds(forward.timeouts.idle),
                version: version(forward.version),
            },
            Action::Respond(respond) => Self::Respond {
                status: respond.status.as_u16(),
                headers: headers(&respond.headers),
                body: BodyForm::of(&respond.body),
            },
            Action::Redirect(redirect) => {
                Self::Redirect { to: Shown(&redirect.to), status: redirect.status.as_u16() }
            }
            Action::Tunnel(tunnel) => Self::Tunnel {
                to: tunnel.to.to_string(),
                connect_ms: milliseconds(tunnel.connect_timeout),
                idle_ms: milliseconds(tunnel.idle_timeout),
            },
            Action::Close => Self::Close,
        }
    }
}

fn version(version: ForwardVersion) -> &'static str {
    match version {
        ForwardVersion::Auto => "auto",
        ForwardVersion::Http1 => "1.1",
        ForwardVersion::Http2 => "2",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum HostForm<'g> {
    Preserve,
    Upstream,
    Template(Shown<&'g Template>),
}

impl<'g> HostForm<'g> {
    fn of(host: &'g ForwardedHost) -> Self {
        match host {
            ForwardedHost::Preserve => Self::Preserve,
            ForwardedHost::Upstream => Self::Upstream,
            ForwardedHost::Template(template) => Self::Template(Shown(template)),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BodyForm<'g> {
    Template(Shown<&'g Template>),
    File(&'g str),
}

impl<'g> BodyForm<'g> {
    fn of(body: &'g RespondBody) -> Self {
        match body {
            RespondBody::Template(template) => Self::Template(Shown(template)),
            RespondBody::File(path) => Self::File(path),
        }
    }
}

pub(super) struct UpstreamForm<'g>(pub(super) &'g Upstream);

impl Serialize for UpstreamForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let server = |server: &Server| (Shown(server.url.to_string()), server.weight);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &*self.0.name)?;
        if self.0.tls != UpstreamTls::default() {
            map.serialize_entry("tls", &UpstreamTlsForm::of(&self.0.tls))?;
        }
        map.serialize_entry("servers", &self.0.servers.iter().map(server).collect::<Vec<_>>())?;
        map.end()
    }
}

/// Serialised as it prints.
pub(super) struct Shown<T>(pub(super) T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

pub(super) fn shown<T>(items: &[T]) -> Vec<Shown<&T>> {
    items.iter().map(Shown).collect()
}

pub(super) fn milliseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
