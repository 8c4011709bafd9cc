//! Counting in Redis, for all replicas together. The only place that knows this key's name; under `redis.key_prefix`:
//!
//! | key | value | lives |
//! |---|---|---|
//! | `r:<hash of the limit>:<address or user>` | the moment from which on the caller owes nothing, by Redis's clock | until then |

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};

use super::{Limit, RateLimitExceeded, RateLimitKey, RateLimitStatus};
use crate::redis::{RedisLink, eval};

/// One request: whether it is let through, and what the caller owes then, in microseconds. A clock that was set back, as after a
/// failover, costs a caller at most one bucket's worth. Sent whole every time: a script cache that forgot would cost a second
/// round trip.
/// Key: the caller. Arguments: microseconds in which one request is given back, and the most that can be owed.
const COUNT: &str = "
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local full = tonumber(ARGV[2])
local used = math.max(0, math.min(full, (tonumber(redis.call('GET', KEYS[1]) or 0) or 0) - now))
local after = used + ARGV[1]
if after > full then return {0, used} end
redis.call('SET', KEYS[1], string.format('%.0f', now + after), 'PX', math.ceil(after / 1000))
return {1, after}";

pub(super) struct Shared {
    link: RedisLink,
    prefix: String,
}

impl Shared {
    pub(super) fn new(link: RedisLink, key_prefix: &str) -> Self {
        let prefix = [key_prefix, "r:"].concat();
        Self { link, prefix }
    }

    /// One round trip, and none for a caller of whom Redis has said that his time has not come: he may come as often as he likes.
    /// While Redis does not answer, this replica counts for itself, from what Redis said last.
    pub(super) async fn count(
        &self,
        limit: &Limit,
        caller: RateLimitKey<'_>,
    ) -> Result<RateLimitStatus, RateLimitExceeded> {
        // Before Redis looks at its clock, so that nobody is held back for longer than it says.
        let now = limit.callers.now();
        let known = limit.bucket.take(limit.callers.used(caller, now));
        if known.is_err() {
            return limit.outcome(known);
        }
        let key = [&self.prefix, &limit.scope, ":", &caller.key()].concat();
        let mut command = eval(COUNT, &key);
        command.arg(limit.bucket.interval).arg(limit.bucket.full);
        // RateLimitKey twice, should the connection break under it: better than not at all.
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

/// A name for a limit that every replica with the same file gives it.
pub(super) fn scope(place: &str) -> String {
    let hash = digest(&SHA256, place.as_bytes());
    let start = hash.as_ref().get(..9).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(start)
}
