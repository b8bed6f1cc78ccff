//! Reads a field of a flow as text.

use std::borrow::Cow;

use http::{HeaderMap, Version, header};

use crate::graph::facts::{Facts, FirstBytes, Handshake, PeerCertificate, RequestFacts};
use crate::value::field::{Field, PeerCertField};

/// The text of `field`, or nothing where the flow has none. A repeated field gives its first
/// value; bytes that are not UTF-8 read as absent.
///
/// `time.unix_ms` is no property of a flow and reads as absent here; templates supply it.
pub fn text<'a>(field: &Field, facts: &'a Facts<'_>) -> Option<Cow<'a, str>> {
    let connection = facts.connection;
    match field {
        Field::Transport => Some(Cow::Borrowed(connection.transport.as_str())),
        Field::RemoteIp => Some(connection.remote.ip().to_string().into()),
        Field::RemotePort => Some(connection.remote.port().to_string().into()),
        Field::LocalIp => Some(connection.local.ip().to_string().into()),
        Field::LocalPort => Some(connection.local.port().to_string().into()),
        Field::Protocol | Field::TlsSni | Field::TlsAlpn => {
            first_bytes(field, connection.first_bytes.as_ref()?).map(Cow::Borrowed)
        }
        Field::TlsVersion | Field::TlsPeerCert(_) => {
            handshake(field, connection.handshake.as_ref()?).map(Cow::Borrowed)
        }
        Field::HttpBody | Field::TimeUnixMs => None,
        _ => request(field, facts.request.as_ref()?),
    }
}

fn first_bytes<'a>(field: &Field, known: &'a FirstBytes) -> Option<&'a str> {
    match field {
        Field::Protocol => Some(known.protocol.as_str()),
        Field::TlsSni => known.sni.as_deref(),
        _ => known.alpn.first().map(AsRef::as_ref),
    }
}

fn handshake<'a>(field: &Field, known: &'a Handshake) -> Option<&'a str> {
    match field {
        Field::TlsPeerCert(PeerCertField::Present) => {
            Some(if known.peer.is_some() { "true" } else { "false" })
        }
        Field::TlsPeerCert(part) => peer(*part, known.peer.as_deref()?).next(),
        _ => Some(known.version.as_str()),
    }
}

/// The values of a part of a client's certificate, in its order.
pub fn peer(part: PeerCertField, peer: &PeerCertificate) -> impl Iterator<Item = &str> {
    let one = match part {
        PeerCertField::SubjectCn => peer.subject_cn.as_deref(),
        PeerCertField::IssuerCn => peer.issuer_cn.as_deref(),
        PeerCertField::Serial => Some(&*peer.serial),
        PeerCertField::FingerprintSha256 => Some(&*peer.fingerprint_sha256),
        PeerCertField::SpkiSha256 => Some(&*peer.spki_sha256),
        PeerCertField::Present | PeerCertField::SanDns | PeerCertField::SanUri => None,
    };
    let several: &[Box<str>] = match part {
        PeerCertField::SanDns => &peer.san_dns,
        PeerCertField::SanUri => &peer.san_uri,
        _ => &[],
    };
    one.into_iter().chain(several.iter().map(AsRef::as_ref))
}

fn request<'a>(field: &Field, request: &'a RequestFacts<'_>) -> Option<Cow<'a, str>> {
    let borrowed = match field {
        Field::HttpVersion => version(request.version),
        Field::HttpScheme => request.scheme,
        Field::HttpMethod => request.method.as_str(),
        Field::HttpHost => request.host,
        Field::HttpPath => request.path,
        Field::HttpQuery => request.query?,
        Field::HttpUri => return Some(request.uri()),
        Field::HttpQueryParam(name) => return query_parameter(request.query?, name),
        Field::HttpHeader(name) => request.headers.get(name)?.to_str().ok()?,
        Field::HttpCookie(name) => cookie(request.headers, name)?,
        _ => return None,
    };
    Some(Cow::Borrowed(borrowed))
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

/// The first value of a parameter, percent-decoded, `+` as space; a parameter without `=` is
/// there and empty.
fn query_parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.into_iter().find(|(key, _)| decode(key).as_deref() == Some(name))?;
    decode(value)
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';'));
    pairs.find_map(|pair| {
        let (key, value) = pair.trim_start().split_once('=')?;
        (key == name).then(|| value.trim_end().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_parameter_is_decoded_and_the_first_one_counts() {
        let query = "a=1&caf%C3%A9=x+y%21&a=2&flag";
        assert_eq!(query_parameter(query, "a").as_deref(), Some("1"));
        assert_eq!(query_parameter(query, "café").as_deref(), Some("x y!"));
        assert_eq!(query_parameter(query, "flag").as_deref(), Some(""));
        assert_eq!(query_parameter(query, "b"), None);
    }

    #[test]
    fn a_broken_escape_reads_as_absent() {
        assert_eq!(query_parameter("a=%4", "a"), None);
        assert_eq!(query_parameter("a=%zz", "a"), None);
        assert_eq!(query_parameter("a=%ff", "a"), None);
    }

    #[test]
    fn a_cookie_is_found_in_any_line_and_loses_its_quotes() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=1; b=\"two\"".parse().expect("a value"));
        headers.append(header::COOKIE, "c=3".parse().expect("a value"));
        assert_eq!(cookie(&headers, "b"), Some("two"));
        assert_eq!(cookie(&headers, "c"), Some("3"));
        assert_eq!(cookie(&headers, "d"), None);
    }
}
