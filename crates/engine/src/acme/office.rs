//! What all managed certificates share: the store, the accounts, the challenges, and turns.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering as Atomic};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use instant_acme::CertificateIdentifier;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;
use vane_core::rules::tls::{AcmeAccount, Managed};

use crate::acme::authority::Authority;
use crate::acme::failure::OrderFailure;
use crate::acme::job;
use crate::acme::order::Ordering;
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
    storage: Mutex<Option<Arc<Storage>>>,
    has_said_locked: AtomicBool,
    /// Stored certificates of which it was said that nobody asks for them.
    unclaimed: Mutex<HashSet<String>>,
    authorities: Mutex<HashMap<String, Desk>>,
    turns: Semaphore,
}

/// One account. Whoever comes first makes it, and the others wait for that.
type Desk = Arc<tokio::sync::Mutex<Option<Arc<Authority>>>>;

impl Office {
    /// Nothing is touched yet.
    pub(super) fn new(state_dir: PathBuf, challenges: Arc<Challenges>) -> Self {
        Self {
            state_dir,
            challenges,
            storage: Mutex::default(),
            has_said_locked: AtomicBool::new(false),
            unclaimed: Mutex::default(),
            authorities: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// Opens the store, and takes its lock unless another daemon has it. Blocks.
    ///
    /// # Errors
    /// When the state directory cannot be used.
    pub(super) fn open(&self) -> Result<Arc<Storage>, StorageError> {
        let mut storage = self.storage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*storage {
            return Ok(Arc::clone(open));
        }
        let (opened, damage) = Storage::open(&self.state_dir)?;
        report(&damage);
        if let Lock::Taken { damage } = opened.try_lock()? {
            report(&damage);
        }
        let opened = Arc::new(opened);
        *storage = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// The certificate that is stored, if it can be served. Blocks.
    ///
    /// # Errors
    /// When the state directory cannot be used.
    pub(super) fn stored(&self, managed: &Managed) -> Result<Option<Served>, StorageError> {
        let loaded = self.open()?.load(managed);
        report(&loaded.damage);
        Ok(loaded.value.pem.as_ref().and_then(job::parsed))
    }

    /// Says once of each stored certificate that none of these is asked for it. Blocks.
    pub(super) fn report_unclaimed(&self, asked: &HashSet<String>) {
        let storage = self.storage.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let unclaimed = storage.iter().flat_map(|storage| storage.unclaimed(asked));
        let mut said = self.unclaimed.lock().unwrap_or_else(PoisonError::into_inner);
        for id in unclaimed {
            if said.insert(id.clone()) {
                tracing::info!(id, "a stored certificate is asked for by no rule; it is kept");
            }
        }
    }

    /// Whether this process may order and store. Says once that another one does.
    pub(super) async fn holds_lock(&self) -> bool {
        let Ok(storage) = self.open() else { return false };
        let locked = spawn_blocking(move || storage.try_lock()).await;
        match locked {
            Ok(Ok(Lock::Taken { damage })) => {
                report(&damage);
                true
            }
            Ok(Ok(Lock::HeldByAnother)) => {
                self.say_locked("another daemon uses it: it orders certificates, and they are served here as it stores them");
                false
            }
            Ok(Err(error)) => {
                self.say_locked(&error.to_string());
                false
            }
            Err(_) => false,
        }
    }

    fn say_locked(&self, why: &str) {
        if !self.has_said_locked.swap(true, Atomic::Relaxed) {
            tracing::warn!(state_dir = %self.state_dir.display(), "no certificates are ordered: {why}");
        }
    }

    /// Everything that is stored of a certificate.
    pub(super) async fn load(&self, managed: Managed) -> StoredCertificate {
        let empty = StoredCertificate { pem: None, order: None, state: State::default() };
        let Ok(storage) = self.open() else { return empty };
        match spawn_blocking(move || storage.load(&managed)).await {
            Ok(loaded) => {
                report(&loaded.damage);
                loaded.value
            }
            Err(_) => empty,
        }
    }

    /// Stores a certificate, then that its order is over.
    pub(super) async fn store(&self, managed: &Managed, pem: CertificatePem, state: &State) {
        let (managed, state) = (managed.clone(), state.clone());
        self.write(move |storage| {
            storage.save_certificate(&managed, &pem)?;
            storage.save_state(&managed, &state)?;
            storage.drop_order(&managed)
        })
        .await;
    }

    /// Stores how a certificate is doing; with `over`, that its order leads nowhere.
    pub(super) async fn note(&self, managed: &Managed, state: &State, over: bool) {
        let (managed, state) = (managed.clone(), state.clone());
        self.write(move |storage| {
            storage.save_state(&managed, &state)?;
            if over { storage.drop_order(&managed) } else { Ok(()) }
        })
        .await;
    }

    async fn write(
        &self,
        write: impl FnOnce(&Storage) -> Result<(), StorageError> + Send + 'static,
    ) {
        let written = match self.open() {
            Ok(storage) => spawn_blocking(move || write(&storage)).await.unwrap_or(Ok(())),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::error!("{error}");
        }
    }

    /// A turn to order.
    pub(super) async fn turn(&self) -> SemaphorePermit<'_> {
        self.turns.acquire().await.expect("the semaphore is never closed")
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
    ) -> Result<CertificatePem, OrderFailure> {
        let storage = &self.open().map_err(OrderFailure::ours)?;
        let authority = self.authority(&managed.account, storage).await?;
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
        self.write(move |storage| storage.drop_account(&account)).await;
    }

    /// When the authority wants a certificate renewed, and when it wants to be asked again.
    pub(super) async fn renewal_info(
        &self,
        managed: &Managed,
        id: &CertificateIdentifier<'_>,
    ) -> Option<(Window, Duration)> {
        let storage = &self.open().ok()?;
        let authority = self.authority(&managed.account, storage).await.ok()?;
        match authority.account.renewal_info(id).await {
            Ok((info, after)) => Some((job::window(&info), after)),
            Err(error) => {
                tracing::debug!(%error, "the authority suggests no time for renewal");
                None
            }
        }
    }

    async fn authority(
        &self,
        account: &AcmeAccount,
        storage: &Arc<Storage>,
    ) -> Result<Arc<Authority>, OrderFailure> {
        let desk = self.desk(account);
        let mut authority = desk.lock().await;
        if let Some(known) = &*authority {
            return Ok(Arc::clone(known));
        }
        let met = Arc::new(Authority::meet(account, storage).await?);
        *authority = Some(Arc::clone(&met));
        Ok(met)
    }

    fn desk(&self, account: &AcmeAccount) -> Desk {
        let mut desks = self.authorities.lock().unwrap_or_else(PoisonError::into_inner);
        let ca_file = account.ca_file.as_deref().unwrap_or_default();
        Arc::clone(desks.entry(format!("{} {ca_file}", id::account(account))).or_default())
    }
}

fn report(damage: &[Damage]) {
    for damage in damage {
        tracing::warn!("{damage}");
    }
}
