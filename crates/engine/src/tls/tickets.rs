//! Session tickets, whose keys belong to the daemon: they survive reloads, and restarts where there
//! is a state directory. A key encrypts for half a day and decrypts for a day longer.
//!
//! A ticket is the key's id, a nonce, and the session under AES-256-GCM. Each way of serving
//! has a key of its own, derived from the daemon's: what one way verified says nothing about
//! another.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;

/// Seconds for which a key encrypts.
const ENCRYPTS: u64 = 12 * 3600;
/// Seconds for which a ticket may be used.
const LIFETIME: u32 = 24 * 3600;
const ID: usize = 16;
const KEY: usize = 32;

/// The keys of the daemon.
pub(crate) struct Tickets {
    keys: ArcSwap<Keys>,
    /// Held while keys are exchanged.
    rotating: Mutex<()>,
}

/// The newest first; never empty.
#[derive(Clone)]
struct Keys {
    number: u64,
    keys: VecDeque<MasterKey>,
}

/// One key, from which those of the profiles are derived.
#[derive(Clone)]
struct MasterKey {
    id: [u8; ID],
    secret: [u8; KEY],
    /// Seconds since 1970.
    made: u64,
}

impl Tickets {
    /// Takes up the keys in `kept`, as [`Tickets::export`] wrote them, as far as they can be
    /// used; makes a new one where the newest is too old at `now`, seconds since 1970.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(crate) fn new(kept: &[u8], now: u64) -> Result<Self, NoRandomness> {
        let keys = Keys { number: 0, keys: import(kept) };
        let tickets = Self { keys: ArcSwap::from_pointee(keys), rotating: Mutex::default() };
        tickets.rotate(now)?;
        Ok(tickets)
    }

    /// Makes a new key where the newest is too old, and forgets those that decrypt no more.
    /// Whether anything changed.
    ///
    /// # Errors
    /// When the system has no random numbers; the old keys go on.
    pub(crate) fn rotate(&self, now: u64) -> Result<bool, NoRandomness> {
        let _turn = self.rotating.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys = Keys::clone(&self.keys.load());
        let before = keys.keys.len();
        keys.keys.retain(|key| key.made <= now && now - key.made < ENCRYPTS + u64::from(LIFETIME));
        let is_due = keys.keys.front().is_none_or(|newest| now - newest.made >= ENCRYPTS);
        if is_due {
            keys.keys.push_front(MasterKey::generate(now)?);
        }
        let changed = is_due || keys.keys.len() != before;
        if changed {
            keys.number += 1;
            self.keys.store(Arc::new(keys));
        }
        Ok(changed)
    }

    /// The keys as bytes, for a file that nobody else may read.
    pub(crate) fn export(&self) -> Vec<u8> {
        let keys = self.keys.load();
        let lines = keys.keys.iter().map(|key| {
            let hex = crate::tls::certificate::hex;
            format!("{} {} {}\n", hex(&key.id), hex(&key.secret), key.made)
        });
        lines.collect::<String>().into_bytes()
    }

    /// Tickets of sessions that were verified as `profile` says, which resume nothing else.
    pub(crate) fn for_profile(self: &Arc<Self>, profile: [u8; 32]) -> Arc<dyn ProducesTickets> {
        let derived = Derived { number: u64::MAX, keys: Vec::new() };
        Arc::new(Profile {
            tickets: Arc::clone(self),
            profile,
            derived: ArcSwap::from_pointee(derived),
        })
    }
}

/// The system has no random numbers.
#[derive(Debug)]
pub struct NoRandomness;

impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the system gives no random numbers")
    }
}

impl std::error::Error for NoRandomness {}

impl MasterKey {
    fn generate(now: u64) -> Result<Self, NoRandomness> {
        let (mut id, mut secret) = ([0; ID], [0; KEY]);
        rand::fill(&mut id).map_err(|_| NoRandomness)?;
        rand::fill(&mut secret).map_err(|_| NoRandomness)?;
        Ok(Self { id, secret, made: now })
    }

    fn derive(&self, profile: &[u8; 32]) -> Option<LessSafeKey> {
        let secret = Salt::new(HKDF_SHA256, &self.id).extract(&self.secret);
        let info: [&[u8]; 2] = [b"vane session tickets", profile];
        let key = UnboundKey::from(secret.expand(&info, &AES_256_GCM).ok()?);
        Some(LessSafeKey::new(key))
    }
}

/// Lines that are damaged are no keys.
fn import(kept: &[u8]) -> VecDeque<MasterKey> {
    let text = std::str::from_utf8(kept).unwrap_or_default();
    let mut keys: Vec<_> = text.lines().filter_map(parse).collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.made));
    keys.into()
}

fn parse(line: &str) -> Option<MasterKey> {
    let mut words = line.split(' ');
    let (id, secret, made) = (words.next()?, words.next()?, words.next()?);
    Some(MasterKey { id: unhex(id)?, secret: unhex(secret)?, made: made.parse().ok()? })
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// The tickets of one way of serving.
struct Profile {
    tickets: Arc<Tickets>,
    profile: [u8; 32],
    derived: ArcSwap<Derived>,
}

/// What the keys with this number derive to for a profile.
struct Derived {
    number: u64,
    keys: Vec<([u8; ID], LessSafeKey)>,
}

impl Profile {
    fn derived(&self) -> Arc<Derived> {
        let derived = self.derived.load_full();
        let keys = self.tickets.keys.load();
        if derived.number == keys.number {
            return derived;
        }
        let derive = |key: &MasterKey| Some((key.id, key.derive(&self.profile)?));
        let fresh = keys.keys.iter().filter_map(derive).collect();
        let fresh = Arc::new(Derived { number: keys.number, keys: fresh });
        self.derived.store(Arc::clone(&fresh));
        fresh
    }
}

impl ProducesTickets for Profile {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let derived = self.derived();
        let (id, key) = derived.keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(ID + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        ticket.extend_from_slice(id);
        ticket.extend_from_slice(&nonce);
        let mut sealed = plain.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, Aad::from(id), &mut sealed).ok()?;
        ticket.append(&mut sealed);
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (id, rest) = ticket.split_first_chunk::<ID>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let derived = self.derived();
        let (id, key) = derived.keys.iter().find(|(known, _)| known == id)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = key.open_in_place(nonce, Aad::from(id), &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").finish_non_exhaustive()
    }
}

/// Seconds since 1970; 0 before.
pub(crate) fn unix_time() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn tickets(kept: &[u8], now: u64) -> Arc<Tickets> {
        Arc::new(Tickets::new(kept, now).expect("there are random numbers"))
    }

    #[test]
    fn a_ticket_is_good_for_its_own_profile_alone() {
        let tickets = tickets(b"", NOW);
        let (one, other) = (tickets.for_profile([1; 32]), tickets.for_profile([2; 32]));
        let ticket = one.encrypt(b"session").expect("it can be encrypted");
        assert_eq!(one.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(other.decrypt(&ticket), None);
    }

    #[test]
    fn a_ticket_outlives_the_daemon_by_what_it_kept() {
        let before = tickets(b"", NOW);
        let ticket = before.for_profile([0; 32]).encrypt(b"session").expect("encrypted");
        let after = tickets(&before.export(), NOW + 60);
        assert!(after.for_profile([0; 32]).decrypt(&ticket).is_some());
    }

    #[test]
    fn keys_are_exchanged_twice_a_day_and_forgotten_a_day_later() {
        let tickets = tickets(b"", NOW);
        let profile = tickets.for_profile([0; 32]);
        let ticket = profile.encrypt(b"session").expect("encrypted");
        assert!(!tickets.rotate(NOW + ENCRYPTS - 1).expect("rotated"));
        assert!(tickets.rotate(NOW + ENCRYPTS).expect("rotated"));
        assert!(profile.decrypt(&ticket).is_some());
        assert_ne!(profile.encrypt(b"session").expect("encrypted")[..ID], ticket[..ID]);
        assert!(tickets.rotate(NOW + ENCRYPTS + u64::from(LIFETIME)).expect("rotated"));
        assert_eq!(profile.decrypt(&ticket), None);
    }

    #[test]
    fn damaged_files_and_clocks_that_went_back_cost_old_tickets_only() {
        let kept = tickets(b"", NOW).export();
        for end in 0..kept.len() {
            tickets(&kept[..end], NOW);
        }
        tickets(b"\xff\xfe rubbish\n\n0 0 0\n", NOW);
        let earlier = tickets(&kept, NOW - 1000);
        assert!(earlier.for_profile([0; 32]).encrypt(b"x").is_some());
    }

    #[test]
    fn what_is_no_ticket_of_ours_resumes_nothing() {
        let tickets = tickets(b"", NOW);
        let profile = tickets.for_profile([0; 32]);
        let ticket = profile.encrypt(b"session").expect("encrypted");
        for end in 0..ticket.len() {
            assert_eq!(profile.decrypt(&ticket[..end]), None);
        }
        for at in 0..ticket.len() {
            let mut forged = ticket.clone();
            forged[at] ^= 1;
            assert_eq!(profile.decrypt(&forged), None);
        }
    }
}
