//! Signals become events.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use vane_mgmt::views::ReloadTrigger;

use crate::control::Event;

/// Signals that are caught from now on and wait to be handled.
#[derive(Debug)]
pub(crate) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Catches the signals, so that none has its default effect, which process 1 has not got. One
    /// that comes between the setting of its handler and the listening to it waits to be handed
    /// on, which a runtime does when it has nothing else to do: call this before anything runs.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Returns when one asks for the end.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub(crate) async fn end(&mut self) -> &'static str {
        either(&mut self.terminate, &mut self.interrupt).await
    }

    /// Passes signals on as events. `force` is cancelled by the second one that asks for the end,
    /// whatever the daemon is busy with.
    pub(crate) async fn pass_on(self, events: mpsc::Sender<Event>, force: CancellationToken) {
        let Self { mut hangup, mut terminate, mut interrupt } = self;
        let reloads = async {
            while hangup.recv().await.is_some() {
                reload(&events).await;
            }
        };
        let ends = async {
            let by = either(&mut terminate, &mut interrupt).await;
            let second = async {
                either(&mut terminate, &mut interrupt).await;
                force.cancel();
            };
            tokio::join!(shut_down(&events, by), second);
        };
        tokio::join!(reloads, ends);
    }
}

async fn reload(events: &mpsc::Sender<Event>) {
    let (answer, answered) = oneshot::channel();
    let event = Event::Reload { trigger: ReloadTrigger::Sighup, answer };
    if events.send(event).await.is_ok() {
        // The outcome is in the log. Signals that come meanwhile are one further reload.
        let _ = answered.await;
    }
}

async fn shut_down(events: &mpsc::Sender<Event>, by: &'static str) {
    // A loop that is gone has ended already.
    let _ = events.send(Event::Shutdown { by, budget: None, answer: None }).await;
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
