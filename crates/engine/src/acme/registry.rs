//! The managed certificates of the daemon. It lives as long as the daemon does: a reload neither
//! cancels nor repeats an order.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use vane_core::rules::tls::{CertificateSource, Managed};

use crate::acme::job::Job;
use crate::acme::office::Office;
use crate::acme::storage::id;
use crate::acme::storage::record::State;
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
    pub(crate) fn stored(&self, managed: &Managed) -> Option<Served> {
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
                let run = || {
                    let (job, office) = (Arc::clone(&job), Arc::clone(&office));
                    async move { job.run(&office).await }
                };
                to_its_end(run).await;
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

/// Runs it until it ends by itself: one that panics begins again after a pause.
async fn to_its_end<F>(mut run: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    while let Err(error) = tokio::spawn(run()).await {
        if error.is_cancelled() {
            return;
        }
        tracing::error!(
            "this is a bug in vaned: what looks after a certificate broke; it begins again in {} s",
            PAUSE.as_secs()
        );
        tokio::time::sleep_until(Instant::now() + PAUSE).await;
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

/// Between a panic and another try.
const PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_panics_begins_again_after_a_pause() {
        let begun = Instant::now();
        let mut runs = 0;
        to_its_end(|| {
            runs += 1;
            let is_last = runs == 3;
            async move { assert!(is_last, "not yet") }
        })
        .await;
        assert_eq!((3, 2 * PAUSE), (runs, begun.elapsed()));
    }
}
