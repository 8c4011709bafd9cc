//! The queue in Redis, shared by all replicas. The only place that knows these key names; under `redis.key_prefix`:
//!
//! | key | value | lives |
//! |---|---|---|
//! | `q:{merged}` | sorted set of notices of merges by the time of the next try, by Redis's clock | until the service knows; 4 d after the last try |
//! | `q:{merged}:notices` | hash: each of them, sealed | as long |
//!
//! Both are in one slot of a cluster. Sealed, for the service believes what we tell it.

use std::time::Duration;

use deadpool_redis::redis::Cmd;

use super::{GIVE_UP_AFTER, LEASE, Leased, Notice};
use crate::config::Config;
use crate::log_throttle::LogThrottle;
use crate::redis::{RedisLink, eval_over, millis};
use crate::session::Sealer;
use crate::store_error::StoreError;

/// Adds a notice that is due now, unless it is there.
/// Keys: queue, notices. Arguments: id, notice, seconds for which the queue is kept.
const ADD: &str = "
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZADD', KEYS[1], 'NX', string.format('%.0f', now), ARGV[1])
redis.call('HSETNX', KEYS[2], ARGV[1], ARGV[2])
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[3]) end
return 1";

/// Takes out the one that has been due the longest, until it is put back or the time is over: id, notice, that time.
/// Keys: queue, notices. Argument: milliseconds.
const LEASE_ONE: &str = "
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, 1)
if not due[1] then return false end
local ends = string.format('%.0f', now + ARGV[1])
redis.call('ZADD', KEYS[1], ends, due[1])
return {due[1], redis.call('HGET', KEYS[2], due[1]) or '', ends}";

/// Puts one back that is still ours.
/// Keys: queue, notices. Arguments: id, when our time is over, notice, milliseconds until its next try, seconds as above.
const PUT_BACK: &str = "
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not ends or tonumber(ends) ~= tonumber(ARGV[2]) then return 0 end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[4]), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[5]) end
return 1";

/// Leaves one to others for a while.
/// Keys: queue, notices. Arguments: id, milliseconds.
const LEAVE: &str = "
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
return redis.call('ZADD', KEYS[1], 'XX', string.format('%.0f', now + ARGV[2]), ARGV[1])";

/// Removes one.
/// Keys: queue, notices. Argument: id.
const REMOVE: &str = "
redis.call('ZREM', KEYS[1], ARGV[1])
return redis.call('HDEL', KEYS[2], ARGV[1])";

/// The queue ends by itself so long after the last try: what nobody can open shall not stay for good.
const KEPT_FOR: Duration = GIVE_UP_AFTER.saturating_add(Duration::from_secs(86_400));

/// For so long a notice that does not open is left to others.
const LEFT_FOR: Duration = Duration::from_secs(300);

pub(super) struct RedisQueue {
    link: RedisLink,
    names: [String; 2],
    sealer: Sealer,
    /// Of one that does not open.
    warning: LogThrottle,
}

impl RedisQueue {
    pub(super) fn new(link: RedisLink, config: &Config) -> Self {
        let prefix = &config.redis.key_prefix;
        Self {
            link,
            names: ["", ":notices"].map(|what| format!("{prefix}q:{{merged}}{what}")),
            sealer: Sealer::new(&config.session.seal_keys, &config.apps),
            warning: LogThrottle::new(LogThrottle::MINUTE),
        }
    }

    pub(super) async fn add(&self, notice: &Notice) -> Result<(), StoreError> {
        let add = self
            .script(ADD)
            .arg(&notice.id)
            .arg(self.seal(notice)?)
            .arg(KEPT_FOR.as_secs())
            .to_owned();
        self.link.read(&add).await
    }

    /// The first that is due and opens.
    pub(super) async fn lease(&self) -> Result<Option<Leased>, StoreError> {
        loop {
            let lease = self.script(LEASE_ONE).arg(millis(LEASE)).to_owned();
            let found: Option<(String, Vec<u8>, u64)> = self.link.query(&lease).await?;
            let Some((id, sealed, mark)) = found else {
                return Ok(None);
            };
            if let Some(notice) = self.open(&id, sealed) {
                return Ok(Some(Leased { notice, mark }));
            }
            // Another replica may have the key that it was sealed under. The others shall not wait for that.
            let leave = self.script(LEAVE).arg(&id).arg(millis(LEFT_FOR)).to_owned();
            self.link.query::<()>(&leave).await?;
            self.warn(&id);
        }
    }

    /// Once a minute.
    fn warn(&self, id: &str) {
        if self.warning.is_due() {
            tracing::warn!(
                notice = id,
                "a notice of a merge does not open with session.seal_keys or the AppSecrets, and is left to other replicas"
            );
        }
    }

    pub(super) async fn put_back(
        &self,
        notice: &Notice,
        mark: u64,
        pause: Duration,
    ) -> Result<(), StoreError> {
        let put_back = self
            .script(PUT_BACK)
            .arg(&notice.id)
            .arg(mark)
            .arg(self.seal(notice)?)
            .arg(millis(pause))
            .arg(KEPT_FOR.as_secs())
            .to_owned();
        self.link.query(&put_back).await
    }

    pub(super) async fn remove(&self, id: &str) -> Result<(), StoreError> {
        self.link.read(self.script(REMOVE).arg(id)).await
    }

    fn script(&self, script: &str) -> Cmd {
        eval_over(script, &self.names)
    }

    fn seal(&self, notice: &Notice) -> Result<Vec<u8>, StoreError> {
        // Texts and numbers always serialize.
        let text = serde_json::to_vec(notice).unwrap_or_default();
        let name = self.sealed_name(&notice.id);
        Ok(self.sealer.seal("", &name, &[], &text)?)
    }

    fn open(&self, id: &str, mut sealed: Vec<u8>) -> Option<Notice> {
        let text = self.sealer.open(&self.sealed_name(id), &mut sealed).ok()?;
        serde_json::from_slice(text).ok()
    }

    fn sealed_name(&self, id: &str) -> String {
        format!("{}:{id}", self.names[1])
    }
}
