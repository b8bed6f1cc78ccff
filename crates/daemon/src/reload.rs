//! One reload: prepare, which may fail and touches nothing that serves; then commit, which
//! cannot.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tracing::field::display;
use vane_core::compile::Compiled;
use vane_core::diagnostic::code::Code;
use vane_core::diagnostic::{Diagnostics, render};
use vane_core::graph::{FlowGraph, files};
use vane_core::plan::{Plan, plan};
use vane_core::source::Sources;
use vane_engine::engine::{Prepared, Refreshed};
use vane_engine::tls::store::UnusableFiles;
use vane_mgmt::views::{ReloadOutcome, ReloadTrigger, ReloadView};

use crate::configuration;
use crate::world::{Installed, World};

/// How a reload went, for machines and for people.
#[derive(Debug)]
pub(crate) struct Reloaded {
    /// For machines.
    pub(crate) view: ReloadView,
    said: Said,
}

/// What the compiler said.
#[derive(Debug, Default)]
struct Said {
    diagnostics: Diagnostics,
    sources: Sources,
}

/// What prepare has come to.
#[derive(Debug)]
enum Prepare {
    Unchanged,
    Refused,
    Ready(Box<Ready>),
}

#[derive(Debug)]
struct Ready {
    prepared: Prepared,
    plan: Plan,
    installed: Installed,
}

/// Reads and compiles the configuration directory, and installs the result if it is a new one.
/// Answers when each added listener has been tried once. The log says how it went.
///
/// Not cancel safe: a call that is dropped may or may not install.
#[cfg(test)]
pub(crate) async fn reload(world: &Arc<World>, trigger: ReloadTrigger) -> Reloaded {
    let mut begun = Begun::new(world, trigger);
    let read = begun.read().await;
    begun.finish(world, read).await
}

/// A reload of which nothing has been installed. Where it is dropped, nothing will be.
#[derive(Debug)]
pub(crate) struct Begun {
    trigger: ReloadTrigger,
    at: Instant,
    reading: JoinHandle<(Said, Prepare)>,
}

/// Everything of a reload that may fail; where its thread panicked that is a refusal.
#[derive(Debug)]
pub(crate) struct Read(Result<(Said, Prepare), JoinError>);

impl Begun {
    /// Has a thread of its own read and compile.
    pub(crate) fn new(world: &Arc<World>, trigger: ReloadTrigger) -> Self {
        let shared = Arc::clone(world);
        Self::with(trigger, move || prepare(&shared, trigger))
    }

    fn with(
        trigger: ReloadTrigger,
        prepare: impl FnOnce() -> (Said, Prepare) + Send + 'static,
    ) -> Self {
        Self { trigger, at: Instant::now(), reading: spawn_blocking(prepare) }
    }

    /// What was read, once. That may never be: a file server need not answer.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping the future.
    pub(crate) async fn read(&mut self) -> Read {
        Read((&mut self.reading).await)
    }

    /// Installs what was read, and says how it went.
    ///
    /// Not cancel safe: a call that is dropped may or may not install.
    pub(crate) async fn finish(self, world: &Arc<World>, read: Read) -> Reloaded {
        let (said, prepare, diagnostics) = match read.0 {
            Ok((said, prepare)) => {
                let diagnostics = render::json(&said.diagnostics, &said.sources);
                (said, prepare, diagnostics)
            }
            Err(panic) => (Said::default(), Prepare::Refused, fault(&panic.to_string())),
        };
        let (outcome, plan) = commit(world, prepare).await;
        let mut view = view(world, self.trigger, outcome, self.at.elapsed());
        view.plan = plan.as_ref().map(Plan::json);
        view.text = plan.as_ref().map(Plan::text);
        view.diagnostics = diagnostics;
        view.rendered = render::text(&said.diagnostics, &said.sources, false);
        let reloaded = Reloaded { view, said };
        let is_said_apart =
            outcome == ReloadOutcome::Refused && is_boot_on_stderr(world, self.trigger);
        reloaded.log(plan.as_ref(), is_said_apart);
        world.set_latest(reloaded.view.clone());
        reloaded
    }
}

/// The answer to a request for a reload that comes while the daemon ends.
pub(crate) fn too_late(world: &World, trigger: ReloadTrigger) -> ReloadView {
    view(world, trigger, ReloadOutcome::Refused, Duration::ZERO)
}

impl Reloaded {
    /// What the compiler said, for people.
    pub(crate) fn rendered(&self, colour: bool) -> String {
        render::text(&self.said.diagnostics, &self.said.sources, colour)
    }

    /// Writes the one record of this reload; without the diagnostics where stderr gets them apart.
    fn log(&self, plan: Option<&Plan>, is_said_apart: bool) {
        let ReloadView { outcome, trigger, generation, graph_hash, duration_ms, .. } = &self.view;
        let (errors, warnings) = (self.said.diagnostics.errors(), self.said.diagnostics.warnings());
        let listeners = plan.map(|plan| display(counts(&plan.listeners)));
        let rules = plan.map(|plan| display(counts(&plan.rules)));
        let diagnostics = self.details().filter(|_| !is_said_apart).map(display);
        let graph_hash = &graph_hash[..graph_hash.len().min(SHOWN_HASH)];
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(%trigger, %outcome, generation, graph_hash, duration_ms, errors,
                    warnings, listeners, rules, diagnostics, "reload {outcome}")
            };
        }
        match outcome {
            ReloadOutcome::Refused => log!(error),
            _ if warnings > 0 => log!(warn),
            _ => log!(info),
        }
    }

    /// What was wrong, on lines of their own.
    fn details(&self) -> Option<String> {
        let rendered = self.rendered(false);
        if !rendered.is_empty() {
            return Some(format!("\n{}", rendered.trim_end()));
        }
        let fault = self.view.diagnostics.get(0)?.get("message")?.as_str()?;
        Some(fault.to_owned())
    }
}

/// Whether what is wrong is going to be said on stderr, where the log goes too.
fn is_boot_on_stderr(world: &World, trigger: ReloadTrigger) -> bool {
    trigger == ReloadTrigger::Boot && world.logging.is_stderr()
}

/// Everything of a reload that may fail. Blocks.
fn prepare(world: &World, trigger: ReloadTrigger) -> (Said, Prepare) {
    let dir = &world.settings.dir;
    let read = configuration::read(dir, &world.settings.variables);
    let has_rules = read.has_rules;
    let compiled = configuration::compile_directory(dir, read, &world.settings.compile_options());
    let Compiled { graph, diagnostics, sources } = compiled;
    let mut said = Said { diagnostics, sources };
    let is_seen = trigger == ReloadTrigger::Watch && graph.is_some();
    if is_seen && !has_rules && !world.engine.graph().rules.is_empty() {
        said.diagnostics.general(Code::FileUnreadable, "the directory `rules` has gone").help(
            "a change that is only seen never takes every rule away, since it may be half made: \
             `vane reload` and SIGHUP do",
        );
    }
    let prepare = match graph {
        Some(graph) if !said.diagnostics.has_errors() => link(world, graph, &mut said),
        _ => Prepare::Refused,
    };
    (said, prepare)
}

fn link(world: &World, graph: FlowGraph, said: &mut Said) -> Prepare {
    let files = configuration::stamps(&graph);
    world.set_named_files(files::all(&graph).map(|(_, path)| PathBuf::from(path)).collect());
    let serving = (world.engine.generation() > 0).then(|| world.engine.graph());
    let same = serving.as_ref().is_some_and(|serving| serving.hash == graph.hash);
    if same && world.installed().files == files {
        let Refreshed { replaced, kept } = world.engine.refresh_certificates();
        for certificate in replaced {
            tracing::info!(%certificate, "certificate replaced");
        }
        warn(said, &kept);
        return Prepare::Unchanged;
    }
    let plan = plan(serving.as_deref(), &graph);
    match world.engine.prepare(Arc::new(graph)) {
        Ok(prepared) => {
            warn(said, prepared.kept());
            let installed = Installed { warnings: said.diagnostics.warnings(), files };
            Prepare::Ready(Box::new(Ready { prepared, plan, installed }))
        }
        Err(problems) => {
            for problem in problems {
                said.diagnostics.general(Code::FileUnreadable, problem.to_string());
            }
            Prepare::Refused
        }
    }
}

/// Certificates whose files cannot be used; those from before go on.
fn warn(said: &mut Said, kept: &[UnusableFiles]) {
    for problem in kept {
        said.diagnostics
            .general_warning(Code::FileUnreadable, problem.to_string())
            .help("the certificate from before goes on; it is replaced when this is mended");
    }
}

async fn commit(world: &World, prepare: Prepare) -> (ReloadOutcome, Option<Plan>) {
    match prepare {
        Prepare::Unchanged => {
            // Whoever freed an address has nothing to change in the configuration.
            world.engine.retry_failed().await;
            (ReloadOutcome::Unchanged, None)
        }
        Prepare::Refused => (ReloadOutcome::Refused, None),
        Prepare::Ready(ready) => {
            world.engine.commit(ready.prepared).await;
            world.set_installed(ready.installed);
            (ReloadOutcome::Installed, Some(ready.plan))
        }
    }
}

fn view(
    world: &World,
    trigger: ReloadTrigger,
    outcome: ReloadOutcome,
    took: Duration,
) -> ReloadView {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    ReloadView {
        outcome,
        generation: world.engine.generation(),
        graph_hash: world.engine.graph().hash.to_string(),
        trigger,
        at_unix_ms: milliseconds(now),
        duration_ms: milliseconds(took),
        plan: None,
        text: None,
        diagnostics: json!([]),
        rendered: String::new(),
    }
}

/// `+1 -2 ~3 =4`: added, removed, changed, kept.
fn counts(changes: &vane_core::plan::Changes) -> String {
    let (added, removed) = (changes.added.len(), changes.removed.len());
    let (changed, kept) = (changes.changed.len(), changes.kept.len());
    format!("+{added} -{removed} ~{changed} ={kept}")
}

/// A failure of the compiler itself, in the form of its diagnostics.
fn fault(panic: &str) -> Value {
    let message = format!("the compiler failed, which is a fault of vaned: {panic}");
    json!([{ "severity": "error", "message": message }])
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const SHOWN_HASH: usize = 12;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use vane_engine::engine::Engine;
    use vane_engine::settings::Settings;
    use vane_engine::sockets::Handed;

    use super::*;
    use crate::logging::Logging;
    use crate::world::Fixed;

    #[tokio::test]
    async fn a_panic_in_the_compiler_is_a_refused_reload_and_the_next_one_goes_on() {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        std::fs::create_dir(dir.path().join("rules")).expect("a directory can be made");
        let rule = r#"{ "name": "a", "listen": "127.0.0.1:0", "respond": { "body": "x" } }"#;
        std::fs::write(dir.path().join("rules/a.json"), rule).expect("a file can be written");
        let settings = Fixed {
            dir: dir.path().to_owned(),
            variables: BTreeMap::new(),
            families: vane_core::compile::Families::default(),
            acme_http_port: vane_core::compile::AcmeHttpPort::default(),
            drain: Duration::from_secs(5),
        };
        let one = Settings { workers: 1, ..Settings::default() };
        let engine = Engine::start(one, Handed::default());
        let engine = engine.expect("threads can be started");
        let world = Arc::new(World::new(engine, settings, Logging::default(), Arc::default()));
        reload(&world, ReloadTrigger::Boot).await;
        let mut begun = Begun::with(ReloadTrigger::Manage, || panic!("a fault"));
        let read = begun.read().await;
        let panicked = begun.finish(&world, read).await;
        assert_eq!(panicked.view.outcome, ReloadOutcome::Refused);
        let message = panicked.view.diagnostics[0]["message"].as_str().expect("it is said");
        assert!(message.contains("a fault of vaned") && message.contains("a fault"), "{message}");
        assert_eq!((world.engine.generation(), world.engine.listeners().len()), (1, 1));
        let next = reload(&world, ReloadTrigger::Manage).await;
        assert_eq!(next.view.outcome, ReloadOutcome::Unchanged);
    }
}
