//! What has to be done now and then, whether or not anybody comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::shared::Shared;
use crate::tls::ticket_file::TicketFile;
use crate::tls::tickets::unix_time;

/// How often it is looked whether the keys of tickets are to be exchanged.
const PAUSE: Duration = Duration::from_secs(600);

/// Keeps the keys of session tickets young, and on disk.
#[derive(Debug)]
pub(crate) struct Upkeep {
    shared: Arc<Shared>,
    file: TicketFile,
    begun: AtomicBool,
    has_complained: AtomicBool,
}

impl Upkeep {
    /// Nothing is done before [`Self::begin`].
    pub(crate) fn new(shared: Arc<Shared>, file: TicketFile) -> Self {
        let (begun, has_complained) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { shared, file, begun, has_complained }
    }

    /// Stores the keys and begins to look after them; does nothing the second time. Needs a
    /// runtime.
    pub(crate) async fn begin(self: &Arc<Self>) {
        if self.begun.swap(true, Ordering::AcqRel) {
            return;
        }
        self.store().await;
        let upkeep = Arc::clone(self);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(PAUSE);
            loop {
                ticks.tick().await;
                match upkeep.shared.tickets.rotate(unix_time()) {
                    Ok(true) => upkeep.store().await,
                    Ok(false) => {}
                    Err(error) => tracing::error!(%error, "the keys of session tickets grow old"),
                }
            }
        });
    }

    async fn store(self: &Arc<Self>) {
        let upkeep = Arc::clone(self);
        let keys = self.shared.tickets.export();
        let stored = spawn_blocking(move || upkeep.file.write(&keys)).await;
        if let Ok(Err(error)) = stored
            && !self.has_complained.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "the state directory does not take the keys of session tickets: after a restart clients shake hands anew; see VANE_STATE_DIR");
        }
    }
}
