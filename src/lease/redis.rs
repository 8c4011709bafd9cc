//! Leases in Redis. The only place that knows these key names; under `redis.key_prefix`, beside
//! those of work that brings a name of its own:
//!
//! | key | value | lives |
//! |---|---|---|
//! | `l:{<work>:<hash of its subject>}` | the sealed result of a login or merge | 10 s |
//! | `l:{<work>:<hash of its subject>}:turn` | the mark of the holder, or `F` after a failure | 6 s |
//!
//! The keys of one piece of work are in one slot of a cluster. Redis alone counts the time: no
//! replica's clock matters.

use std::sync::Arc;
use std::time::Duration;

use super::{HeldLease, LeaseState, Look, Work};
use crate::redis::{RedisLink, eval_over, millis};
use crate::seal::Sealer;
use crate::store_error::StoreError;

/// The result, and whose turn it is: 0 no one's, 1 the asker's from now on, 2 another's, 3 no one's
/// since it failed. A look that is repeated with the same mark says the same: a connection that
/// broke under it is not felt.
/// Keys: result, turn. Arguments: milliseconds before its end from which a result is due, mark,
/// milliseconds of a turn.
pub(super) const LOOK: &str = "
local v = redis.call('GET', KEYS[1])
if v and redis.call('PTTL', KEYS[1]) > tonumber(ARGV[1]) then return {v, 0} end
if redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then return {v, 1} end
local turn = redis.call('GET', KEYS[2])
if turn == ARGV[2] then return {v, 1} end
if turn == 'F' then return {v, 3} end
return {v, 2}";

/// Stores a result and ends the turn. A holder whose turn has ended stores what nothing has
/// replaced.
/// Keys: result, turn. Arguments: mark, result, its milliseconds, milliseconds for which the turn
/// is kept.
const PUBLISH: &str = "
local turn = redis.call('GET', KEYS[2])
if turn ~= ARGV[1] and (turn or redis.call('EXISTS', KEYS[1]) == 1) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if ARGV[4] == '0' then redis.call('DEL', KEYS[2]) else redis.call('PEXPIRE', KEYS[2], ARGV[4]) end
return 1";

/// Marks a holder's own turn as failed.
/// Key: turn. Arguments: mark, milliseconds.
const FAIL: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], 'F', 'PX', ARGV[2])
return 1";

/// Ends a holder's own turn.
/// Key: turn. Argument: mark.
const RELEASE: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// Longer than any result lasts: each is due.
const ALWAYS_DUE: u64 = 1 << 52;

/// Leases shared by all replicas. A clone shares the same ones.
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
        let look = self.look_once(work, millis(ahead).min(ALWAYS_DUE)).await?;
        if look.result.is_none() && matches!(look.state, LeaseState::Fresh) {
            // It is sealed under a key that is not known here.
            return self.look_once(work, ALWAYS_DUE).await;
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

    /// Of the result and of the turn.
    fn names(&self, work: &Work) -> [String; 2] {
        let name = [self.prefix.as_str(), &work.name].concat();
        let turn = [name.as_str(), ":turn"].concat();
        [name, turn]
    }
}
