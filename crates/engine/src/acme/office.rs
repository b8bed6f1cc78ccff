//! What all managed certificates share: the store, the accounts, the challenges, and turns.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use instant_acme::CertificateIdentifier;
use tokio::sync::{OwnedMutexGuard, Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;
use vane_core::rules::tls::{AcmeAccount, Challenge, Managed};

use crate::acme::authority::Authority;
use crate::acme::failure::OrderFailure;
use crate::acme::job;
use crate::acme::order::{Issued, Ordering};
use crate::acme::proof::Proofs;
use crate::acme::schedule::Window;
use crate::acme::storage::record::{CertificatePem, PendingOrder, State, StoredCertificate};
use crate::acme::storage::{Lock, Storage, StorageError, id};
use crate::disk::damage::Damage;
use crate::tls::certificate::Served;
use crate::tls::challenges::Challenges;

/// Orders under way at once; the others wait for their turn.
const AT_ONCE: usize = 4;

/// What all managed certificates share.
#[derive(Debug)]
pub(super) struct Office {
    state_dir: PathBuf,
    challenges: Arc<Challenges>,
    storage: Arc<Storage>,
    /// Why nothing is ordered, as it was last said.
    said: Mutex<Option<String>>,
    /// Stored certificates of which it was said that nobody asks for them.
    unclaimed: Mutex<HashSet<String>>,
    authorities: Mutex<HashMap<String, Desk>>,
    turns: Semaphore,
    questions: Semaphore,
    names: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

/// One account. Whoever comes first makes it, and the others wait for that.
type Desk = Arc<tokio::sync::Mutex<Option<Arc<Authority>>>>;

/// Why this process orders nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Idle {
    /// Another daemon has the lock, and does it.
    Another,
    /// Nothing can be stored.
    Unusable(String),
}

/// The right to order now.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _names: Vec<OwnedMutexGuard<()>>,
    _turn: SemaphorePermit<'a>,
}

impl Office {
    /// Nothing is touched yet.
    pub(super) fn new(state_dir: PathBuf, challenges: Arc<Challenges>) -> Self {
        Self {
            challenges,
            storage: Arc::new(Storage::new(&state_dir)),
            state_dir,
            said: Mutex::default(),
            unclaimed: Mutex::default(),
            authorities: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
            questions: Semaphore::new(AT_ONCE),
            names: Mutex::default(),
        }
    }

    /// The certificate that is stored, if it can be served. What is damaged for good is left to
    /// who has the lock. Blocks.
    pub(super) fn stored(&self, managed: &Managed) -> Option<Served> {
        let mut loaded = self.storage.load(managed);
        loaded.damage.retain(|damage| !damage.defect.is_for_good());
        report(&loaded.damage);
        loaded.value.pem.as_ref().and_then(job::parsed)
    }

    /// Says once of each stored certificate that none of these is asked for it. Blocks.
    pub(super) fn report_unclaimed(&self, asked: &HashSet<String>) {
        let mut said = lock(&self.unclaimed);
        for id in self.storage.unclaimed(asked) {
            if said.insert(id.clone()) {
                tracing::info!(id, "a stored certificate is asked for by no rule; it is kept");
            }
        }
    }

    /// Takes the right to order and to store, or keeps it. Says once why not.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn take_lock(&self) -> Result<(), Idle> {
        let storage = Arc::clone(&self.storage);
        match spawn_blocking(move || storage.try_lock()).await {
            Ok(Ok(Lock::Taken { damage })) => {
                report(&damage);
                *lock(&self.said) = None;
                Ok(())
            }
            Ok(Ok(Lock::HeldByAnother)) => {
                self.say("another daemon uses it: it orders certificates, and they are served here as it stores them");
                Err(Idle::Another)
            }
            Ok(Err(error)) => Err(self.unusable(&error)),
            Err(error) => Err(self.unusable(&error)),
        }
    }

    fn unusable(&self, error: &dyn Error) -> Idle {
        let error = error.to_string();
        self.say(&error);
        Idle::Unusable(error)
    }

    fn say(&self, why: &str) {
        let mut said = lock(&self.said);
        if said.as_deref() != Some(why) {
            tracing::warn!(state_dir = %self.state_dir.display(), "no certificates are ordered: {why}");
            *said = Some(why.to_owned());
        }
    }

    /// Everything that is stored of a certificate.
    pub(super) async fn load(&self, managed: Managed) -> StoredCertificate {
        let empty = StoredCertificate { pem: None, order: None, state: State::default() };
        let storage = Arc::clone(&self.storage);
        match spawn_blocking(move || storage.load(&managed)).await {
            Ok(loaded) => {
                report(&loaded.damage);
                loaded.value
            }
            Err(_) => empty,
        }
    }

    /// Stores that an order begins.
    ///
    /// # Errors
    /// When that, or the order to come, cannot be stored: it is not to be placed then.
    pub(super) async fn begin(&self, managed: &Managed, state: &State) -> Result<(), OrderFailure> {
        let (managed, state) = (managed.clone(), state.clone());
        let written = self.write(move |storage| {
            if let Lock::Taken { damage } = storage.try_lock()? {
                report(&damage);
            }
            storage.try_order(&managed)?;
            storage.save_state(&managed, &state)
        });
        written.await.map_err(OrderFailure::ours)
    }

    /// Stores a certificate, then that its order is over.
    ///
    /// # Errors
    /// When the disk refuses; the order is kept then.
    pub(super) async fn store(
        &self,
        managed: &Managed,
        pem: &CertificatePem,
        state: &State,
    ) -> Result<(), StorageError> {
        let (managed, pem, state) = (managed.clone(), pem.clone(), state.clone());
        self.write(move |storage| {
            storage.save_certificate(&managed, &pem)?;
            storage.save_state(&managed, &state)?;
            storage.drop_order(&managed)
        })
        .await
    }

    /// Stores how a certificate is doing; with `over`, that its order leads nowhere.
    pub(super) async fn note(&self, managed: &Managed, state: &State, over: bool) {
        let (managed, state) = (managed.clone(), state.clone());
        let written = self.write(move |storage| {
            storage.save_state(&managed, &state)?;
            if over { storage.drop_order(&managed) } else { Ok(()) }
        });
        complain(written.await);
    }

    async fn write(
        &self,
        write: impl FnOnce(&Storage) -> Result<(), StorageError> + Send + 'static,
    ) -> Result<(), StorageError> {
        let storage = Arc::clone(&self.storage);
        spawn_blocking(move || write(&storage)).await.unwrap_or(Ok(()))
    }

    /// A turn to order. Those take turns among themselves whose proofs would be in each other's
    /// way: of handshakes for one name only one can be answered.
    pub(super) async fn turn(&self, managed: &Managed) -> Turn<'_> {
        let mut names = Vec::new();
        if managed.challenge == Challenge::TlsAlpn01 {
            // All take them in the same order, as they are sorted.
            for name in &managed.names {
                names.push(self.name(&name.to_string()).lock_owned().await);
            }
        }
        Turn { _names: names, _turn: acquire(&self.turns).await }
    }

    fn name(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut names = lock(&self.names);
        if let Some(known) = names.get(name).and_then(Weak::upgrade) {
            return known;
        }
        names.retain(|_, each| each.strong_count() > 0);
        let new = Arc::default();
        names.insert(name.to_owned(), Arc::downgrade(&new));
        new
    }

    /// A turn to ask when to renew.
    pub(super) async fn question(&self) -> SemaphorePermit<'_> {
        acquire(&self.questions).await
    }

    /// Orders a certificate, or goes on with an order.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn order(
        &self,
        managed: &Managed,
        replaces: Option<CertificateIdentifier<'static>>,
        pending: Option<PendingOrder>,
    ) -> Result<Issued, OrderFailure> {
        let storage = &self.storage;
        let authority = self.authority(&managed.account).await?;
        let proofs = Proofs::new(&managed.challenge, &self.challenges, authority.https());
        let ordering = Ordering { managed, authority: &authority, storage, replaces };
        let outcome = ordering.run(pending, proofs).await;
        if outcome.as_ref().is_err_and(OrderFailure::is_about_account) {
            self.forget(&managed.account).await;
        }
        outcome
    }

    /// The authority knows the account no more: the next one to ask makes another.
    async fn forget(&self, account: &AcmeAccount) {
        tracing::warn!(directory = %account.directory, "the certificate authority has forgotten the account");
        *self.desk(account).lock().await = None;
        let account = account.clone();
        complain(self.write(move |storage| storage.drop_account(&account)).await);
    }

    /// When the authority wants a certificate renewed, and when it wants to be asked again.
    pub(super) async fn renewal_info(
        &self,
        managed: &Managed,
        id: &CertificateIdentifier<'_>,
    ) -> Option<(Window, Duration)> {
        let authority = self.authority(&managed.account).await.ok()?;
        match authority.account.renewal_info(id).await {
            Ok((info, after)) => Some((job::window(&info), after)),
            Err(error) => {
                tracing::debug!(%error, "the authority suggests no time for renewal");
                None
            }
        }
    }

    async fn authority(&self, account: &AcmeAccount) -> Result<Arc<Authority>, OrderFailure> {
        let desk = self.desk(account);
        let mut authority = desk.lock().await;
        if let Some(known) = &*authority
            && known.is_current(account).await
        {
            known.store(account, &self.storage).await;
            return Ok(Arc::clone(known));
        }
        let met = Authority::meet(account, &self.storage, authority.as_deref()).await?;
        let met = Arc::new(met);
        *authority = Some(Arc::clone(&met));
        Ok(met)
    }

    fn desk(&self, account: &AcmeAccount) -> Desk {
        let mut desks = lock(&self.authorities);
        let ca_file = account.ca_file.as_deref().unwrap_or_default();
        Arc::clone(desks.entry(format!("{} {ca_file}", id::account(account))).or_default())
    }
}

fn report(damage: &[Damage]) {
    for damage in damage {
        tracing::warn!("{damage}");
    }
}

fn complain(written: Result<(), StorageError>) {
    if let Err(error) = written {
        tracing::error!("{error}");
    }
}

async fn acquire(turns: &Semaphore) -> SemaphorePermit<'_> {
    turns.acquire().await.expect("the semaphore is never closed")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use vane_core::rules::tls::KeyType;
    use vane_core::value::host_pattern::HostPattern;

    use super::*;

    fn managed(names: &[&str], challenge: Challenge) -> Managed {
        let account = AcmeAccount {
            directory: "https://ca.example/dir".into(),
            contact: Vec::new(),
            binding: None,
            ca_file: None,
        };
        Managed {
            names: names.iter().map(|name| HostPattern::parse(name).unwrap()).collect(),
            account,
            challenge,
            key_type: KeyType::EcdsaP256,
            renew_before: None,
            profile: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn orders_whose_handshakes_would_be_in_each_others_way_take_turns() {
        let office = Office::new("/nonexistent".into(), Arc::default());
        let by_handshake = |names: &[&str]| managed(names, Challenge::TlsAlpn01);
        let (one, other) = (by_handshake(&["a", "b"]), by_handshake(&["b", "c"]));
        let first = office.turn(&one).await;
        let soon = Duration::from_secs(1);
        assert!(tokio::time::timeout(soon, office.turn(&other)).await.is_err());
        let _apart = office.turn(&by_handshake(&["d"])).await;
        let _by_http = office.turn(&managed(&["a", "b"], Challenge::Http01)).await;
        drop(first);
        let _second = office.turn(&other).await;
    }
}
