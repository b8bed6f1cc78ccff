//! Limits that hold before any rule. The state lives as long as the daemon: a reload resets
//! nothing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::settings::FloorSettings;

/// A limit that a client has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Limit {
    /// Open connections in total.
    Connections,
    /// Open connections from one address.
    ConnectionsPerAddress,
    /// Size or form of a request's head.
    Head,
    /// Time for a request's head.
    HeadTime,
    /// Time without a byte of a body.
    BodyIdle,
    /// Requests in a second.
    RequestRate,
    /// Streams reset in a second.
    ResetRate,
    /// Time for a TLS handshake.
    HandshakeTime,
    /// TLS handshakes under way.
    HandshakesPending,
    /// TLS handshakes in a second from one address.
    HandshakeRate,
}

impl Limit {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 10] = [
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::Head,
        Self::HeadTime,
        Self::BodyIdle,
        Self::RequestRate,
        Self::ResetRate,
        Self::HandshakeTime,
        Self::HandshakesPending,
        Self::HandshakeRate,
    ];

    /// The name used in metrics, management answers and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::Head => "head",
            Self::HeadTime => "head_time",
            Self::BodyIdle => "body_idle",
            Self::RequestRate => "request_rate",
            Self::ResetRate => "reset_rate",
            Self::HandshakeTime => "handshake_time",
            Self::HandshakesPending => "handshakes_pending",
            Self::HandshakeRate => "handshake_rate",
        }
    }
}

/// The counters behind the limits.
#[derive(Debug)]
pub(crate) struct Floor {
    /// The limits themselves.
    pub(crate) settings: FloorSettings,
    open: AtomicUsize,
    by_source: Mutex<HashMap<IpAddr, usize>>,
    handshaking: AtomicUsize,
    handshakes: Mutex<HashMap<IpAddr, PerSecond>>,
    refused: [AtomicU64; Limit::ALL.len()],
    reported: Mutex<HashMap<(&'static str, IpAddr), (Instant, u32)>>,
}

impl Floor {
    /// Nothing open, nothing refused.
    pub(crate) fn new(settings: FloorSettings) -> Self {
        Self {
            settings,
            open: AtomicUsize::new(0),
            by_source: Mutex::default(),
            handshaking: AtomicUsize::new(0),
            handshakes: Mutex::default(),
            refused: Default::default(),
            reported: Mutex::default(),
        }
    }

    /// Lets a connection in, or counts and reports the limit that it meets.
    pub(crate) fn admit(self: &Arc<Self>, remote: IpAddr) -> Option<Admission> {
        if self.open.load(Ordering::Relaxed) >= self.settings.connections {
            self.refuse(Limit::Connections, remote, "");
            return None;
        }
        let source = source(remote);
        let mut by_source = lock(&self.by_source);
        let count = by_source.entry(source).or_insert(0);
        if *count >= self.settings.connections_per_address {
            drop(by_source);
            self.refuse(Limit::ConnectionsPerAddress, remote, "");
            return None;
        }
        *count += 1;
        self.open.fetch_add(1, Ordering::Relaxed);
        Some(Admission { floor: Arc::clone(self), source })
    }

    /// Lets a TLS handshake begin, or counts and reports the limit that it meets.
    pub(crate) fn begin_handshake(
        self: &Arc<Self>,
        remote: IpAddr,
        now: Instant,
    ) -> Option<Handshaking> {
        if !self.is_slow_enough(source(remote), now) {
            self.refuse(Limit::HandshakeRate, remote, "");
            return None;
        }
        if self.handshaking.fetch_add(1, Ordering::Relaxed) >= self.settings.handshakes_pending {
            self.handshaking.fetch_sub(1, Ordering::Relaxed);
            self.refuse(Limit::HandshakesPending, remote, "");
            return None;
        }
        Some(Handshaking(Arc::clone(self)))
    }

    fn is_slow_enough(&self, source: IpAddr, now: Instant) -> bool {
        const MOST: usize = 1 << 16;
        let mut handshakes = lock(&self.handshakes);
        if handshakes.len() >= MOST {
            handshakes.retain(|_, rate| rate.is_current(now));
        }
        handshakes.entry(source).or_default().allow(self.settings.handshakes_per_second, now)
    }

    /// Counts a refusal and says so in the log, once a second for each limit and source.
    pub(crate) fn refuse(&self, limit: Limit, remote: IpAddr, detail: &str) {
        self.refused[limit as usize].fetch_add(1, Ordering::Relaxed);
        if self.may_report(limit.as_str(), source(remote), Instant::now(), 1) {
            tracing::warn!(limit = limit.as_str(), %remote, detail, "client met a limit");
        }
    }

    /// How often each limit was met.
    pub(crate) fn refused(&self) -> Vec<(Limit, u64)> {
        let count = |limit: Limit| self.refused[limit as usize].load(Ordering::Relaxed);
        Limit::ALL.into_iter().map(|limit| (limit, count(limit))).collect()
    }

    /// Whether something that this client did may be said in the log: ten times a second for each
    /// kind of thing and source.
    pub(crate) fn may_say(&self, kind: &'static str, remote: IpAddr) -> bool {
        self.may_report(kind, source(remote), Instant::now(), 10)
    }

    fn may_report(&self, kind: &'static str, source: IpAddr, now: Instant, most: u32) -> bool {
        const PERIOD: Duration = Duration::from_secs(1);
        const KEPT: usize = 4096;
        let mut reported = lock(&self.reported);
        if reported.len() >= KEPT {
            reported.retain(|_, (since, _)| now.duration_since(*since) < PERIOD);
        }
        if reported.len() >= KEPT {
            return false;
        }
        let (since, count) = reported.entry((kind, source)).or_insert((now, 0));
        if now.duration_since(*since) >= PERIOD {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= most
    }
}

/// A connection that was let in; it counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    floor: Arc<Floor>,
    source: IpAddr,
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.floor.open.fetch_sub(1, Ordering::Relaxed);
        let mut by_source = lock(&self.floor.by_source);
        if let Some(count) = by_source.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                by_source.remove(&self.source);
            }
        }
    }
}

/// A TLS handshake under way; it counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Handshaking(Arc<Floor>);

impl Drop for Handshaking {
    fn drop(&mut self) {
        self.0.handshaking.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many of something happened in the current second.
#[derive(Debug, Default)]
pub(crate) struct PerSecond {
    second: Option<Instant>,
    count: u32,
}

impl PerSecond {
    /// Counts one more; whether it still lies within `most` a second.
    pub(crate) fn allow(&mut self, most: u32, now: Instant) -> bool {
        if !self.is_current(now) {
            self.second = Some(now);
            self.count = 0;
        }
        self.count += 1;
        self.count <= most
    }

    /// Whether the second that it counts in is not over.
    fn is_current(&self, now: Instant) -> bool {
        self.second.is_some_and(|start| now.duration_since(start).as_secs() < 1)
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 /64.
fn source(remote: IpAddr) -> IpAddr {
    match remote {
        IpAddr::V4(_) => remote,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor(connections: usize, connections_per_address: usize) -> Arc<Floor> {
        let settings =
            FloorSettings { connections, connections_per_address, ..FloorSettings::default() };
        Arc::new(Floor::new(settings))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_closed_connection_makes_room_for_another() {
        let floor = floor(1, 1);
        let first = floor.admit(ip("192.0.2.1")).expect("room for one");
        assert!(floor.admit(ip("192.0.2.2")).is_none());
        drop(first);
        assert!(floor.admit(ip("192.0.2.2")).is_some());
        assert_eq!(floor.refused()[0], (Limit::Connections, 1));
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one_client() {
        let floor = floor(10, 1);
        let _first = floor.admit(ip("2001:db8::1")).expect("room for one");
        assert!(floor.admit(ip("2001:db8::2")).is_none());
        assert!(floor.admit(ip("2001:db8:0:1::2")).is_some());
    }

    #[test]
    fn a_refusal_is_reported_once_a_second() {
        let floor = floor(1, 1);
        let (start, source) = (Instant::now(), ip("192.0.2.1"));
        assert!(floor.may_report("head", source, start, 1));
        assert!(!floor.may_report("head", source, start + Duration::from_millis(900), 1));
        assert!(floor.may_report("head_time", source, start, 1));
        assert!(floor.may_report("head", source, start + Duration::from_millis(1001), 1));
        let said = (0..20).filter(|_| floor.may_report("name", source, start, 10));
        assert_eq!(10, said.count());
    }

    #[test]
    fn a_rate_starts_anew_each_second() {
        let (mut rate, start) = (PerSecond::default(), Instant::now());
        assert!(rate.allow(2, start) && rate.allow(2, start) && !rate.allow(2, start));
        assert!(rate.allow(2, start + Duration::from_secs(1)));
    }
}
