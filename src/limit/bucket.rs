//! The arithmetic of one token bucket, without clock or callers. `used` is the part of a bucket
//! that a caller has used, in microseconds until it is refilled: each request adds the interval of
//! the rate, time takes it away, and it never exceeds the whole bucket.

use crate::config::Quota;

/// One limit's size and speed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    /// Microseconds in which one request is given back.
    pub(super) interval: u64,
    /// `used` of an empty bucket, in microseconds.
    pub(super) full: u64,
    burst: u32,
}

/// The state of one caller's bucket, as the `RateLimit-*` headers show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitStatus {
    /// Burst: the requests that a full bucket allows at once.
    pub limit: u32,
    /// Requests left in the bucket.
    pub remaining: u32,
    /// Whole seconds until the bucket is full again.
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

    /// `used` after one more request.
    ///
    /// # Errors
    /// The bucket has no room for one more request; `used` as it was.
    pub(super) fn take(&self, used: u64) -> Result<u64, u64> {
        let used = self.clamped(used);
        let after = used.saturating_add(self.interval);
        if after > self.full {
            return Err(used);
        }
        Ok(after)
    }

    /// Counts outlive a reload: those of a larger bucket fill this one, and no more.
    pub(super) fn clamped(&self, used: u64) -> u64 {
        used.min(self.full)
    }

    pub(super) fn status(&self, used: u64) -> RateLimitStatus {
        let used = self.clamped(used);
        let left = self.full.saturating_sub(used) / self.interval;
        RateLimitStatus {
            limit: self.burst,
            remaining: u32::try_from(left).unwrap_or(u32::MAX),
            reset: seconds(used),
        }
    }

    /// Whole seconds until the next request is allowed; at least 1.
    pub(super) fn wait(&self, used: u64) -> u32 {
        let over = self.clamped(used).saturating_add(self.interval);
        seconds(over.saturating_sub(self.full)).max(1)
    }
}

impl RateLimitStatus {
    /// The status with fewer requests left, which limits the caller first.
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

    /// Sends one request after each pause. Returns the times of the allowed ones and the final
    /// `used`.
    fn run(bucket: &Bucket, pauses: &[u64]) -> (Vec<u64>, u64) {
        let (mut now, mut used) = (0, 0_u64);
        let mut let_through = Vec::new();
        for pause in pauses {
            now += pause;
            used = used.saturating_sub(*pause);
            if let Ok(after) = bucket.take(used) {
                used = after;
                let_through.push(now);
            }
        }
        (let_through, used)
    }

    proptest! {
        #[test]
        fn no_window_allows_more_than_burst_and_rate(
            bucket in bucket(),
            pauses in prop::collection::vec(0..3_000_000_u64, 1..200),
        ) {
            let (times, _) = run(&bucket, &pauses);
            for (index, start) in times.iter().enumerate() {
                for (count, end) in (1..).zip(&times[index..]) {
                    let allowed = u64::from(bucket.burst) + (end - start) / bucket.interval;
                    prop_assert!(count <= allowed, "{count} in {} us", end - start);
                }
            }
        }

        #[test]
        fn a_caller_at_the_rate_is_never_refused(bucket in bucket(), more in 0..1000_u64) {
            let pauses = vec![bucket.interval + more; 200];
            prop_assert_eq!(run(&bucket, &pauses).0.len(), 200);
        }

        #[test]
        fn the_reported_status_is_what_happens(
            bucket in bucket(),
            pauses in prop::collection::vec(0..3_000_000_u64, 1..100),
        ) {
            let (_, used) = run(&bucket, &pauses);
            let status = bucket.status(used);
            let at_once = vec![0; 100];
            let mut left = used;
            let more = at_once.iter().filter(|_| match bucket.take(left) {
                Ok(after) => { left = after; true }
                Err(_) => false,
            }).count();
            prop_assert_eq!(u32::try_from(more).unwrap(), status.remaining);
            // After `wait` one request is allowed, after `reset` the whole burst.
            let after = left.saturating_sub(u64::from(bucket.wait(left)) * MICROS);
            prop_assert!(bucket.take(after).is_ok());
            let reset = used.saturating_sub(u64::from(status.reset) * MICROS);
            prop_assert_eq!(bucket.status(reset).remaining, bucket.burst);
        }

        #[test]
        fn no_value_of_used_overflows(bucket in bucket(), used in any::<u64>()) {
            let _ = bucket.take(used);
            prop_assert!(bucket.status(used).remaining <= bucket.burst);
            prop_assert!(bucket.wait(used) >= 1);
        }
    }
}
