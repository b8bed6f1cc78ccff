//! What proves names to certificate authorities while an order is under way.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use rustls::ServerConfig;

/// The protocol that a `tls-alpn-01` check offers, and nothing beside it, RFC 8737 §4.
pub(crate) const ALPN: &[u8] = b"acme-tls/1";

/// Answers that authorities may ask for now. Where nothing is ordered it is empty, and looking
/// costs one read of a lock that nobody writes.
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    tokens: RwLock<HashMap<Box<str>, Box<str>>>,
    handshakes: RwLock<HashMap<Box<str>, Arc<ServerConfig>>>,
}

impl Challenges {
    /// The answer to the `http-01` challenge with this token.
    pub(crate) fn token(&self, token: &str) -> Option<Box<str>> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// What answers the `tls-alpn-01` challenge for this name.
    pub(crate) fn handshake(&self, name: &str) -> Option<Arc<ServerConfig>> {
        self.handshakes.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Answers an `http-01` challenge until the result is dropped.
    pub(crate) fn answer_token(self: &Arc<Self>, token: &str, answer: &str) -> Answering {
        write(&self.tokens).insert(token.into(), answer.into());
        Answering { challenges: Arc::clone(self), key: Key::Token(token.into()) }
    }

    /// Answers a `tls-alpn-01` challenge until the result is dropped.
    pub(crate) fn answer_handshake(
        self: &Arc<Self>,
        name: &str,
        config: Arc<ServerConfig>,
    ) -> Answering {
        write(&self.handshakes).insert(name.into(), config);
        Answering { challenges: Arc::clone(self), key: Key::Handshake(name.into()) }
    }
}

/// A challenge that is answered until this is dropped.
#[derive(Debug)]
pub(crate) struct Answering {
    challenges: Arc<Challenges>,
    key: Key,
}

#[derive(Debug)]
enum Key {
    Token(Box<str>),
    Handshake(Box<str>),
}

impl Drop for Answering {
    fn drop(&mut self) {
        match &self.key {
            Key::Token(token) => drop(write(&self.challenges.tokens).remove(token)),
            Key::Handshake(name) => drop(write(&self.challenges.handshakes).remove(name)),
        }
    }
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
