//! The idle upstream connections of one worker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::upstream::http1::Http1;
use crate::upstream::http2::Http2;

/// Idle HTTP/1.1 connections kept for one server.
const MOST_IDLE: usize = 256;
/// How long one is kept.
const IDLE_TIME: Duration = Duration::from_secs(50);
/// How long one may have been idle for a request that must not be sent twice. Servers keep idle
/// connections for longer than this.
const SURE_TIME: Duration = Duration::from_secs(1);

/// The idle upstream connections of one worker, by server. Only that worker uses it, so its
/// lock is never waited for.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    #[expect(clippy::vec_box, reason = "a connection is moved often and is large")]
    http1: HashMap<u64, Vec<Box<Http1>>>,
    /// Each with when it was last used.
    http2: HashMap<u64, (Http2, Instant)>,
    connecting: HashMap<u64, Arc<tokio::sync::Mutex<()>>>,
}

impl Pool {
    /// The idle connection to the server `origin` that was used last and still stands. With
    /// `sure`, only one that has been idle for so short a time that no server's own timeout ends
    /// it in this moment; see also [`Http1::is_usable`].
    pub(crate) fn take_http1(&self, origin: u64, sure: bool) -> Option<Box<Http1>> {
        loop {
            let mut connection = self
                .lock()
                .http1
                .get_mut(&origin)?
                .pop_if(|last| !sure || last.since.elapsed() < SURE_TIME)?;
            if connection.is_usable(sure) {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next request to `origin`.
    pub(crate) fn put_http1(&self, origin: u64, mut connection: Box<Http1>) {
        connection.since = Instant::now();
        connection.reused = true;
        let mut idle = self.lock();
        let of_origin = idle.http1.entry(origin).or_default();
        if of_origin.len() < MOST_IDLE {
            of_origin.push(connection);
        }
    }

    /// The connection to the server `origin`, if it takes requests.
    pub(crate) fn http2(&self, origin: u64) -> Option<Http2> {
        let mut idle = self.lock();
        let (sender, used) = idle.http2.get_mut(&origin)?;
        if sender.is_ready() {
            *used = Instant::now();
            return Some(sender.clone());
        }
        idle.http2.remove(&origin);
        None
    }

    /// Shares a connection with the next requests to `origin`.
    pub(crate) fn put_http2(&self, origin: u64, sender: Http2) {
        self.lock().http2.insert(origin, (sender, Instant::now()));
    }

    /// Held by the request that connects to `origin` by HTTP/2.
    pub(crate) fn connecting(&self, origin: u64) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(self.lock().connecting.entry(origin).or_default())
    }

    /// Closes connections that their server has closed or that have been idle for too long.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut idle = self.lock();
        for connections in idle.http1.values_mut() {
            connections.retain_mut(|connection| {
                now.duration_since(connection.since) < IDLE_TIME && connection.is_usable(false)
            });
        }
        idle.http1.retain(|_, connections| !connections.is_empty());
        // What is under way on it goes on: the connection ends with its last stream.
        idle.http2.retain(|_, (sender, used)| {
            now.saturating_duration_since(*used) < IDLE_TIME && sender.is_ready()
        });
        idle.connecting.retain(|_, connecting| Arc::strong_count(connecting) > 1);
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::upstream::connect::Stream;

    #[tokio::test]
    async fn an_http2_connection_that_nobody_uses_is_not_kept_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("a bound socket");
        let stream = TcpStream::connect(addr).await.expect("it listens");
        let pool = Pool::default();
        pool.put_http2(1, Http2::handshake(Stream::Tcp(stream)).await.expect("it stands"));
        let begun = Instant::now();
        pool.sweep(begun + IDLE_TIME / 2);
        assert!(pool.http2(1).is_some());
        pool.sweep(Instant::now() + IDLE_TIME);
        assert!(pool.http2(1).is_none());
    }
}
