//! The accept loop that the origins share: it counts connections and ends them when dropped.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// A stream socket as an origin uses it.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Makes the coming close a reset where the transport knows one.
    fn reset_on_close(&self);
}

impl Socket for TcpStream {
    fn reset_on_close(&self) {
        // Fails only on a socket that is gone already, which is as good as reset.
        let _ = self.set_zero_linger();
    }
}

impl Socket for Box<dyn Socket> {
    fn reset_on_close(&self) {
        self.as_ref().reset_on_close();
    }
}

impl Socket for UnixStream {
    fn reset_on_close(&self) {}
}

impl Socket for tokio_rustls::client::TlsStream<TcpStream> {
    fn reset_on_close(&self) {
        self.get_ref().0.reset_on_close();
    }
}

impl Socket for tokio_rustls::server::TlsStream<TcpStream> {
    fn reset_on_close(&self) {
        self.get_ref().0.reset_on_close();
    }
}

/// A bound socket that yields connections.
pub trait Listen: Send + 'static {
    /// What it yields.
    type Stream: Socket;

    /// The next connection. Cancel safe.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listen for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Listen for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        Ok(self.accept().await?.0)
    }
}

/// A running accept loop. Dropping it ends the loop and every connection at once.
#[derive(Debug)]
pub struct Acceptor {
    counts: Arc<Counts>,
    refuse: watch::Sender<bool>,
    task: AbortHandle,
}

impl Acceptor {
    /// Serves each connection in a task of its own. `serve` gets the stream and the number of the
    /// connection, counted from 1.
    pub fn start<L, F>(listener: L, serve: impl Fn(L::Stream, u64) -> F + Send + 'static) -> Self
    where
        L: Listen,
        F: Future<Output = ()> + Send + 'static,
    {
        let counts = Arc::new(Counts::default());
        let (refuse, refused) = watch::channel(false);
        let task = tokio::spawn(run(listener, serve, counts.clone(), refused)).abort_handle();
        Self { counts, refuse, task }
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> u64 {
        self.counts.accepted.load(Ordering::SeqCst)
    }

    /// Connections open now.
    pub fn open(&self) -> u64 {
        self.counts.open.load(Ordering::SeqCst)
    }

    /// Closes the listening socket; connections that are open run on. It takes effect soon after:
    /// wait until a connection is refused.
    pub fn refuse(&self) {
        self.refuse.send_replace(true);
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    open: AtomicU64,
}

/// Counts a connection as open for as long as it lives, however its task ends.
struct Open(Arc<Counts>);

impl Open {
    fn new(counts: &Arc<Counts>) -> (Self, u64) {
        counts.open.fetch_add(1, Ordering::SeqCst);
        let number = counts.accepted.fetch_add(1, Ordering::SeqCst) + 1;
        (Self(counts.clone()), number)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn run<L, F>(
    listener: L,
    serve: impl Fn(L::Stream, u64) -> F + Send + 'static,
    counts: Arc<Counts>,
    mut refused: watch::Receiver<bool>,
) where
    L: Listen,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // Whoever is in the queue of the listener gets served before the socket closes.
            biased;
            stream = listener.next() => {
                let Ok(stream) = stream else { continue };
                let (open, number) = Open::new(&counts);
                let served = serve(stream, number);
                connections.spawn(async move {
                    served.await;
                    drop(open);
                });
            }
            Some(_) = connections.join_next() => {}
            _ = refused.wait_for(|refused| *refused) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}
