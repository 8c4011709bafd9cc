//! Tokens in Redis, where all replicas find them. The only place that knows these key names; under `redis.key_prefix`:
//!
//! | key | value | lives |
//! |---|---|---|
//! | `t:{<appid>}` | the sealed access_token | until it ends |
//! | `t:{<appid>}:turn` | the mark of who renews it, or `F` after a failure | 8 s, then 1 s or 10 s |
//! | `t:{<appid>}:pause` | that WeChat was made to end a good one | 30 s |
//! | `t:{<appid>}:forced` | how often it was | 1 d |
//!
//! One app's keys are in one slot of a cluster. Redis alone counts the time: no replica's clock matters.

use std::time::Duration;

use super::store::{Due, Lease, Look, Turn};
use super::{DAY, FORCE_PAUSE, MOST_FORCED, PAUSE, PAUSE_AFTER_FAILURE, RENEW_BEFORE, TURN};
use crate::config::{Config, Secret};
use crate::redis::{RedisLink, StoreError, eval_over, key_part, millis};
use crate::seal::Sealer;

/// The token, and whose turn it is: 0 nobody's, 1 ours from now on, 2 another's, 3 nobody's since it failed.
/// Asked once more with the same mark, it says the same: a connection that broke under it is not felt.
/// Keys: token, turn. Arguments: milliseconds before its end from which it is due, our mark, milliseconds of a turn.
const LOOK: &str = "
local v = redis.call('GET', KEYS[1])
if v and redis.call('PTTL', KEYS[1]) > tonumber(ARGV[1]) then return {v, 0} end
if redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then return {v, 1} end
local turn = redis.call('GET', KEYS[2])
if turn == ARGV[2] then return {v, 1} end
if turn == 'F' then return {v, 3} end
return {v, 2}";

/// Stores a token and ends the turn, if that is still ours.
/// Keys: token, turn. Arguments: our mark, token, its milliseconds, milliseconds for which the turn is kept.
const KEEP: &str = "
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if ARGV[4] == '0' then redis.call('DEL', KEYS[2]) else redis.call('PEXPIRE', KEYS[2], ARGV[4]) end
return 1";

/// Marks our turn as failed.
/// Key: turn. Arguments: our mark, milliseconds.
const FAIL: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], 'F', 'PX', ARGV[2])
return 1";

/// Ends our turn.
/// Key: turn. Argument: our mark.
const RELEASE: &str = "
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// Whether one may be forced now.
/// Keys: pause, forced. Arguments: milliseconds of the pause, the most in a day, milliseconds of a day.
const FORCE: &str = "
if (tonumber(redis.call('GET', KEYS[2]) or 0) or 0) >= tonumber(ARGV[2]) then return 0 end
if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return 0 end
if redis.call('INCR', KEYS[2]) == 1 then redis.call('PEXPIRE', KEYS[2], ARGV[3]) end
return 1";

pub(super) struct RedisTokens {
    link: RedisLink,
    prefix: String,
    sealer: Sealer,
}

impl RedisTokens {
    pub(super) fn new(link: RedisLink, config: &Config) -> Self {
        Self {
            link,
            prefix: config.redis.key_prefix.clone(),
            sealer: Sealer::new(&config.session.seal_keys, &config.apps),
        }
    }

    pub(super) async fn look(&self, appid: &str, due: Due) -> Result<Look, StoreError> {
        let look = self.look_once(appid, due).await?;
        if look.token.is_none() && matches!(look.turn, Turn::Nobodys) {
            // There is one, sealed under a key that we do not have.
            return self.look_once(appid, Due::Now).await;
        }
        Ok(look)
    }

    async fn look_once(&self, appid: &str, due: Due) -> Result<Look, StoreError> {
        let lease = Lease::new(appid)?;
        let due_from = match due {
            Due::Soon => millis(RENEW_BEFORE),
            Due::Now => u64::from(u32::MAX),
        };
        let name = self.name(appid, "");
        let look = eval_over(LOOK, &[&name, &self.name(appid, ":turn")])
            .arg(due_from)
            .arg(&lease.mark)
            .arg(millis(TURN))
            .to_owned();
        let (found, turn): (Option<Vec<u8>>, u8) = self.link.read(&look).await?;
        let token = found.and_then(|mut value| {
            let text = self.sealer.open(&name, &mut value).ok()?;
            std::str::from_utf8(text).ok().map(Secret::new)
        });
        let turn = match turn {
            0 => Turn::Nobodys,
            1 => Turn::Ours(lease),
            3 => Turn::Failed,
            _ => Turn::Others,
        };
        Ok(Look { token, turn })
    }

    pub(super) async fn keep(
        &self,
        lease: &Lease,
        token: &Secret,
        lasts: Duration,
    ) -> Result<(), StoreError> {
        let name = self.name(&lease.appid, "");
        let text = token.expose().as_bytes();
        let sealed = self.sealer.seal(&lease.appid, &name, &[], text)?;
        let pause = if lasts > RENEW_BEFORE {
            0
        } else {
            millis(PAUSE)
        };
        let keep = eval_over(KEEP, &[&name, &self.name(&lease.appid, ":turn")])
            .arg(&lease.mark)
            .arg(sealed)
            .arg(millis(lasts).max(1))
            .arg(pause)
            .to_owned();
        self.link.read(&keep).await
    }

    pub(super) async fn fail(&self, lease: &Lease) -> Result<(), StoreError> {
        let fail = eval_over(FAIL, &[&self.name(&lease.appid, ":turn")])
            .arg(&lease.mark)
            .arg(millis(PAUSE_AFTER_FAILURE))
            .to_owned();
        self.link.read(&fail).await
    }

    pub(super) async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let release = eval_over(RELEASE, &[&self.name(&lease.appid, ":turn")])
            .arg(&lease.mark)
            .to_owned();
        self.link.read(&release).await
    }

    pub(super) async fn may_force(&self, appid: &str) -> Result<bool, StoreError> {
        let names = [self.name(appid, ":pause"), self.name(appid, ":forced")];
        let force = eval_over(FORCE, &[&names[0], &names[1]])
            .arg(millis(FORCE_PAUSE))
            .arg(MOST_FORCED)
            .arg(millis(DAY))
            .to_owned();
        self.link.query(&force).await
    }

    fn name(&self, appid: &str, what: &str) -> String {
        format!("{}t:{{{}}}{what}", self.prefix, key_part(appid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::RedisServer;

    /// The answer to a look may be lost with its connection, and the look be repeated.
    #[tokio::test]
    async fn whose_turn_it_is_may_be_asked_twice() {
        let redis = RedisServer::start().await;
        let link = redis.link();
        let look = async |mark: &str| {
            let look = eval_over(LOOK, &["t:{a}", "t:{a}:turn"])
                .arg(millis(RENEW_BEFORE))
                .arg(mark)
                .arg(millis(TURN))
                .to_owned();
            link.read::<(Option<String>, u8)>(&look).await.unwrap()
        };
        assert_eq!(look("mine").await, (None, 1));
        assert_eq!(look("mine").await, (None, 1));
        assert_eq!(look("another's").await, (None, 2));
    }
}
