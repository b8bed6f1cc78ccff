//! Answers conditions.

use std::net::IpAddr;

use crate::graph::facts::Facts;
use crate::graph::read;
use crate::rules::condition::{Condition, Predicate, Test};
use crate::value::field::{Field, PeerCertField};
use crate::value::host_pattern::HostPattern;

/// Whether `condition` holds for what is known.
pub fn holds(condition: &Condition, facts: &Facts<'_>) -> bool {
    match condition {
        Condition::Test(predicate) => passes(predicate, facts),
        Condition::All(inner) => inner.iter().all(|each| holds(each, facts)),
        Condition::Any(inner) => inner.iter().any(|each| holds(each, facts)),
        Condition::Not(inner) => !holds(inner, facts),
    }
}

/// Whether the answer to one question is yes.
pub fn passes(predicate: &Predicate, facts: &Facts<'_>) -> bool {
    let field = &predicate.field;
    match &predicate.test {
        Test::Cidr(networks) => address(field, facts)
            .is_some_and(|address| networks.iter().any(|network| network.contains(&address))),
        Test::Address(addresses) => {
            address(field, facts).is_some_and(|address| addresses.contains(&address))
        }
        Test::Port(ports) => port(field, facts).is_some_and(|port| ports.contains(&port)),
        Test::Exists(wanted) => exists(field, facts) == *wanted,
        test if *field == Field::TlsAlpn => offers(test, facts),
        test => match field {
            Field::TlsPeerCert(part @ (PeerCertField::SanDns | PeerCertField::SanUri)) => {
                names(test, field, *part, facts)
            }
            _ => read::text(field, facts).is_some_and(|text| text_passes(test, field, &text)),
        },
    }
}

fn address(field: &Field, facts: &Facts<'_>) -> Option<IpAddr> {
    match field {
        Field::RemoteIp => Some(facts.connection.remote.ip()),
        Field::LocalIp => Some(facts.connection.local.ip()),
        _ => None,
    }
}

fn port(field: &Field, facts: &Facts<'_>) -> Option<u16> {
    match field {
        Field::RemotePort => Some(facts.connection.remote.port()),
        Field::LocalPort => Some(facts.connection.local.port()),
        _ => None,
    }
}

/// A header is there even when its bytes are not text.
fn exists(field: &Field, facts: &Facts<'_>) -> bool {
    match (field, &facts.request) {
        (Field::HttpHeader(name), Some(request)) => request.headers.contains_key(name),
        _ => read::text(field, facts).is_some(),
    }
}

/// A ClientHello offers several protocols; one that passes is enough.
fn offers(test: &Test, facts: &Facts<'_>) -> bool {
    let known = facts.connection.first_bytes.as_ref();
    known.is_some_and(|known| {
        known.alpn.iter().any(|protocol| text_passes(test, &Field::TlsAlpn, protocol))
    })
}

/// A client's certificate has several names; one that passes is enough.
fn names(test: &Test, field: &Field, part: PeerCertField, facts: &Facts<'_>) -> bool {
    let handshake = facts.connection.handshake.as_ref();
    let peer = handshake.and_then(|known| known.peer.as_deref());
    peer.is_some_and(|peer| read::peer(part, peer).any(|name| text_passes(test, field, name)))
}

/// Whether a text passes a test of texts; tests of addresses and ports fail.
pub fn text_passes(test: &Test, field: &Field, text: &str) -> bool {
    match test {
        Test::OneOf(wanted) => wanted.iter().any(|wanted| equal(field, wanted, text)),
        Test::Host(patterns) => patterns.iter().any(|pattern| host_matches(pattern, text)),
        Test::Prefix(prefix) => text.starts_with(&**prefix),
        Test::PathPrefix(prefix) => below(prefix, text),
        Test::Suffix(suffix) => text.ends_with(&**suffix),
        Test::Contains(part) => text.contains(&**part),
        Test::Regex(pattern) => pattern.regex().is_match(text),
        Test::Exists(_) | Test::Cidr(_) | Test::Address(_) | Test::Port(_) => false,
    }
}

fn equal(field: &Field, wanted: &str, text: &str) -> bool {
    match field {
        Field::HttpHost | Field::TlsSni => wanted.eq_ignore_ascii_case(text),
        _ => wanted == text,
    }
}

fn host_matches(pattern: &HostPattern, host: &str) -> bool {
    match pattern {
        HostPattern::Exact(name) => **name == *host,
        HostPattern::OneLabel(parent) => {
            host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && *rest == **parent)
        }
    }
}

fn below(prefix: &str, path: &str) -> bool {
    let rest = path.strip_prefix(prefix.trim_end_matches('/'));
    path.starts_with('/') && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
