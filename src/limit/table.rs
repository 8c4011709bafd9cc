//! The buckets of all callers of one limit, in a table of fixed size built like a set-associative
//! cache: a caller's hash selects a set of 16 entries. A full bucket needs no entry, so nothing has
//! to be swept.
//!
//! When a set is full, the entry with the lowest `used` is replaced, and its caller has the full
//! burst again. A flood of addresses therefore evicts its own entries of one request each, while
//! callers over their limit have the highest `used` and stay. With up to about 30,000 active
//! callers a set is hardly ever full. The hash is keyed with random bits, so clients cannot choose
//! a set.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::bucket::Bucket;
use super::caller::RateLimitKey;

const SHARDS: usize = 64;
const SETS: usize = 64;
const ENTRIES_PER_SET: usize = 16;
const SHARD_ENTRIES: usize = SETS * ENTRIES_PER_SET;

/// A caller's hash, and the time at which the bucket is full again, in microseconds since the table
/// was made.
type Entry = [u64; 2];

pub(super) struct Table {
    start: Instant,
    hasher: RandomState,
    /// One lock per shard. A shard in use has 16 KiB; all together have 1 MiB.
    shards: Vec<Mutex<Vec<Entry>>>,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// The time for the other methods: microseconds since the table was made, by the monotonic
    /// clock.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Counts a request of a caller; see `Bucket::take`.
    pub(super) fn take(
        &self,
        bucket: &Bucket,
        caller: RateLimitKey<'_>,
        now: u64,
    ) -> Result<u64, u64> {
        self.change(caller, now, |used| match bucket.take(used) {
            Ok(after) => (Some(after), Ok(after)),
            // Stored, since a count of a larger bucket would refuse the caller until it ends.
            Err(full) => ((full < used).then_some(full), Err(full)),
        })
    }

    /// `used` of a caller's bucket, at most the whole bucket.
    pub(super) fn used(&self, bucket: &Bucket, caller: RateLimitKey<'_>, now: u64) -> u64 {
        self.change(caller, now, |used| {
            let clamped = bucket.clamped(used);
            ((clamped < used).then_some(clamped), clamped)
        })
    }

    /// Raises `used` of a caller's bucket to at least `to`.
    pub(super) fn raise(&self, caller: RateLimitKey<'_>, now: u64, to: u64) {
        self.change(caller, now, |used| ((to > used).then_some(to), ()));
    }

    /// `change` gets `used` and may return a new value of it.
    fn change<T>(
        &self,
        caller: RateLimitKey<'_>,
        now: u64,
        change: impl FnOnce(u64) -> (Option<u64>, T),
    ) -> T {
        let hash = self.hasher.hash_one(caller);
        let [high, low, ..] = hash.to_be_bytes();
        let shard = self.shards.get(usize::from(high) % SHARDS);
        // A poisoned lock is safe to use: no code that can panic leaves an entry half written.
        let mut shard = shard.map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner));
        let first = usize::from(low) % SETS * ENTRIES_PER_SET;
        let set = shard.as_mut().and_then(|shard| {
            if shard.is_empty() {
                shard.resize(SHARD_ENTRIES, [0, 0]);
            }
            shard.get_mut(first..first + ENTRIES_PER_SET)
        });
        let set = set.unwrap_or_default();
        let place = match set.iter().position(|[other, _]| *other == hash) {
            Some(at) => set.get_mut(at),
            None => set.iter_mut().min_by_key(|[_, used_until]| *used_until),
        };
        let used = match place {
            Some(&mut [known, used_until]) if known == hash => used_until.saturating_sub(now),
            _ => 0,
        };
        let (after, result) = change(used);
        if let (Some(place), Some(after)) = (place, after) {
            *place = [hash, now.saturating_add(after)];
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::thread;

    use super::*;
    use crate::limit::tests::quota;

    fn bucket(rate: &str, burst: u32) -> Bucket {
        Bucket::new(&quota(rate, burst))
    }

    fn host(number: u64) -> RateLimitKey<'static> {
        RateLimitKey::address(IpAddr::from((u128::from(number) << 64).to_be_bytes()))
    }

    impl Table {
        fn entries(&self) -> usize {
            let shards = self.shards.iter();
            shards.map(|shard| shard.lock().unwrap().len()).sum()
        }
    }

    #[test]
    fn each_caller_has_a_bucket_that_time_refills() {
        let (table, bucket) = (Table::new(), bucket("2/s", 3));
        for _ in 0..3 {
            assert!(table.take(&bucket, host(1), 7).is_ok());
        }
        assert_eq!(table.take(&bucket, host(1), 7), Err(1_500_000));
        assert!(table.take(&bucket, host(2), 7).is_ok());
        assert!(table.take(&bucket, host(1), 500_006).is_err());
        assert!(table.take(&bucket, host(1), 500_007).is_ok());
    }

    #[test]
    fn threads_at_once_get_the_burst_and_no_more() {
        let table = Arc::new(Table::new());
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let table = Arc::clone(&table);
                let bucket = bucket("1/h", 1000);
                thread::spawn(move || {
                    let take = |_: &u32| table.take(&bucket, host(1), 0).is_ok();
                    (0..1000).filter(take).count()
                })
            })
            .collect();
        let let_through: usize = threads.into_iter().map(|run| run.join().unwrap()).sum();
        assert_eq!(let_through, 1000);
    }

    #[test]
    fn a_flood_of_addresses_needs_no_memory_and_frees_no_limited_caller() {
        let (table, bucket) = (Table::new(), bucket("1/h", 2));
        for caller in 0..100 {
            for _ in 0..2 {
                assert!(table.take(&bucket, host(caller), 0).is_ok());
            }
        }
        for address in 1000..500_000 {
            assert!(table.take(&bucket, host(address), 0).is_ok());
        }
        assert_eq!(table.entries(), SHARDS * SHARD_ENTRIES);
        for caller in 0..100 {
            assert!(table.take(&bucket, host(caller), 0).is_err(), "{caller}");
        }
    }

    #[test]
    fn thirty_thousand_callers_are_all_remembered() {
        let (table, bucket) = (Table::new(), bucket("1/h", 1));
        for caller in 0..30_000 {
            assert!(table.take(&bucket, host(caller), 0).is_ok());
        }
        let forgotten = |caller: &u64| table.take(&bucket, host(*caller), 0).is_ok();
        let forgotten = (0..30_000).filter(forgotten).count();
        assert!(forgotten < 300, "{forgotten}");
    }

    #[test]
    fn a_count_from_redis_is_taken_only_when_it_is_higher() {
        let (table, bucket) = (Table::new(), bucket("1/s", 3));
        table.raise(host(1), 0, 3_000_000);
        table.raise(host(1), 500_000, 1_000_000);
        assert_eq!(table.used(&bucket, host(1), 500_000), 2_500_000);
        assert!(table.take(&bucket, host(1), 500_000).is_err());
        assert_eq!(table.used(&bucket, host(2), 500_000), 0);
    }

    #[test]
    fn an_unused_table_has_no_entries() {
        assert_eq!(Table::new().entries(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_is_monotonic() {
        let (table, bucket) = (Table::new(), bucket("1/s", 1));
        let take = || table.take(&bucket, host(1), table.now());
        assert!(take().is_ok());
        tokio::time::advance(std::time::Duration::from_millis(999)).await;
        assert!(take().is_err());
        tokio::time::advance(std::time::Duration::from_millis(1)).await;
        assert!(take().is_ok());
    }
}
