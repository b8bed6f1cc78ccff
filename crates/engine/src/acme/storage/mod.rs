//! What ACME keeps on disk, under `acme/` of the state directory:
//!
//! ```text
//! lock                               locked for as long as a daemon writes here
//! accounts/<id>.json                 credentials, with what they were made from
//! certificates/<id>/certificate.pem  key and chain; in one file, so that they always match
//! certificates/<id>/order.json       an order under way, with the key that was made for it
//! certificates/<id>/state.json       failures, the authority's last words, its renewal window
//! <any of them>.damaged              what could not be read, once; nothing here reads it again
//! ```
//!
//! Directories have mode 0700 and files 0600, whatever the umask. A file is replaced as a whole or
//! not at all. No two files need to agree: each can be lost alone and costs what it held, a
//! `state.json` the back-off, an `order.json` one order.
//!
//! What cannot be read counts as absent, is moved aside and reported, and stops nothing. Without
//! the lock nothing is moved, as another daemon may have put it right meanwhile.
//!
//! All functions block.

pub(crate) mod record;

pub(crate) mod id;

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;
use vane_core::rules::tls::{AcmeAccount, Managed};

use crate::disk::damage::{Damage, Defect};
use crate::disk::{self, Draft};

use record::{CertificatePem, Credentials, PendingOrder, State, StoredAccount, StoredCertificate};

/// The directory `acme/`. Anybody can read; who has the lock can write.
#[derive(Debug)]
pub(crate) struct Storage {
    state_dir: PathBuf,
    root: PathBuf,
    /// Its descriptor holds the lock.
    lock: Mutex<Option<File>>,
}

/// What was read, and what could not be.
#[derive(Debug)]
pub(crate) struct Loaded<T> {
    /// What was read.
    pub(crate) value: T,
    /// To be logged. With the lock each is reported once.
    pub(crate) damage: Vec<Damage>,
}

/// Who writes here.
#[derive(Debug)]
pub(crate) enum Lock {
    /// This process, until its [`Storage`] is dropped.
    Taken {
        /// What was found and mended when leftovers were cleared away.
        damage: Vec<Damage>,
    },
    /// Another process.
    HeldByAnother,
}

impl Storage {
    /// In `acme/` below a state directory. Touches nothing: what can be read is served, also where
    /// nothing can be written.
    pub(crate) fn new(state_dir: &Path) -> Self {
        let root = state_dir.join("acme");
        Self { state_dir: state_dir.to_owned(), root, lock: Mutex::default() }
    }

    /// Takes the lock if nobody has it, without waiting, and makes the directories; then removes
    /// what a write that was cut short left behind and takes rights away that others have. A
    /// directory that is another one than that which was locked is locked as well.
    ///
    /// # Errors
    /// The state directory is missing, nothing can be written there, or it has no locks.
    pub(crate) fn try_lock(&self) -> Result<Lock, StorageError> {
        let mut damage = Vec::new();
        let path = self.root.join(LOCK);
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.as_ref().is_some_and(|held| disk::is_at(held, &path)) {
            return Ok(Lock::Taken { damage });
        }
        *lock = None;
        let unusable = |source| StorageError::Unusable { path: self.state_dir.clone(), source };
        self.make(&mut damage).map_err(unusable)?;
        let file = disk::open_lock(&path, &mut damage).map_err(unusable)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Ok(Lock::HeldByAnother),
            locked => locked.map_err(|error| unusable(error.into()))?,
        }
        *lock = Some(file);
        self.directories().for_each(|dir| disk::sweep(&dir, &mut damage));
        Ok(Lock::Taken { damage })
    }

    fn make(&self, damage: &mut Vec<Damage>) -> io::Result<()> {
        let all = [self.root.clone(), self.root.join(ACCOUNTS), self.root.join(CERTIFICATES)];
        all.iter().try_for_each(|dir| disk::make_dir(dir, damage))?;
        Draft::create(&self.root.join(LOCK)).map(drop)
    }

    /// Whether an order could be stored now, so that none is placed in vain.
    ///
    /// # Errors
    /// As [`Self::save_state`].
    pub(crate) fn try_order(&self, managed: &Managed) -> Result<(), StorageError> {
        self.try_write(&self.certificate(managed).join(ORDER))
    }

    /// Whether an account could be stored now, so that none is made in vain.
    ///
    /// # Errors
    /// As [`Self::save_state`].
    pub(crate) fn try_account(&self) -> Result<(), StorageError> {
        self.try_write(&self.root.join(ACCOUNTS).join("account.json"))
    }

    /// Everything of one certificate. Whatever the disk holds, this does not fail.
    pub(crate) fn load(&self, managed: &Managed) -> Loaded<StoredCertificate> {
        let dir = self.certificate(managed);
        let mut damage = Vec::new();
        if fs::symlink_metadata(&dir).is_ok_and(|found| !found.is_dir()) {
            self.set_aside(&dir, Defect::NotADirectory, &mut damage);
        }
        let value = StoredCertificate {
            pem: self.read(&dir.join(CERTIFICATE), CertificatePem::parse, &mut damage),
            order: self.read(&dir.join(ORDER), json, &mut damage),
            state: self.read(&dir.join(STATE), json, &mut damage).unwrap_or_default(),
        };
        Loaded { value, damage }
    }

    /// Stores a certificate with its key, in place of the one before.
    ///
    /// # Errors
    /// As [`Self::save_state`]; also if chain and key could not be told apart again. What was
    /// stored is then still there.
    pub(crate) fn save_certificate(
        &self,
        managed: &Managed,
        pem: &CertificatePem,
    ) -> Result<(), StorageError> {
        let path = self.certificate(managed).join(CERTIFICATE);
        let text = pem.render();
        if CertificatePem::parse(text.as_bytes()).is_none() {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "not a key and a chain");
            return Err(StorageError::Failed { path, source });
        }
        self.write(&path, text.as_bytes())
    }

    /// Stores an order before its key is used, so that the key is not lost with the process.
    ///
    /// # Errors
    /// As [`Self::save_state`].
    pub(crate) fn save_order(
        &self,
        managed: &Managed,
        order: &PendingOrder,
    ) -> Result<(), StorageError> {
        self.write_json(&self.certificate(managed).join(ORDER), order)
    }

    /// Forgets the order under way, if there is one.
    ///
    /// # Errors
    /// As [`Self::save_state`].
    pub(crate) fn drop_order(&self, managed: &Managed) -> Result<(), StorageError> {
        self.remove(self.certificate(managed).join(ORDER))
    }

    /// Stores how a certificate is doing.
    ///
    /// # Errors
    /// The disk refuses, or the lock is not held.
    pub(crate) fn save_state(&self, managed: &Managed, state: &State) -> Result<(), StorageError> {
        self.write_json(&self.certificate(managed).join(STATE), &state.shortened())
    }

    /// The credentials of an account, if it has been made.
    pub(crate) fn account(&self, account: &AcmeAccount) -> Loaded<Option<Credentials>> {
        let mut damage = Vec::new();
        let of_this = |bytes: &[u8]| {
            let stored: StoredAccount = json(bytes)?;
            stored.credentials_of(account)
        };
        let value = self.read(&self.account_file(account), of_this, &mut damage);
        Loaded { value, damage }
    }

    /// Stores the credentials of an account.
    ///
    /// # Errors
    /// As [`Self::save_state`].
    pub(crate) fn save_account(
        &self,
        account: &AcmeAccount,
        credentials: &Credentials,
    ) -> Result<(), StorageError> {
        self.write_json(&self.account_file(account), &StoredAccount::new(account, credentials))
    }

    /// Forgets the credentials of an account.
    ///
    /// # Errors
    /// As [`Self::save_state`].
    pub(crate) fn drop_account(&self, account: &AcmeAccount) -> Result<(), StorageError> {
        self.remove(self.account_file(account))
    }

    /// The ids of stored certificates that are none of those asked for, sorted. They are kept, as
    /// who asked for them may come back.
    pub(crate) fn unclaimed(&self, asked: &HashSet<String>) -> Vec<String> {
        let stored = disk::entries(&self.root.join(CERTIFICATES))
            .filter(|dir| dir.join(CERTIFICATE).is_file())
            .filter_map(|dir| Some(dir.file_name()?.to_str()?.to_owned()));
        let mut unclaimed: Vec<_> = stored.filter(|id| !asked.contains(id)).collect();
        unclaimed.sort_unstable();
        unclaimed
    }

    fn certificate(&self, managed: &Managed) -> PathBuf {
        self.root.join(CERTIFICATES).join(id::certificate(managed))
    }

    fn account_file(&self, account: &AcmeAccount) -> PathBuf {
        self.root.join(ACCOUNTS).join(id::account(account) + ".json")
    }

    /// All directories, from the top.
    fn directories(&self) -> impl Iterator<Item = PathBuf> {
        let certificates = self.root.join(CERTIFICATES);
        let each = disk::entries(&certificates).filter(|entry| disk::is_dir(entry));
        [self.root.clone(), self.root.join(ACCOUNTS), certificates].into_iter().chain(each)
    }

    fn read<T>(
        &self,
        path: &Path,
        parse: impl FnOnce(&[u8]) -> Option<T>,
        damage: &mut Vec<Damage>,
    ) -> Option<T> {
        let parsed = match disk::read(path, damage) {
            Ok(bytes) => parse(&bytes?).ok_or(Defect::Rubbish),
            Err(defect) => Err(defect),
        };
        parsed.map_err(|defect| self.set_aside(path, defect, damage)).ok()
    }

    fn set_aside(&self, path: &Path, defect: Defect, damage: &mut Vec<Damage>) {
        let moves = self.holds_lock() && defect.is_for_good();
        let kept_as = moves.then(|| disk::set_aside(path)).and_then(Result::ok).flatten();
        damage.push(Damage { path: path.to_owned(), defect, kept_as });
    }

    fn write_json(&self, path: &Path, record: &impl Serialize) -> Result<(), StorageError> {
        let mut bytes = serde_json::to_vec_pretty(record).map_err(|error| {
            StorageError::Failed { path: path.to_owned(), source: error.into() }
        })?;
        bytes.push(b'\n');
        self.write(path, &bytes)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
        self.within(path, || disk::write(path, bytes))
    }

    /// Writes something as large as what is stored ever is, and takes it away again.
    fn try_write(&self, path: &Path) -> Result<(), StorageError> {
        self.within(path, || {
            let mut draft = Draft::create(path)?;
            draft.fill(&[b' '; TRIAL])?;
            draft.sync()
        })
    }

    fn within(
        &self,
        path: &Path,
        work: impl FnOnce() -> io::Result<()>,
    ) -> Result<(), StorageError> {
        self.require_lock()?;
        let parent = path.parent().unwrap_or(&self.root);
        // What stood in its way was reported when it was loaded.
        disk::make_dir(parent, &mut Vec::new())
            .and_then(|()| work())
            .map_err(|source| StorageError::Failed { path: path.to_owned(), source })
    }

    fn remove(&self, path: PathBuf) -> Result<(), StorageError> {
        self.require_lock()?;
        disk::remove(&path).map_err(|source| StorageError::Failed { path, source })
    }

    fn require_lock(&self) -> Result<(), StorageError> {
        let held = self.holds_lock();
        held.then_some(()).ok_or_else(|| StorageError::NotLocked { path: self.root.clone() })
    }

    fn holds_lock(&self) -> bool {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

/// What the disk does not let us do.
#[derive(Debug)]
pub(crate) enum StorageError {
    /// The state directory is not there or cannot be written to.
    Unusable {
        /// The state directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    Failed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing is written without the lock.
    NotLocked {
        /// The directory `acme/`.
        path: PathBuf,
    },
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable { path, source } => write!(
                f,
                "certificates cannot be kept in `{}`: {source}; make it a directory that vaned can \
                 write to, or name another in VANE_STATE_DIR",
                path.display()
            ),
            Self::Failed { path, source } => {
                write!(f, "cannot write `{}`: {source}", path.display())
            }
            Self::NotLocked { path } => write!(
                f,
                "nothing is written to `{}` without its lock; another daemon may hold it",
                path.display()
            ),
        }
    }
}

impl std::error::Error for StorageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unusable { source, .. } | Self::Failed { source, .. } => Some(source),
            Self::NotLocked { .. } => None,
        }
    }
}

const ACCOUNTS: &str = "accounts";
const CERTIFICATES: &str = "certificates";
const CERTIFICATE: &str = "certificate.pem";
const LOCK: &str = "lock";
const ORDER: &str = "order.json";
const STATE: &str = "state.json";
const TRIAL: usize = 16 * 1024;

#[cfg(test)]
mod tests;
