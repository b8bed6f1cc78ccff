//! The facts of a connection or request that predicates ask about and templates print.

use std::{borrow::Cow, fmt};

use http::HeaderName;

use super::{Explain, suggest};

/// A fact with a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// `transport`
    Transport,
    /// `remote.ip`
    RemoteIp,
    /// `remote.port`
    RemotePort,
    /// `local.ip`
    LocalIp,
    /// `local.port`
    LocalPort,
    /// `protocol`
    Protocol,
    /// `tls.sni`
    TlsSni,
    /// `tls.alpn`
    TlsAlpn,
    /// `tls.version`
    TlsVersion,
    /// `tls.peer_cert.…`
    TlsPeerCert(PeerCertField),
    /// `http.version`
    HttpVersion,
    /// `http.scheme`
    HttpScheme,
    /// `http.method`
    HttpMethod,
    /// `http.host`
    HttpHost,
    /// `http.path`
    HttpPath,
    /// `http.query`
    HttpQuery,
    /// `http.uri`
    HttpUri,
    /// `http.query.<name>`
    HttpQueryParam(Box<str>),
    /// `http.header.<name>`
    HttpHeader(HeaderName),
    /// `http.cookie.<name>`
    HttpCookie(Box<str>),
    /// `http.body`
    HttpBody,
    /// `time.unix_ms`, for templates only
    TimeUnixMs,
}

/// A part of the certificate that the client showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerCertField {
    /// Whether there is one.
    Present,
    /// Common name of the subject.
    SubjectCn,
    /// Common name of the issuer.
    IssuerCn,
    /// DNS names.
    SanDns,
    /// URIs.
    SanUri,
    /// Serial number, hexadecimal.
    Serial,
    /// SHA-256 of the certificate, hexadecimal.
    FingerprintSha256,
    /// SHA-256 of its public key, hexadecimal.
    SpkiSha256,
}

/// What has to be known of a connection before a field has a value, in the order in which a
/// connection reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// It was accepted.
    Connection,
    /// Its first bytes were looked at.
    FirstBytes,
    /// TLS was terminated.
    Handshake,
    /// The head of a request was read.
    Request,
    /// The body of a request was read.
    Body,
}

impl Layer {
    /// The layer in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::FirstBytes => "first bytes",
            Self::Handshake => "handshake",
            Self::Request => "request",
            Self::Body => "body",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl Field {
    /// Parses the name of a field. Header names are lower-cased, cookie and query names are kept.
    ///
    /// # Errors
    /// [`UnknownField`], with the nearest known name where one is near.
    pub fn parse(name: &str) -> Result<Self, UnknownField> {
        if let Some(row) = ROWS.iter().find(|row| row.doc.name == name) {
            return match &row.field {
                Some(field) => Ok(field.clone()),
                None => Err(UnknownField::unnamed(name)),
            };
        }
        let named = FAMILIES.iter().find_map(|family| {
            let rest = name.strip_prefix(family.prefix)?;
            Some((family.parse)(rest).ok_or_else(|| UnknownField::unnamed(name)))
        });
        named.unwrap_or_else(|| Err(UnknownField::of(name)))
    }

    /// The canonical name; parses back to the same field.
    pub fn name(&self) -> Cow<'static, str> {
        match self {
            Self::HttpQueryParam(name) => format!("{QUERY}{name}").into(),
            Self::HttpHeader(name) => format!("{HEADER}{name}").into(),
            Self::HttpCookie(name) => format!("{COOKIE}{name}").into(),
            field => {
                let row = ROWS.iter().find(|row| row.field.as_ref() == Some(field));
                row.map_or("", |row| row.doc.name).into()
            }
        }
    }

    /// What has to be known before the field has a value.
    pub fn layer(&self) -> Layer {
        match self {
            Self::Transport | Self::RemoteIp | Self::RemotePort => Layer::Connection,
            Self::LocalIp | Self::LocalPort | Self::TimeUnixMs => Layer::Connection,
            Self::Protocol | Self::TlsSni | Self::TlsAlpn => Layer::FirstBytes,
            Self::TlsVersion | Self::TlsPeerCert(_) => Layer::Handshake,
            Self::HttpBody => Layer::Body,
            _ => Layer::Request,
        }
    }

    /// Whether predicates may ask about it; the rest is for templates.
    pub fn is_matchable(&self) -> bool {
        !matches!(self, Self::TimeUnixMs)
    }

    /// All fields in the order of their layers, for people. Names with `<name>` stand for many.
    pub fn table() -> impl Iterator<Item = &'static FieldDoc> {
        ROWS.iter().map(|row| &row.doc)
    }
}

/// The canonical name; parses back to the same field.
impl fmt::Display for Field {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name())
    }
}

/// One line of the table of fields.
#[derive(Debug)]
pub struct FieldDoc {
    /// The name, or its pattern.
    pub name: &'static str,
    /// What has to be known before it has a value.
    pub layer: Layer,
    /// What it is.
    pub doc: &'static str,
}

/// A name that is no field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField {
    /// What was written.
    pub name: String,
    /// The field that was probably meant.
    pub suggestion: Option<String>,
}

impl UnknownField {
    fn of(name: &str) -> Self {
        let known = ROWS.iter().map(|row| row.doc.name).filter(|name| !name.contains('<'));
        let families = FAMILIES.iter().map(|family| family.prefix);
        let misspelt = suggest::nearest(name, known).map(str::to_owned).or_else(|| {
            let (head, rest) =
                name.match_indices('.').nth(1).map(|(dot, _)| name.split_at(dot + 1))?;
            Some(format!(
                "{}{rest}",
                suggest::nearest(head, families).filter(|_| name.len() <= LONGEST)?
            ))
        });
        Self { name: name.to_owned(), suggestion: misspelt }
    }

    fn unnamed(name: &str) -> Self {
        Self { name: name.to_owned(), suggestion: None }
    }
}

impl fmt::Display for UnknownField {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}` is not a field", self.name)
    }
}

impl Explain for UnknownField {
    fn help(&self) -> Option<String> {
        let named = FAMILIES.iter().any(|family| self.name.starts_with(family.prefix));
        Some(match &self.suggestion {
            Some(field) => format!("did you mean `{field}`?"),
            None if named => {
                "the last dot is followed by the name of a header field, of a cookie or \
                              of a query parameter"
                    .to_owned()
            }
            None => "all fields are listed by `vane fields`".to_owned(),
        })
    }
}

struct Row {
    field: Option<Field>,
    doc: FieldDoc,
}

struct Family {
    prefix: &'static str,
    parse: fn(&str) -> Option<Field>,
}

fn header(name: &str) -> Option<Field> {
    HeaderName::from_bytes(name.as_bytes()).ok().map(Field::HttpHeader)
}

fn cookie(name: &str) -> Option<Field> {
    // RFC 6265 §4.1.1: a cookie name is a token, as header names are.
    HeaderName::from_bytes(name.as_bytes()).ok().map(|_| Field::HttpCookie(name.into()))
}

fn query(name: &str) -> Option<Field> {
    (!name.is_empty()).then(|| Field::HttpQueryParam(name.into()))
}

const fn row(field: Field, name: &'static str, layer: Layer, doc: &'static str) -> Row {
    Row { field: Some(field), doc: FieldDoc { name, layer, doc } }
}

const fn family_row(name: &'static str, doc: &'static str) -> Row {
    Row { field: None, doc: FieldDoc { name, layer: Layer::Request, doc } }
}

/// Names above this length are no slips.
const LONGEST: usize = 128;

const QUERY: &str = "http.query.";
const HEADER: &str = "http.header.";
const COOKIE: &str = "http.cookie.";

const FAMILIES: &[Family] = &[
    Family { prefix: QUERY, parse: query },
    Family { prefix: HEADER, parse: header },
    Family { prefix: COOKIE, parse: cookie },
];

static ROWS: [Row; 29] = {
    use Field as F;
    use Layer as L;
    use PeerCertField as P;
    [
        row(F::Transport, "transport", L::Connection, "`tcp` or `udp`"),
        row(F::RemoteIp, "remote.ip", L::Connection, "address of the peer"),
        row(F::RemotePort, "remote.port", L::Connection, "port of the peer"),
        row(F::LocalIp, "local.ip", L::Connection, "address that the peer connected to"),
        row(F::LocalPort, "local.port", L::Connection, "port that the peer connected to"),
        row(
            F::TimeUnixMs,
            "time.unix_ms",
            L::Connection,
            "milliseconds since 1970, in templates only",
        ),
        row(F::Protocol, "protocol", L::FirstBytes, "`tls`, `http1`, `http2`, `quic` or `other`"),
        row(F::TlsSni, "tls.sni", L::FirstBytes, "server name that the client asks for"),
        row(F::TlsAlpn, "tls.alpn", L::FirstBytes, "protocols that the client offers"),
        row(F::TlsVersion, "tls.version", L::Handshake, "`1.2` or `1.3`"),
        row(
            F::TlsPeerCert(P::Present),
            "tls.peer_cert.present",
            L::Handshake,
            "whether the client showed a certificate",
        ),
        row(
            F::TlsPeerCert(P::SubjectCn),
            "tls.peer_cert.subject_cn",
            L::Handshake,
            "common name of its subject",
        ),
        row(
            F::TlsPeerCert(P::IssuerCn),
            "tls.peer_cert.issuer_cn",
            L::Handshake,
            "common name of its issuer",
        ),
        row(F::TlsPeerCert(P::SanDns), "tls.peer_cert.san_dns", L::Handshake, "its DNS names"),
        row(F::TlsPeerCert(P::SanUri), "tls.peer_cert.san_uri", L::Handshake, "its URIs"),
        row(
            F::TlsPeerCert(P::Serial),
            "tls.peer_cert.serial",
            L::Handshake,
            "its serial number in hexadecimal",
        ),
        row(
            F::TlsPeerCert(P::FingerprintSha256),
            "tls.peer_cert.fingerprint_sha256",
            L::Handshake,
            "SHA-256 of it in hexadecimal",
        ),
        row(
            F::TlsPeerCert(P::SpkiSha256),
            "tls.peer_cert.spki_sha256",
            L::Handshake,
            "SHA-256 of its public key in hexadecimal",
        ),
        row(F::HttpVersion, "http.version", L::Request, "`1.0`, `1.1`, `2` or `3`"),
        row(F::HttpScheme, "http.scheme", L::Request, "`http` or `https`"),
        row(F::HttpMethod, "http.method", L::Request, "method, such as `GET`"),
        row(F::HttpHost, "http.host", L::Request, "host without port, in lower case"),
        row(F::HttpPath, "http.path", L::Request, "path, normalised by RFC 3986"),
        row(F::HttpQuery, "http.query", L::Request, "query without `?`"),
        row(F::HttpUri, "http.uri", L::Request, "path and query"),
        family_row("http.query.<name>", "first value of a query parameter"),
        family_row("http.header.<name>", "first value of a header field"),
        family_row("http.cookie.<name>", "first value of a cookie"),
        row(F::HttpBody, "http.body", L::Body, "whole body, buffered up to `max_body`"),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_table_parses_prints_and_knows_its_layer() {
        for doc in Field::table() {
            let name = doc.name.replace("<name>", "x");
            let field = Field::parse(&name).unwrap();
            assert_eq!(field.to_string(), name);
            assert_eq!(field.layer(), doc.layer, "{name}");
        }
    }

    #[test]
    fn header_names_are_lower_cased_and_cookie_names_are_not() {
        assert_eq!(Field::parse("http.header.X-Id").unwrap().to_string(), "http.header.x-id");
        assert_eq!(Field::parse("http.cookie.Sid").unwrap().to_string(), "http.cookie.Sid");
    }

    #[test]
    fn slips_get_a_suggestion_also_in_front_of_a_name() {
        let suggestion = |name| Field::parse(name).unwrap_err().suggestion;
        assert_eq!(suggestion("http.hots").as_deref(), Some("http.host"));
        assert_eq!(suggestion("http.headers.x-id").as_deref(), Some("http.header.x-id"));
        assert_eq!(suggestion("weather"), None);
    }

    #[test]
    fn a_family_needs_a_proper_name() {
        for name in [
            "http.header.",
            "http.header.a b",
            "http.cookie.a=b",
            "http.query.",
            "http.header.<name>",
        ] {
            assert!(Field::parse(name).is_err(), "{name}");
        }
    }
}
