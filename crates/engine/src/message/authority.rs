//! Whom a request is for.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::net::Ipv6Addr;

use http::header::HOST;
use http::uri::Scheme;
use http::{HeaderMap, Uri, Version};

use crate::wire::host::{self, HostPort};

/// The host and port that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority<'a> {
    as_sent: &'a str,
    host: Cow<'a, str>,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads the authority from the target and from `Host`, which must agree where both are
    /// there: byte for byte but for case, port included. `example.com` and `example.com:80` are
    /// equivalent by [RFC 9110 §4.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-4.2.3), but
    /// a client that means one place has no reason to spell it in two ways.
    ///
    /// An HTTP/1.0 request may name no host; its host is then empty, and only rules that do not
    /// ask for one match.
    ///
    /// # Errors
    /// Whenever two parsers could come to different hosts; all of them answer 400. A target
    /// that is an authority alone is `CONNECT`'s, which the caller has refused before.
    pub fn of(
        uri: &'a Uri,
        headers: &'a HeaderMap,
        version: Version,
    ) -> Result<Self, AuthorityError> {
        let target = target(uri)?;
        let field = field(headers)?;
        match (target, field) {
            (Some(target), Some(field)) if !target.eq_ignore_ascii_case(field) => {
                Err(AuthorityError::Mismatch)
            }
            (None, None) if version == Version::HTTP_10 || version == Version::HTTP_09 => {
                Ok(Self { as_sent: "", host: Cow::Borrowed(""), port: None })
            }
            (Some(_), None) if version == Version::HTTP_11 => Err(AuthorityError::Missing),
            (Some(text), _) | (None, Some(text)) => Self::parse(text),
            (None, None) => Err(AuthorityError::Missing),
        }
    }

    /// The host without port, in lower case; an IPv6 address in brackets and in canonical form.
    /// Empty only for an HTTP/1.0 request that names none.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where the client wrote one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Host and port in the client's spelling.
    pub fn as_sent(&self) -> &'a str {
        self.as_sent
    }

    fn parse(text: &'a str) -> Result<Self, AuthorityError> {
        let Some(HostPort { host, port }) = host::parse(text) else {
            return Err(if text.contains('@') {
                AuthorityError::UserInfo
            } else if text.is_empty() || text.starts_with(':') {
                AuthorityError::Empty
            } else {
                AuthorityError::Malformed
            });
        };
        Ok(Self { as_sent: text, host: normal(host), port })
    }
}

/// Why a request names no host that can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorityError {
    /// The target is an authority alone, as only `CONNECT` has it.
    AuthorityForm,
    /// The host is empty.
    Empty,
    /// It is not a host with an optional port.
    Malformed,
    /// The target and `Host` differ.
    Mismatch,
    /// There is none.
    Missing,
    /// There is more than one `Host`.
    Repeated,
    /// The target's scheme is neither `http` nor `https`.
    Scheme,
    /// A user name stands in front of the host.
    UserInfo,
}

impl fmt::Display for AuthorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AuthorityForm => "client misbehaved: request target is an authority alone",
            Self::Empty => "client misbehaved: empty host",
            Self::Malformed => "client misbehaved: malformed host",
            Self::Mismatch => "client misbehaved: request target and host differ",
            Self::Missing => "client misbehaved: no host",
            Self::Repeated => "client misbehaved: more than one host",
            Self::Scheme => "client misbehaved: scheme of the target is neither http nor https",
            Self::UserInfo => "client misbehaved: user name in front of the host",
        })
    }
}

impl Error for AuthorityError {}

/// The authority in the target, where it has one.
fn target(uri: &Uri) -> Result<Option<&str>, AuthorityError> {
    match (uri.scheme(), uri.authority()) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(AuthorityError::AuthorityForm),
        (Some(scheme), _) if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS => {
            Err(AuthorityError::Scheme)
        }
        (Some(_), authority) => Ok(authority.map(http::uri::Authority::as_str)),
    }
}

fn field(headers: &HeaderMap) -> Result<Option<&str>, AuthorityError> {
    let mut lines = headers.get_all(HOST).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(AuthorityError::Repeated);
    }
    line.to_str().map(Some).map_err(|_| AuthorityError::Malformed)
}

fn normal(host: &str) -> Cow<'_, str> {
    if let Some(address) = bracketed(host) {
        let canonical = format!("[{address}]");
        return if canonical == host { Cow::Borrowed(host) } else { Cow::Owned(canonical) };
    }
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(host.to_ascii_lowercase());
    }
    Cow::Borrowed(host)
}

fn bracketed(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(
        target: &'static str,
        hosts: &[&'static str],
        version: Version,
    ) -> Result<(String, Option<u16>), AuthorityError> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_static(host));
        }
        let uri = Uri::from_static(target);
        Authority::of(&uri, &headers, version).map(|found| (found.host().to_owned(), found.port()))
    }

    fn http11(target: &'static str, hosts: &[&'static str]) -> Result<String, AuthorityError> {
        of(target, hosts, Version::HTTP_11).map(|(host, _)| host)
    }

    #[test]
    fn a_host_is_lower_case_and_without_port() {
        let found = of("/", &["Example.COM:8080"], Version::HTTP_11);
        assert_eq!(found, Ok(("example.com".into(), Some(8080))));
        assert_eq!(http11("/", &["[2001:DB8:0::1]:80"]), Ok("[2001:db8::1]".into()));
    }

    #[test]
    fn a_host_that_is_normal_already_is_borrowed() {
        for host in ["example.com", "[::1]"] {
            assert!(matches!(normal(host), Cow::Borrowed(_)), "{host}");
        }
    }

    #[test]
    fn target_and_host_must_agree_to_the_letter_but_for_case() {
        assert_eq!(http11("http://a.example/x", &["A.example"]), Ok("a.example".into()));
        for (target, host) in [
            ("http://a.example/", "b.example"),
            ("http://a.example/", "a.example:80"),
            ("http://a.example:80/", "a.example"),
        ] {
            assert_eq!(http11(target, &[host]), Err(AuthorityError::Mismatch), "{target} {host}");
            assert_eq!(of(target, &[host], Version::HTTP_2), Err(AuthorityError::Mismatch));
        }
    }

    #[test]
    fn the_version_decides_which_of_the_two_is_needed() {
        let absolute = "http://a.example/";
        assert_eq!(http11(absolute, &[]), Err(AuthorityError::Missing));
        assert_eq!(http11("/", &[]), Err(AuthorityError::Missing));
        assert_eq!(of(absolute, &[], Version::HTTP_2), Ok(("a.example".into(), None)));
        assert_eq!(of("/", &["a.example"], Version::HTTP_2), Ok(("a.example".into(), None)));
        assert_eq!(of("/", &[], Version::HTTP_2), Err(AuthorityError::Missing));
        assert_eq!(of(absolute, &[], Version::HTTP_10), Ok(("a.example".into(), None)));
        assert_eq!(of("/", &[], Version::HTTP_10), Ok((String::new(), None)));
    }

    #[test]
    fn a_host_is_never_guessed() {
        assert_eq!(http11("/", &["a", "a"]), Err(AuthorityError::Repeated));
        assert_eq!(http11("/", &[""]), Err(AuthorityError::Empty));
        assert_eq!(http11("/", &[":80"]), Err(AuthorityError::Empty));
        assert_eq!(http11("/", &["u@a"]), Err(AuthorityError::UserInfo));
        assert_eq!(http11("http://u@a/", &["u@a"]), Err(AuthorityError::UserInfo));
        assert_eq!(http11("/", &["a, b"]), Err(AuthorityError::Malformed));
        assert_eq!(http11("/", &["a%2eb"]), Err(AuthorityError::Malformed));
        assert_eq!(http11("a.example", &["a.example"]), Err(AuthorityError::AuthorityForm));
        assert_eq!(http11("ftp://a/", &["a"]), Err(AuthorityError::Scheme));
    }
}
