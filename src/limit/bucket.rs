//! The arithmetic of one limit: no clock, no callers. What a caller has used is a debt, in microseconds until his bucket is full
//! again; each request adds the interval of the rate to it, time takes it away, and it never exceeds a bucket's worth.

use crate::config::Quota;

/// One limit's size and speed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    /// Microseconds in which one request is given back.
    pub(super) interval: u64,
    /// The debt of a caller who has used up everything.
    pub(super) full: u64,
    burst: u32,
}

/// How it stands with a caller: what `RateLimit-*` tell him.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Requests that the limit lets through at once.
    pub limit: u32,
    /// How many of them are left.
    pub remaining: u32,
    /// Whole seconds until all of them are there again.
    pub reset: u32,
}

const MICROS: u64 = 1_000_000;

impl Bucket {
    pub(super) fn new(quota: &Quota) -> Self {
        let micros = quota.rate.interval().as_micros();
        let interval = u64::try_from(micros).unwrap_or(u64::MAX).max(1);
        Self {
            interval,
            full: interval.saturating_mul(u64::from(quota.burst)),
            burst: quota.burst,
        }
    }

    /// What a caller who owes `debt` owes after one more request.
    ///
    /// # Errors
    /// It would be more than the bucket holds; what he owes now.
    pub(super) fn take(&self, debt: u64) -> Result<u64, u64> {
        let after = debt.saturating_add(self.interval);
        if after > self.full {
            return Err(debt);
        }
        Ok(after)
    }

    pub(super) fn standing(&self, debt: u64) -> Standing {
        let left = self.full.saturating_sub(debt) / self.interval;
        Standing {
            limit: self.burst,
            remaining: u32::try_from(left).unwrap_or(u32::MAX),
            reset: seconds(debt),
        }
    }

    /// Whole seconds until a caller who owes `debt` may send again; at least 1.
    pub(super) fn wait(&self, debt: u64) -> u32 {
        let over = debt.saturating_add(self.interval);
        seconds(over.saturating_sub(self.full)).max(1)
    }
}

impl Standing {
    /// The one that will be in the caller's way first.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        if other.remaining < self.remaining {
            other
        } else {
            self
        }
    }
}

fn seconds(micros: u64) -> u32 {
    u32::try_from(micros.div_ceil(MICROS)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, proptest};
    use proptest::{prop_assert, prop_assert_eq};

    use super::*;

    fn bucket() -> impl Strategy<Value = Bucket> {
        (1..5_000_000_u64, 1..50_u32).prop_map(|(interval, burst)| Bucket {
            interval,
            full: interval * u64::from(burst),
            burst,
        })
    }

    /// Requests after these pauses; gives the times of those let through, and the debt at the end.
    fn run(bucket: &Bucket, pauses: &[u64]) -> (Vec<u64>, u64) {
        let (mut now, mut debt) = (0, 0_u64);
        let mut let_through = Vec::new();
        for pause in pauses {
            now += pause;
            debt = debt.saturating_sub(*pause);
            if let Ok(after) = bucket.take(debt) {
                debt = after;
                let_through.push(now);
            }
        }
        (let_through, debt)
    }

    proptest! {
        #[test]
        fn no_window_admits_more_than_the_burst_and_the_rate(
            bucket in bucket(),
            pauses in prop::collection::vec(0..3_000_000_u64, 1..200),
        ) {
            let (times, _) = run(&bucket, &pauses);
            for (index, start) in times.iter().enumerate() {
                for (count, end) in (1..).zip(&times[index..]) {
                    let most = u64::from(bucket.burst) + (end - start) / bucket.interval;
                    prop_assert!(count <= most, "{count} in {} us", end - start);
                }
            }
        }

        #[test]
        fn a_caller_at_the_rate_is_never_refused(bucket in bucket(), more in 0..1000_u64) {
            let pauses = vec![bucket.interval + more; 200];
            prop_assert_eq!(run(&bucket, &pauses).0.len(), 200);
        }

        #[test]
        fn the_reported_limit_status_is_exact(
            bucket in bucket(),
            pauses in prop::collection::vec(0..3_000_000_u64, 1..100),
        ) {
            let (_, debt) = run(&bucket, &pauses);
            let standing = bucket.standing(debt);
            let at_once = vec![0; 100];
            let mut left = debt;
            let more = at_once.iter().filter(|_| match bucket.take(left) {
                Ok(after) => { left = after; true }
                Err(_) => false,
            }).count();
            prop_assert_eq!(u32::try_from(more).unwrap(), standing.remaining);
            // Whoever waits as he is told gets through, and whoever waits for the reset has everything.
            let after = left.saturating_sub(u64::from(bucket.wait(left)) * MICROS);
            prop_assert!(bucket.take(after).is_ok());
            let reset = debt.saturating_sub(u64::from(standing.reset) * MICROS);
            prop_assert_eq!(bucket.standing(reset).remaining, bucket.burst);
        }

        #[test]
        fn no_debt_overflows(bucket in bucket(), debt in any::<u64>()) {
            let _ = bucket.take(debt);
            prop_assert!(bucket.standing(debt).remaining <= bucket.burst);
            prop_assert!(bucket.wait(debt) >= 1);
        }
    }
}
