//! What a forwarded request says of the client it came from: `X-Forwarded-For`,
//! `X-Forwarded-Proto`, `X-Forwarded-Host`, and `Forwarded` by
//! [RFC 7239](https://www.rfc-editor.org/rfc/rfc7239).

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use bytes::{BufMut as _, BytesMut};
use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

/// The peer of a connection, in the forms that the fields want. Made once for a connection.
#[derive(Debug)]
pub struct Peer {
    address: IpAddr,
    text: HeaderValue,
    node: Box<str>,
    last: Mutex<Option<Element>>,
}

/// What was last said of the peer, and of what else it was made.
#[derive(Debug)]
struct Element {
    scheme: &'static str,
    host: HeaderValue,
    text: HeaderValue,
}

impl Peer {
    /// The forms of `address`.
    pub fn new(address: IpAddr) -> Self {
        let text = HeaderValue::try_from(address.to_string());
        let node = match address {
            IpAddr::V4(address) => format!("for={address}"),
            IpAddr::V6(address) => format!("for=\"[{address}]\""),
        };
        let text = text.expect("an address is a legal header value");
        Self { address, text, node: node.into(), last: Mutex::default() }
    }
}

impl Seen<'_> {
    /// The one element that says it all; nothing where the host would make it illegal. The
    /// requests of a connection are mostly for one host.
    fn element(&self) -> Option<HeaderValue> {
        let mut last = self.peer.last.lock().unwrap_or_else(PoisonError::into_inner);
        let host = self.host.unwrap_or(&NO_HOST);
        if let Some(last) = &*last
            && last.scheme == self.scheme
            && last.host == host
        {
            return Some(last.text.clone());
        }
        let mut text = BytesMut::with_capacity(TYPICAL);
        write_element(&mut text, self);
        let text = HeaderValue::from_maybe_shared(text.freeze()).ok()?;
        *last = Some(Element { scheme: self.scheme, host: host.clone(), text: text.clone() });
        Some(text)
    }
}

/// What this proxy itself has seen of the client.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The peer of the connection.
    pub peer: &'a Peer,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The host as the client sent it, port included; nothing where it sent none.
    pub host: Option<&'a HeaderValue>,
}

/// Sets the four fields.
///
/// When the peer is one of `trusted_proxies`, it is appended to the lists that it sent, and the
/// scheme and host that it sent stay. Otherwise whatever it sent is replaced. A field without a
/// value of its own (no host) is left out.
pub fn set(headers: &mut HeaderMap, seen: &Seen<'_>, trusted_proxies: &[IpNet]) {
    let trusted = is_trusted(seen.peer.address, trusted_proxies);
    if trusted {
        append(headers, X_FORWARDED_FOR, Some(seen.peer.text.clone()));
        append(headers, FORWARDED, seen.element());
    } else {
        headers.insert(X_FORWARDED_FOR, seen.peer.text.clone());
        insert(headers, FORWARDED, seen.element());
    }
    if !(trusted && headers.contains_key(X_FORWARDED_PROTO)) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(seen.scheme));
    }
    if !(trusted && headers.contains_key(X_FORWARDED_HOST)) {
        match seen.host {
            Some(host) if !host.is_empty() => drop(headers.insert(X_FORWARDED_HOST, host.clone())),
            _ => drop(headers.remove(X_FORWARDED_HOST)),
        }
    }
}

/// Whether what a peer says of its own client counts.
pub fn is_trusted(peer: IpAddr, trusted_proxies: &[IpNet]) -> bool {
    trusted_proxies.iter().any(|network| network.contains(&peer))
}

/// Makes one list of the lines that are there already and of what comes last.
fn append(headers: &mut HeaderMap, name: HeaderName, last: Option<HeaderValue>) {
    let mut text = BytesMut::with_capacity(TYPICAL);
    for line in headers.get_all(&name).iter().filter(|line| !line.is_empty()) {
        text.put_slice(line.as_bytes());
        text.put_slice(b", ");
    }
    let whole = last.and_then(|last| {
        text.put_slice(last.as_bytes());
        HeaderValue::from_maybe_shared(text.freeze()).ok()
    });
    insert(headers, name, whole);
}

/// One `forwarded-element`. Colons need quotes, and so does every host that is not a token.
fn write_element(text: &mut BytesMut, seen: &Seen<'_>) {
    text.put_slice(seen.peer.node.as_bytes());
    if let Some(host) = seen.host.and_then(|host| host.to_str().ok()).filter(|h| !h.is_empty()) {
        text.put_slice(b";host=");
        write_host(text, host);
    }
    text.put_slice(b";proto=");
    text.put_slice(seen.scheme.as_bytes());
}

fn write_host(text: &mut BytesMut, host: &str) {
    if host.bytes().all(is_token) {
        text.put_slice(host.as_bytes());
        return;
    }
    text.put_u8(b'"');
    for byte in host.bytes() {
        if byte == b'"' || byte == b'\\' {
            text.put_u8(b'\\');
        }
        text.put_u8(byte);
    }
    text.put_u8(b'"');
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Replaces the field; one that would be illegal goes instead.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => drop(headers.insert(name, value)),
        None => drop(headers.remove(name)),
    }
}

static NO_HOST: HeaderValue = HeaderValue::from_static("");

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Room for the values of one client over IPv6 with a host of ordinary length.
const TYPICAL: usize = 192;

#[cfg(test)]
mod tests {
    use super::*;

    fn set_on(sent: &[(&'static str, &'static str)], peer: &str, host: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let peer = Peer::new(peer.parse().unwrap());
        let host = HeaderValue::from_str(host).unwrap();
        let seen = Seen { peer: &peer, scheme: "https", host: Some(&host) };
        set(&mut headers, &seen, &["10.0.0.0/8".parse().unwrap()]);
        headers
    }

    const SENT: [(&str, &str); 6] = [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-for", "192.0.2.2, 192.0.2.3"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "sent.example"),
        ("forwarded", "for=192.0.2.1"),
        ("forwarded", "for=_b"),
    ];

    #[test]
    fn what_a_stranger_sent_is_replaced() {
        let headers = set_on(&SENT, "198.51.100.7", "a.example");
        assert_eq!(headers["x-forwarded-for"], "198.51.100.7");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "a.example");
        assert_eq!(headers["forwarded"], "for=198.51.100.7;host=a.example;proto=https");
        assert_eq!(headers.len(), 4);
    }

    #[test]
    fn what_a_trusted_proxy_sent_is_appended_to_or_kept() {
        let headers = set_on(&SENT, "10.1.2.3", "a.example");
        assert_eq!(headers["x-forwarded-for"], "192.0.2.1, 192.0.2.2, 192.0.2.3, 10.1.2.3");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-forwarded-host"], "sent.example");
        assert_eq!(
            headers["forwarded"],
            "for=192.0.2.1, for=_b, for=10.1.2.3;host=a.example;proto=https"
        );
        assert_eq!(headers.len(), 4);
    }

    #[test]
    fn a_trusted_proxy_that_sent_nothing_gets_what_was_seen() {
        let headers = set_on(&[], "10.1.2.3", "a.example");
        assert_eq!(headers["x-forwarded-for"], "10.1.2.3");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "a.example");
    }

    #[test]
    fn addresses_and_hosts_with_colons_are_quoted() {
        let headers = set_on(&[], "2001:db8::1", "[::1]:8080");
        assert_eq!(headers["x-forwarded-for"], "2001:db8::1");
        let expected = "for=\"[2001:db8::1]\";host=\"[::1]:8080\";proto=https";
        assert_eq!(headers["forwarded"], expected);
    }

    #[test]
    fn a_request_without_host_forwards_none() {
        let headers = set_on(&SENT, "198.51.100.7", "");
        assert_eq!(headers["forwarded"], "for=198.51.100.7;proto=https");
        assert!(!headers.contains_key("x-forwarded-host"));
    }
}
