//! A scriptable HTTP/1.1 origin that sees raw bytes.
//!
//! | path | answer |
//! |---|---|
//! | `/echo` | the body it got |
//! | `/bytes/N` `/chunked/N` | N bytes by length, or in chunks |
//! | `/stream/N` | N bytes by length, made as they are taken |
//! | `/unread/NAME` | as `/echo`, but the body is read once the test opens that gate |
//! | `/slow/MS` `/drip/N/MS` | after MS; N pieces MS apart |
//! | `/gate/NAME` | when the test opens that gate |
//! | `/trailers` `/status/N` `/early-hints` | chunked with trailers; status N; 103 before 200 |
//! | `/early-hints/NAME` | 103 at once, 200 when the test opens that gate |
//! | `/early` | before the body is read, then closes |
//! | `/close-after` `/close-unannounced` | closes after the answer, with and without saying so |
//! | `/close-delimited` `/truncate` `/truncate/chunked` | a body ended by close; one cut short |
//! | `/reset` `/hang-up` | no answer: a reset, an orderly close |
//! | `/expect/refuse` `/expect/gate/NAME` | 417 at once; 100 when the gate opens |
//! | `/ws` | a WebSocket that echoes |
//! | anything else, as `/headers` | JSON of request line and header fields as received |
//!
//! `Expect: 100-continue` is answered with 100 before the body is read. An `X-Request-Id` comes
//! back in the answer, as does the name of the origin in `X-Origin`.

mod connection;
mod routes;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::accept::{Acceptor, Listen};
use crate::gate::{Gate, Gates};
use crate::http1::{Fields, values};

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The number of the connection that carried it, counted from 1.
    pub connection: u64,
    /// The head, byte for byte, with the empty line.
    pub raw_head: Vec<u8>,
    /// The request line.
    pub line: String,
    /// The header fields as received.
    pub fields: Fields,
    /// The length of the body without framing; `None` while it has not come in whole.
    pub body_length: Option<usize>,
    /// The trailer fields of a chunked body.
    pub trailers: Fields,
}

impl Recorded {
    /// The value of the first field of that name, whatever the case.
    pub fn header(&self, name: &str) -> Option<&str> {
        values(&self.fields, name).first().copied()
    }
}

/// How an origin shall be; made by [`HttpOrigin::builder`].
#[derive(Debug)]
pub struct Builder {
    place: Place,
    options: Options,
    tls: Option<Arc<ServerConfig>>,
}

/// The origin, ended when dropped.
#[derive(Debug)]
pub struct HttpOrigin {
    place: Place,
    is_tls: bool,
    shared: Arc<Shared>,
    acceptor: Acceptor,
}

impl HttpOrigin {
    /// On 127.0.0.1, with no limits.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// On 127.0.0.1 unless told otherwise.
    pub fn builder() -> Builder {
        let place = Place::Tcp((Ipv4Addr::LOCALHOST, 0).into());
        Builder { place, options: Options { recording: true, ..Options::default() }, tls: None }
    }

    /// Where it listens.
    ///
    /// # Panics
    /// On a Unix socket.
    pub fn addr(&self) -> SocketAddr {
        match &self.place {
            Place::Tcp(addr) => *addr,
            Place::Unix(path) => panic!("the origin listens on {} and no port", path.display()),
        }
    }

    /// What a `forward` action names: `http://127.0.0.1:1234`, `https://...` or `unix:/path`.
    pub fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        match &self.place {
            Place::Tcp(addr) => format!("{scheme}://{addr}"),
            Place::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// The gate behind `/gate/NAME`.
    pub fn gate(&self, name: &str) -> Gate {
        self.shared.gates.named(name)
    }

    /// Requests whose head has come in, in that order.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.log().requests.clone()
    }

    /// How many requests have come in, also when they are not recorded.
    pub fn count(&self) -> u64 {
        self.shared.count.load(Ordering::SeqCst)
    }

    /// The `X-Request-Id`s that came more than once, which is a request processed twice.
    pub fn repeated_ids(&self) -> Vec<String> {
        let log = self.shared.log();
        let repeated = log.ids.iter().filter(|(_, count)| **count > 1);
        repeated.map(|(id, _)| id.clone()).collect()
    }

    /// What came in that is no well-formed request; each was answered with 400.
    pub fn malformed(&self) -> Vec<String> {
        self.shared.log().malformed.clone()
    }

    /// Requests whose client went away while they waited at a gate.
    pub fn abandoned(&self) -> u64 {
        self.shared.abandoned.load(Ordering::SeqCst)
    }

    /// Bytes of `/stream/N` that the kernel has taken so far.
    pub fn streamed(&self) -> u64 {
        self.shared.streamed.load(Ordering::SeqCst)
    }

    /// Connections accepted so far.
    pub fn connections_accepted(&self) -> u64 {
        self.acceptor.accepted()
    }

    /// Connections open now.
    pub fn connections_open(&self) -> u64 {
        self.acceptor.open()
    }

    /// Connections that wait for a request now.
    pub fn connections_idle(&self) -> usize {
        self.shared.idle().len()
    }

    /// Closes the connections that wait for a request now, and returns how many these were once
    /// all are closed.
    pub async fn close_idle_now(&self) -> usize {
        let idle: Vec<_> = self.shared.idle().drain().collect();
        let mut closed = 0;
        for (_, connection) in idle {
            let (done, when_done) = oneshot::channel();
            if connection.send(done).is_ok() {
                // An error is a connection that ended by itself meanwhile: closed as well.
                let _ = when_done.await;
                closed += 1;
            }
        }
        closed
    }

    /// Stops listening, so that new connections are refused; open ones run on.
    pub fn refuse(&self) {
        self.acceptor.refuse();
    }
}

impl Builder {
    /// Listens on ::1.
    pub fn ipv6(self) -> Self {
        self.on(Ipv6Addr::LOCALHOST.into())
    }

    /// Listens on that address of this machine.
    pub fn on(mut self, ip: IpAddr) -> Self {
        self.place = Place::Tcp((ip, 0).into());
        self
    }

    /// Listens on a Unix socket; nothing may exist at the path.
    pub fn unix(mut self, path: &Path) -> Self {
        self.place = Place::Unix(path.to_owned());
        self
    }

    /// Names the origin in its answers, to tell several apart.
    pub fn name(mut self, name: &str) -> Self {
        self.options.name = Some(name.to_owned());
        self
    }

    /// Closes a connection that waits this long for its next request.
    pub fn idle_close_after(mut self, time: Duration) -> Self {
        self.options.idle_close_after = Some(time);
        self
    }

    /// Announces and does a close with the last of so many requests.
    pub fn max_requests_per_connection(mut self, count: u64) -> Self {
        self.options.max_requests = Some(count);
        self
    }

    /// Counts requests without keeping them, for benchmarks.
    pub fn without_recording(mut self) -> Self {
        self.options.recording = false;
        self
    }

    /// Speaks TLS on its port; has no effect on a Unix socket.
    pub fn tls(mut self, config: Arc<ServerConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Binds and serves on the current runtime.
    ///
    /// # Panics
    /// When the place cannot be bound.
    pub async fn start(self) -> HttpOrigin {
        let is_tls = self.tls.is_some();
        let shared = Arc::new(Shared::new(self.options));
        let (place, acceptor) = match self.place {
            Place::Tcp(addr) => {
                let listener = TcpListener::bind(addr).await.expect("a port can be bound");
                let addr = listener.local_addr().expect("a bound socket has an address");
                let acceptor = match self.tls {
                    Some(config) => accept_tls(listener, config, &shared),
                    None => accept(listener, &shared),
                };
                (Place::Tcp(addr), acceptor)
            }
            Place::Unix(path) => {
                let listener = UnixListener::bind(&path).expect("the socket path is free");
                (Place::Unix(path), accept(listener, &shared))
            }
        };
        HttpOrigin { place, is_tls, shared, acceptor }
    }
}

fn accept<L: Listen>(listener: L, shared: &Arc<Shared>) -> Acceptor {
    let shared = shared.clone();
    Acceptor::start(listener, move |stream, number| {
        connection::serve(stream, number, shared.clone())
    })
}

fn accept_tls(listener: TcpListener, config: Arc<ServerConfig>, shared: &Arc<Shared>) -> Acceptor {
    let (shared, tls) = (shared.clone(), TlsAcceptor::from(config));
    Acceptor::start(listener, move |stream, number| {
        let (shared, handshake) = (shared.clone(), tls.accept(stream));
        async move {
            if let Ok(stream) = handshake.await {
                connection::serve(stream, number, shared).await;
            }
        }
    })
}

#[derive(Debug, Clone)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Debug, Default)]
struct Options {
    name: Option<String>,
    recording: bool,
    idle_close_after: Option<Duration>,
    max_requests: Option<u64>,
}

/// What the connections share with the handle.
#[derive(Debug)]
struct Shared {
    options: Options,
    gates: Gates,
    count: AtomicU64,
    abandoned: AtomicU64,
    streamed: AtomicU64,
    log: Mutex<Log>,
    idle: Mutex<HashMap<u64, oneshot::Sender<CloseDone>>>,
}

/// Dropped or used when the connection that was told to close has done so.
type CloseDone = oneshot::Sender<()>;

#[derive(Debug, Default)]
struct Log {
    requests: Vec<Recorded>,
    ids: HashMap<String, u32>,
    malformed: Vec<String>,
}

impl Shared {
    fn new(options: Options) -> Self {
        Self {
            options,
            gates: Gates::default(),
            count: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            streamed: AtomicU64::new(0),
            log: Mutex::default(),
            idle: Mutex::default(),
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<CloseDone>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a head; the place is for [`Shared::record_body`].
    fn record_head(&self, request: Recorded) -> Option<usize> {
        self.count.fetch_add(1, Ordering::SeqCst);
        if !self.options.recording {
            return None;
        }
        let mut log = self.log();
        if let Some(id) = request.header("x-request-id").map(str::to_owned) {
            *log.ids.entry(id).or_default() += 1;
        }
        log.requests.push(request);
        Some(log.requests.len() - 1)
    }

    fn record_body(&self, place: Option<usize>, length: usize, trailers: &Fields) {
        if let Some(place) = place {
            let request = &mut self.log().requests[place];
            request.body_length = Some(length);
            request.trailers.clone_from(trailers);
        }
    }

    fn record_malformed(&self, what: String) {
        self.log().malformed.push(what);
    }
}
