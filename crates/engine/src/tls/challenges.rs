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
    tokens: Answers<str>,
    handshakes: Answers<ServerConfig>,
}

/// By token or name. Where several orders answer the same, the last to come counts.
type Answers<T> = RwLock<HashMap<Box<str>, Vec<Arc<T>>>>;

impl Challenges {
    /// The answer to the `http-01` challenge with this token.
    pub(crate) fn token(&self, token: &str) -> Option<Arc<str>> {
        last(&self.tokens, token)
    }

    /// What answers the `tls-alpn-01` challenge for this name.
    pub(crate) fn handshake(&self, name: &str) -> Option<Arc<ServerConfig>> {
        last(&self.handshakes, name)
    }

    /// Answers an `http-01` challenge until the result is dropped.
    pub(crate) fn answer_token(self: &Arc<Self>, token: &str, answer: &str) -> Answering {
        let answer: Arc<str> = answer.into();
        add(&self.tokens, token, &answer);
        Answering { challenges: Arc::clone(self), key: token.into(), what: What::Token(answer) }
    }

    /// Answers a `tls-alpn-01` challenge until the result is dropped.
    pub(crate) fn answer_handshake(
        self: &Arc<Self>,
        name: &str,
        config: Arc<ServerConfig>,
    ) -> Answering {
        add(&self.handshakes, name, &config);
        Answering { challenges: Arc::clone(self), key: name.into(), what: What::Handshake(config) }
    }
}

/// A challenge that is answered until this is dropped.
#[derive(Debug)]
pub(crate) struct Answering {
    challenges: Arc<Challenges>,
    key: Box<str>,
    what: What,
}

#[derive(Debug)]
enum What {
    Token(Arc<str>),
    Handshake(Arc<ServerConfig>),
}

impl Drop for Answering {
    fn drop(&mut self) {
        match &self.what {
            What::Token(answer) => remove(&self.challenges.tokens, &self.key, answer),
            What::Handshake(config) => remove(&self.challenges.handshakes, &self.key, config),
        }
    }
}

fn last<T: ?Sized>(answers: &Answers<T>, key: &str) -> Option<Arc<T>> {
    answers.read().unwrap_or_else(PoisonError::into_inner).get(key)?.last().cloned()
}

fn add<T: ?Sized>(answers: &Answers<T>, key: &str, answer: &Arc<T>) {
    write(answers).entry(key.into()).or_default().push(Arc::clone(answer));
}

/// Takes this answer away, and no other to the same.
fn remove<T: ?Sized>(answers: &Answers<T>, key: &str, answer: &Arc<T>) {
    let mut answers = write(answers);
    let Some(all) = answers.get_mut(key) else { return };
    all.retain(|each| !Arc::ptr_eq(each, answer));
    if all.is_empty() {
        answers.remove(key);
    }
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_order_takes_away_is_not_what_another_answers() {
        let challenges = Arc::new(Challenges::default());
        let first = challenges.answer_token("t", "of the first");
        let second = challenges.answer_token("t", "of the second");
        assert_eq!(Some("of the second"), challenges.token("t").as_deref());
        drop(first);
        assert_eq!(Some("of the second"), challenges.token("t").as_deref());
        let third = challenges.answer_token("t", "of the third");
        drop(third);
        assert_eq!(Some("of the second"), challenges.token("t").as_deref());
        drop(second);
        assert_eq!(None, challenges.token("t"));
        assert!(write(&challenges.tokens).is_empty());
    }
}
