//! What is known of a flow. Plain data that the engine fills in layer by layer, and that
//! `explain` fills in from a description.

use std::borrow::Cow;
use std::net::SocketAddr;

use http::{HeaderMap, Method, Version};

use crate::rules::tls::TlsVersion;
use crate::value::field::Layer;
use crate::value::listen_addr::Transport;

/// What is known of a connection.
#[derive(Debug, Clone)]
pub struct ConnectionFacts {
    /// TCP or UDP.
    pub transport: Transport,
    /// The peer; never a v4-mapped address.
    pub remote: SocketAddr,
    /// The address that the peer connected to; never a v4-mapped one.
    pub local: SocketAddr,
    /// What its first bytes say; none until they have been read.
    pub first_bytes: Option<FirstBytes>,
    /// What its TLS handshake told; none until TLS has been terminated.
    pub handshake: Option<Handshake>,
}

/// What a TLS handshake told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The version that was agreed on.
    pub version: TlsVersion,
    /// The certificate that the client showed, if it showed one.
    pub peer: Option<Box<PeerCertificate>>,
}

/// A certificate that a client showed and that was verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Common name of the subject.
    pub subject_cn: Option<Box<str>>,
    /// Common name of the issuer.
    pub issuer_cn: Option<Box<str>>,
    /// DNS names, in the order of the certificate.
    pub san_dns: Vec<Box<str>>,
    /// URIs, in the order of the certificate.
    pub san_uri: Vec<Box<str>>,
    /// Serial number, lower-case hexadecimal without separators.
    pub serial: Box<str>,
    /// SHA-256 of the certificate, lower-case hexadecimal.
    pub fingerprint_sha256: Box<str>,
    /// SHA-256 of its public key with the algorithm, lower-case hexadecimal.
    pub spki_sha256: Box<str>,
}

/// What the first bytes of a connection say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstBytes {
    /// The protocol they belong to.
    pub protocol: Protocol,
    /// The server name of a ClientHello, lower case.
    pub sni: Option<Box<str>>,
    /// The protocols that a ClientHello offers, in its order.
    pub alpn: Vec<Box<str>>,
}

/// The protocol that a connection's first bytes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// A TLS ClientHello.
    Tls,
    /// An HTTP/1 request line.
    Http1,
    /// The HTTP/2 connection preface.
    Http2,
    /// A QUIC Initial.
    Quic,
    /// Anything else, or nothing in time.
    Other,
}

impl Protocol {
    /// The name used in predicates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::Quic => "quic",
            Self::Other => "other",
        }
    }
}

/// What is known of a request. Borrowed from the request itself: describing one allocates nothing.
#[derive(Debug, Clone)]
pub struct RequestFacts<'a> {
    /// The version the client speaks.
    pub version: Version,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// As sent.
    pub method: &'a Method,
    /// Lower case, without port.
    pub host: &'a str,
    /// Normalised by RFC 3986 §6.2.2.
    pub path: &'a str,
    /// Without the `?`.
    pub query: Option<&'a str>,
    /// As sent.
    pub headers: &'a HeaderMap,
}

impl RequestFacts<'_> {
    /// Path and query.
    pub fn uri(&self) -> Cow<'_, str> {
        match self.query {
            Some(query) => Cow::Owned(format!("{}?{query}", self.path)),
            None => Cow::Borrowed(self.path),
        }
    }
}

/// Everything known of a flow at one point of its walk.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The connection.
    pub connection: &'a ConnectionFacts,
    /// The request, once the walk is about one.
    pub request: Option<RequestFacts<'a>>,
}

impl<'a> Facts<'a> {
    /// What is known before a request.
    pub fn of_connection(connection: &'a ConnectionFacts) -> Self {
        Self { connection, request: None }
    }

    /// The deepest layer that is known.
    pub fn layer(&self) -> Layer {
        let ConnectionFacts { first_bytes, handshake, .. } = self.connection;
        match (&self.request, handshake, first_bytes) {
            (Some(_), ..) => Layer::Request,
            (None, Some(_), _) => Layer::Handshake,
            (None, None, Some(_)) => Layer::FirstBytes,
            (None, None, None) => Layer::Connection,
        }
    }
}
