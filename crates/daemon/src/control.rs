//! The one loop that changes the world, one event at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, interval_at};
use vane_engine::snapshot::DrainReport;
use vane_mgmt::views::{ReloadTrigger, ReloadView};

use crate::reload::{self, Begun};
use crate::views;
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
pub(crate) fn queue() -> (mpsc::Sender<Event>, Events) {
    let (sender, arriving) = mpsc::channel(QUEUE);
    (sender, Events { arriving, waiting: VecDeque::new() })
}

/// What has happened and was not handled yet.
#[derive(Debug)]
pub(crate) struct Events {
    arriving: mpsc::Receiver<Event>,
    /// Came while a configuration was read. As many as ask, each of which waits for its answer.
    waiting: VecDeque<Event>,
}

/// Somebody wants the daemon to end.
#[derive(Debug)]
pub(crate) struct End {
    by: &'static str,
    budget: Option<Duration>,
    answer: Option<oneshot::Sender<()>>,
}

impl Events {
    async fn next(&mut self) -> Option<Event> {
        match self.waiting.pop_front() {
            Some(event) => Some(event),
            None => self.arriving.recv().await,
        }
    }

    /// Returns when somebody wants the daemon to end; what else comes until then keeps its place.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub(crate) async fn end(&mut self) -> End {
        loop {
            match self.arriving.recv().await {
                Some(Event::Shutdown { by, budget, answer }) => return End { by, budget, answer },
                Some(event) => self.waiting.push_back(event),
                // Whoever could want it has gone.
                None => std::future::pending().await,
            }
        }
    }
}

/// Handles events until one ends the daemon, and drains. What comes during the drain is answered
/// too: a reload is refused, and a further request to end changes nothing.
pub(crate) async fn run(world: &Arc<World>, events: &mut Events) {
    while let Some(event) = events.next().await {
        let end = match event {
            Event::Reload { trigger, answer } => reload(world, events, trigger, answer).await,
            Event::Shutdown { by, budget, answer } => Some(End { by, budget, answer }),
        };
        if let Some(End { by, budget, answer }) = end {
            world.set_draining();
            world.supervisor.stopping();
            confirm(answer);
            return drain(world, events, by, budget).await;
        }
    }
}

/// One reload; or the end, which does not wait for files to be read.
async fn reload(
    world: &Arc<World>,
    events: &mut Events,
    trigger: ReloadTrigger,
    answer: oneshot::Sender<ReloadView>,
) -> Option<End> {
    if trigger == ReloadTrigger::Sighup {
        world.logging.reopen();
    }
    world.supervisor.reloading();
    let mut begun = Begun::new(world, trigger);
    let read = tokio::select! {
        read = begun.read() => read,
        end = events.end() => {
            events.waiting.push_front(Event::Reload { trigger, answer });
            return Some(end);
        }
    };
    let reloaded = begun.finish(world, read).await;
    world.supervisor.ready(&views::summary(world, &reloaded.view));
    // Whoever asked may be gone; the log has the outcome.
    let _ = answer.send(reloaded.view);
    None
}

async fn drain(world: &World, events: &mut Events, by: &'static str, budget: Option<Duration>) {
    let budget = budget.unwrap_or(world.settings.drain);
    tracing::info!(by, budget_secs = budget.as_secs(), "ending: no new connections are accepted");
    let draining = world.engine.drain(budget);
    tokio::pin!(draining);
    let mut ticks = interval_at(Instant::now() + TICK, TICK);
    loop {
        tokio::select! {
            report = &mut draining => return log(&report),
            Some(event) = events.next() => decline(world, event),
            _ = ticks.tick() => ask_for_time(world),
        }
    }
}

/// The manager's patience with an end may be shorter than the budget.
fn ask_for_time(world: &World) {
    let open = world.engine.counters().open_connections;
    world.supervisor.extend(TICK * 3, &format!("ending: {open} connections are open"));
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
/// Between two words to the service manager during a drain.
const TICK: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;
    use vane_engine::engine::Engine;
    use vane_engine::settings::Settings;
    use vane_engine::sockets::Handed;
    use vane_mgmt::views::ReloadOutcome;

    use super::*;
    use crate::logging::Logging;
    use crate::world::Fixed;

    fn world(dir: &TempDir) -> Arc<World> {
        let one = Settings { workers: 1, ..Settings::default() };
        let engine = Engine::start(one, Handed::default());
        let settings = Fixed {
            dir: dir.path().to_owned(),
            variables: std::collections::BTreeMap::new(),
            families: vane_core::compile::Families::default(),
            acme_http_port: vane_core::compile::AcmeHttpPort::default(),
            drain: Duration::from_secs(5),
        };
        let engine = engine.expect("threads can be started");
        Arc::new(World::new(engine, settings, Logging::default(), Arc::default()))
    }

    fn rule(dir: &TempDir, text: &str) {
        fs::create_dir_all(dir.path().join("rules")).expect("a directory can be made");
        fs::write(dir.path().join("rules/a.json"), text).expect("a file can be written");
    }

    async fn ask(sender: &mpsc::Sender<Event>, trigger: ReloadTrigger) -> ReloadView {
        let (answer, answered) = oneshot::channel();
        sender.send(Event::Reload { trigger, answer }).await.expect("the loop runs");
        answered.await.expect("every reload is answered")
    }

    #[tokio::test]
    async fn each_reload_gets_its_own_answer_and_a_refused_one_changes_nothing() {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let world = world(&dir);
        let (sender, mut events) = queue();
        let asking = async {
            rule(&dir, RULE);
            let first = ask(&sender, ReloadTrigger::Boot).await;
            let second = ask(&sender, ReloadTrigger::Manage).await;
            rule(&dir, "[{");
            let third = ask(&sender, ReloadTrigger::Sighup).await;
            let outcomes = [first, second, third].map(|view| (view.outcome, view.generation));
            sender
                .send(Event::Shutdown { by: "a test", budget: None, answer: None })
                .await
                .expect("the loop runs");
            outcomes
        };
        let (outcomes, ()) = tokio::join!(asking, run(&world, &mut events));
        let expected = [ReloadOutcome::Installed, ReloadOutcome::Unchanged, ReloadOutcome::Refused];
        assert_eq!(outcomes, expected.map(|outcome| (outcome, 1)));
        assert!(world.is_draining());
    }

    #[tokio::test]
    async fn rules_that_vanish_are_taken_away_only_when_somebody_asks() {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let world = world(&dir);
        rule(&dir, RULE);
        reload::reload(&world, ReloadTrigger::Boot).await;
        fs::remove_dir_all(dir.path().join("rules")).expect("it can be removed");
        let seen = reload::reload(&world, ReloadTrigger::Watch).await;
        assert_eq!(seen.view.outcome, ReloadOutcome::Refused);
        let asked = reload::reload(&world, ReloadTrigger::Manage).await;
        assert_eq!((asked.view.outcome, asked.view.generation), (ReloadOutcome::Installed, 2));
    }

    #[tokio::test]
    async fn a_new_content_of_a_body_file_is_installed() {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let world = world(&dir);
        rule(&dir, r#"{ "name": "a", "listen": "127.0.0.1:0", "respond": { "body_file": "x" } }"#);
        fs::write(dir.path().join("x"), "1").expect("a file can be written");
        reload::reload(&world, ReloadTrigger::Boot).await;
        fs::write(dir.path().join("x"), "12").expect("a file can be written");
        let outcome = reload::reload(&world, ReloadTrigger::Manage).await.view.outcome;
        assert_eq!(outcome, ReloadOutcome::Installed);
    }

    #[tokio::test]
    async fn what_comes_during_a_drain_is_answered() {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let world = world(&dir);
        let (answer, answered) = oneshot::channel();
        decline(&world, Event::Reload { trigger: ReloadTrigger::Manage, answer });
        let view = answered.await.expect("it is answered");
        assert_eq!(view.outcome, ReloadOutcome::Refused);
    }

    const RULE: &str = r#"{ "name": "a", "listen": "127.0.0.1:0", "respond": { "body": "x" } }"#;
}
