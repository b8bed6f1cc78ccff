//! One handshake: who gets which certificate, who is refused and why, and what is known
//! afterwards.

use std::fmt;
use std::io;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use rustls::{
    AlertDescription, CertificateError, HandshakeKind, ProtocolVersion, ServerConfig,
    ServerConnection,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use vane_core::graph::facts::{FirstBytes, Handshake, PeerCertificate};
use vane_core::rules::tls::TlsVersion;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

use crate::registry::HandshakeOutcome;
use crate::tls::certificate::hex;
use crate::tls::challenges::{ALPN, Challenges};
use crate::tls::replayed::Replayed;
use crate::tls::serving::{Choice, LinkedTls};

/// A connection with TLS terminated.
#[derive(Debug)]
pub(crate) struct Secured {
    /// What is inside.
    pub(crate) stream: Box<TlsStream<Replayed>>,
    /// What the handshake told.
    pub(crate) facts: Handshake,
    /// What it was answered with.
    pub(crate) chosen: Arc<Choice>,
    /// Whether HTTP/2 was agreed on.
    pub(crate) http2: bool,
    /// Whether a session was resumed.
    pub(crate) outcome: HandshakeOutcome,
}

/// Why there is no secured connection.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// No certificate serves the name that was asked for, if one was.
    UnknownName,
    /// The certificate for the name has not come yet.
    NoCertificate(Box<str>),
    /// The client's certificate is missing or does not verify.
    ClientCertificate(rustls::Error),
    /// The two sides do not agree, or a message is malformed.
    Protocol(rustls::Error),
    /// The client broke off.
    Broken(io::Error),
    /// It was no client: a certificate authority has seen the answer to its challenge.
    Challenge,
}

impl Refusal {
    /// What it is counted as.
    pub(crate) fn outcome(&self) -> HandshakeOutcome {
        match self {
            Self::UnknownName => HandshakeOutcome::UnknownName,
            Self::NoCertificate(_) => HandshakeOutcome::NoCertificate,
            Self::ClientCertificate(_) => HandshakeOutcome::ClientCertificate,
            Self::Protocol(_) => HandshakeOutcome::Protocol,
            Self::Broken(_) => HandshakeOutcome::Broken,
            Self::Challenge => HandshakeOutcome::Challenge,
        }
    }

    /// The alert that says so where there is no session yet that could, RFC 8446 §6: a record of
    /// its own.
    pub(crate) fn alert(&self) -> [u8; 7] {
        const FATAL: u8 = 2;
        let alert = match self {
            Self::UnknownName => AlertDescription::UnrecognisedName,
            _ => AlertDescription::InternalError,
        };
        [0x15, 3, 3, 0, 2, FATAL, alert.into()]
    }
}

/// What a handshake is to be answered with.
#[derive(Debug)]
pub(crate) enum Terms {
    /// A certificate.
    Serve(Arc<Choice>),
    /// The proof of a name, which is all that an authority wants to see.
    Prove(Arc<ServerConfig>),
}

/// Chooses what a handshake that began with `hello` is answered with.
///
/// # Errors
/// Why it is refused; [`Refusal::alert`] says so to the client.
pub(crate) fn choose(
    hello: &FirstBytes,
    tls: &LinkedTls,
    challenges: &Challenges,
) -> Result<Terms, Refusal> {
    if let Some(config) = asked_challenge(hello, challenges) {
        return Ok(Terms::Prove(config));
    }
    let chosen = tls.choose(hello.sni.as_deref()).ok_or(Refusal::UnknownName)?;
    let certificate = &chosen.certificate;
    match certificate.served() {
        Some(_) => Ok(Terms::Serve(Arc::clone(chosen))),
        None => Err(Refusal::NoCertificate(certificate.name.clone())),
    }
}

/// What proves a name to an authority, where that is what the handshake asks for.
fn asked_challenge(hello: &FirstBytes, challenges: &Challenges) -> Option<Arc<ServerConfig>> {
    let [only] = hello.alpn.as_slice() else { return None };
    let asks = only.as_bytes() == ALPN;
    asks.then(|| challenges.handshake(hello.sni.as_deref()?)).flatten()
}

/// Shakes hands on `stream`, of which `read` has been read: the whole ClientHello at least.
///
/// # Errors
/// Why there is no secured connection, with the socket; the client has been sent an alert.
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub(crate) async fn accept(
    stream: TcpStream,
    read: Bytes,
    terms: Terms,
) -> Result<Secured, (Refusal, TcpStream)> {
    let config = match &terms {
        Terms::Serve(chosen) => Arc::clone(&chosen.config),
        Terms::Prove(config) => Arc::clone(config),
    };
    let accepting = TlsAcceptor::from(config).accept(Replayed::new(stream, read));
    let stream = match accepting.into_fallible().await {
        Ok(stream) => stream,
        Err((error, stream)) => return Err((refusal(error), stream.into_socket())),
    };
    let Terms::Serve(chosen) = terms else {
        return Err((Refusal::Challenge, stream.into_inner().0.into_socket()));
    };
    let (_, session) = stream.get_ref();
    let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
    if resumed && has_outlived_certificate(session) {
        let expired = rustls::Error::InvalidCertificate(CertificateError::Expired);
        let socket = stream.into_inner().0.into_socket();
        return Err((Refusal::ClientCertificate(expired), socket));
    }
    Ok(Secured {
        facts: facts(session),
        http2: session.alpn_protocol() == Some(b"h2"),
        outcome: if resumed { HandshakeOutcome::Resumed } else { HandshakeOutcome::Full },
        chosen,
        stream: Box::new(stream),
    })
}

fn refusal(error: io::Error) -> Refusal {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(error) if is_about_client_certificate(error) => {
            Refusal::ClientCertificate(error.clone())
        }
        Some(error) => Refusal::Protocol(error.clone()),
        None => Refusal::Broken(error),
    }
}

fn is_about_client_certificate(error: &rustls::Error) -> bool {
    matches!(
        error,
        rustls::Error::NoCertificatesPresented
            | rustls::Error::InvalidCertificate(_)
            | rustls::Error::InvalidCertRevocationList(_)
    )
}

/// Whether the client's certificate has expired since it was verified: a session that is resumed
/// does not verify it again.
fn has_outlived_certificate(session: &ServerConnection) -> bool {
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    let parsed = leaf.map(|leaf| X509Certificate::from_der(leaf));
    parsed.is_some_and(|parsed| parsed.is_ok_and(|(_, found)| !found.validity().is_valid()))
}

fn facts(session: &ServerConnection) -> Handshake {
    let peer = session.peer_certificates().and_then(<[_]>::first);
    Handshake {
        version: match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => TlsVersion::Tls12,
            _ => TlsVersion::Tls13,
        },
        peer: peer.and_then(peer_facts).map(Box::new),
    }
}

fn peer_facts(der: &CertificateDer<'_>) -> Option<PeerCertificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let sha256 = |bytes: &[u8]| hex(digest(&SHA256, bytes).as_ref()).into_boxed_str();
    let (mut san_dns, mut san_uri) = (Vec::new(), Vec::new());
    for name in names {
        match name {
            GeneralName::DNSName(name) => san_dns.push(name.to_ascii_lowercase().into()),
            GeneralName::URI(uri) => san_uri.push((*uri).into()),
            _ => {}
        }
    }
    Some(PeerCertificate {
        subject_cn: common_name(certificate.subject()),
        issuer_cn: common_name(certificate.issuer()),
        san_dns,
        san_uri,
        serial: hex(certificate.raw_serial()).into(),
        fingerprint_sha256: sha256(der),
        spki_sha256: sha256(certificate.public_key().raw),
    })
}

fn common_name(name: &X509Name<'_>) -> Option<Box<str>> {
    name.iter_common_name().next()?.as_str().ok().map(Into::into)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownName => f.write_str("no certificate serves this name"),
            Self::NoCertificate(name) => write!(f, "the certificate {name} has not come yet"),
            Self::ClientCertificate(error) => write!(f, "the client's certificate: {error}"),
            Self::Protocol(error) => write!(f, "the handshake failed: {error}"),
            Self::Broken(error) => write!(f, "the client broke off: {error}"),
            Self::Challenge => f.write_str("an authority has seen the answer to its challenge"),
        }
    }
}
