//! Token buckets, one for each distinct source, in bounded memory.
//!
//! A bucket is one number, the time at which it will be full again (the generic cell rate
//! algorithm). A bucket that is full says nothing and its place is free, so nothing has to be
//! swept. Sources are told apart by a keyed 64-bit hash.

use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use vane_core::graph::facts::Facts;
use vane_core::graph::read;
use vane_core::rules::middleware::RateLimit;
use vane_core::value::field::Field;

/// The buckets of one rate limit. Shared by all cores; two of them meet only when their sources
/// fall into the same of [`SHARDS`] parts.
#[derive(Debug)]
pub struct RateLimiter {
    per: Vec<Field>,
    /// Nanoseconds in which one request is earned.
    interval: u64,
    /// Nanoseconds in which an empty bucket fills.
    depth: u64,
    max_sets: usize,
    start: Instant,
    hasher: RandomState,
    shards: [Shard; SHARDS],
}

/// Names a bucket of the limiter that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketKey(u64);

/// Whether a request may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may, and has been counted.
    Allowed,
    /// It may not, and has not been counted.
    Limited {
        /// The time until the same request would pass, if no other comes first; never zero.
        retry_after: Duration,
    },
}

impl RateLimiter {
    /// Full buckets for everyone.
    ///
    /// At most `max_buckets` that are not full are remembered, 16 bytes each (rounded down to a
    /// power of two, 256 at least); memory is taken as sources appear. Beyond that a new source
    /// takes the place of the one nearest to full among 16, which is thereby forgiven what
    /// little it had used: a flood of sources neither locks new ones out nor frees heavy ones.
    pub fn new(limit: &RateLimit, max_buckets: usize, now: Instant) -> Self {
        let interval = u64::try_from(limit.rate.interval().as_nanos()).unwrap_or(u64::MAX).max(1);
        let sets = (max_buckets / (SHARDS * WAYS)).max(1);
        Self {
            per: limit.per.clone(),
            interval,
            depth: interval.saturating_mul(u64::from(limit.burst.max(1))),
            max_sets: 1 << sets.ilog2(),
            start: now,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Shard::default()),
        }
    }

    /// The bucket of a flow: that of the values of the limit's fields, taken together. A field
    /// that the flow does not have is a value of its own. An IPv6 address counts whole.
    pub fn key(&self, facts: &Facts<'_>) -> BucketKey {
        let mut hash = self.hasher.build_hasher();
        for field in &self.per {
            match field {
                Field::RemoteIp => facts.connection.remote.ip().hash(&mut hash),
                field => read::text(field, facts).hash(&mut hash),
            }
        }
        BucketKey(hash.finish())
    }

    /// Takes one request out of a bucket, if it is in there.
    pub fn check(&self, key: BucketKey, now: Instant) -> Decision {
        let now = self.nanoseconds(now);
        let shard = &self.shards[key.0 as usize % SHARDS];
        let mut table = shard.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = table.bucket(key.0, now, self.max_sets);
        let filled = if bucket.key == key.0 { bucket.full_at.max(now) } else { now };
        let full_at = filled.saturating_add(self.interval);
        match (full_at - now).checked_sub(self.depth) {
            None | Some(0) => {
                *bucket = Bucket { key: key.0, full_at };
                Decision::Allowed
            }
            Some(wait) => Decision::Limited { retry_after: Duration::from_nanos(wait) },
        }
    }

    /// How many buckets there is memory for now.
    pub fn capacity(&self) -> usize {
        let tables = self.shards.iter().map(|shard| shard.0.lock());
        tables.map(|table| table.unwrap_or_else(PoisonError::into_inner).buckets.len()).sum()
    }

    fn nanoseconds(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// On its own pair of cache lines, so that two cores do not meet on neighbours.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Table>);

/// Sets of [`WAYS`] buckets; their number is a power of two, or zero.
#[derive(Debug, Default)]
struct Table {
    buckets: Vec<Bucket>,
}

/// Free when `full_at` is not in the future.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    key: u64,
    full_at: u64,
}

impl Table {
    /// The bucket of `key`; or one to put it in, which may be another's.
    fn bucket(&mut self, key: u64, now: u64, max_sets: usize) -> &mut Bucket {
        while self.sets() < max_sets && self.crowded(key, now) {
            self.grow(now);
        }
        let set = self.set(key);
        let own = self.buckets[set.clone()].iter().position(|bucket| bucket.key == key);
        let place = own.unwrap_or_else(|| self.fullest(set.clone()));
        &mut self.buckets[set.start + place]
    }

    fn sets(&self) -> usize {
        self.buckets.len() / WAYS
    }

    fn set(&self, key: u64) -> std::ops::Range<usize> {
        let start = (key as usize / SHARDS) % self.sets() * WAYS;
        start..start + WAYS
    }

    /// There is no place for `key` but another's.
    fn crowded(&self, key: u64, now: u64) -> bool {
        self.buckets.is_empty()
            || self.buckets[self.set(key)]
                .iter()
                .all(|bucket| bucket.key != key && bucket.full_at > now)
    }

    fn fullest(&self, set: std::ops::Range<usize>) -> usize {
        let buckets = self.buckets[set].iter().enumerate();
        buckets.min_by_key(|(_, bucket)| bucket.full_at).map_or(0, |(place, _)| place)
    }

    /// Doubles the sets; the buckets of one old set spread over two new ones, so all have room.
    fn grow(&mut self, now: u64) {
        let doubled = (self.buckets.len() * 2).max(WAYS);
        let old = std::mem::replace(&mut self.buckets, vec![Bucket::default(); doubled]);
        for bucket in old.into_iter().filter(|bucket| bucket.full_at > now) {
            let set = self.set(bucket.key);
            let place = self.fullest(set.clone());
            self.buckets[set.start + place] = bucket;
        }
    }
}

/// Parts with a lock each.
pub const SHARDS: usize = 16;

/// Buckets that a new one is compared with.
const WAYS: usize = 16;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use http::StatusCode;
    use proptest::prelude::*;
    use vane_core::value::rate::Rate;

    use super::*;
    use crate::middleware::tests::with_request;

    fn limiter(rate: &str, burst: u32, per: Vec<Field>, now: Instant) -> RateLimiter {
        let rate = Rate::parse(rate).unwrap();
        let limit = RateLimit { per, rate, burst, status: StatusCode::TOO_MANY_REQUESTS };
        RateLimiter::new(&limit, 1024, now)
    }

    fn limited(milliseconds: u64) -> Decision {
        Decision::Limited { retry_after: Duration::from_millis(milliseconds) }
    }

    /// Spread like the hashes that keys are.
    fn key(number: u64) -> BucketKey {
        BucketKey(number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) | 1 << 40)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let start = Instant::now();
        let limiter = limiter("10/s", 3, vec![], start);
        let at = |milliseconds| limiter.check(key(1), start + Duration::from_millis(milliseconds));
        assert_eq!([at(0), at(0), at(0)], [Decision::Allowed; 3]);
        assert_eq!(at(0), limited(100));
        assert_eq!(at(40), limited(60));
        assert_eq!(at(100), Decision::Allowed);
        assert_eq!(at(100), limited(100));
        assert_eq!([at(1000), at(1000), at(1000)], [Decision::Allowed; 3]);
        assert_eq!(at(1000), limited(100));
    }

    #[test]
    fn sources_do_not_share_a_bucket() {
        let now = Instant::now();
        let limiter = limiter("1/h", 1, vec![], now);
        assert_eq!(limiter.check(key(1), now), Decision::Allowed);
        assert_eq!(limiter.check(key(2), now), Decision::Allowed);
        assert!(matches!(limiter.check(key(1), now), Decision::Limited { .. }));
    }

    #[test]
    fn a_key_is_the_values_of_its_fields_together() {
        let name = Field::HttpQueryParam("name".into());
        let limiter = limiter("1/s", 1, vec![Field::RemoteIp, name], Instant::now());
        let keys = ["/", "/?name=", "/?name=a", "/?name=b"]
            .map(|target| with_request(target, |facts| limiter.key(facts).0));
        assert_eq!(HashSet::from(keys).len(), keys.len());
        assert_eq!(with_request("/other?name=a", |facts| limiter.key(facts).0), keys[2]);
    }

    #[test]
    fn a_limit_without_fields_is_one_bucket_for_all() {
        let limiter = limiter("1/s", 1, vec![], Instant::now());
        let keys = ["/", "/?name=a"].map(|target| with_request(target, |facts| limiter.key(facts)));
        assert_eq!(keys[0], keys[1]);
    }

    #[test]
    fn a_flood_of_sources_neither_grows_memory_nor_frees_a_heavy_one() {
        let now = Instant::now();
        let limiter = limiter("1/h", 5, vec![], now);
        while limiter.check(key(0), now) == Decision::Allowed {}
        for source in 1..100_000 {
            assert_eq!(limiter.check(key(source), now), Decision::Allowed);
        }
        assert!(matches!(limiter.check(key(0), now), Decision::Limited { .. }));
        assert_eq!(limiter.capacity(), 1024);
    }

    #[test]
    fn the_places_of_full_buckets_are_used_again() {
        let start = Instant::now();
        let limiter = limiter("1/s", 1, vec![], start);
        for second in 0..1000 {
            let now = start + Duration::from_secs(second);
            assert_eq!(limiter.check(key(second), now), Decision::Allowed);
        }
        assert!(limiter.capacity() <= SHARDS * WAYS);
    }

    #[test]
    fn growing_forgets_no_bucket() {
        let now = Instant::now();
        let limiter = limiter("1/h", 1, vec![], now);
        for source in 0..300 {
            assert_eq!(limiter.check(key(source), now), Decision::Allowed);
        }
        let remembered = |source| limiter.check(key(source), now) != Decision::Allowed;
        assert!((0..300).all(remembered));
    }

    proptest! {
        #[test]
        fn a_bucket_passes_what_an_exact_one_would(
            per_second in 1_u32..1000,
            burst in 1_u32..50,
            pauses in prop::collection::vec(0_u64..200_000_000, 1..200),
        ) {
            let start = Instant::now();
            let limiter = limiter(&format!("{per_second}/s"), burst, vec![], start);
            let interval = u128::from(1_000_000_000 / per_second);
            let depth = interval * u128::from(burst);
            let (mut now, mut tokens) = (0_u64, depth);
            for pause in pauses {
                now += pause;
                tokens = (tokens + u128::from(pause)).min(depth);
                let decision = limiter.check(key(7), start + Duration::from_nanos(now));
                if tokens >= interval {
                    tokens -= interval;
                    prop_assert_eq!(decision, Decision::Allowed);
                } else {
                    let wait = u64::try_from(interval - tokens).unwrap();
                    let retry_after = Duration::from_nanos(wait);
                    prop_assert_eq!(decision, Decision::Limited { retry_after });
                }
            }
        }
    }
}
