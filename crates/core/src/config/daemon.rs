//! `config.json`: what holds for the whole daemon.

use super::tls::AcmeSettings;
use crate::{
    shape::{Integer, List, Map, OneOrMany, keyword, object},
    source::Spanned,
    value::{cidr::Cidr, file_path::FilePath, name::UpstreamName, url::UpstreamUrl},
};

object! {
    /// What holds for the whole daemon. Every key is optional.
    pub struct DaemonConfig {
        /// Named sets of servers, each with one pool.
        optional "upstreams" upstreams: Map<UpstreamName, Upstream>,
        /// Defaults of managed certificates.
        optional "acme" acme: Spanned<AcmeSettings>,
        /// Peers whose `Forwarded` and `X-Forwarded-*` fields count.
        optional "trusted_proxies" trusted_proxies: List<Spanned<Cidr>>,
        /// One line for each request.
        optional "access_log" access_log: Spanned<AccessLog>,
    }
}

object! {
    /// A named set of servers.
    pub struct Upstream short "servers" {
        /// The servers: URLs, or objects with a weight.
        required "servers" servers: OneOrMany<Spanned<Server>>,
        /// How one is chosen. Default: `round_robin`.
        optional "balance" balance: Spanned<Balance>,
    }
}

object! {
    /// One server of an upstream.
    pub struct Server short "url" {
        /// Its URL.
        required "url" url: Spanned<UpstreamUrl>,
        /// Its share beside the others. Default: 1.
        optional "weight" weight: Spanned<Integer<1, 1000>>,
    }
}

keyword! {
    /// How a server is chosen.
    pub enum Balance {
        /// One after the other.
        RoundRobin = "round_robin",
        /// The one with the fewest requests under way.
        LeastConn = "least_conn",
        /// Any.
        Random = "random",
        /// The same one for the same client address.
        IpHash = "ip_hash",
    }
}

object! {
    /// The access log.
    pub struct AccessLog {
        /// Where it is written.
        required "file" file: Spanned<FilePath>,
        /// Its form. Default: `json`.
        optional "format" format: Spanned<AccessLogFormat>,
    }
}

keyword! {
    /// Forms of the access log.
    pub enum AccessLogFormat {
        /// One JSON object a line.
        Json = "json",
        /// The combined format of Apache.
        Combined = "combined",
    }
}

impl DaemonConfig {
    /// What an absent `config.json` says.
    pub fn empty() -> Self {
        Self { upstreams: None, acme: None, trusted_proxies: None, access_log: None }
    }
}
