//! The one loop that changes the world, one event at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use vane_engine::snapshot::DrainReport;
use vane_mgmt::views::{ReloadTrigger, ReloadView};

use crate::reload;
use crate::world::World;

/// What happens to a daemon.
#[derive(Debug)]
pub(crate) enum Event {
    /// The configuration directory is to be read again.
    Reload {
        /// Who wants it.
        trigger: ReloadTrigger,
        /// Gets how it went.
        answer: oneshot::Sender<ReloadView>,
    },
    /// The daemon is to end.
    Shutdown {
        /// Who wants it, in words.
        by: &'static str,
        /// How long what is in flight may go on; as configured if absent.
        budget: Option<Duration>,
        /// Is told when the drain has begun.
        answer: Option<oneshot::Sender<()>>,
    },
}

/// A queue of events. A sender waits while as many wait already.
pub(crate) fn queue() -> (mpsc::Sender<Event>, mpsc::Receiver<Event>) {
    mpsc::channel(QUEUE)
}

/// Handles events until one ends the daemon, and drains. What comes during the drain is answered
/// too: a reload is refused, and a further request to end changes nothing.
pub(crate) async fn run(world: &Arc<World>, events: &mut mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Reload { trigger, answer } => {
                if trigger == ReloadTrigger::Sighup {
                    world.logging.reopen();
                }
                let reloaded = reload::reload(world, trigger).await;
                // Whoever asked may be gone; the log has the outcome.
                let _ = answer.send(reloaded.view);
            }
            Event::Shutdown { by, budget, answer } => {
                world.set_draining();
                confirm(answer);
                return drain(world, events, by, budget).await;
            }
        }
    }
}

async fn drain(
    world: &World,
    events: &mut mpsc::Receiver<Event>,
    by: &'static str,
    budget: Option<Duration>,
) {
    let budget = budget.unwrap_or(world.settings.drain);
    tracing::info!(by, budget_secs = budget.as_secs(), "ending: no new connections are accepted");
    let draining = world.engine.drain(budget);
    tokio::pin!(draining);
    loop {
        tokio::select! {
            report = &mut draining => return log(&report),
            Some(event) = events.recv() => decline(world, event),
        }
    }
}

fn decline(world: &World, event: Event) {
    match event {
        Event::Reload { trigger, answer } => {
            tracing::warn!(%trigger, "reload refused: the daemon is ending");
            let _ = answer.send(reload::too_late(world, trigger));
        }
        Event::Shutdown { answer, .. } => confirm(answer),
    }
}

fn confirm(answer: Option<oneshot::Sender<()>>) {
    if let Some(answer) = answer {
        // Whoever asked may be gone; it happens all the same.
        let _ = answer.send(());
    }
}

fn log(report: &DrainReport) {
    let cut_off = report.cut_off.iter().filter(|(_, count)| *count > 0);
    let kinds: Vec<_> = cut_off.map(|(kind, count)| format!("{count} {}", kind.as_str())).collect();
    if kinds.is_empty() {
        tracing::info!("everything in flight has finished");
    } else {
        let total: u64 = report.cut_off.iter().map(|(_, count)| count).sum();
        tracing::warn!(
            total,
            kinds = kinds.join(", "),
            "the budget is spent: cut off what was left"
        );
    }
}

const QUEUE: usize = 16;
