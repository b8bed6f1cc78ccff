//! One current-thread runtime per core. A connection lives and dies on one of them, so that
//! nothing on the way of a request is shared between cores.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::registry::Registry;
use crate::upstream::pool::Pool;

/// One serving thread and what belongs to it.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Where its tasks are spawned.
    pub(crate) handle: Handle,
    /// Its idle upstream connections.
    pub(crate) pool: Arc<Pool>,
    /// Its open client connections and its counters.
    pub(crate) registry: Arc<Registry>,
}

/// All serving threads. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Workers {
    all: Vec<Arc<Worker>>,
    next: AtomicUsize,
    stop: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// When the system refuses a thread or an epoll instance.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let mut workers = Self {
            all: Vec::with_capacity(count),
            next: AtomicUsize::new(0),
            stop: CancellationToken::new(),
            threads: Vec::with_capacity(count),
        };
        for index in 0..count {
            workers.start_one(index)?;
        }
        Ok(workers)
    }

    /// The worker for the next connection: the one with the fewest, in turn where they are even.
    pub(crate) fn pick(&self) -> &Arc<Worker> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.all.len();
        (0..count)
            .map(|offset| &self.all[(start + offset) % count])
            .min_by_key(|worker| worker.registry.open())
            .expect("there is at least one worker")
    }

    /// Every worker.
    pub(crate) fn all(&self) -> &[Arc<Worker>] {
        &self.all
    }

    /// Returns once each thread has run something that it was given now; never where one has ended.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub(crate) async fn pulse(&self) {
        for worker in &self.all {
            if worker.handle.spawn(async {}).await.is_err() {
                std::future::pending().await
            }
        }
    }

    fn start_one(&mut self, index: usize) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let pool = Arc::new(Pool::default());
        runtime.spawn(sweep(Arc::clone(&pool)));
        self.all.push(Arc::new(Worker {
            handle: runtime.handle().clone(),
            pool,
            registry: Arc::default(),
        }));
        let stop = self.stop.clone();
        let thread = std::thread::Builder::new().name(format!("worker-{index}"));
        self.threads.push(thread.spawn(move || runtime.block_on(stop.cancelled()))?);
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
        for thread in self.threads.drain(..) {
            // A worker that panicked has been reported by the panic hook; the others still end.
            let _ = thread.join();
        }
    }
}

/// Closes upstream connections that nobody will use again, now and then.
async fn sweep(pool: Arc<Pool>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(5));
    loop {
        ticks.tick().await;
        pool.sweep(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_thread_that_is_stuck_has_no_pulse() {
        let workers = Workers::start(2).expect("threads can be started");
        workers.pulse().await;
        let (release, released) = mpsc::channel::<()>();
        workers.all()[1].handle.spawn(async move { released.recv() });
        let pulse = tokio::time::timeout(Duration::from_millis(50), workers.pulse());
        assert!(pulse.await.is_err(), "a thread is stuck");
        drop(release);
        workers.pulse().await;
    }

    #[tokio::test]
    async fn a_thread_that_has_ended_has_no_pulse() {
        let mut workers = Workers::start(1).expect("threads can be started");
        workers.stop.cancel();
        workers.threads.remove(0).join().expect("it ends without a panic");
        let pulse = tokio::time::timeout(Duration::from_millis(50), workers.pulse());
        assert!(pulse.await.is_err(), "the thread has ended");
    }
}
