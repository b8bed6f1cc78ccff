//! The start, in its order: variables, log, compile and link, bind, management. What refuses to
//! start says why on stderr.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vane_core::compile::Options;
use vane_engine::engine::Engine;
use vane_engine::sockets::{Handed, Keeper};
use vane_mgmt::socket::ManagementSocket;
use vane_mgmt::views::{ReloadOutcome, ReloadTrigger};

use crate::activation::Activation;
use crate::args::Args;
use crate::control::Events;
use crate::environment::{self, Environment, ManagementSettings};
use crate::logging::{Logging, colours_fit};
use crate::reload::Begun;
use crate::supervisor::Supervisor;
use crate::world::{Fixed, World};
use crate::{configuration, exit, management};

/// What is known before anything is opened.
#[derive(Debug)]
pub(crate) struct Boot {
    pub(crate) dir: PathBuf,
    variables: BTreeMap<String, String>,
    environment: Environment,
    activation: Activation,
}

/// A start that ended: the exit status, after stderr has been told why.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) u8);

impl Boot {
    /// Reads the environment, and the variables of the configuration directory below it.
    ///
    /// # Errors
    /// When a variable has a bad value.
    pub(crate) fn read(args: &Args, activation: Activation) -> Result<Self, Refused> {
        let variables = system_variables();
        let dir = args.config.clone().unwrap_or_else(|| environment::config_dir(&variables));
        let dir = std::path::absolute(&dir).unwrap_or(dir);
        let read = configuration::read(&dir, &variables);
        match Environment::read(&read.variables) {
            Ok(environment) => Ok(Self { dir, variables, environment, activation }),
            Err(problems) => {
                let lines: Vec<_> = problems.iter().map(|bad| format!("error: {bad}\n")).collect();
                say(&lines.concat());
                Err(Refused(exit::USAGE))
            }
        }
    }

    /// `--check`: what is wrong with the configuration, or what would be served.
    pub(crate) fn check(&self, allow_unset: bool) -> u8 {
        for doubt in &self.environment.doubts {
            say(&format!("warning: {doubt}\n"));
        }
        let read = configuration::read(&self.dir, &self.variables);
        let options = Options { allow_unset, ..self.fixed().compile_options() };
        let compiled = configuration::compile_directory(&self.dir, read, &options);
        let diagnostics = &compiled.diagnostics;
        say(&vane_core::diagnostic::render::text(diagnostics, &compiled.sources, colours_fit()));
        let dir = self.dir.display();
        match compiled.graph {
            Some(graph) => {
                let listeners = count(graph.listeners.len(), "listener");
                let rules = count(graph.rules.len(), "rule");
                let warnings = count(diagnostics.warnings(), "warning");
                say(&format!("{dir}: valid: {listeners}, {rules}, {warnings}\n"));
                exit::DONE
            }
            None => {
                say(&format!("{dir}: invalid: {}\n", count(diagnostics.errors(), "error")));
                exit::FAILED
            }
        }
    }

    /// Starts logging and the engine's threads, which are given the sockets that were handed over.
    /// Nothing is accepted yet.
    ///
    /// # Errors
    /// When the log cannot be opened or threads cannot be started.
    pub(crate) fn world(&mut self) -> Result<Arc<World>, Refused> {
        let journal = self.variables.get("JOURNAL_STREAM").map(String::as_str);
        let logging = Logging::start(&self.environment.log, journal).map_err(|error| {
            say(&format!("error: {error}\n"));
            Refused(exit::USAGE)
        })?;
        let (version, dir) = (env!("CARGO_PKG_VERSION"), self.dir.display());
        tracing::info!(version, pid = std::process::id(), %dir, "vaned starts");
        let doubts = self.activation.doubts(&self.environment.management.path);
        for doubt in self.environment.doubts.iter().chain(&doubts) {
            tracing::warn!("{doubt}");
        }
        let supervisor = Arc::new(Supervisor::of(&self.variables));
        let keeper: Arc<dyn Keeper> = supervisor.clone();
        let handed = Handed {
            sockets: std::mem::take(&mut self.activation.sockets),
            keeper: supervisor.is_there().then_some(keeper),
        };
        let engine = Engine::start(self.environment.engine.clone(), handed).map_err(|error| {
            say(&format!("error: cannot start the engine's threads: {error}\n"));
            Refused(exit::FAILED)
        })?;
        Ok(Arc::new(World::new(engine, self.fixed(), logging, supervisor)))
    }

    /// Takes the management socket, then compiles and installs the first generation. In this
    /// order a daemon that is started twice ends before it has accepted anything.
    ///
    /// # Errors
    /// When the socket is another daemon's, or the configuration does not compile; and when somebody
    /// wants the end while files are read.
    pub(crate) async fn install(
        &self,
        world: &Arc<World>,
        events: &mut Events,
    ) -> Result<Option<ManagementSocket>, Refused> {
        let settings = &self.environment.management;
        let inherited = self.activation.management(&settings.path).map_err(system)?;
        let socket = match inherited {
            Some(inherited) => Some(ManagementSocket::from_std(inherited)),
            None => take_socket(settings).await?,
        };
        let mut begun = Begun::new(world, ReloadTrigger::Boot);
        let read = tokio::select! {
            read = begun.read() => read,
            _ = events.end() => return Err(Refused(exit::DONE)),
        };
        let reloaded = begun.finish(world, read).await;
        if reloaded.view.outcome != ReloadOutcome::Installed {
            say(&reloaded.rendered(colours_fit()));
            say(&format!("error: {} does not compile\n", self.dir.display()));
            return Err(Refused(exit::FAILED));
        }
        Ok(socket)
    }

    /// The file that the log goes to, if it goes to one.
    pub(crate) fn log_file(&self) -> Option<&Path> {
        self.environment.log.file.as_deref()
    }

    fn fixed(&self) -> Fixed {
        Fixed {
            dir: self.dir.clone(),
            variables: self.variables.clone(),
            families: self.environment.families,
            acme_http_port: self.environment.acme_http_port,
            drain: self.environment.engine.drain,
        }
    }
}

/// Says what the system refused.
#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` takes")]
pub(crate) fn system(error: io::Error) -> Refused {
    say(&format!("error: the system refused to start vaned: {error}\n"));
    Refused(exit::FAILED)
}

async fn take_socket(settings: &ManagementSettings) -> Result<Option<ManagementSocket>, Refused> {
    management::bind(settings).await.map_err(|error| {
        say(&format!("error: management: {error}\n"));
        if let Some(help) = error.help() {
            say(&format!("help: {help}\n"));
        }
        Refused(exit::FAILED)
    })
}

/// A count with its noun: `1 rule`, `2 rules`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The variables whose name and value are UTF-8.
fn system_variables() -> BTreeMap<String, String> {
    let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(utf8).collect()
}

/// Writes to stderr as it is.
fn say(text: &str) {
    // Where stderr is closed nobody is left to tell.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
