//! Named sets of servers.

use crate::value::url::UpstreamUrl;

/// The place of an [`Upstream`] in its [`crate::rules::RuleSet`] and in the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamId(pub u32);

/// A set of servers that are used in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The name in `config.json`, or the URLs of a rule joined by `,`.
    pub name: Box<str>,
    /// At least one.
    pub servers: Vec<Server>,
}

/// One server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Scheme and address.
    pub url: UpstreamUrl,
    /// Its share of the requests, 1 to 1000.
    pub weight: u16,
}
