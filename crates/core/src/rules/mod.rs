//! What the operator means: resolved, defaulted, checked. Nothing here is read from text.
//!
//! The compiler turns [`crate::config`] into these types, and the graph embeds them.

pub mod action;
pub mod condition;
pub mod middleware;
pub mod tls;
pub mod upstream;

use std::net::SocketAddr;

use crate::source::Span;
use crate::value::field::Layer;
use crate::value::listen_addr::{ListenAddr, Transport};
use crate::value::name::RuleName;
use crate::value::units::ByteSize;

use self::action::Action;
use self::condition::Condition;
use self::middleware::Middleware;
use self::tls::{Certificate, RuleTls};
use self::upstream::Upstream;

/// Everything that one configuration directory means, in the order of files and positions.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    /// The rules, presets already expanded.
    pub rules: Vec<Rule>,
    /// The upstreams that a rule forwards to, in the order in which they are first used.
    pub upstreams: Vec<Upstream>,
    /// The certificates that rules ask for.
    pub certificates: Vec<Certificate>,
    /// Peers whose forwarded headers count.
    pub trusted_proxies: Vec<ipnet::IpNet>,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Unique among all rules.
    pub name: RuleName,
    /// Where the rule's name stands, for diagnostics.
    pub span: Span,
    /// The sockets the rule is reached through; `":443"` is two of them.
    pub binds: Vec<Bind>,
    /// The rule matches when any of these does; a rule without `match` has one empty conjunction.
    pub alternatives: Vec<Conjunction>,
    /// Run in order once the rule has matched.
    pub middleware: Vec<Middleware>,
    /// Ends the walk.
    pub action: Action,
    /// Decides before specificity; larger first.
    pub priority: i64,
    /// The largest request body let through, in bytes; `None` is unlimited.
    pub max_body: Option<ByteSize>,
    /// How TLS is terminated in front of the rule; none where it asks for no certificate.
    pub tls: Option<RuleTls>,
}

impl Rule {
    /// The deepest layer that a predicate or the action of this rule needs.
    pub fn layer(&self) -> Layer {
        let deepest = self.alternatives.iter().flat_map(|all| &all.conditions);
        deepest.map(Condition::layer).fold(self.action.layer(), Layer::max)
    }
}

/// Conditions that all have to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Conjunction {
    /// In the order written.
    pub conditions: Vec<Condition>,
}

/// One socket a rule is reached through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// TCP or UDP.
    pub transport: Transport,
    /// The address to bind; port 0 asks the kernel.
    pub address: SocketAddr,
    /// What the operator wrote, such as `:443`; both families of one entry share it.
    pub written: ListenAddr,
    /// Whether the entry names both families at once, so that one of them may be left out.
    pub expanded: bool,
    /// Where it is written.
    pub span: Span,
}
