//! What the callers of one limit owe, in a table of fixed size, as a processor's cache is built: a caller's hash names a set of 16
//! places. A caller who owes nothing needs no place, so nothing has to be swept.
//!
//! When a set is full, the caller in it who owes least is forgotten, which gives him his burst once more. A flood of addresses
//! thus pushes out its own, which have sent one request each; who is over his limit owes most and stays. Up to some 30,000
//! callers who owe something at once hardly a set is ever full. The hash has a random key: nobody can choose his set.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::bucket::Bucket;
use super::caller::Counted;

const SHARDS: usize = 64;
const SETS: usize = 64;
const PLACES: usize = 16;
const SHARD_PLACES: usize = SETS * PLACES;

/// A caller's hash, and the moment from which on he owes nothing: microseconds after the table was made.
type Place = [u64; 2];

pub(super) struct Table {
    start: Instant,
    hasher: RandomState,
    /// Each behind a lock of its own; 16 KiB once it is used, 1 MiB in all.
    shards: Vec<Mutex<Vec<Place>>>,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// The moment, for the others: microseconds after the table was made, by the clock that does not jump.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Counts a request of a caller; see `Bucket::take`.
    pub(super) fn take(&self, bucket: &Bucket, caller: Counted<'_>, now: u64) -> Result<u64, u64> {
        self.change(caller, now, |debt| match bucket.take(debt) {
            Ok(after) => (Some(after), Ok(after)),
            Err(debt) => (None, Err(debt)),
        })
    }

    /// What a caller owes.
    pub(super) fn debt(&self, caller: Counted<'_>, now: u64) -> u64 {
        self.change(caller, now, |debt| (None, debt))
    }

    /// Notes that a caller owes at least so much.
    pub(super) fn raise(&self, caller: Counted<'_>, now: u64, to: u64) {
        self.change(caller, now, |debt| ((to > debt).then_some(to), ()));
    }

    /// `change` gets what the caller owes and may say what he owes from then on.
    fn change<T>(
        &self,
        caller: Counted<'_>,
        now: u64,
        change: impl FnOnce(u64) -> (Option<u64>, T),
    ) -> T {
        let hash = self.hasher.hash_one(caller);
        let [high, low, ..] = hash.to_be_bytes();
        let shard = self.shards.get(usize::from(high) % SHARDS);
        // Nothing is half done where anything could panic.
        let mut shard = shard.map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner));
        let first = usize::from(low) % SETS * PLACES;
        let set = shard.as_mut().and_then(|shard| {
            if shard.is_empty() {
                shard.resize(SHARD_PLACES, [0, 0]);
            }
            shard.get_mut(first..first + PLACES)
        });
        let set = set.unwrap_or_default();
        let place = match set.iter().position(|[other, _]| *other == hash) {
            Some(at) => set.get_mut(at),
            None => set.iter_mut().min_by_key(|[_, owes_until]| *owes_until),
        };
        let debt = match place {
            Some(&mut [known, owes_until]) if known == hash => owes_until.saturating_sub(now),
            _ => 0,
        };
        let (after, result) = change(debt);
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

    fn host(number: u64) -> Counted<'static> {
        Counted::address(IpAddr::from((u128::from(number) << 64).to_be_bytes()))
    }

    impl Table {
        fn places(&self) -> usize {
            let shards = self.shards.iter();
            shards.map(|shard| shard.lock().unwrap().len()).sum()
        }
    }

    #[test]
    fn each_caller_has_a_separate_bucket_that_refills_over_time() {
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
    fn a_flood_of_addresses_takes_no_memory_and_exempts_no_caller() {
        let (table, bucket) = (Table::new(), bucket("1/h", 2));
        for caller in 0..100 {
            for _ in 0..2 {
                assert!(table.take(&bucket, host(caller), 0).is_ok());
            }
        }
        for address in 1000..500_000 {
            assert!(table.take(&bucket, host(address), 0).is_ok());
        }
        assert_eq!(table.places(), SHARDS * SHARD_PLACES);
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
    fn a_reported_debt_counts_only_if_it_is_greater() {
        let (table, bucket) = (Table::new(), bucket("1/s", 3));
        table.raise(host(1), 0, 3_000_000);
        table.raise(host(1), 500_000, 1_000_000);
        assert_eq!(table.debt(host(1), 500_000), 2_500_000);
        assert!(table.take(&bucket, host(1), 500_000).is_err());
        assert_eq!(table.debt(host(2), 500_000), 0);
    }

    #[test]
    fn an_unused_table_is_empty() {
        assert_eq!(Table::new().places(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_is_the_one_that_does_not_jump() {
        let (table, bucket) = (Table::new(), bucket("1/s", 1));
        let take = || table.take(&bucket, host(1), table.now());
        assert!(take().is_ok());
        tokio::time::advance(std::time::Duration::from_millis(999)).await;
        assert!(take().is_err());
        tokio::time::advance(std::time::Duration::from_millis(1)).await;
        assert!(take().is_ok());
    }
}
