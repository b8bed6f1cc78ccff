//! One listener: its socket, its task, and what becomes of the connections that it accepts.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vane_core::graph::Listener as Spec;
use vane_core::value::listen_addr::Transport;

use crate::bind;
use crate::connection::{self, Accepted};
use crate::program::Program;
use crate::shared::{Drain, Shared};
use crate::snapshot::{ListenerState, ListenerStatus};
use crate::sockets::{Forgotten, Source};
use crate::worker::Workers;

/// A handle on one listener and its task.
#[derive(Debug)]
pub(crate) struct Listener {
    inner: Arc<Inner>,
    drain: watch::Sender<Option<Drain>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    spec: Spec,
    local: OnceLock<SocketAddr>,
    source: OnceLock<Source>,
    state: watch::Sender<ListenerState>,
    attempts: AtomicU32,
    error: Mutex<Option<String>>,
    accepted: AtomicU64,
    open: AtomicU64,
    tried: watch::Sender<bool>,
    closed: Notify,
}

impl Listener {
    /// Starts a task that binds the socket and then accepts connections for whatever generation
    /// is installed.
    pub(crate) fn start(spec: Spec, shared: Arc<Shared>, workers: Arc<Workers>) -> Self {
        let inner = Arc::new(Inner {
            spec,
            local: OnceLock::new(),
            source: OnceLock::new(),
            state: watch::Sender::new(ListenerState::Binding),
            attempts: AtomicU32::new(0),
            error: Mutex::default(),
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
            tried: watch::Sender::new(false),
            closed: Notify::new(),
        });
        let (drain, stop) = (watch::Sender::new(None), CancellationToken::new());
        let acceptor = Acceptor {
            inner: Arc::clone(&inner),
            last: shared.current.load_full(),
            shared,
            workers,
            drain: drain.subscribe(),
            stop: stop.clone(),
        };
        Self { inner, drain, stop, task: tokio::spawn(acceptor.run()) }
    }

    /// Which socket this is.
    pub(crate) fn key(&self) -> (Transport, SocketAddr) {
        (self.inner.spec.transport, self.inner.spec.address)
    }

    /// What the operator wrote for it.
    pub(crate) fn written(&self) -> &str {
        &self.inner.spec.written
    }

    /// How it is.
    pub(crate) fn status(&self) -> ListenerStatus {
        let inner = &self.inner;
        ListenerStatus {
            transport: inner.spec.transport,
            address: inner.spec.address,
            local: inner.local.get().copied(),
            state: *inner.state.borrow(),
            attempts: inner.attempts.load(Ordering::Relaxed),
            error: inner.error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            open: inner.open.load(Ordering::Relaxed),
            accepted: inner.accepted.load(Ordering::Relaxed),
            source: inner.source.get().copied().unwrap_or(Source::Bound),
        }
    }

    /// Turns true once the socket is bound or the first attempt has failed.
    pub(crate) fn attempted(&self) -> watch::Receiver<bool> {
        self.inner.tried.subscribe()
    }

    /// An eye on how its bind turns out.
    pub(crate) fn observer(&self) -> Observer {
        Observer { inner: Arc::clone(&self.inner), state: self.inner.state.subscribe() }
    }

    /// Begins what [`Self::close`] ends, so that several close at the same time.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Closes the socket, after accepting what the kernel holds ready, and gives the open
    /// connections until the drain's end. One that is not the engine's to close is put aside.
    /// Returns once that is done.
    pub(crate) async fn close(&mut self, drain: Drain) {
        self.stop();
        // The task only ends early when the runtime does.
        let _ = (&mut self.task).await;
        self.inner.state.send_replace(ListenerState::Draining);
        self.drain.send_modify(|current| *current = Some(drain.sooner(*current)));
    }

    /// Shortens the time that its open connections have.
    pub(crate) fn hasten(&self, drain: Drain) {
        self.drain.send_if_modified(|current| {
            let sooner = drain.sooner(*current);
            current.replace(sooner) != Some(sooner)
        });
    }

    /// Whether connections that it accepted are still open.
    pub(crate) fn is_in_use(&self) -> bool {
        self.inner.open.load(Ordering::Acquire) > 0
    }

    /// Returns once no connection that it accepted is open.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub(crate) fn unused(&self) -> impl Future<Output = ()> + Send + use<> {
        let inner = Arc::clone(&self.inner);
        async move {
            loop {
                let closed = inner.closed.notified();
                if inner.open.load(Ordering::Acquire) == 0 {
                    return;
                }
                closed.await;
            }
        }
    }
}

/// An eye on how a bind turns out.
#[derive(Debug)]
pub(crate) struct Observer {
    inner: Arc<Inner>,
    state: watch::Receiver<ListenerState>,
}

impl Observer {
    /// The state once it is no longer being bound.
    pub(crate) async fn outcome(&mut self) -> ListenerState {
        let settled = self.state.wait_for(|state| *state != ListenerState::Binding).await;
        settled.map_or(ListenerState::Draining, |state| *state)
    }

    /// The address as configured.
    pub(crate) fn address(&self) -> SocketAddr {
        self.inner.spec.address
    }

    /// Why the last attempt failed.
    pub(crate) fn error(&self) -> String {
        let error = self.inner.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.clone().unwrap_or_default()
    }
}

/// What happens to a listener.
enum Next {
    Accepted(std::net::TcpStream, SocketAddr),
    Failed(io::Error),
    /// A newer generation is installed, which has this listener as well.
    Newer,
    Stop,
}

/// The task of a listener.
struct Acceptor {
    inner: Arc<Inner>,
    /// The newest program that has this listener, for a connection accepted while it goes.
    last: Arc<Program>,
    shared: Arc<Shared>,
    workers: Arc<Workers>,
    drain: watch::Receiver<Option<Drain>>,
    stop: CancellationToken,
}

impl Acceptor {
    async fn run(mut self) {
        let Some(socket) = self.bind().await else { return };
        loop {
            match self.next(&socket).await {
                Next::Accepted(stream, remote) => self.admit(stream, remote),
                Next::Failed(error) => self.pause_after(&error).await,
                Next::Newer => self.catch_up(),
                Next::Stop => break,
            }
        }
        // What cannot be taken from the runtime is closed by the attempt.
        let copy = socket.as_fd().try_clone_to_owned().map(std::net::TcpListener::from);
        if let Ok(socket) = socket.into_std().or(copy)
            && let Some(copy) = self.leave(socket)
        {
            copy.await;
        }
    }

    /// Parts with the socket so that whoever the kernel has let in is served, here or by the next
    /// process; a socket that closes would reset them. Yields the end of a copy that nobody is to have.
    fn leave(&mut self, socket: std::net::TcpListener) -> Option<Forgotten> {
        let address = self.inner.spec.address;
        let source = self.inner.source.get().copied().unwrap_or(Source::Bound);
        let shared = Arc::clone(&self.shared);
        let sockets = &shared.sockets;
        if !sockets.is_left(source)
            && let Err(error) = bind::turn_away(&socket)
        {
            tracing::debug!(%error, "new connections come until the socket is closed");
        }
        if source == Source::Inherited && sockets.is_ending() {
            sockets.park(address, socket);
            return None;
        }
        while let Ok((stream, remote)) = socket.accept() {
            self.admit(stream, remote);
        }
        if source == Source::Inherited {
            tracing::info!(%address, "no rule listens here now: the inherited socket stays open");
            sockets.park(address, socket);
            return None;
        }
        let local = self.inner.local.get().copied().unwrap_or(address);
        (!sockets.is_ending()).then(|| sockets.forget(local))
    }

    async fn bind(&mut self) -> Option<TcpListener> {
        let stop = self.stop.clone();
        tokio::select! {
            socket = self.bind_with_retry() => socket,
            () = stop.cancelled() => None,
        }
    }

    async fn bind_with_retry(&mut self) -> Option<TcpListener> {
        let settings = self.shared.settings.bind;
        for attempt in 1.. {
            self.inner.attempts.store(attempt, Ordering::Relaxed);
            let error = match self.try_bind() {
                Ok(socket) => return Some(socket),
                Err(error) => error,
            };
            self.note_failure(&error, attempt == 1);
            self.catch_up();
            // What must not be served stays so: there is nothing to try again.
            if attempt >= settings.max_attempts || error.kind() == io::ErrorKind::Other {
                break;
            }
            tokio::time::sleep_until(Instant::now() + settings.backoff(attempt)).await;
        }
        self.inner.state.send_replace(ListenerState::Failed);
        None
    }

    fn try_bind(&self) -> io::Result<TcpListener> {
        let address = self.inner.spec.address;
        let register = |socket: std::net::TcpListener| {
            let local = socket.local_addr()?;
            Ok((TcpListener::from_std(socket)?, local))
        };
        let ((socket, local), source) = match self.shared.sockets.claim(address, register)? {
            Some(claimed) => claimed,
            None => (register(bind::tcp(address)?)?, Source::Bound),
        };
        if source == Source::Bound {
            self.shared.sockets.keep(local, socket.as_fd());
        }
        let _ = self.inner.local.set(local);
        let _ = self.inner.source.set(source);
        *self.inner.error.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.inner.state.send_replace(ListenerState::Listening);
        self.inner.tried.send_replace(true);
        tracing::info!(%address, %local, source = source.as_str(), "listening");
        Ok(socket)
    }

    fn note_failure(&self, error: &io::Error, first: bool) {
        let advice = bind::advice(error);
        let text = if advice.is_empty() { error.to_string() } else { format!("{error}: {advice}") };
        let address = self.inner.spec.address;
        if first {
            tracing::info!(%address, error = text, "bind failed, will try again");
        } else {
            tracing::debug!(%address, error = text, "bind failed again");
        }
        *self.inner.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        self.inner.tried.send_replace(true);
    }

    async fn next(&self, socket: &TcpListener) -> Next {
        tokio::select! {
            () = self.stop.cancelled() => Next::Stop,
            accepted = socket.accept() => {
                match accepted.and_then(|(stream, remote)| Ok((stream.into_std()?, remote))) {
                    Ok((stream, remote)) => Next::Accepted(stream, remote),
                    Err(error) => Next::Failed(error),
                }
            }
            () = self.last.retired.cancelled() => Next::Newer,
        }
    }

    /// Lets go of a generation that has been replaced, unless it was the last with this listener.
    fn catch_up(&mut self) {
        let (transport, address) = (self.inner.spec.transport, self.inner.spec.address);
        let current = self.shared.current.load();
        if current.entry(transport, address).is_some() {
            self.last = Arc::clone(&current);
        }
    }

    fn admit(&mut self, socket: std::net::TcpStream, remote: SocketAddr) {
        let Some(admission) = self.shared.floor.admit(remote.ip()) else { return };
        if socket.set_nonblocking(true).is_err() {
            return;
        }
        self.catch_up();
        let (transport, address) = (self.inner.spec.transport, self.inner.spec.address);
        let Some(entry) = self.last.entry(transport, address).cloned() else { return };
        self.inner.accepted.fetch_add(1, Ordering::Relaxed);
        let accepted = Accepted {
            socket,
            remote,
            listener: address,
            program: Arc::clone(&self.last),
            entry,
            drain: self.drain.clone(),
            shared: Arc::clone(&self.shared),
            admission,
        };
        let worker = Arc::clone(self.workers.pick());
        let open = Open::new(&self.inner);
        let handle = worker.handle.clone();
        handle.spawn(async move {
            connection::serve(accepted, worker).await;
            drop(open);
        });
    }

    /// Out of descriptors or memory: accepting again at once would only spin.
    async fn pause_after(&self, error: &io::Error) {
        if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
        {
            return;
        }
        let address = self.inner.spec.address;
        tracing::error!(%address, %error, "cannot accept connections, trying again in 100 ms");
        let pause = Instant::now() + std::time::Duration::from_millis(100);
        tokio::select! {
            () = tokio::time::sleep_until(pause) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// A connection that counts as open on its listener.
struct Open(Arc<Inner>);

impl Open {
    fn new(inner: &Arc<Inner>) -> Self {
        inner.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(inner))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.closed.notify_waiters();
        }
    }
}
