//! A TLS client that says exactly what happened, and whose streams carry the other clients.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::crypto::{
    CryptoProvider, SupportedKxGroup, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CipherSuite, ClientConfig, DigitallySignedStruct, HandshakeKind, NamedGroup,
    ProtocolVersion, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certs::{Certificate, Issued};
use crate::failure::Failure;
use crate::h2_client::H2Client;
use crate::raw_client::RawClient;

/// Makes connections. Its clones share one store of sessions, so a client that is kept resumes on
/// its next connection what the server lets it resume, also after the server was started anew.
#[derive(Debug, Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    /// The same, for connections that name no server.
    nameless: Arc<ClientConfig>,
    resuming: bool,
}

/// A client to be; made by [`TlsClient::builder`].
#[derive(Debug)]
pub struct Builder {
    roots: Option<RootCertStore>,
    versions: Vec<&'static SupportedProtocolVersion>,
    groups: Vec<NamedGroup>,
    suites: Vec<CipherSuite>,
    alpn: Vec<Vec<u8>>,
    identity: Option<Identity>,
    resuming: bool,
}

type Identity = (Vec<CertificateDer<'static>>, rustls::pki_types::PrivateKeyDer<'static>);

impl TlsClient {
    /// One that trusts any certificate, offers TLS 1.2 and 1.3 and no ALPN, and never resumes,
    /// unless told otherwise.
    pub fn builder() -> Builder {
        Builder {
            roots: None,
            versions: rustls::ALL_VERSIONS.to_vec(),
            groups: Vec::new(),
            suites: Vec::new(),
            alpn: Vec::new(),
            identity: None,
            resuming: false,
        }
    }

    /// Connects and shakes hands. Without `sni` no name is sent, and the certificate has to be one
    /// of the address.
    ///
    /// A server that refuses the client's certificate says so in TLS 1.3 only after the client has
    /// ended the handshake; [`TlsConnection::ending`] tells.
    pub async fn connect(
        &self,
        addr: SocketAddr,
        sni: Option<&str>,
    ) -> Result<TlsConnection, TlsFailure> {
        let (config, name) = match sni {
            Some(name) => (&self.config, name.to_owned()),
            None => (&self.nameless, addr.ip().to_string()),
        };
        let name = ServerName::try_from(name).expect("the test gave a name or an address");
        let stream = timeout(LIMIT, TcpStream::connect(addr)).await??;
        stream.set_nodelay(true)?;
        let connected = TlsConnector::from(config.clone()).connect(name, stream);
        let stream = timeout(LIMIT, connected).await??;
        Ok(TlsConnection { handshake: Handshake::of(&stream), stream })
    }

    /// Whether a connection with that handshake has yet to bring what the next one resumes: in
    /// TLS 1.3 tickets come after the handshake.
    pub fn wants_ticket(&self, handshake: &Handshake) -> bool {
        self.resuming && handshake.version == ProtocolVersion::TLSv1_3
    }
}

impl Builder {
    /// Trusts certificates under these roots only, and only for the name that it asks for.
    pub fn roots(mut self, roots: &[CertificateDer<'static>]) -> Self {
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root.clone()).expect("a root certificate that can be read");
        }
        self.roots = Some(store);
        self
    }

    /// Offers TLS 1.2 only.
    pub fn tls12_only(mut self) -> Self {
        self.versions = vec![&rustls::version::TLS12];
        self
    }

    /// Offers TLS 1.3 only.
    pub fn tls13_only(mut self) -> Self {
        self.versions = vec![&rustls::version::TLS13];
        self
    }

    /// Offers these groups for the key exchange only.
    pub fn groups(mut self, groups: &[NamedGroup]) -> Self {
        self.groups = groups.to_vec();
        self
    }

    /// Offers these cipher suites only.
    pub fn suites(mut self, suites: &[CipherSuite]) -> Self {
        self.suites = suites.to_vec();
        self
    }

    /// Offers these protocols, the preferred one first.
    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Shows this certificate when it is asked for one.
    pub fn identity(mut self, issued: &Issued) -> Self {
        self.identity = Some((issued.chain().to_vec(), issued.key_der()));
        self
    }

    /// Keeps sessions and resumes them: tickets in TLS 1.3, tickets and ids in TLS 1.2.
    pub fn resuming(mut self) -> Self {
        self.resuming = true;
        self
    }

    /// The client.
    ///
    /// # Panics
    /// When what it should offer fits no version of TLS.
    pub fn build(self) -> TlsClient {
        let provider = self.provider();
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.versions)
            .expect("the suites and groups fit a version");
        let config = match self.roots {
            Some(roots) => config.with_root_certificates(roots),
            None => {
                config.dangerous().with_custom_certificate_verifier(Arc::new(TrustAny(provider)))
            }
        };
        let mut config = match self.identity {
            Some((chain, key)) => {
                config.with_client_auth_cert(chain, key).expect("the key belongs to the chain")
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        config.resumption = match self.resuming {
            true => Resumption::store(Arc::new(ClientSessionMemoryCache::new(SESSIONS))),
            false => Resumption::disabled(),
        };
        let mut nameless = config.clone();
        nameless.enable_sni = false;
        TlsClient { config: config.into(), nameless: nameless.into(), resuming: self.resuming }
    }

    fn provider(&self) -> Arc<CryptoProvider> {
        let mut provider = aws_lc_rs::default_provider();
        if !self.groups.is_empty() {
            // Also those that are supported and not offered unless asked for.
            provider.kx_groups = aws_lc_rs::ALL_KX_GROUPS.to_vec();
            provider.kx_groups.retain(|group| self.groups.contains(&group.name()));
        }
        if !self.suites.is_empty() {
            provider.cipher_suites.retain(|suite| self.suites.contains(&suite.suite()));
        }
        provider.into()
    }
}

/// What a handshake came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The version of TLS.
    pub version: ProtocolVersion,
    /// The protocol that was agreed on, where one was offered.
    pub alpn: Option<String>,
    /// The cipher suite.
    pub suite: CipherSuite,
    /// The group of the key exchange; `None` where a TLS 1.2 session was resumed.
    pub group: Option<NamedGroup>,
    /// Whether a session was resumed, in place of a full handshake.
    pub resumed: bool,
    /// Whether the server asked for another key share first.
    pub retried: bool,
    /// What the server's leaf says; that of the first handshake where a session was resumed.
    pub leaf: Certificate,
    /// The whole chain as the server sent it, the leaf first.
    pub chain: Vec<CertificateDer<'static>>,
}

impl Handshake {
    fn of(stream: &TlsStream<TcpStream>) -> Self {
        let (_, tls) = stream.get_ref();
        let chain = tls.peer_certificates().unwrap_or_default().to_vec();
        let kind = tls.handshake_kind().expect(COMPLETE);
        let alpn = tls.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        Self {
            version: tls.protocol_version().expect(COMPLETE),
            alpn,
            suite: tls.negotiated_cipher_suite().expect(COMPLETE).suite(),
            group: tls.negotiated_key_exchange_group().map(SupportedKxGroup::name),
            resumed: kind == HandshakeKind::Resumed,
            retried: kind == HandshakeKind::FullWithHelloRetryRequest,
            leaf: Certificate::read(chain.first().expect("a server shows a certificate")),
            chain,
        }
    }
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct TlsConnection {
    stream: TlsStream<TcpStream>,
    /// What its handshake came to.
    pub handshake: Handshake,
}

impl TlsConnection {
    /// A client for HTTP/1.1 on it; also what [`WebSocket::over`] wants.
    ///
    /// [`WebSocket::over`]: crate::websocket::WebSocket::over
    pub fn http1(self) -> RawClient<TlsStream<TcpStream>> {
        RawClient::over(self.stream)
    }

    /// A client for HTTP/2 on it.
    pub async fn http2(self, authority: &str) -> Result<H2Client, Failure> {
        H2Client::over(self.stream, "https", authority).await
    }

    /// The stream itself.
    pub fn into_stream(self) -> TlsStream<TcpStream> {
        self.stream
    }

    /// Returns once the server has sent a ticket of TLS 1.3, so that the next connection can
    /// resume. What it sends otherwise is lost.
    ///
    /// # Errors
    /// How the connection ended before.
    pub async fn ticket(&mut self) -> Result<(), TlsFailure> {
        timeout(LIMIT, poll_fn(|cx| self.poll_ticket(cx))).await?
    }

    /// How the server ends a connection on which nothing is sent: in good order or with what.
    ///
    /// # Errors
    /// The alert, also the one that refuses a client's certificate in TLS 1.3; a close without
    /// `close_notify`; [`Failure::TimedOut`] when it does not end within 10 seconds.
    pub async fn ending(&mut self) -> Result<(), TlsFailure> {
        let mut sink = [0; 4096];
        let read = async {
            while self.stream.read(&mut sink).await? > 0 {}
            io::Result::Ok(())
        };
        Ok(timeout(LIMIT, read).await??)
    }

    /// Says that it goes, and goes.
    pub async fn close(mut self) -> Result<(), TlsFailure> {
        Ok(timeout(LIMIT, self.stream.shutdown()).await??)
    }

    fn poll_ticket(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TlsFailure>> {
        loop {
            if self.stream.get_ref().1.tls13_tickets_received() > 0 {
                return Poll::Ready(Ok(()));
            }
            let mut space = [0; 4096];
            let mut buffer = ReadBuf::new(&mut space);
            let read = Pin::new(&mut self.stream).poll_read(cx, &mut buffer);
            // A ticket is no data: it comes without ending the read.
            let received = self.stream.get_ref().1.tls13_tickets_received() > 0;
            match read {
                _ if received => {}
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    return Poll::Ready(Err(Failure::ClosedBeforeAnswer.into()));
                }
                Poll::Ready(Ok(())) => {}
            }
        }
    }
}

/// Why there is no connection, or how it ended.
#[derive(Debug, Clone, PartialEq)]
pub enum TlsFailure {
    /// The server sent this alert.
    Alert(AlertDescription),
    /// This client would not go on, such as with a certificate that it does not trust.
    Refused(Box<rustls::Error>),
    /// The connection below failed.
    Transport(Failure),
}

impl TlsFailure {
    /// Whether this client refused the server's certificate.
    pub fn is_untrusted(&self) -> bool {
        let Self::Refused(error) = self else { return false };
        matches!(**error, rustls::Error::InvalidCertificate(_))
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alert(alert) => write!(f, "the server sent the alert {alert:?}"),
            Self::Refused(error) => write!(f, "the client refused: {error}"),
            Self::Transport(failure) => failure.fmt(f),
        }
    }
}

impl std::error::Error for TlsFailure {}

impl From<Failure> for TlsFailure {
    fn from(failure: Failure) -> Self {
        Self::Transport(failure)
    }
}

impl From<tokio::time::error::Elapsed> for TlsFailure {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Self::Transport(Failure::TimedOut)
    }
}

impl From<io::Error> for TlsFailure {
    fn from(error: io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(rustls::Error::AlertReceived(alert)) => Self::Alert(*alert),
            Some(other) => Self::Refused(Box::new(other.clone())),
            None => Self::Transport(error.into()),
        }
    }
}

/// Takes any certificate, and only checks that the server holds its key.
#[derive(Debug)]
struct TrustAny(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

const COMPLETE: &str = "a handshake that is complete has settled this";
const SESSIONS: usize = 4096;
const LIMIT: Duration = Duration::from_secs(10);
