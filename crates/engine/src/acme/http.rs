//! A small HTTP client for the control plane: one request, one connection, one bounded answer.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderValue, USER_AGENT};
use http::uri::{Authority, PathAndQuery};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use vane_core::value::endpoint::{Endpoint, Host};

use crate::upstream::connect::Stream;
use crate::upstream::failure::FailureKind;

/// A client for `https` and, where nothing secret is sent or the way is this machine's own,
/// `http`.
#[derive(Debug, Clone)]
pub(crate) struct HttpsClient {
    tls: Arc<ClientConfig>,
}

impl HttpsClient {
    /// Verifies servers as `tls` says, which offers no protocol by ALPN or `http/1.1`.
    pub(crate) fn new(tls: Arc<ClientConfig>) -> Self {
        Self { tls }
    }

    /// Sends the request to the host of its URI, trying each of its addresses, and reads the
    /// whole answer: at most 1 MiB, and 30 seconds in all. `Host` and `User-Agent` are set here;
    /// redirects are answers like others.
    ///
    /// # Errors
    /// Says how far it came. After [`HttpFailureKind::Protocol`] and a timeout the server may
    /// have done what it was asked.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection; the server may have done what it was asked.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, HttpFailure> {
        let target = Target::of(request.uri());
        let target = target.ok_or_else(|| HttpFailure::new("", HttpFailureKind::Uri))?;
        let whole = self.exchange(&target, request);
        match tokio::time::timeout(WHOLE_LIMIT, whole).await {
            Ok(answer) => answer,
            Err(_) => Err(target.failure(HttpFailureKind::Timeout)),
        }
    }

    async fn exchange(
        &self,
        target: &Target,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, HttpFailure> {
        let request = target.addressed(request);
        let stream = Stream::connect(&target.endpoint, CONNECT_LIMIT).await;
        let stream = stream.map_err(|failure| {
            let kind = match failure.kind {
                FailureKind::Resolve => HttpFailureKind::Resolve,
                FailureKind::ConnectTimeout => HttpFailureKind::Timeout,
                _ => HttpFailureKind::Connect,
            };
            HttpFailure { source: failure.into_source(), ..target.failure(kind) }
        })?;
        if !target.is_https {
            return answer(target, stream, request).await;
        }
        let stream = self.handshake(target, stream).await?;
        answer(target, stream, request).await
    }

    async fn handshake(
        &self,
        target: &Target,
        stream: Stream,
    ) -> Result<tokio_rustls::client::TlsStream<Stream>, HttpFailure> {
        let refused = |error: Box<dyn Error + Send + Sync>| HttpFailure {
            source: Some(error),
            ..target.failure(HttpFailureKind::Tls)
        };
        let name = target.server_name().map_err(|error| refused(error.into()))?;
        let handshake = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream);
        match tokio::time::timeout(CONNECT_LIMIT, handshake).await {
            Ok(stream) => stream.map_err(|error| refused(error.into())),
            Err(_) => Err(target.failure(HttpFailureKind::Timeout)),
        }
    }
}

/// Whom a request is for.
#[derive(Debug)]
struct Target {
    authority: Authority,
    path: PathAndQuery,
    endpoint: Endpoint,
    is_https: bool,
}

impl Target {
    fn of(uri: &Uri) -> Option<Self> {
        let is_https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
        let port = authority.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let endpoint = Endpoint::parse(&format!("{}:{port}", authority.host())).ok()?;
        let path = uri.path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        Some(Self { authority: authority.clone(), path, endpoint, is_https })
    }

    /// The request as it goes over the wire, by
    /// [RFC 9112 §3.2.1](https://www.rfc-editor.org/rfc/rfc9112#section-3.2.1).
    fn addressed(&self, request: Request<Bytes>) -> Request<Full<Bytes>> {
        let mut request = request.map(Full::new);
        *request.uri_mut() = Uri::from(self.path.clone());
        let headers = request.headers_mut();
        if let Ok(host) = HeaderValue::from_str(self.authority.as_str()) {
            headers.insert(HOST, host);
        }
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        request
    }

    fn server_name(&self) -> Result<ServerName<'static>, &'static str> {
        let name = match &self.endpoint {
            Endpoint::Tcp { host: Host::Ip(address), .. } => Ok(ServerName::from(*address)),
            Endpoint::Tcp { host: Host::Name(name), .. } => ServerName::try_from(name.to_string()),
            Endpoint::Unix(_) => return Err("no certificate is for the path of a socket"),
        };
        name.map_err(|_| "no certificate can be for this name")
    }

    fn failure(&self, kind: HttpFailureKind) -> HttpFailure {
        HttpFailure::new(self.authority.as_str(), kind)
    }
}

/// Sends the request and reads the answer, driving the connection in the same task.
async fn answer<S>(
    target: &Target,
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, HttpFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let broken = |error: Box<dyn Error + Send + Sync>| {
        let is_long = error.is::<LengthLimitError>();
        let kind = if is_long { HttpFailureKind::TooLarge } else { HttpFailureKind::Protocol };
        HttpFailure { source: Some(error), ..target.failure(kind) }
    };
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(error.into()))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| broken(error.into()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(broken)?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    alongside(exchange, connection).await
}

/// What `main` comes to while `driver` runs; the driver may end first.
async fn alongside<T>(main: impl Future<Output = T>, driver: impl Future) -> T {
    let mut main = pin!(main);
    tokio::select! {
        outcome = &mut main => return outcome,
        _ = driver => {}
    }
    main.await
}

/// A request without an answer.
#[derive(Debug)]
pub(crate) struct HttpFailure {
    /// How far it came.
    pub(crate) kind: HttpFailureKind,
    host: Box<str>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// How far a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpFailureKind {
    /// The URI is not one of a server.
    Uri,
    /// The name of the server has no address.
    Resolve,
    /// The server could not be reached.
    Connect,
    /// No TLS with the server, or its certificate is not trusted.
    Tls,
    /// The server closed the connection, or what it sent is not HTTP.
    Protocol,
    /// The answer is larger than any should be.
    TooLarge,
    /// It took too long.
    Timeout,
}

impl HttpFailure {
    fn new(host: &str, kind: HttpFailureKind) -> Self {
        Self { kind, host: host.into(), source: None }
    }
}

impl fmt::Display for HttpFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match self.kind {
            HttpFailureKind::Uri => f.write_str("the URL is not one of an HTTP server"),
            HttpFailureKind::Resolve => write!(f, "the name of `{host}` has no address"),
            HttpFailureKind::Connect => write!(f, "`{host}` cannot be reached"),
            HttpFailureKind::Tls => write!(f, "the TLS handshake with `{host}` failed"),
            HttpFailureKind::Protocol => write!(f, "the answer of `{host}` is broken"),
            HttpFailureKind::TooLarge => write!(f, "the answer of `{host}` is above 1 MiB"),
            HttpFailureKind::Timeout => write!(f, "`{host}` did not answer in time"),
        }?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl Error for HttpFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

const AGENT: &str = concat!("vane/", env!("CARGO_PKG_VERSION"));
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const WHOLE_LIMIT: Duration = Duration::from_secs(30);
const MAX_ANSWER: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::{RootCertStore, ServerConfig};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    fn client(roots: &[CertificateDer<'static>]) -> HttpsClient {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.to_vec());
        let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(store)
            .with_no_client_auth();
        HttpsClient::new(Arc::new(tls))
    }

    /// A certificate for `localhost`, and what serves it.
    fn server() -> (CertificateDer<'static>, TlsAcceptor) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let chain = vec![made.cert.der().clone()];
        let tls = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        (made.cert.der().clone(), TlsAcceptor::from(Arc::new(tls)))
    }

    async fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    fn get(url: &str) -> Request<Bytes> {
        Request::get(url).body(Bytes::new()).unwrap()
    }

    /// Reads a head, answers with these bytes and closes; gives the head.
    async fn answering<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: &[u8]) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        // A client that has read enough closes while the rest is still written.
        let _ = stream.write_all(answer).await;
        let _ = stream.shutdown().await;
        String::from_utf8(head).unwrap()
    }

    /// What comes of a request that is answered with these bytes, and its head.
    async fn exchange(answer: &[u8]) -> (Result<Response<Bytes>, HttpFailure>, String) {
        let (listener, port) = listener().await;
        let url = format!("http://localhost:{port}/a?b=c");
        let (client, request) = (client(&[]), get(&url));
        let serving = async { answering(listener.accept().await.unwrap().0, answer).await };
        tokio::join!(client.send(request), serving)
    }

    #[tokio::test]
    async fn the_target_is_in_origin_form_beside_its_host() {
        // `localhost` may have an address where nothing listens; the other one is tried as well.
        let (answer, head) = exchange(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok").await;
        let answer = answer.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.body()[..]), (201, &b"ok"[..]));
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("get /a?b=c http/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nhost: localhost:"), "{head}");
        let agent = concat!("\r\nuser-agent: vane/", env!("CARGO_PKG_VERSION"), "\r\n");
        assert!(head.contains(agent), "{head}");
    }

    #[tokio::test]
    async fn what_is_no_whole_answer_is_told_apart() {
        let long = [&b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n"[..], &[b'x'; 2_000_000]];
        for (answer, kind) in [
            (&b""[..], HttpFailureKind::Protocol),
            (b"SSH-2.0-OpenSSH\r\n", HttpFailureKind::Protocol),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", HttpFailureKind::Protocol),
            (&long.concat(), HttpFailureKind::TooLarge),
        ] {
            let failure = exchange(answer).await.0.unwrap_err();
            assert_eq!(failure.kind, kind, "{failure}");
        }
    }

    #[tokio::test]
    async fn a_certificate_counts_for_its_name_only_and_when_its_root_is_known() {
        let (root, acceptor) = server();
        let (listener, port) = listener().await;
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(stream) = acceptor.accept(stream).await {
                    answering(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                }
            }
        });
        let kind = async |client: HttpsClient, host: &str| {
            let sent = client.send(get(&format!("https://{host}:{port}/"))).await;
            sent.map_err(|failure| failure.kind).map(|answer| answer.status().as_u16())
        };
        let known = client(std::slice::from_ref(&root));
        assert_eq!(kind(known.clone(), "localhost").await, Ok(200));
        assert_eq!(kind(known, "127.0.0.1").await, Err(HttpFailureKind::Tls));
        assert_eq!(kind(client(&[]), "localhost").await, Err(HttpFailureKind::Tls));
        serving.abort();
    }

    #[tokio::test]
    async fn a_server_that_cannot_be_asked_is_told_apart() {
        let (listener, port) = listener().await;
        drop(listener);
        for (url, kind) in [
            (format!("http://127.0.0.1:{port}/"), HttpFailureKind::Connect),
            ("http://name.invalid/".to_owned(), HttpFailureKind::Resolve),
            ("ftp://127.0.0.1/".to_owned(), HttpFailureKind::Uri),
            ("http://u:p@127.0.0.1/".to_owned(), HttpFailureKind::Uri),
        ] {
            let failure = client(&[]).send(get(&url)).await.unwrap_err();
            assert_eq!(failure.kind, kind, "{failure}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_answers_is_given_up() {
        let (_listener, port) = listener().await;
        let failure =
            client(&[]).send(get(&format!("http://127.0.0.1:{port}/"))).await.unwrap_err();
        assert_eq!(failure.kind, HttpFailureKind::Timeout);
        assert_eq!(failure.to_string(), format!("`127.0.0.1:{port}` did not answer in time"));
    }
}
