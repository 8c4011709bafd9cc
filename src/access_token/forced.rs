//! Limits on forced renewals, which make WeChat invalidate a valid token; the same in Redis and in
//! memory.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::key;
use crate::redis::{RedisLink, eval_over, millis};
use crate::store_error::StoreError;
use crate::ttl_map::TtlMap;

/// WeChat's minimum time between forced renewals of an app.
const MIN_FORCE_INTERVAL: Duration = Duration::from_secs(30);
/// WeChat allows 20 a day. Its days may begin at any time, so two of these days may overlap one.
const MAX_FORCED: u32 = 10;
const DAY: Duration = Duration::from_secs(86_400);

/// Counts a forced renewal if it is allowed now.
/// Keys: pause, forced. Arguments: milliseconds of the pause, maximum per day, milliseconds of a
/// day.
const FORCE: &str = "
if (tonumber(redis.call('GET', KEYS[2]) or 0) or 0) >= tonumber(ARGV[2]) then return 0 end
if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return 0 end
if redis.call('INCR', KEYS[2]) == 1 then redis.call('PEXPIRE', KEYS[2], ARGV[3]) end
return 1";

/// Recent forced renewals per app.
pub(super) enum ForcedRenewals {
    Redis { link: RedisLink, prefix: String },
    Memory(Mutex<Counts>),
}

pub(super) struct Counts {
    paused: TtlMap<()>,
    forced: TtlMap<u32>,
}

impl ForcedRenewals {
    /// In Redis if there is a link, else in memory.
    pub(super) fn new(link: Option<RedisLink>, key_prefix: &str) -> Self {
        match link {
            Some(link) => Self::Redis {
                link,
                prefix: key_prefix.to_owned(),
            },
            None => Self::Memory(Mutex::new(Counts {
                paused: TtlMap::new(),
                forced: TtlMap::new(),
            })),
        }
    }

    /// Whether a forced renewal is allowed now; if so, counts it.
    pub(super) async fn may_force(&self, appid: &str) -> Result<bool, StoreError> {
        match self {
            Self::Redis { link, prefix } => {
                let name = |what| [prefix.as_str(), &key(appid, what)].concat();
                let force = eval_over(FORCE, &[name(":pause"), name(":forced")])
                    .arg(millis(MIN_FORCE_INTERVAL))
                    .arg(MAX_FORCED)
                    .arg(millis(DAY))
                    .to_owned();
                link.query(&force).await
            }
            Self::Memory(counts) => {
                let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(counts.may_force(appid, Instant::now()))
            }
        }
    }
}

impl Counts {
    fn may_force(&mut self, appid: &str, now: Instant) -> bool {
        let forced = self.forced.find(appid, now);
        let (times, ends) = forced.map_or((0, now + DAY), |(times, ends)| (*times, ends));
        if self.paused.find(appid, now).is_some() || times >= MAX_FORCED {
            return false;
        }
        self.paused.insert(appid, (), now + MIN_FORCE_INTERVAL);
        self.forced.insert(appid, times + 1, ends);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_forced_every_thirty_seconds_and_ten_times_a_day() {
        let ForcedRenewals::Memory(counts) = ForcedRenewals::new(None, "") else {
            panic!("in memory")
        };
        let mut counts = counts.into_inner().unwrap();
        let start = Instant::now();
        assert!(counts.may_force("wx1", start));
        assert!(!counts.may_force("wx1", start + MIN_FORCE_INTERVAL / 2));
        assert!(counts.may_force("wx2", start));
        for number in 1..MAX_FORCED {
            assert!(counts.may_force("wx1", start + MIN_FORCE_INTERVAL * number));
        }
        assert!(!counts.may_force("wx1", start + DAY / 2));
        assert!(counts.may_force("wx1", start + DAY));
    }
}
