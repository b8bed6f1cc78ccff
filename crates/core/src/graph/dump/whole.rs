//! The whole graph in JSON, nodes and all.

use std::collections::BTreeMap;

use crate::table::Table;
use std::net::SocketAddr;

use serde::Serialize;

use crate::graph::dispatch::HostField;
use crate::graph::dump::form::{
    ActionForm, ConditionForm, LayerForm, MiddlewareForm, RuleForm, Shown, UpstreamForm,
};
use crate::graph::dump::tls::{CertificateForm, ListenerTlsForm};
use crate::graph::{FlowGraph, Listener, Node, NodeId};
use crate::value::name::RuleName;

/// A graph as one object.
#[derive(Serialize)]
pub(super) struct GraphForm<'g> {
    hash: Shown<crate::graph::GraphHash>,
    listeners: Vec<ListenerForm<'g>>,
    rules: Vec<RuleForm<'g>>,
    certificates: Vec<CertificateForm<'g>>,
    upstreams: Vec<UpstreamForm<'g>>,
    trusted_proxies: Vec<Shown<ipnet::IpNet>>,
    nodes: Vec<NodeForm<'g>>,
}

impl<'g> GraphForm<'g> {
    pub(super) fn of(graph: &'g FlowGraph) -> Self {
        Self {
            hash: Shown(graph.hash),
            listeners: graph.listeners.iter().map(|each| ListenerForm::of(each, graph)).collect(),
            rules: graph.rules.iter().map(|rule| RuleForm::of(graph, rule)).collect(),
            certificates: graph.certificates.iter().map(CertificateForm::of).collect(),
            upstreams: graph.upstreams.iter().map(UpstreamForm).collect(),
            trusted_proxies: graph.trusted_proxies.iter().copied().map(Shown).collect(),
            nodes: (0..)
                .map(NodeId)
                .zip(&graph.nodes)
                .map(|(id, node)| NodeForm::of(id, node, graph))
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct ListenerForm<'g> {
    transport: &'static str,
    address: Shown<SocketAddr>,
    written: &'g str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<ListenerTlsForm<'g>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    only_challenges: bool,
    entry: Shown<NodeId>,
}

impl<'g> ListenerForm<'g> {
    fn of(listener: &'g Listener, graph: &'g FlowGraph) -> Self {
        Self {
            transport: listener.transport.as_str(),
            address: Shown(listener.address),
            written: &listener.written,
            tls: listener.tls.as_ref().map(|tls| ListenerTlsForm::of(tls, graph)),
            only_challenges: listener.only_challenges,
            entry: Shown(listener.entry),
        }
    }
}

/// A node as one object.
#[derive(Serialize)]
pub(super) struct NodeForm<'g> {
    id: Shown<NodeId>,
    #[serde(flatten)]
    kind: NodeKind<'g>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
enum NodeKind<'g> {
    Host {
        field: &'static str,
        exact: Targets<'g>,
        one_label: Targets<'g>,
        suffixes: Targets<'g>,
        otherwise: Shown<NodeId>,
    },
    Path {
        exact: Targets<'g>,
        prefixes: BTreeMap<String, Shown<NodeId>>,
        otherwise: Shown<NodeId>,
    },
    Test {
        condition: ConditionForm<'g>,
        layer: LayerForm,
        yes: Shown<NodeId>,
        no: Shown<NodeId>,
    },
    Rule {
        rule: Shown<&'g RuleName>,
        next: Shown<NodeId>,
    },
    Middleware {
        middleware: MiddlewareForm<'g>,
        next: Shown<NodeId>,
    },
    Action {
        action: ActionForm<'g>,
    },
    Decrypt {
        entry: Shown<NodeId>,
    },
    ServeHttp {
        entry: Shown<NodeId>,
    },
    NoMatch,
}

impl<'g> NodeForm<'g> {
    pub(super) fn of(id: NodeId, node: &'g Node, graph: &'g FlowGraph) -> Self {
        let kind = match node {
            Node::Host(dispatch) => NodeKind::Host {
                field: match dispatch.field {
                    HostField::HttpHost => "http.host",
                    HostField::TlsSni => "tls.sni",
                },
                exact: targets(&dispatch.exact),
                one_label: targets(&dispatch.one_label),
                suffixes: targets(&dispatch.suffixes),
                otherwise: Shown(dispatch.otherwise),
            },
            Node::Path(dispatch) => NodeKind::Path {
                exact: targets(&dispatch.exact),
                prefixes: dispatch.prefixes.entries().into_iter().map(shown_target).collect(),
                otherwise: Shown(dispatch.otherwise),
            },
            Node::Test { condition, layer, yes, no } => NodeKind::Test {
                condition: ConditionForm(condition),
                layer: LayerForm(*layer),
                yes: Shown(*yes),
                no: Shown(*no),
            },
            Node::Rule { rule, next } => {
                NodeKind::Rule { rule: Shown(&graph.rule(*rule).name), next: Shown(*next) }
            }
            Node::Middleware { middleware, next } => NodeKind::Middleware {
                middleware: MiddlewareForm::of(middleware),
                next: Shown(*next),
            },
            Node::Action(action) => NodeKind::Action { action: ActionForm::of(action, graph) },
            Node::Decrypt { entry } => NodeKind::Decrypt { entry: Shown(*entry) },
            Node::ServeHttp { entry } => NodeKind::ServeHttp { entry: Shown(*entry) },
            Node::NoMatch => NodeKind::NoMatch,
        };
        Self { id: Shown(id), kind }
    }
}

/// Names in the order of their letters, and where they lead.
type Targets<'g> = BTreeMap<&'g str, Shown<NodeId>>;

fn targets(names: &Table<Box<str>, NodeId>) -> Targets<'_> {
    names.iter().map(|(name, node)| (&**name, Shown(*node))).collect()
}

fn shown_target((name, node): (String, NodeId)) -> (String, Shown<NodeId>) {
    (name, Shown(node))
}
