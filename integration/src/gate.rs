//! Gates: an origin holds a request until the test lets it go, and the test sees who has arrived.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// One gate. Closed at first; once opened, those waiting and those to come pass, until it is
/// closed again.
#[derive(Debug, Clone)]
pub struct Gate {
    open: Arc<watch::Sender<bool>>,
    arrived: Arc<watch::Sender<usize>>,
}

impl Gate {
    /// A closed gate at which nobody has arrived.
    pub fn new() -> Self {
        Self { open: Arc::new(watch::Sender::new(false)), arrived: Arc::new(watch::Sender::new(0)) }
    }

    /// Lets everyone pass from now on.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Holds everyone who arrives from now on.
    pub fn close(&self) {
        self.open.send_replace(false);
    }

    /// How many have arrived so far, whether they wait or have passed.
    pub fn arrived(&self) -> usize {
        *self.arrived.borrow()
    }

    /// Returns when at least `count` have arrived.
    ///
    /// # Panics
    /// When that takes longer than `limit`.
    pub async fn wait_for(&self, count: usize, limit: Duration) {
        let mut arrived = self.arrived.subscribe();
        let enough = arrived.wait_for(|now| *now >= count);
        if tokio::time::timeout(limit, enough).await.is_err() {
            panic!("waited {limit:?} for {count} at the gate; arrived: {}", self.arrived());
        }
    }

    /// Arrives, and returns when the gate is open. Cancel safe; the arrival stays counted.
    pub async fn pass(&self) {
        self.arrived.send_modify(|count| *count += 1);
        let mut open = self.open.subscribe();
        open.wait_for(|open| *open).await.expect("the sender lives in self");
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

/// Gates by name; a gate comes to be when it is first named by either side.
#[derive(Debug, Default)]
pub struct Gates(Mutex<HashMap<String, Gate>>);

impl Gates {
    /// The gate of that name.
    pub fn named(&self, name: &str) -> Gate {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.entry(name.to_owned()).or_default().clone()
    }
}
