//! TLS towards clients: certificates that can be replaced while they serve, and which of them a
//! handshake gets. Knows nothing of where managed certificates come from: whoever has a new one
//! puts it into the [`store`].

pub(crate) mod handshake;

pub(crate) mod stream;

pub(crate) mod replayed;

pub(crate) mod serving;

pub(crate) mod client_auth;

pub(crate) mod challenges;

pub mod store;

pub mod certificate;

pub(crate) mod ticket_file;

pub mod tickets;

pub mod client;

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;

/// The one provider of cryptography. Named wherever a configuration is built, so that nothing
/// depends on what the process has installed.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    Arc::clone(&PROVIDER)
}
