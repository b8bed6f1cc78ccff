//! A flow in words: `GET https://api.example.com/v1?x=1`, header lines, a peer.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

use crate::graph::facts::{FirstBytes, Protocol, RequestFacts};
use crate::value::host_pattern::HostPattern;
use crate::value::path::{self, PathError};

/// A flow that somebody asks about.
#[derive(Debug, Clone)]
pub struct Described {
    /// The listener, by its address or as it is written; else the one at the port of the URL.
    pub listener: Option<Box<str>>,
    /// The peer; 127.0.0.1 unless said.
    pub remote: SocketAddr,
    /// The server name of the handshake; that of the URL unless said.
    pub sni: Option<Box<str>>,
    /// What the client offers in its handshake; nothing unless said.
    pub alpn: Vec<Box<str>>,
    /// What the connection starts with; after the URL unless said.
    pub protocol: Protocol,
    /// The request; none to ask about a connection alone.
    pub request: Option<DescribedRequest>,
    /// The value of `{time.unix_ms}`.
    pub unix_ms: u64,
}

/// A request that somebody asks about.
#[derive(Debug, Clone)]
pub struct DescribedRequest {
    /// `GET` unless said.
    pub method: Method,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Lower case, without port.
    pub host: Box<str>,
    /// The port of the URL, or that of its scheme.
    pub port: u16,
    /// Normalised.
    pub path: Box<str>,
    /// Without the `?`.
    pub query: Option<Box<str>>,
    /// HTTP/1.1 unless said.
    pub version: Version,
    /// In the order given.
    pub headers: HeaderMap,
}

impl Described {
    /// A connection that has said nothing yet.
    pub fn connection() -> Self {
        Self {
            listener: None,
            remote: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            sni: None,
            alpn: Vec::new(),
            protocol: Protocol::Other,
            request: None,
            unix_ms: 0,
        }
    }

    /// Parses `[METHOD ]URL`, such as `POST https://api.example.com/v1?x=1`.
    ///
    /// # Errors
    /// Names the part that is not understood.
    pub fn parse(words: &str) -> Result<Self, DescribeError> {
        let request = DescribedRequest::parse(words)?;
        let secure = request.scheme == "https";
        let named = request.host.parse::<IpAddr>().is_err() && !request.host.starts_with('[');
        Ok(Self {
            sni: (secure && named).then(|| request.host.clone()),
            protocol: if secure { Protocol::Tls } else { Protocol::Http1 },
            request: Some(request),
            ..Self::connection()
        })
    }

    /// Adds a header line such as `X-Id: 7`. A `Host` line replaces the host of the URL, but not
    /// the server name of the handshake.
    ///
    /// # Errors
    /// When it is no header line, or there is no request.
    pub fn header(&mut self, line: &str) -> Result<(), DescribeError> {
        let bad = || DescribeError::Header(line.to_owned());
        let (name, value) = line.split_once(':').ok_or_else(bad)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| bad())?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| bad())?;
        let request = self.request.as_mut().ok_or(DescribeError::NoRequest)?;
        if name == http::header::HOST {
            request.host = host(value.to_str().map_err(|_| bad())?)?.0;
        }
        request.headers.append(name, value);
        Ok(())
    }

    pub(super) fn first_bytes(&self) -> FirstBytes {
        FirstBytes { protocol: self.protocol, sni: self.sni.clone(), alpn: self.alpn.clone() }
    }

    pub(super) fn request_facts(&self) -> Option<RequestFacts<'_>> {
        self.request.as_ref().map(|request| RequestFacts {
            version: request.version,
            scheme: request.scheme,
            method: &request.method,
            host: &request.host,
            path: &request.path,
            query: request.query.as_deref(),
            headers: &request.headers,
        })
    }
}

impl DescribedRequest {
    fn parse(words: &str) -> Result<Self, DescribeError> {
        let words = words.trim();
        let (method, url) = words.split_once(char::is_whitespace).unwrap_or(("GET", words));
        let bad_method = |_| DescribeError::Method(method.to_owned());
        let uri: Uri = url.trim().parse().map_err(|_| DescribeError::Url(url.to_owned()))?;
        let (scheme, default_port) = match uri.scheme_str() {
            Some("http") => ("http", 80),
            Some("https") => ("https", 443),
            _ => return Err(DescribeError::Scheme),
        };
        let authority = uri.authority().map(Authority::as_str).unwrap_or_default();
        let (host, port) = host(authority)?;
        let path = path::normalise(uri.path()).map_err(DescribeError::Path)?;
        Ok(Self {
            method: Method::from_bytes(method.as_bytes()).map_err(bad_method)?,
            scheme,
            host,
            port: port.unwrap_or(default_port),
            path: path.into(),
            query: uri.query().map(Into::into),
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
        })
    }
}

/// In the form of a request line with its URL, then the peer.
impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.request {
            Some(request) => {
                let DescribedRequest { method, scheme, host, path, .. } = request;
                write!(f, "{method} {scheme}://{host}:{}{path}", request.port)?;
                if let Some(query) = &request.query {
                    write!(f, "?{query}")?;
                }
            }
            None => write!(f, "a connection that starts with {}", self.protocol.as_str())?,
        }
        write!(f, " from {}", self.remote.ip())
    }
}

/// Why a description is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DescribeError {
    /// Not a method.
    Method(String),
    /// Not a URL.
    Url(String),
    /// Not `http` or `https`.
    Scheme,
    /// Not a host.
    Host(String),
    /// A path without a normal form.
    Path(PathError),
    /// Not `Name: value`.
    Header(String),
    /// A header line without a request.
    NoRequest,
}

impl fmt::Display for DescribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(method) => write!(f, "`{method}` is not a method"),
            Self::Url(url) => write!(f, "`{url}` is not a URL, such as `https://example.com/path`"),
            Self::Scheme => f.write_str("the URL starts with neither `http://` nor `https://`"),
            Self::Host(host) => write!(f, "`{host}` is not a host"),
            Self::Path(error) => write!(f, "the path of the URL is malformed: {error}"),
            Self::Header(line) => write!(f, "`{line}` is not a header line, such as `Name: value`"),
            Self::NoRequest => {
                f.write_str("a header line belongs to a request, and none is described")
            }
        }
    }
}

impl std::error::Error for DescribeError {}

/// Host and port of an authority, the host as predicates see it.
fn host(authority: &str) -> Result<(Box<str>, Option<u16>), DescribeError> {
    let bad = || DescribeError::Host(authority.to_owned());
    let parsed: Authority = authority.parse().map_err(|_| bad())?;
    match HostPattern::parse(parsed.host()) {
        Ok(HostPattern::Exact(host)) => Ok((host, parsed.port_u16())),
        _ => Err(bad()),
    }
}
