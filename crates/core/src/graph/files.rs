//! The files that a graph names. Core reads none of them; whoever does starts here.

use crate::graph::{FlowGraph, Listener, ListenerTls, Node};
use crate::rules::action::{Action, RespondBody};
use crate::rules::tls::{
    Certificate, CertificateSource, Challenge, ClientAuth, DnsProvider, Serving,
};
use crate::rules::upstream::Upstream;

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileUse {
    /// Requests are answered with it; without it there is nothing to serve.
    Body,
    /// A certificate or its key; may be a secret that only the daemon can read.
    Certificate,
    /// What others are verified with.
    Authority,
    /// What we show to servers; may be a secret that only the daemon can read.
    Identity,
    /// A program of the operator's.
    Program,
}

/// Every file that `graph` names, as written, once for each place.
pub fn all(graph: &FlowGraph) -> impl Iterator<Item = (FileUse, &str)> {
    let bodies = graph.nodes.iter().filter_map(body);
    let certificates = graph.certificates.iter().flat_map(of_certificate);
    let authorities = graph.listeners.iter().flat_map(authorities);
    let upstreams = graph.upstreams.iter().flat_map(of_upstream);
    bodies.chain(certificates).chain(authorities).chain(upstreams)
}

/// Replaces every path by what `resolve` makes of it.
pub fn resolve(graph: &mut FlowGraph, resolve: impl Fn(&str) -> Box<str>) {
    for node in &mut graph.nodes {
        if let Node::Action(Action::Respond(respond)) = node
            && let RespondBody::File(path) = &mut respond.body
        {
            *path = resolve(path);
        }
    }
    for certificate in &mut graph.certificates {
        paths_of(certificate).into_iter().for_each(|path| *path = resolve(path));
    }
    for tls in graph.upstreams.iter_mut().map(|upstream| &mut upstream.tls) {
        let identity = tls.identity.iter_mut().flat_map(|(chain, key)| [chain, key]);
        tls.ca_file.iter_mut().chain(identity).for_each(|path| *path = resolve(path));
    }
    let listeners = graph.listeners.iter_mut().filter_map(|listener| listener.tls.as_mut());
    let rules = graph.rules.iter_mut().filter_map(|rule| rule.tls.as_mut());
    let servings = listeners.flat_map(servings_mut).chain(rules.map(|tls| &mut tls.serving));
    for auth in servings.filter_map(|serving| serving.client_auth.as_mut()) {
        let files = auth.ca_files.iter_mut().chain(&mut auth.crl_files);
        files.for_each(|path| *path = resolve(path));
    }
}

fn body(node: &Node) -> Option<(FileUse, &str)> {
    match node {
        Node::Action(Action::Respond(respond)) => match &respond.body {
            RespondBody::File(path) => Some((FileUse::Body, path)),
            RespondBody::Template(_) => None,
        },
        _ => None,
    }
}

fn of_certificate(certificate: &Certificate) -> Vec<(FileUse, &str)> {
    match &certificate.source {
        CertificateSource::Files { chain, key } => {
            vec![(FileUse::Certificate, chain), (FileUse::Certificate, key)]
        }
        CertificateSource::Acme(managed) => {
            let authority =
                managed.account.ca_file.iter().map(|path| (FileUse::Authority, &**path));
            authority.chain(program(&managed.challenge)).collect()
        }
    }
}

fn program(challenge: &Challenge) -> Option<(FileUse, &str)> {
    match challenge {
        Challenge::Dns01(dns) => match &dns.provider {
            DnsProvider::Exec { program } => Some((FileUse::Program, program)),
            _ => None,
        },
        Challenge::Http01 | Challenge::TlsAlpn01 => None,
    }
}

fn paths_of(certificate: &mut Certificate) -> Vec<&mut Box<str>> {
    match &mut certificate.source {
        CertificateSource::Files { chain, key } => vec![chain, key],
        CertificateSource::Acme(managed) => {
            let program = match &mut managed.challenge {
                Challenge::Dns01(dns) => match &mut dns.provider {
                    DnsProvider::Exec { program } => Some(program),
                    _ => None,
                },
                Challenge::Http01 | Challenge::TlsAlpn01 => None,
            };
            managed.account.ca_file.iter_mut().chain(program).collect()
        }
    }
}

fn of_upstream(upstream: &Upstream) -> Vec<(FileUse, &str)> {
    let authority = upstream.tls.ca_file.iter().map(|path| (FileUse::Authority, &**path));
    let identity = upstream.tls.identity.iter().flat_map(|(chain, key)| [chain, key]);
    authority.chain(identity.map(|path| (FileUse::Identity, &**path))).collect()
}

fn authorities(listener: &Listener) -> impl Iterator<Item = (FileUse, &str)> {
    let servings = listener.tls.iter().flat_map(servings);
    let clients = servings.filter_map(|serving| serving.client_auth.as_ref());
    let files =
        clients.flat_map(|ClientAuth { ca_files, crl_files, .. }| ca_files.iter().chain(crl_files));
    files.map(|path| (FileUse::Authority, &**path))
}

fn servings(tls: &ListenerTls) -> impl Iterator<Item = &Serving> {
    tls.named.iter().map(|(_, serving)| serving).chain(&tls.unnamed).chain(&tls.default)
}

fn servings_mut(tls: &mut ListenerTls) -> impl Iterator<Item = &mut Serving> {
    let named = tls.named.iter_mut().map(|(_, serving)| serving);
    named.chain(&mut tls.unnamed).chain(&mut tls.default)
}
