//! What the parts of the daemon share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use vane_core::compile::{AcmeHttpPort, Compiled, Families, Options};
use vane_engine::engine::Engine;
use vane_mgmt::views::ReloadView;

use crate::configuration::{self, Stamp};
use crate::logging::Logging;
use crate::supervisor::Supervisor;

/// The running daemon. Only the control loop changes it.
#[derive(Debug)]
pub(crate) struct World {
    /// The data plane.
    pub(crate) engine: Engine,
    /// What was decided at start.
    pub(crate) settings: Fixed,
    /// When the daemon started.
    pub(crate) started: Instant,
    /// The log.
    pub(crate) logging: Logging,
    /// Who watches the daemon.
    pub(crate) supervisor: Arc<Supervisor>,
    /// Told the files that the configuration names beside its own, whenever they are others.
    pub(crate) named_files: watch::Sender<BTreeSet<PathBuf>>,
    installed: Mutex<Installed>,
    latest: Mutex<Option<ReloadView>>,
    draining: AtomicBool,
}

/// What was decided at start and holds until the end.
#[derive(Debug, Clone)]
pub(crate) struct Fixed {
    /// The configuration directory.
    pub(crate) dir: PathBuf,
    /// The variables of the operating system.
    pub(crate) variables: BTreeMap<String, String>,
    /// The families that listeners are opened for.
    pub(crate) families: Families,
    /// The port that authorities reach `http-01` challenges through.
    pub(crate) acme_http_port: AcmeHttpPort,
    /// What a drain may take unless asked otherwise.
    pub(crate) drain: Duration,
}

impl Fixed {
    /// What compiling depends on beside the files.
    pub(crate) fn compile_options(&self) -> Options {
        let (families, acme_http_port) = (self.families, self.acme_http_port);
        Options { families, acme_http_port, ..Options::default() }
    }

    /// Reads and compiles a directory as this daemon would serve it. Blocks.
    pub(crate) fn compile(&self, dir: &std::path::Path) -> Compiled {
        let read = configuration::read(dir, &self.variables);
        configuration::compile_directory(dir, read, &self.compile_options())
    }
}

/// What is known of the generation that serves, beside its graph.
#[derive(Debug, Clone, Default)]
pub(crate) struct Installed {
    /// Warnings of its compile.
    pub(crate) warnings: usize,
    /// The files that it has taken in, as they were when it was made.
    pub(crate) files: BTreeMap<Box<str>, Option<Stamp>>,
}

impl World {
    /// A daemon that serves nothing yet.
    pub(crate) fn new(
        engine: Engine,
        settings: Fixed,
        logging: Logging,
        supervisor: Arc<Supervisor>,
    ) -> Self {
        Self {
            engine,
            settings,
            started: Instant::now(),
            logging,
            supervisor,
            named_files: watch::Sender::new(BTreeSet::new()),
            installed: Mutex::default(),
            latest: Mutex::default(),
            draining: AtomicBool::new(false),
        }
    }

    /// What is known of the generation that serves.
    pub(crate) fn installed(&self) -> Installed {
        lock(&self.installed).clone()
    }

    /// Notes what is known of the generation that serves now.
    pub(crate) fn set_installed(&self, installed: Installed) {
        *lock(&self.installed) = installed;
    }

    /// Says which files the configuration names now.
    pub(crate) fn set_named_files(&self, files: BTreeSet<PathBuf>) {
        self.named_files.send_if_modified(|known| {
            let differs = *known != files;
            *known = files;
            differs
        });
    }

    /// How the latest reload went.
    pub(crate) fn latest(&self) -> Option<ReloadView> {
        lock(&self.latest).clone()
    }

    /// Notes how the latest reload went.
    pub(crate) fn set_latest(&self, view: ReloadView) {
        *lock(&self.latest) = Some(view);
    }

    /// Whether the daemon is about to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Notes that the daemon is about to end.
    pub(crate) fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
