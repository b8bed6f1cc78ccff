//! Load that is counted: every request carries an id, and every answer is checked to be the answer
//! to it. The origin counts the same requests on its side.

mod h2_clients;
mod http1_clients;
mod tally;
mod websocket_clients;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use self::tally::Tally;
use crate::accept::Socket;
use crate::failure::Failure;
use crate::tls_client::{TlsClient, TlsFailure};
use crate::wait;

/// HTTP/1.1 clients, each on one kept-alive connection, each with one request at a time.
pub fn keep_alive_clients(count: usize, addr: SocketAddr, mix: &Mix) -> Load {
    Load::start(count, |run| http1_clients::client(addr, mix.clone(), run))
}

/// HTTP/2 clients, each on one connection with `streams` requests at a time.
pub fn h2_clients(count: usize, streams: usize, addr: SocketAddr, mix: &Mix) -> Load {
    Load::start(count, |run| h2_clients::client(addr, streams, mix.clone(), run))
}

/// WebSocket clients that send a text and await its echo, over and over. `path` is one that the
/// origin upgrades.
pub fn websocket_clients(count: usize, addr: SocketAddr, path: &str, mix: &Mix) -> Load {
    Load::start(count, |run| websocket_clients::client(addr, path.to_owned(), mix.clone(), run))
}

/// HTTP/1.1 clients that POST bodies of these sizes to `/echo` in turn.
pub fn posts(count: usize, addr: SocketAddr, host: &str, sizes: &[usize]) -> Load {
    let mix = sizes.iter().fold(Mix::new(host), |mix, size| mix.post("/echo", *size));
    keep_alive_clients(count, addr, &mix)
}

/// Which requests the clients send, in turn; the clients begin at different places.
#[derive(Debug, Clone)]
pub struct Mix {
    host: String,
    shapes: Vec<Shape>,
    pause: Duration,
    ids: bool,
    tls: Option<TlsClient>,
}

#[derive(Debug, Clone)]
struct Shape {
    path: String,
    size: Option<usize>,
}

impl Mix {
    /// Nothing yet, for that host.
    pub fn new(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            shapes: Vec::new(),
            pause: Duration::ZERO,
            ids: true,
            tls: None,
        }
    }

    /// A GET that is to be answered with 200.
    pub fn get(mut self, path: &str) -> Self {
        self.shapes.push(Shape { path: path.to_owned(), size: None });
        self
    }

    /// A POST of `size` bytes that is to be answered with 200 and these very bytes.
    pub fn post(mut self, path: &str, size: usize) -> Self {
        self.shapes.push(Shape { path: path.to_owned(), size: Some(size) });
        self
    }

    /// Each client lets that much time pass between two requests, so that connections are idle
    /// now and then.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Does not ask for the request's id in the answer, where something else than an origin of
    /// this crate answers.
    pub fn without_ids(mut self) -> Self {
        self.ids = false;
        self
    }

    /// Connects with TLS, for the name of the host. For HTTP/2 the client has to offer it.
    pub fn over_tls(mut self, client: &TlsClient) -> Self {
        self.tls = Some(client.clone());
        self
    }

    async fn connect(&self, addr: SocketAddr) -> Result<Box<dyn Socket>, Failure> {
        match &self.tls {
            None => {
                let stream = TcpStream::connect(addr).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Some(client) => match client.connect(addr, Some(&self.host)).await {
                Ok(connection) => Ok(Box::new(connection.into_stream())),
                Err(TlsFailure::Transport(failure)) => Err(failure),
                Err(other) => Err(Failure::Malformed(other.to_string())),
            },
        }
    }

    fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    async fn rest(&self) {
        if !self.pause.is_zero() {
            wait::pass(self.pause).await;
        }
    }
}

/// Clients at work. Dropping it ends them without a tally.
#[derive(Debug)]
pub struct Load {
    clients: JoinSet<Tally>,
    stop: watch::Sender<bool>,
    progress: Arc<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    answered: AtomicU64,
    failed: AtomicU64,
}

impl Load {
    /// Lets requests under way finish, ends the clients and yields what became of everything.
    ///
    /// # Panics
    /// When a client panicked.
    pub async fn stop(mut self) -> Tally {
        self.stop.send_replace(true);
        let mut sum = Tally::default();
        while let Some(client) = self.clients.join_next().await {
            sum += client.expect("a client of the load panicked");
        }
        sum
    }

    /// Right answers so far.
    pub fn answered(&self) -> u64 {
        self.progress.answered.load(Ordering::SeqCst)
    }

    /// Failures of any kind so far.
    pub fn failed(&self) -> u64 {
        self.progress.failed.load(Ordering::SeqCst)
    }

    /// Returns when `count` more right answers have come.
    ///
    /// # Panics
    /// When that takes longer than a minute.
    pub async fn more_answers(&self, count: u64) {
        let goal = self.answered() + count;
        wait::until(&format!("{count} more answers"), PROGRESS_LIMIT, async || {
            let now = self.answered();
            (now >= goal).then_some(()).ok_or_else(|| format!("{now} of {goal}"))
        })
        .await;
    }

    fn start<F>(count: usize, client: impl Fn(Run) -> F) -> Self
    where
        F: Future<Output = Tally> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let progress = Arc::new(Progress::default());
        let load = NEXT_LOAD.fetch_add(1, Ordering::Relaxed);
        let mut clients = JoinSet::new();
        for number in 0..count {
            let name = format!("load{load}-{number}");
            let (stopped, progress) = (stopped.clone(), progress.clone());
            let tally = Tally::default();
            clients.spawn(client(Run { name, turn: number, stopped, progress, tally }));
        }
        Self { clients, stop, progress }
    }
}

/// One client's view of the load: its name, its turn, its counts.
struct Run {
    name: String,
    turn: usize,
    stopped: watch::Receiver<bool>,
    progress: Arc<Progress>,
    tally: Tally,
}

impl Run {
    fn goes_on(&self) -> bool {
        !*self.stopped.borrow()
    }

    fn next_id(&mut self) -> String {
        self.turn += 1;
        format!("{}-{}", self.name, self.turn)
    }

    fn next_job(&mut self, mix: &Mix) -> Job {
        let shape = &mix.shapes[self.turn % mix.shapes.len()];
        let id = self.next_id();
        let body = shape.size.map(|size| id.bytes().cycle().take(size).collect());
        Job { id, path: shape.path.clone(), host: mix.host.clone(), body, ids: mix.ids }
    }

    /// Keeps a client that cannot connect from spinning.
    async fn not_connected(&mut self, failure: &Failure) {
        self.fail("connect", failure);
        wait::pass(Duration::from_millis(5)).await;
    }

    fn judge(&mut self, job: &Job, status: u16, id: Option<&str>, body: &[u8]) {
        match job.check(status, id, body) {
            Ok(()) => self.right(),
            Err(why) => self.wrong(&job.id, &why),
        }
    }

    fn right(&mut self) {
        self.tally.answered += 1;
        self.progress.answered.fetch_add(1, Ordering::SeqCst);
    }

    fn wrong(&mut self, what: &str, why: &str) {
        self.tally.wrong(what, why);
        self.progress.failed.fetch_add(1, Ordering::SeqCst);
    }

    fn fail(&mut self, what: &str, failure: &Failure) {
        self.tally.fail(what, failure);
        if *failure != Failure::NotProcessed {
            self.progress.failed.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// One request and what its answer has to be.
struct Job {
    id: String,
    path: String,
    host: String,
    body: Option<Vec<u8>>,
    ids: bool,
}

impl Job {
    fn check(&self, status: u16, id: Option<&str>, body: &[u8]) -> Result<(), String> {
        if status != 200 {
            return Err(format!("status {status}: {}", String::from_utf8_lossy(body)));
        }
        if self.ids && id != Some(&self.id) {
            return Err(format!("the answer to {id:?}"));
        }
        match &self.body {
            Some(sent) if sent != body => {
                Err(format!("{} bytes back for {} other bytes", body.len(), sent.len()))
            }
            _ => Ok(()),
        }
    }
}

static NEXT_LOAD: AtomicU64 = AtomicU64::new(1);

const PROGRESS_LIMIT: Duration = Duration::from_secs(60);
