//! Where the keys of session tickets are kept over a restart: `tls/ticket-keys` of the state
//! directory, mode 0600. All functions block.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk;

/// The file.
#[derive(Debug)]
pub(crate) struct TicketFile(PathBuf);

impl TicketFile {
    /// Below a state directory, which need not be there.
    pub(crate) fn below(state_dir: &Path) -> Self {
        Self(state_dir.join("tls").join("ticket-keys"))
    }

    /// What is in it; nothing where it cannot be read, which costs clients a whole handshake each.
    pub(crate) fn read(&self) -> Vec<u8> {
        let mut damage = Vec::new();
        let read = disk::read(&self.0, &mut damage);
        damage.iter().for_each(|damage| tracing::warn!("{damage}"));
        read.unwrap_or_default().unwrap_or_default()
    }

    /// Replaces it.
    ///
    /// # Errors
    /// When the state directory is not there, or cannot be written to.
    pub(crate) fn write(&self, keys: &[u8]) -> io::Result<()> {
        let mut damage = Vec::new();
        let directory = self.0.parent().unwrap_or(Path::new("."));
        disk::make_dir(directory, &mut damage)?;
        damage.iter().for_each(|damage| tracing::warn!("{damage}"));
        disk::write(&self.0, keys)
    }
}
