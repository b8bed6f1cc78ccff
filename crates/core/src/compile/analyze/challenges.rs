//! Where `http-01` challenges are answered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::compile::Options;
use crate::compile::analyze::Group;
use crate::rules::tls::{Certificate, CertificateSource, Challenge};

/// A socket that is opened for challenges alone.
#[derive(Debug)]
pub(crate) struct ChallengeSocket {
    pub(crate) address: SocketAddr,
    /// As an operator would write it.
    pub(crate) written: Box<str>,
}

/// The sockets to open beside those of rules: none where nothing is proven by `http-01`, or where
/// a listener in clear has the port already.
pub(crate) fn listeners(
    certificates: &[Certificate],
    groups: &[Group<'_>],
    options: &Options,
) -> Vec<ChallengeSocket> {
    let port = options.acme_http_port.0;
    if !certificates.iter().any(by_http) || groups.iter().any(|group| holds(group, port)) {
        return Vec::new();
    }
    let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let addresses = any.into_iter().map(|any| SocketAddr::new(any, port));
    let addresses = addresses.filter(|address| options.families.allow(*address));
    let written: Box<str> = format!(":{port}").into();
    addresses.map(|address| ChallengeSocket { address, written: written.clone() }).collect()
}

/// Whether a certificate is proven by `http-01`.
pub(crate) fn by_http(certificate: &Certificate) -> bool {
    match &certificate.source {
        CertificateSource::Acme(managed) => managed.challenge == Challenge::Http01,
        CertificateSource::Files { .. } => false,
    }
}

/// Whether the port is taken by some listener of a group.
pub(crate) fn holds(group: &Group<'_>, port: u16) -> bool {
    group.sockets.iter().any(|socket| socket.address.port() == port)
}
