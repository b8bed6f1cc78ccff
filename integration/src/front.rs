//! A way to an ACME server on which a test sees every request, and answers some in its place.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::ServerConfig;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::accept::Acceptor;
use crate::failure::Failure;
use crate::http1::{Declared, Fields, Wire, declared, parse_head};
use crate::tls_client::TlsClient;

/// A running front, ended when dropped.
#[derive(Debug)]
pub struct Front {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    _acceptor: Acceptor,
}

/// The server behind, for a script that lets a request pass.
#[derive(Debug, Clone)]
pub struct Way {
    client: TlsClient,
    server: SocketAddr,
    name: Option<String>,
}

/// A request on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Everything, as it came.
    bytes: Vec<u8>,
    body: Vec<u8>,
}

/// An answer on its way. Fields that frame it are written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub fields: Fields,
    /// Its body.
    pub body: Vec<u8>,
}

impl Front {
    /// Listens on any port of that address of this machine and does with each request what `script` says. One
    /// connection carries one request.
    pub async fn start<F>(
        on: Ipv4Addr,
        tls: Arc<ServerConfig>,
        way: Way,
        script: impl Fn(Request, Way) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind((on, 0)).await.expect("a loopback port can be bound");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (noted, script) = (seen.clone(), Arc::new(script));
        let acceptor = Acceptor::start(listener, move |stream, _| {
            let (tls, way) = (TlsAcceptor::from(tls.clone()), way.clone());
            let (noted, script) = (noted.clone(), script.clone());
            async move {
                let answered = serve(stream, tls, |request| {
                    noted.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
                    script(request, way)
                });
                // Whoever asks may go at any time; that is for the test to look at.
                let _ = answered.await;
            }
        });
        Self { addr, seen, _acceptor: acceptor }
    }

    /// The URL of the directory by this way.
    pub fn directory_url(&self) -> String {
        format!("https://{}/dir", self.addr)
    }

    /// Every request that came, in order.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Way {
    /// To that server.
    pub fn new(client: TlsClient, server: SocketAddr) -> Self {
        Self { client, server, name: None }
    }

    /// The server is known by that name, and not by its address.
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// What the server answers; 502 where it does not.
    pub async fn pass(&self, request: &Request) -> Answer {
        let answer = self.exchange(request).await;
        answer.unwrap_or_else(|_| Answer { status: 502, fields: Vec::new(), body: Vec::new() })
    }

    async fn exchange(&self, request: &Request) -> Result<Answer, Failure> {
        let connection = self.client.connect(self.server, self.name.as_deref()).await;
        let mut http = connection.map_err(|_| Failure::Refused)?.http1();
        http.send(&request.bytes).await?;
        let answer = match request.method.as_str() {
            "HEAD" => http.read_head_response().await?,
            _ => http.read_response().await?,
        };
        Ok(Answer { status: answer.status, fields: answer.fields, body: answer.body })
    }
}

impl Request {
    /// What the client signed (RFC 8555 §6.2); `null` where there is nothing.
    pub fn payload(&self) -> Value {
        let signed: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let payload = signed["payload"].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        serde_json::from_slice(&payload.unwrap_or_default()).unwrap_or_default()
    }
}

impl Answer {
    /// With a body in JSON.
    pub fn json(status: u16, kind: &str, body: &Value) -> Self {
        let fields = vec![("Content-Type".to_owned(), kind.to_owned())];
        Self { status, fields, body: body.to_string().into_bytes() }
    }

    /// With one more field.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With members added to its body, where that is an object of JSON.
    pub fn with(mut self, members: &[(&str, Value)]) -> Self {
        if let Ok(Value::Object(mut object)) = serde_json::from_slice(&self.body) {
            object.extend(members.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
            self.body = Value::Object(object).to_string().into_bytes();
        }
        self
    }

    fn written(&self) -> Vec<u8> {
        let framing = ["content-length", "transfer-encoding", "connection"];
        let mut head = format!("HTTP/1.1 {} Whatever\r\n", self.status);
        for (name, value) in &self.fields {
            if !framing.contains(&name.to_ascii_lowercase().as_str()) {
                head += &format!("{name}: {value}\r\n");
            }
        }
        head += &format!("Content-Length: {}\r\nConnection: close\r\n\r\n", self.body.len());
        [head.as_bytes(), &self.body].concat()
    }
}

async fn serve<F: Future<Output = Answer>>(
    stream: TcpStream,
    tls: TlsAcceptor,
    script: impl FnOnce(Request) -> F,
) -> Result<(), Failure> {
    let mut stream = tls.accept(stream).await?;
    let request = request(&mut Wire::new(&mut stream)).await?;
    let answer = script(request).await;
    stream.write_all(&answer.written()).await?;
    Ok(stream.shutdown().await?)
}

async fn request<S>(wire: &mut Wire<S>) -> Result<Request, Failure>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let raw = wire.head().await?;
    let head = parse_head(&raw).map_err(Failure::Malformed)?;
    let body = match declared(&head.fields).map_err(Failure::Malformed)? {
        Declared::Length(length) => wire.exactly(length).await?,
        Declared::Nothing | Declared::Chunked => Vec::new(),
    };
    let mut words = head.start.split(' ').map(str::to_owned);
    let mut word = || words.next().unwrap_or_default();
    Ok(Request { method: word(), path: word(), bytes: [&raw[..], &body].concat(), body })
}
