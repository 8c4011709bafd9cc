//! Rate limits counted in Redis, for all replicas. The key, under `redis.key_prefix`:
//!
//! | key | value | lives |
//! |---|---|---|
//! | `r:<hash of the limit>:<address or user>` | time when full, by Redis' clock | until then |

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};

use super::{Limit, RateLimitExceeded, RateLimitKey, RateLimitStatus};
use crate::redis::{RedisLink, eval};

/// Counts one request. Returns whether it is allowed and `used` afterwards, in microseconds. After
/// a clock that was set back, as in a failover, or a reload with a smaller bucket, `used` is one
/// bucket, and stored as that. The script is sent whole with every call, since EVALSHA costs a
/// second round trip when the script cache is empty. Key: the caller. Arguments: the interval of
/// the rate and the size of the bucket, in microseconds.
const COUNT: &str = "
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local full = tonumber(ARGV[2])
local stored = (tonumber(redis.call('GET', KEYS[1]) or 0) or 0) - now
local used = math.max(0, math.min(full, stored))
local allowed = used + ARGV[1] <= full
if allowed then used = used + ARGV[1] end
if allowed or stored > full then
  redis.call('SET', KEYS[1], string.format('%.0f', now + used), 'PX', math.ceil(used / 1000))
end
return {allowed and 1 or 0, used}";

pub(super) struct SharedCounter {
    link: RedisLink,
    prefix: String,
}

impl SharedCounter {
    pub(super) fn new(link: RedisLink, key_prefix: &str) -> Self {
        let prefix = [key_prefix, "r:"].concat();
        Self { link, prefix }
    }

    /// Counts one request with one round trip, or with none while the last answer of Redis already
    /// refuses the caller, so that retries cost Redis nothing. While Redis does not answer, this
    /// replica counts alone, from the last answer of Redis.
    pub(super) async fn count(
        &self,
        limit: &Limit,
        caller: RateLimitKey<'_>,
    ) -> Result<RateLimitStatus, RateLimitExceeded> {
        // Read before Redis reads its clock, so that a caller never waits longer than Redis
        // requires.
        let now = limit.callers.now();
        let known = limit
            .bucket
            .take(limit.callers.used(&limit.bucket, caller, now));
        if known.is_err() {
            return limit.outcome(known);
        }
        let key = [&self.prefix, &limit.scope, ":", &caller.key()].concat();
        let mut command = eval(COUNT, &key);
        command.arg(limit.bucket.interval).arg(limit.bucket.full);
        // After a broken connection the request may be counted twice, which is better than not at
        // all.
        match self.link.read::<(bool, u64)>(&command).await {
            Ok((let_through, used)) => {
                limit.callers.raise(caller, now, used);
                limit.outcome(if let_through { Ok(used) } else { Err(used) })
            }
            Err(error) => {
                tracing::debug!(%error, "a limit is counted by this replica alone");
                limit.count(caller)
            }
        }
    }
}

/// The name of a limit, the same in every replica with the same configuration.
pub(super) fn scope(place: &str) -> String {
    let hash = digest(&SHA256, place.as_bytes());
    let start = hash.as_ref().get(..9).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(start)
}
