//! The immutable compiled form and the one walk through it.
//!
//! A [`FlowGraph`] is a vector of nodes. Edges are [`NodeId`]s and only ever lead to nodes that
//! were added earlier, so a walk ends. Executor and `explain` use the same [`walk`].

pub mod dispatch;
pub mod dump;
pub mod evaluate;
pub mod facts;
pub mod files;
pub mod read;
pub mod render;
pub mod walk;

use std::fmt;
use std::net::SocketAddr;

use crate::graph::dispatch::{HostDispatch, PathDispatch};
use crate::rules::Conjunction;
use crate::rules::action::Action;
use crate::rules::condition::Condition;
use crate::rules::middleware::Middleware;
use crate::rules::tls::{Certificate, CertificateId, RuleTls, Serving};
use crate::rules::upstream::{Upstream, UpstreamId};
use crate::value::field::Layer;
use crate::value::host_pattern::HostPattern;
use crate::value::listen_addr::Transport;
use crate::value::name::RuleName;
use crate::value::units::ByteSize;

/// The place of a node in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// The place of a rule in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleId(pub u32);

/// SHA-256 over the graph's meaning: equal configurations have equal hashes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct GraphHash(pub [u8; 32]);

/// The immutable compiled form of one configuration.
#[derive(Debug)]
pub struct FlowGraph {
    /// The sockets to hold, sorted by transport and address; no two alike.
    pub listeners: Vec<Listener>,
    /// In an order in which every edge leads backwards.
    pub nodes: Vec<Node>,
    /// In the order of files and positions.
    pub rules: Vec<RuleInfo>,
    /// Servers that actions refer to.
    pub upstreams: Vec<Upstream>,
    /// Certificates that listeners refer to.
    pub certificates: Vec<Certificate>,
    /// Peers whose forwarded headers count.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Over what the rules, upstreams, certificates and trusted proxies mean; the nodes follow from these.
    /// Files and lines do not count.
    pub hash: GraphHash,
}

impl FlowGraph {
    /// The node at `id`.
    ///
    /// # Panics
    /// When `id` comes from another graph.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The rule at `id`.
    ///
    /// # Panics
    /// When `id` comes from another graph.
    pub fn rule(&self, id: RuleId) -> &RuleInfo {
        &self.rules[id.0 as usize]
    }

    /// The upstream at `id`.
    ///
    /// # Panics
    /// When `id` comes from another graph.
    pub fn upstream(&self, id: UpstreamId) -> &Upstream {
        &self.upstreams[id.0 as usize]
    }

    /// The certificate at `id`.
    ///
    /// # Panics
    /// When `id` comes from another graph.
    pub fn certificate(&self, id: CertificateId) -> &Certificate {
        &self.certificates[id.0 as usize]
    }
}

/// One socket to hold, and where flows from it enter the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// TCP or UDP.
    pub transport: Transport,
    /// The address to bind; port 0 asks the kernel.
    pub address: SocketAddr,
    /// What the operator wrote; both families of `":443"` share it.
    pub written: Box<str>,
    /// Where a new connection starts its walk.
    pub entry: NodeId,
    /// How TLS is terminated here; none in clear.
    pub tls: Option<ListenerTls>,
    /// Whether no rule asks for it: it is there to answer `http-01` challenges.
    pub only_challenges: bool,
}

/// What the handshakes on a listener are answered with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenerTls {
    /// By server name; no two alike.
    pub named: Vec<(HostPattern, Serving)>,
    /// For names that only the certificate itself tells.
    pub unnamed: Vec<Serving>,
    /// Where no name matches; the handshake is refused where there is none.
    pub default: Option<Serving>,
    /// Whether HTTP is inside.
    pub http: bool,
}

/// What the graph knows of a rule beside its nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleInfo {
    /// The operator's name for it.
    pub name: RuleName,
    /// File and line, as `rules/site.json:4`.
    pub place: Box<str>,
    /// The deepest layer that it needs.
    pub layer: Layer,
    /// The sockets it is reached through, sorted; fewer than written where a family is suppressed.
    pub binds: Vec<(Transport, SocketAddr)>,
    /// It matches when any of these holds.
    pub alternatives: Vec<Conjunction>,
    /// Decides before specificity; larger first.
    pub priority: i64,
    /// The largest request body let through; `None` is unlimited.
    pub max_body: Option<ByteSize>,
    /// How TLS is terminated in front of it; none where it asks for no certificate.
    pub tls: Option<RuleTls>,
    /// Its [`Node::Rule`].
    pub entry: NodeId,
}

/// One step of a walk.
#[derive(Debug)]
pub enum Node {
    /// Chooses by host or server name, at the cost of one hash per label at most.
    Host(HostDispatch),
    /// Chooses by path, at the cost of one hash and one step per segment.
    Path(PathDispatch),
    /// Asks one question.
    Test {
        /// What is asked.
        condition: Condition,
        /// The deepest layer that the question needs.
        layer: Layer,
        /// Where the walk goes on when it holds.
        yes: NodeId,
        /// Where the walk goes on otherwise.
        no: NodeId,
    },
    /// A rule has matched; its middleware and action follow.
    Rule {
        /// Which.
        rule: RuleId,
        /// Its first middleware, or its action.
        next: NodeId,
    },
    /// Edits or inspects, then continues or ends early.
    Middleware {
        /// What is done.
        middleware: Middleware,
        /// What follows.
        next: NodeId,
    },
    /// Ends the walk.
    Action(Action),
    /// TLS is terminated here, unless it has been; rules on what is inside follow.
    Decrypt {
        /// What follows.
        entry: NodeId,
    },
    /// The connection speaks HTTP from here; each request starts its walk at `entry`.
    ServeHttp {
        /// Where a request starts.
        entry: NodeId,
    },
    /// No rule matched.
    NoMatch,
}

impl Node {
    /// Where a walk may go on from here, in no order; several ways to one node are several edges.
    pub fn edges(&self) -> Vec<NodeId> {
        match self {
            Self::Host(dispatch) => dispatch.edges().collect(),
            Self::Path(dispatch) => dispatch.edges().collect(),
            Self::Test { yes, no, .. } => vec![*yes, *no],
            Self::Rule { next, .. } | Self::Middleware { next, .. } => vec![*next],
            Self::Decrypt { entry } | Self::ServeHttp { entry } => vec![*entry],
            Self::Action(_) | Self::NoMatch => Vec::new(),
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Display for GraphHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for GraphHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
