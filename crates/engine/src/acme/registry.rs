//! The managed certificates of the daemon. It lives as long as the daemon does: a reload neither
//! cancels nor repeats an order.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vane_core::rules::tls::{CertificateSource, Managed};

use crate::acme::job::Job;
use crate::acme::office::Office;
use crate::acme::storage::record::State;
use crate::acme::storage::{StorageError, id};
use crate::snapshot::ManagedStatus;
use crate::tls::certificate::Served;
use crate::tls::challenges::Challenges;
use crate::tls::store::Live;

/// The managed certificates of the daemon.
#[derive(Debug)]
pub(crate) struct Registry {
    office: Arc<Office>,
    jobs: Arc<Mutex<Jobs>>,
}

/// By the id under which they are stored.
type Jobs = HashMap<String, Arc<Job>>;

impl Registry {
    /// Keeps its state below `state_dir`, once there is any.
    pub(crate) fn new(state_dir: PathBuf, challenges: Arc<Challenges>) -> Self {
        Self { office: Arc::new(Office::new(state_dir, challenges)), jobs: Arc::default() }
    }

    /// The certificate that is stored, if it can be served. Blocks.
    ///
    /// # Errors
    /// When the state directory cannot be used.
    pub(crate) fn stored(&self, managed: &Managed) -> Result<Option<Served>, StorageError> {
        self.office.stored(managed)
    }

    /// Looks after these from now on, and no longer after others; an order under way goes on until
    /// it has ended, and serves again whoever comes back meanwhile. Needs a runtime.
    pub(crate) fn look_after(&self, certificates: &[Arc<Live>]) {
        let mut jobs = lock(&self.jobs);
        let mut asked = HashSet::new();
        for live in certificates {
            let Some(id) = stored_as(live) else { continue };
            match jobs.get(&id) {
                Some(job) => job.adopt(live),
                None => self.begin(&mut jobs, id.clone(), live),
            }
            asked.insert(id);
        }
        self.report_unclaimed(&asked);
        jobs.iter().filter(|(id, _)| !asked.contains(*id)).for_each(|(_, job)| job.dismiss());
    }

    /// Says which stored certificates nobody asks for; they are kept.
    fn report_unclaimed(&self, asked: &HashSet<String>) {
        let (office, asked) = (Arc::clone(&self.office), asked.clone());
        tokio::task::spawn_blocking(move || office.report_unclaimed(&asked));
    }

    fn begin(&self, jobs: &mut Jobs, id: String, live: &Arc<Live>) {
        let Some(job) = Job::new(live, State::default()).map(Arc::new) else { return };
        jobs.insert(id.clone(), Arc::clone(&job));
        let (office, jobs) = (Arc::clone(&self.office), Arc::clone(&self.jobs));
        tokio::spawn(async move {
            loop {
                job.run(&office).await;
                let mut jobs = lock(&jobs);
                // Somebody may have asked for it again in this moment.
                if !job.is_wanted() {
                    jobs.remove(&id);
                    return;
                }
            }
        });
    }

    /// Orders a certificate now. Whether there is one.
    pub(crate) fn renew(&self, live: &Live) -> bool {
        let job = self.job(live);
        job.inspect(|job| job.force()).is_some()
    }

    /// How a certificate is managed.
    pub(crate) fn status(&self, live: &Live) -> Option<ManagedStatus> {
        self.job(live).map(|job| job.status())
    }

    fn job(&self, live: &Live) -> Option<Arc<Job>> {
        lock(&self.jobs).get(&stored_as(live)?).cloned()
    }
}

/// The id under which a managed certificate is stored.
fn stored_as(live: &Live) -> Option<String> {
    match &live.source {
        CertificateSource::Acme(managed) => Some(id::certificate(managed)),
        CertificateSource::Files { .. } => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
