//! Fields that are meant for one connection alone, by
//! [RFC 9110 §7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1).
//!
//! Stripping comes before anything is set on behalf of the operator, so that a client can only
//! name fields of its own. `Proxy-Authorization` is stripped too: §11.7.2 lets a proxy relay it
//! only to proxies that authenticate cooperatively, and an origin must not see credentials that
//! were meant for a proxy.

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    COOKIE, FORWARDED, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE,
    TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// What stripping a request took away that its forwarding still has to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestHops {
    /// The protocol that the client asks to change to, as [`wants_upgrade`] has it.
    pub upgrade: Option<HeaderValue>,
    /// The client takes trailers; the forwarder puts `TE: trailers` back.
    pub te_trailers: bool,
}

/// Takes the hop-by-hop fields away from a request, those named in `Connection` included.
///
/// A field that decides routing, framing, identity or the meaning of the content stays even when
/// `Connection` names it; no such field is ever a connection option, and a client must not get a
/// field dropped that later hops rely on.
pub fn strip_request(headers: &mut HeaderMap) -> RequestHops {
    let present = Present::among(headers);
    if !present.any {
        return RequestHops::default();
    }
    let hops = RequestHops {
        upgrade: wants_upgrade(headers).cloned(),
        te_trailers: takes_trailers(headers),
    };
    strip(headers, present);
    headers.remove(UPGRADE);
    headers.remove(PROXY_AUTHORIZATION);
    hops
}

/// Takes the hop-by-hop fields away from a response, those named in `Connection` included.
///
/// With `keep_upgrade`, for a 101 that is passed on, `Upgrade` stays and `Connection: upgrade` is
/// put back.
pub fn strip_response(headers: &mut HeaderMap, keep_upgrade: bool) {
    let present = Present::among(headers);
    if !present.any {
        return;
    }
    strip(headers, present);
    headers.remove(PROXY_AUTHENTICATE);
    headers.remove("proxy-authentication-info");
    if keep_upgrade && headers.contains_key(UPGRADE) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    } else {
        headers.remove(UPGRADE);
    }
}

/// Whether a message has any of the fields that are taken away.
pub fn has_any(headers: &HeaderMap) -> bool {
    Present::among(headers).any
}

/// Which of the fields in question a message has, found in one pass over its names: most
/// messages have none, and each look-up of a field that is not there costs a hash.
#[derive(Debug, Clone, Copy, Default)]
struct Present {
    any: bool,
    connection: bool,
    other: bool,
}

impl Present {
    fn among(headers: &HeaderMap) -> Self {
        let mut present = Self::default();
        for name in headers.keys() {
            match name.as_str() {
                "connection" => present.connection = true,
                "keep-alive"
                | "proxy-connection"
                | "transfer-encoding"
                | "te"
                | "upgrade"
                | "proxy-authorization"
                | "proxy-authenticate"
                | "proxy-authentication-info" => present.other = true,
                _ => continue,
            }
            present.any = true;
        }
        present
    }
}

/// The protocol that a request asks to change to: `Connection` names `upgrade`, and there is one
/// `Upgrade` line.
///
/// Protocols that carry further requests (`h2c`, `HTTP/…`, `TLS/…`) are never asked for: no rule
/// would see those requests. Whether the version is one that can upgrade, HTTP/1.1, is up to the
/// caller.
pub fn wants_upgrade(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut lines = headers.get_all(UPGRADE).iter();
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    let asked = headers.get_all(CONNECTION).iter().flat_map(tokens);
    let asked = asked.into_iter().any(|option| option.eq_ignore_ascii_case("upgrade"));
    let opaque = tokens(line).all(is_opaque);
    (asked && opaque && !line.is_empty()).then_some(line)
}

fn takes_trailers(headers: &HeaderMap) -> bool {
    headers
        .get_all(TE)
        .iter()
        .flat_map(tokens)
        .any(|coding| name_of(coding, ';').eq_ignore_ascii_case("trailers"))
}

fn is_opaque(protocol: &str) -> bool {
    let name = name_of(protocol, '/');
    !["h2", "h2c", "http", "tls"].iter().any(|layered| name.eq_ignore_ascii_case(layered))
}

/// What stands in front of the first `end`.
fn name_of(text: &str, end: char) -> &str {
    text.split(end).next().unwrap_or_default().trim_ascii()
}

fn strip(headers: &mut HeaderMap, present: Present) {
    if present.connection {
        let further: Vec<_> = headers.get_all(CONNECTION).iter().skip(1).cloned().collect();
        if let Some(first) = headers.remove(CONNECTION) {
            for option in std::iter::once(&first).chain(&further).flat_map(tokens) {
                remove_named(headers, option);
            }
        }
    }
    if present.other {
        headers.remove("keep-alive");
        headers.remove("proxy-connection");
        headers.remove(TRANSFER_ENCODING);
        headers.remove(TE);
    }
}

fn remove_named(headers: &mut HeaderMap, option: &str) {
    let upgrade = option.eq_ignore_ascii_case("upgrade");
    let common = ["close", "keep-alive"].iter().any(|common| option.eq_ignore_ascii_case(common));
    if !upgrade && !common && !is_kept(option) {
        headers.remove(option);
    }
}

fn is_kept(option: &str) -> bool {
    KEPT.iter().any(|field| option.eq_ignore_ascii_case(field.as_str()))
        || KEPT_BY_NAME.iter().any(|field| option.eq_ignore_ascii_case(field))
}

fn tokens(line: &HeaderValue) -> impl Iterator<Item = &str> {
    let text = line.to_str().unwrap_or_default();
    text.split(',').map(str::trim_ascii).filter(|token| !token.is_empty())
}

const KEPT: [HeaderName; 11] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    COOKIE,
    FORWARDED,
    HOST,
    SET_COOKIE,
    UPGRADE,
    VIA,
];

const KEPT_BY_NAME: [&str; 4] =
    ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn stripped(lines: &[(&'static str, &'static str)]) -> (RequestHops, Vec<String>) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let hops = strip_request(&mut headers);
        let mut left: Vec<_> = headers.keys().map(ToString::to_string).collect();
        left.sort();
        (hops, left)
    }

    #[test]
    fn hop_by_hop_fields_and_those_that_connection_names_go() {
        let (hops, left) = stripped(&[
            ("host", "a"),
            ("connection", "close, X-Hop"),
            ("connection", "x-other"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("x-end", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic eA=="),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("trailer", "x-sum"),
        ]);
        assert_eq!(hops, RequestHops::default());
        assert_eq!(left, ["host", "trailer", "x-end"]);
    }

    #[test]
    fn a_client_cannot_have_fields_dropped_that_later_hops_rely_on() {
        let (_, left) = stripped(&[
            ("connection", "Host, content-length, X-Forwarded-For, cookie, authorization"),
            ("host", "a"),
            ("content-length", "1"),
            ("x-forwarded-for", "192.0.2.1"),
            ("cookie", "a=b"),
            ("authorization", "Bearer x"),
        ]);
        assert_eq!(left, ["authorization", "content-length", "cookie", "host", "x-forwarded-for"]);
    }

    #[test]
    fn trailers_are_noted_among_other_codings() {
        assert!(stripped(&[("te", "deflate;q=0.5, Trailers")]).0.te_trailers);
        assert!(stripped(&[("te", "trailers;q=1")]).0.te_trailers);
        assert!(!stripped(&[("te", "x-trailers")]).0.te_trailers);
    }

    #[test]
    fn an_upgrade_needs_both_fields() {
        let upgrade = ("upgrade", "websocket");
        let asked = stripped(&[("connection", "keep-alive, Upgrade"), upgrade]);
        assert_eq!(
            asked,
            (
                RequestHops {
                    upgrade: Some(HeaderValue::from_static("websocket")),
                    te_trailers: false
                },
                vec![]
            )
        );
        assert_eq!(stripped(&[upgrade]).0.upgrade, None);
        assert_eq!(stripped(&[("connection", "upgrade")]).0.upgrade, None);
        let twice = [("connection", "upgrade"), upgrade, upgrade];
        assert_eq!(stripped(&twice).0.upgrade, None);
    }

    #[test]
    fn an_upgrade_that_would_carry_unseen_requests_is_not_asked_for() {
        for protocol in ["h2c", "H2C", "websocket, h2c", "HTTP/2.0", "TLS/1.0"] {
            let (hops, _) = stripped(&[("connection", "upgrade"), ("upgrade", protocol)]);
            assert_eq!(hops.upgrade, None, "{protocol}");
        }
    }

    #[test]
    fn a_response_keeps_its_upgrade_only_when_told() {
        let switching =
            [("connection", "Upgrade, x-hop"), ("upgrade", "websocket"), ("x-hop", "1")];
        let mut kept = fields(&switching);
        strip_response(&mut kept, true);
        assert_eq!(kept, fields(&[("connection", "upgrade"), ("upgrade", "websocket")]));
        let mut gone = fields(&switching);
        strip_response(&mut gone, false);
        assert!(gone.is_empty());
    }
}
