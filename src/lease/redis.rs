//! Leases in Redis. The only place that knows these key names; under `redis.key_prefix`, besides
//! the keys of work with a given name:
//!
//! | key | value | lives |
//! |---|---|---|
//! | `l:{<work>:<hash of its subject>}` | the sealed result of a login or settled merge | 10 s |
//! | `l:{<work>:<hash of its subject>}:turn` | the holder's mark, or `F` after a failure | 6 s |
//!
//! The keys of one piece of work are in one cluster slot. Only Redis counts time, so the replicas'
//! clocks do not matter.

use std::sync::Arc;
use std::time::Duration;

use super::{HeldLease, LeaseState, Look, Work};
use crate::redis::{RedisLink, eval_over, millis};
use crate::seal::Sealer;
use crate::store_error::StoreError;

/// Returns the result and the holder: 0 none, 1 the caller from now on, 2 another, 3 none after a
/// failure. A look repeated with the same mark returns the same, so it can be retried after a
/// broken connection.
/// Keys: result, turn. Arguments: milliseconds before expiry at which a result is due, mark,
/// milliseconds of the lease.
pub(super) const LOOK: &str = "
local v = redis.call('GET', KEYS[1])
if v and redis.call('PTTL', KEYS[1]) > tonumber(ARGV[1]) then return {v, 0} end
if redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then return {v, 1} end
local turn = redis.call('GET', KEYS[2])
if turn == ARGV[2] then return {v, 1} end
if turn == 'F' then return {v, 3} end
return {v, 2}";

/// Stores a result and ends the lease. If the lease has expired, stores it only when nothing has
/// replaced it.
/// Keys: result, turn. Arguments: mark, result, its milliseconds, milliseconds without a new lease.
const PUBLISH: &str = "
local turn = redis.call('GET', KEYS[2])
if turn ~= ARGV[1] and (turn or redis.call('EXISTS', KEYS[1]) == 1) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if ARGV[4] == '0' then redis.call('DEL', KEYS[2]) else redis.call('PEXPIRE', KEYS[2], ARGV[4]) end
return 1";

/// Marks a holder's own work as failed.
/// Key: turn. Arguments: mark, milliseconds.
const FAIL: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], 'F', 'PX', ARGV[2])
return 1";

/// Ends a holder's own lease.
/// Key: turn. Argument: mark.
const RELEASE: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// Longer than any result lasts, so that every result is due.
const ALWAYS_DUE: u64 = 1 << 52;

/// Leases shared by all replicas. Clones share them.
#[derive(Clone)]
pub struct RedisLeases {
    link: RedisLink,
    prefix: String,
    sealer: Arc<Sealer>,
}

impl RedisLeases {
    pub(super) fn new(link: RedisLink, key_prefix: &str, sealer: Sealer) -> Self {
        Self {
            link,
            prefix: key_prefix.to_owned(),
            sealer: Arc::new(sealer),
        }
    }

    pub(super) fn reconfigured(&self, sealer: Sealer) -> Self {
        Self::new(self.link.clone(), &self.prefix, sealer)
    }

    pub(super) async fn look(&self, work: &Work, ahead: Duration) -> Result<Look, StoreError> {
        let mut look = self.look_once(work, millis(ahead).min(ALWAYS_DUE)).await?;
        if look.result.is_none() && matches!(look.state, LeaseState::Fresh) {
            // It is sealed under a key that is not configured here.
            if work.is_repeatable {
                return self.look_once(work, ALWAYS_DUE).await;
            }
            look.state = LeaseState::Busy;
        }
        Ok(look)
    }

    async fn look_once(&self, work: &Work, ahead: u64) -> Result<Look, StoreError> {
        let lease = HeldLease::new(work)?;
        let [name, turn] = self.names(work);
        let look = eval_over(LOOK, &[&name, &turn])
            .arg(ahead)
            .arg(&lease.mark)
            .arg(millis(work.hold))
            .to_owned();
        let (found, turn): (Option<Vec<u8>>, u8) = self.link.read(&look).await?;
        let open =
            |mut value: Vec<u8>| self.sealer.open(&name, &mut value).ok().map(<[u8]>::to_vec);
        Ok(Look {
            result: found.and_then(open),
            state: match turn {
                0 => LeaseState::Fresh,
                1 => LeaseState::Granted(lease),
                3 => LeaseState::Failed,
                _ => LeaseState::Busy,
            },
        })
    }

    pub(super) async fn publish(
        &self,
        lease: &HeldLease,
        result: &[u8],
        lasts: Duration,
        hold: Duration,
    ) -> Result<(), StoreError> {
        let [name, turn] = self.names(&lease.work);
        let sealed = self.sealer.seal(&lease.work.appid, &name, &[], result)?;
        let publish = eval_over(PUBLISH, &[&name, &turn])
            .arg(&lease.mark)
            .arg(sealed)
            .arg(millis(lasts).max(1))
            .arg(millis(hold))
            .to_owned();
        self.link.read(&publish).await
    }

    pub(super) async fn fail(&self, lease: &HeldLease, lasts: Duration) -> Result<(), StoreError> {
        let [_, turn] = self.names(&lease.work);
        let fail = eval_over(FAIL, &[&turn])
            .arg(&lease.mark)
            .arg(millis(lasts).max(1))
            .to_owned();
        self.link.read(&fail).await
    }

    pub(super) async fn release(&self, lease: &HeldLease) -> Result<(), StoreError> {
        let [_, turn] = self.names(&lease.work);
        let release = eval_over(RELEASE, &[&turn]).arg(&lease.mark).to_owned();
        self.link.read(&release).await
    }

    /// The keys of the result and of the lease.
    fn names(&self, work: &Work) -> [String; 2] {
        let name = [self.prefix.as_str(), &work.name].concat();
        let turn = [name.as_str(), ":turn"].concat();
        [name, turn]
    }
}
