//! Named sets of servers.

use crate::value::url::UpstreamUrl;

/// The place of an [`Upstream`] in its [`crate::rules::RuleSet`] and in the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamId(pub u32);

/// A set of servers that are used in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The name in `config.json`, or the URLs of a rule joined by `,`; numbered, as in `app#2`,
    /// where the same servers are spoken to on several terms.
    pub name: Box<str>,
    /// At least one.
    pub servers: Vec<Server>,
    /// How TLS is spoken to those with `https`.
    pub tls: UpstreamTls,
}

/// How TLS is spoken to servers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct UpstreamTls {
    /// Roots that are trusted in place of those of the system, PEM.
    pub ca_file: Option<Box<str>>,
    /// The name that is asked for and verified in place of the host of the URL.
    pub server_name: Option<Box<str>>,
    /// Our own certificate and its key, PEM.
    pub identity: Option<(Box<str>, Box<str>)>,
    /// Whether servers need no certificate that verifies.
    pub unverified: bool,
}

/// One server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Scheme and address.
    pub url: UpstreamUrl,
    /// Its share of the requests, 1 to 1000.
    pub weight: u16,
}
