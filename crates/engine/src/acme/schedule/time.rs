//! Seconds since 1970, which can be stored, compared and moved without overflow.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment in seconds since 1970, UTC. Arithmetic stops at either end.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub(crate) struct UnixTime(pub(crate) u64);

impl UnixTime {
    /// What the system's clock says.
    pub(crate) fn now() -> Self {
        Self::from(SystemTime::now())
    }

    /// Of a timestamp as X.509 and ACME have it; 1970 for what is before.
    pub(crate) fn from_timestamp(seconds: i64) -> Self {
        Self(u64::try_from(seconds).unwrap_or(0))
    }

    /// So many seconds later.
    pub(crate) fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// So many seconds earlier.
    pub(crate) fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// Seconds from `earlier` to this; none if that is later.
    pub(crate) fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl From<SystemTime> for UnixTime {
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

/// Seconds of a minute.
pub(crate) const MINUTE: u64 = 60;
/// Seconds of an hour.
pub(crate) const HOUR: u64 = 60 * MINUTE;
/// Seconds of a day.
pub(crate) const DAY: u64 = 24 * HOUR;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_too_early_or_too_late() {
        assert_eq!(UnixTime(u64::MAX), UnixTime(5).plus(u64::MAX));
        assert_eq!(UnixTime(0), UnixTime(5).minus(6));
        assert_eq!(0, UnixTime(5).since(UnixTime(6)));
        assert_eq!(UnixTime(0), UnixTime::from_timestamp(-1));
        assert_eq!(UnixTime(0), UnixTime::from(UNIX_EPOCH - std::time::Duration::from_secs(1)));
    }
}
