//! The certificates of the daemon. They outlive reloads: the same source is the same certificate
//! in every generation, and a new one replaces the old between two handshakes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwapOption;
use vane_core::rules::tls::{Certificate, CertificateSource};

use crate::disk::named;
use crate::tls::certificate::{CertificateProblem, Served};

/// Every certificate that a graph in use refers to.
#[derive(Debug, Default)]
pub(crate) struct CertStore {
    known: Mutex<HashMap<CertificateSource, Weak<Live>>>,
}

/// One certificate, as it serves now.
#[derive(Debug)]
pub(crate) struct Live {
    /// What the graph that first asked for it calls it; for the log.
    pub(crate) name: Box<str>,
    /// Where it comes from.
    pub(crate) source: CertificateSource,
    served: ArcSwapOption<Served>,
    problem: Mutex<Option<String>>,
}

/// Files that hold no certificate that could be served.
#[derive(Debug)]
pub struct UnusableFiles {
    /// The file at fault.
    pub path: Box<str>,
    /// What is wrong with it.
    pub problem: FileProblem,
}

/// What is wrong with a file.
#[derive(Debug)]
pub enum FileProblem {
    /// The system does not let us read it.
    Unreadable(std::io::Error),
    /// Its content cannot be used.
    Unfit(CertificateProblem),
}

impl CertStore {
    /// The one [`Live`] for a certificate.
    pub(crate) fn get(&self, certificate: &Certificate) -> Arc<Live> {
        let mut known = lock(&self.known);
        if let Some(live) = known.get(&certificate.source).and_then(Weak::upgrade) {
            return live;
        }
        known.retain(|_, live| live.strong_count() > 0);
        let live = Arc::new(Live {
            name: certificate.name.clone(),
            source: certificate.source.clone(),
            served: ArcSwapOption::empty(),
            problem: Mutex::default(),
        });
        known.insert(certificate.source.clone(), Arc::downgrade(&live));
        live
    }
}

impl Live {
    /// What handshakes get now; nothing before the first has come.
    pub(crate) fn served(&self) -> Option<Arc<Served>> {
        self.served.load_full()
    }

    /// Serves another one from the next handshake on.
    pub(crate) fn replace(&self, served: Arc<Served>) {
        self.served.store(Some(served));
        *lock(&self.problem) = None;
    }

    /// Notes why the latest attempt to have a newer one failed.
    pub(crate) fn note_problem(&self, problem: String) {
        *lock(&self.problem) = Some(problem);
    }

    /// Why the latest attempt to have a newer one failed, if it did.
    pub(crate) fn problem(&self) -> Option<String> {
        lock(&self.problem).clone()
    }

    /// Notes that nothing is wrong any more with what it comes from.
    pub(crate) fn mended(&self) {
        *lock(&self.problem) = None;
    }

    /// Reads its files; nothing for one that comes from elsewhere. Blocks.
    ///
    /// # Errors
    /// When they hold nothing that can be served. What serves goes on.
    pub(crate) fn read(&self) -> Option<Result<Served, UnusableFiles>> {
        match &self.source {
            CertificateSource::Files { chain, key } => Some(read(chain, key)),
            CertificateSource::Acme(_) => None,
        }
    }
}

fn read(chain_path: &str, key_path: &str) -> Result<Served, UnusableFiles> {
    let bytes = |path: &str| {
        named::read(path, named::PAIR).map_err(|error| UnusableFiles {
            path: path.into(),
            problem: FileProblem::Unreadable(error),
        })
    };
    let (chain, key) = (bytes(chain_path)?, bytes(key_path)?);
    Served::from_pem(&chain, &key).map_err(|problem| {
        let of_key = matches!(
            problem,
            CertificateProblem::NoKey | CertificateProblem::Mismatch | CertificateProblem::Key(_)
        );
        let path = if of_key { key_path } else { chain_path };
        UnusableFiles { path: path.into(), problem: FileProblem::Unfit(problem) }
    })
}

impl fmt::Display for UnusableFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            FileProblem::Unreadable(error) => write!(f, "cannot read `{}`: {error}", self.path),
            FileProblem::Unfit(problem) => write!(f, "cannot use `{}`: {problem}", self.path),
        }
    }
}

impl std::error::Error for UnusableFiles {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
