//! A scriptable HTTP/2 origin: in cleartext by prior knowledge, or over TLS.
//!
//! | path | answer |
//! |---|---|
//! | `/echo` | the body as it comes, and its trailers after it |
//! | `/bytes/N` `/status/N` | N bytes; status N |
//! | `/gate/NAME` | when the test opens that gate; the body is not read before |
//! | `/early-hints/NAME` | 103 at once, 200 when the test opens that gate |
//! | `/trailers` | in the manner of gRPC: a message, then `grpc-status: 0` |
//! | `/reset` `/refuse` | RST_STREAM with INTERNAL_ERROR, with REFUSED_STREAM |
//! | anything else, as `/headers` | JSON of the pseudo-header and header fields |
//!
//! An `x-request-id` comes back in the answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use h2::server::{Connection, SendResponse, handshake};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use rustls::ServerConfig;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::accept::{Acceptor, Socket};
use crate::gate::{Gate, Gates};
use crate::h2_body::{read_body, send_all};
use crate::tcp_origin::pattern;

/// The origin, ended when dropped.
#[derive(Debug)]
pub struct H2cOrigin {
    addr: SocketAddr,
    is_tls: bool,
    shared: Arc<Shared>,
    acceptor: Acceptor,
}

/// How the origin says that it goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoAway {
    /// With NO_ERROR; streams under way finish.
    Graceful,
    /// With that error; streams under way end.
    Abrupt(Reason),
}

/// The head of a request as it came.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The number of the connection that carried it, counted from 1.
    pub connection: u64,
    /// Method, target and header fields.
    pub head: Arc<http::request::Parts>,
}

impl H2cOrigin {
    /// On 127.0.0.1.
    pub async fn start() -> Self {
        let (listener, addr) = bind().await;
        let shared = Arc::new(Shared::default());
        let served = shared.clone();
        let acceptor =
            Acceptor::start(listener, move |stream, number| serve(stream, number, served.clone()));
        Self { addr, is_tls: false, shared, acceptor }
    }

    /// On 127.0.0.1 over TLS. It speaks HTTP/2 whatever was agreed on by ALPN.
    pub async fn start_tls(config: Arc<ServerConfig>) -> Self {
        let (listener, addr) = bind().await;
        let shared = Arc::new(Shared::default());
        let (served, tls) = (shared.clone(), TlsAcceptor::from(config));
        let acceptor = Acceptor::start(listener, move |stream, number| {
            let (shared, handshake) = (served.clone(), tls.accept(stream));
            async move {
                if let Ok(stream) = handshake.await {
                    serve(stream, number, shared).await;
                }
            }
        });
        Self { addr, is_tls: true, shared, acceptor }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What a `forward` action names: `h2c://127.0.0.1:1234` or `https://...`.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "h2c" }, self.addr)
    }

    /// The gate behind `/gate/NAME`.
    pub fn gate(&self, name: &str) -> Gate {
        self.shared.gates.named(name)
    }

    /// Requests so far, in the order in which their heads came in.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.requests().clone()
    }

    /// How many requests have come in.
    pub fn count(&self) -> u64 {
        self.shared.requests().len() as u64
    }

    /// Connections accepted so far.
    pub fn connections_accepted(&self) -> u64 {
        self.acceptor.accepted()
    }

    /// Connections open now.
    pub fn connections_open(&self) -> u64 {
        self.acceptor.open()
    }

    /// Sends GOAWAY on every connection that is open now.
    pub fn go_away(&self, how: GoAway) {
        self.shared.go_away.send_replace(Some(how));
    }

    /// Stops listening, so that new connections are refused; open ones run on.
    pub fn refuse(&self) {
        self.acceptor.refuse();
    }
}

#[derive(Debug, Default)]
struct Shared {
    gates: Gates,
    requests: Mutex<Vec<Recorded>>,
    go_away: watch::Sender<Option<GoAway>>,
}

impl Shared {
    fn requests(&self) -> MutexGuard<'_, Vec<Recorded>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn bind() -> (TcpListener, SocketAddr) {
    let place = (Ipv4Addr::LOCALHOST, 0);
    let listener = TcpListener::bind(place).await.expect("a loopback port can be bound");
    let addr = listener.local_addr().expect("a bound socket has an address");
    (listener, addr)
}

async fn serve<S: Socket>(stream: S, number: u64, shared: Arc<Shared>) {
    let mut go_away = shared.go_away.subscribe();
    let Ok(mut connection) = handshake(stream).await else { return };
    loop {
        tokio::select! {
            Ok(()) = go_away.changed() => tell(&mut connection, *go_away.borrow()),
            stream = connection.accept() => {
                let Some(Ok((request, respond))) = stream else { return };
                let head = Arc::new(parts_of(&request));
                shared.requests().push(Recorded { connection: number, head });
                let shared = shared.clone();
                tokio::spawn(async move { drop(answer(request, respond, &shared).await) });
            }
        }
    }
}

fn tell<S: Socket>(connection: &mut Connection<S, Bytes>, how: Option<GoAway>) {
    match how {
        Some(GoAway::Abrupt(reason)) => connection.abrupt_shutdown(reason),
        _ => connection.graceful_shutdown(),
    }
}

fn parts_of(request: &Request<RecvStream>) -> http::request::Parts {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    head.into_parts().0
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    shared: &Shared,
) -> Result<(), h2::Error> {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["reset"] => respond.send_reset(Reason::INTERNAL_ERROR),
        ["refuse"] => respond.send_reset(Reason::REFUSED_STREAM),
        ["echo", ..] => {
            let out = respond.send_response(head(200, &request), false)?;
            echo(request.into_body(), out).await?;
        }
        ["trailers", ..] => {
            let out = respond.send_response(head(200, &request), false)?;
            let message = Bytes::from_static(b"message");
            send_all(out, message, Some(grpc_trailers())).await?;
        }
        ["gate", name] => {
            shared.gates.named(name).pass().await;
            finish(request, respond, 200, Bytes::from((*name).to_owned())).await?;
        }
        ["early-hints", name] => {
            respond.send_informational(hints())?;
            shared.gates.named(name).pass().await;
            finish(request, respond, 200, Bytes::from_static(b"hinted")).await?;
        }
        ["bytes", length] => {
            let body = pattern(length.parse().unwrap_or_default());
            finish(request, respond, 200, body.into()).await?;
        }
        ["status", code] => {
            finish(request, respond, code.parse().unwrap_or(200), Bytes::new()).await?;
        }
        _ => {
            let text = described(&request);
            finish(request, respond, 200, text.into()).await?;
        }
    }
    Ok(())
}

/// Reads the request to its end, then answers.
async fn finish(
    mut request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    status: u16,
    body: Bytes,
) -> Result<(), h2::Error> {
    read_body(request.body_mut()).await?;
    let out = respond.send_response(head(status, &request), body.is_empty())?;
    if body.is_empty() { Ok(()) } else { send_all(out, body, None).await }
}

async fn echo(mut body: RecvStream, mut out: SendStream<Bytes>) -> Result<(), h2::Error> {
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        crate::h2_body::send_piece(&mut out, data).await?;
    }
    match body.trailers().await? {
        Some(trailers) => out.send_trailers(trailers),
        None => out.send_data(Bytes::new(), true),
    }
}

fn head(status: u16, request: &Request<RecvStream>) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    for name in ["x-request-id", "content-type"] {
        if let Some(value) = request.headers().get(name) {
            head.headers_mut().insert(name, value.clone());
        }
    }
    head
}

fn hints() -> Response<()> {
    let mut hints = Response::new(());
    *hints.status_mut() = http::StatusCode::EARLY_HINTS;
    let link = HeaderValue::from_static("</style.css>; rel=preload");
    hints.headers_mut().insert("link", link);
    hints
}

fn grpc_trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers
}

fn described(request: &Request<RecvStream>) -> String {
    let uri = request.uri();
    let fields: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    json!({ "method": request.method().as_str(), "scheme": uri.scheme_str(),
        "authority": uri.authority().map(ToString::to_string),
        "path": uri.path_and_query().map(ToString::to_string), "fields": fields })
    .to_string()
}
