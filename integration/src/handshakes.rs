//! Handshakes that are counted: so many, over so many connections at once, each one judged.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;

use crate::tls_client::{Handshake, TlsClient, TlsFailure};
use crate::wait;

/// Handshakes under way. Dropping it ends them without a tally.
#[derive(Debug)]
pub struct Handshakes {
    workers: JoinSet<HandshakeTally>,
    progress: Arc<Progress>,
}

#[derive(Debug)]
struct Progress {
    left: AtomicU64,
    done: AtomicU64,
}

impl Handshakes {
    /// Makes `total` connections to that name, `at_once` at a time, and closes each after its
    /// handshake. Give the client roots to have each certificate checked for name and time; a
    /// client that resumes waits for a ticket on each connection of TLS 1.3.
    pub fn start(
        client: &TlsClient,
        addr: SocketAddr,
        sni: &str,
        total: u64,
        at_once: usize,
    ) -> Self {
        let progress = Arc::new(Progress { left: AtomicU64::new(total), done: AtomicU64::new(0) });
        let mut workers = JoinSet::new();
        for _ in 0..at_once {
            workers.spawn(work(client.clone(), addr, sni.to_owned(), progress.clone()));
        }
        Self { workers, progress }
    }

    /// Handshakes so far, failed ones included.
    pub fn done(&self) -> u64 {
        self.progress.done.load(Ordering::SeqCst)
    }

    /// Returns when `count` more have been made, or when none is left.
    ///
    /// # Panics
    /// When that takes longer than a minute.
    pub async fn more(&self, count: u64) {
        let goal = self.done() + count;
        wait::until(&format!("{count} more handshakes"), PROGRESS_LIMIT, async || {
            let now = self.done();
            let over = self.workers.is_empty() || self.progress.left.load(Ordering::SeqCst) == 0;
            (now >= goal || over).then_some(()).ok_or_else(|| format!("{now} of {goal}"))
        })
        .await;
    }

    /// Begins no more, and yields what became of those that were made.
    pub async fn stop(self) -> HandshakeTally {
        self.progress.left.store(0, Ordering::SeqCst);
        self.finish().await
    }

    /// Yields what became of them once all are made.
    ///
    /// # Panics
    /// When a worker panicked.
    pub async fn finish(mut self) -> HandshakeTally {
        let mut sum = HandshakeTally::default();
        while let Some(worker) = self.workers.join_next().await {
            sum.add(worker.expect("a worker of the handshakes panicked"));
        }
        sum
    }
}

/// What became of all handshakes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HandshakeTally {
    /// Those that succeeded.
    pub succeeded: u64,
    /// Of these, those that resumed a session.
    pub resumed: u64,
    /// Of these, those whose certificate was not valid at that moment.
    pub outside_validity: u64,
    /// Those that failed, by what happened.
    pub failures: BTreeMap<String, u64>,
    /// How often each certificate was seen, by its serial number.
    pub serials: BTreeMap<String, u64>,
}

impl HandshakeTally {
    /// How many failed.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// # Panics
    /// Unless `total` were made and each succeeded with a certificate valid at that moment.
    pub fn assert_all_succeeded(&self, total: u64) {
        let good = self.succeeded == total && self.failed() == 0 && self.outside_validity == 0;
        assert!(good, "not all of {total} handshakes are as they should: {self}");
    }

    fn count(&mut self, outcome: Result<Handshake, TlsFailure>) {
        match outcome {
            Ok(handshake) => {
                self.succeeded += 1;
                self.resumed += u64::from(handshake.resumed);
                let valid = handshake.leaf.is_valid_at(SystemTime::now());
                self.outside_validity += u64::from(!valid);
                *self.serials.entry(handshake.leaf.serial).or_default() += 1;
            }
            Err(failure) => *self.failures.entry(failure.to_string()).or_default() += 1,
        }
    }

    fn add(&mut self, other: Self) {
        self.succeeded += other.succeeded;
        self.resumed += other.resumed;
        self.outside_validity += other.outside_validity;
        for (what, count) in other.failures {
            *self.failures.entry(what).or_default() += count;
        }
        for (serial, count) in other.serials {
            *self.serials.entry(serial).or_default() += count;
        }
    }
}

impl fmt::Display for HandshakeTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} succeeded ({} resumed, {} with a certificate outside its validity), {} failed; \
             failures {:?}, certificates {:?}",
            self.succeeded,
            self.resumed,
            self.outside_validity,
            self.failed(),
            self.failures,
            self.serials,
        )
    }
}

async fn work(
    client: TlsClient,
    addr: SocketAddr,
    sni: String,
    progress: Arc<Progress>,
) -> HandshakeTally {
    let mut tally = HandshakeTally::default();
    while take_one(&progress.left) {
        let outcome = one(&client, addr, &sni).await;
        let failed = outcome.is_err();
        tally.count(outcome);
        progress.done.fetch_add(1, Ordering::SeqCst);
        if failed {
            // Keeps a server that is gone from being asked in a tight loop.
            wait::pass(Duration::from_millis(5)).await;
        }
    }
    tally
}

async fn one(client: &TlsClient, addr: SocketAddr, sni: &str) -> Result<Handshake, TlsFailure> {
    let mut connection = client.connect(addr, Some(sni)).await?;
    if client.wants_ticket(&connection.handshake) {
        connection.ticket().await?;
    }
    let handshake = connection.handshake.clone();
    // The handshake is what counts; the server may be the first to close.
    let _ = connection.close().await;
    Ok(handshake)
}

fn take_one(left: &AtomicU64) -> bool {
    let less = |left: u64| left.checked_sub(1);
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
}

const PROGRESS_LIMIT: Duration = Duration::from_secs(60);
