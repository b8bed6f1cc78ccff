//! What the daemon decides for the engine at start. Plain values, already checked.

use std::path::PathBuf;
use std::time::Duration;

/// Everything that holds for the life of an engine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Threads that serve traffic, each with its own runtime and connection pools; at least 1.
    pub workers: usize,
    /// How sockets are bound.
    pub bind: BindSettings,
    /// How long connections of a removed listener may go on.
    pub drain: Duration,
    /// Limits that hold before any rule.
    pub floor: FloorSettings,
    /// Where what outlives the daemon is kept: managed certificates, keys of session tickets.
    /// Touched only where there is something to keep.
    pub state_dir: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            workers,
            bind: BindSettings::default(),
            drain: Duration::from_secs(30),
            floor: FloorSettings::default(),
            state_dir: PathBuf::from("/var/lib/vaned"),
        }
    }
}

/// How often and how patiently a bind is tried.
#[derive(Debug, Clone, Copy)]
pub struct BindSettings {
    /// The pause after the first failure; doubles with each further one.
    pub backoff_initial: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// Attempts until the listener gives up; at least 1.
    pub max_attempts: u32,
}

impl BindSettings {
    /// The pause after the failed attempt number `attempt`, counted from 1.
    pub fn backoff(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.backoff_initial.saturating_mul(1 << doublings).min(self.backoff_max)
    }
}

impl Default for BindSettings {
    fn default() -> Self {
        Self {
            backoff_initial: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
            max_attempts: 10,
        }
    }
}

/// Limits that hold before any rule, none of which ordinary traffic meets.
#[derive(Debug, Clone, Copy)]
pub struct FloorSettings {
    /// Open connections in total.
    pub connections: usize,
    /// Open connections from one IPv4 address or one IPv6 /64.
    pub connections_per_address: usize,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Field lines of a request's head.
    pub header_count: usize,
    /// From the first byte of a request's head to its last.
    pub header_time: Duration,
    /// Without a byte of a request's body that is waited for, or of an answer that the client
    /// does not take.
    pub body_idle: Duration,
    /// Between two requests.
    pub keep_alive: Duration,
    /// Requests under way on one HTTP/2 connection.
    pub streams: u32,
    /// Requests within one second on one connection.
    pub requests_per_second: u32,
    /// From the first byte of a TLS handshake to its last.
    pub handshake_time: Duration,
    /// TLS handshakes under way in total.
    pub handshakes_pending: usize,
    /// TLS handshakes begun within one second from one IPv4 address or one IPv6 /64.
    pub handshakes_per_second: u32,
    /// Streams that the client resets within one second on one connection.
    pub resets_per_second: u32,
}

impl Default for FloorSettings {
    fn default() -> Self {
        Self {
            connections: 65_536,
            connections_per_address: 1024,
            header_bytes: 64 * 1024,
            header_count: 100,
            header_time: Duration::from_secs(30),
            body_idle: Duration::from_secs(60),
            keep_alive: Duration::from_secs(75),
            streams: 256,
            requests_per_second: 20_000,
            handshake_time: Duration::from_secs(10),
            handshakes_pending: 8192,
            handshakes_per_second: 1000,
            resets_per_second: 200,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_bound() {
        let bind = BindSettings::default();
        let pauses: Vec<u128> = (1..=8).map(|n| bind.backoff(n).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(bind.backoff(u32::MAX), bind.backoff_max);
    }
}
