//! Bans in Redis: one key each, which expires with its ban.

use deadpool_redis::redis::{cmd, pipe};

use super::{eval, get};
use crate::identity::Holder;
use crate::redis::{RedisLink, key_part};
use crate::store_error::StoreError;
use crate::users::ban::Ban;

/// Sets a ban unless there is one that lasts at least as long. Arguments: ban, its milliseconds, -1
/// for a permanent one.
const BAN_LONGER: &str = "
local left = redis.call('PTTL', KEYS[1])
local lasts = tonumber(ARGV[2])
if left == -1 or (lasts ~= -1 and left >= lasts) then return 0 end
if lasts == -1 then redis.call('SET', KEYS[1], ARGV[1])
else redis.call('SET', KEYS[1], ARGV[1], 'PX', lasts) end
return 1";

/// Lifts a ban if it is unchanged since it was read. Argument: ban read.
const LIFT_READ: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])";

/// Redis's TTL of a key that does not expire.
const NO_EXPIRY: i64 = -1;

/// Attempts to move a ban that is replaced meanwhile.
const MAX_ATTEMPTS: usize = 8;

/// Bans shared by all replicas.
#[derive(Clone)]
pub struct RedisBans {
    link: RedisLink,
    prefix: String,
}

impl RedisBans {
    pub(in crate::users) fn new(link: RedisLink, key_prefix: &str) -> Self {
        Self {
            link,
            prefix: key_prefix.to_owned(),
        }
    }

    pub(in crate::users) async fn find(&self, holder: &Holder) -> Result<Option<Ban>, StoreError> {
        let found: Option<Vec<u8>> = self.link.read(&get(&self.name(holder))).await?;
        Ok(found.map(|value| read(&value)))
    }

    pub(in crate::users) async fn set(&self, holder: &Holder, ban: &Ban) -> Result<(), StoreError> {
        let mut set = cmd("SET").arg(self.name(holder)).arg(write(ban)).to_owned();
        if let Some(until) = ban.until {
            // A duration, not a time: Redis's clock may differ.
            set.arg("EX").arg(until.saturating_sub(ban.since).max(1));
        }
        self.link.query(&set).await
    }

    pub(in crate::users) async fn lift(&self, holder: &Holder) -> Result<Option<Ban>, StoreError> {
        let name = self.name(holder);
        let mut commands = pipe();
        commands
            .atomic()
            .cmd("GET")
            .arg(&name)
            .cmd("DEL")
            .arg(&name);
        let (found, _): (Option<Vec<u8>>, i64) = self.link.pipeline(&commands).await?;
        Ok(found.map(|value| read(&value)))
    }

    /// Copies the ban of a user id to the one that it was merged into, which keeps the longer of
    /// two.
    pub(in crate::users) async fn carry_over(
        &self,
        from: &str,
        to: &str,
    ) -> Result<(), StoreError> {
        self.carry(from, to).await.map(|_| ())
    }

    /// As `carry_over`, and removes the first ban; a ban that is set meanwhile is moved, too.
    pub(in crate::users) async fn move_over(&self, from: &str, to: &str) -> Result<(), StoreError> {
        for _ in 0..MAX_ATTEMPTS {
            let Some(carried) = self.carry(from, to).await? else {
                return Ok(());
            };
            if self.lift_read(from, &carried).await? {
                return Ok(());
            }
        }
        Err(StoreError::Unavailable {
            cause: format!("a user's ban changed {MAX_ATTEMPTS} times while it was moved"),
        })
    }

    /// Lifts the ban that was read. Returns whether it was unchanged.
    pub(super) async fn lift_read(&self, user_id: &str, ban: &[u8]) -> Result<bool, StoreError> {
        let name = self.name(&Holder::User(user_id.to_owned()));
        let lift = eval(LIFT_READ, &name).arg(ban).to_owned();
        self.link.query(&lift).await
    }

    /// Carries a ban over; returns it as it was read.
    pub(super) async fn carry(&self, from: &str, to: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (from, to) = (Holder::User(from.to_owned()), Holder::User(to.to_owned()));
        let name = self.name(&from);
        let mut commands = pipe();
        commands
            .atomic()
            .cmd("GET")
            .arg(&name)
            .cmd("PTTL")
            .arg(&name);
        let (ban, lasts): (Option<Vec<u8>>, i64) = self.link.pipeline(&commands).await?;
        let Some(ban) = ban else { return Ok(None) };
        // Redis refuses an expiry of 0, which a ban has in its last millisecond.
        let lasts = if lasts == NO_EXPIRY {
            lasts
        } else {
            lasts.max(1)
        };
        let set = eval(BAN_LONGER, &self.name(&to))
            .arg(&ban)
            .arg(lasts)
            .to_owned();
        self.link.query::<()>(&set).await?;
        Ok(Some(ban))
    }

    fn name(&self, holder: &Holder) -> String {
        let prefix = &self.prefix;
        match holder {
            Holder::User(user_id) => format!("{prefix}b:{}", key_part(user_id)),
            Holder::Openid { appid, openid } => {
                format!("{prefix}b:{}:{}", key_part(appid), key_part(openid))
            }
        }
    }
}

fn write(ban: &Ban) -> Vec<u8> {
    // Strings and numbers always serialize.
    serde_json::to_vec(ban).unwrap_or_default()
}

/// An unreadable value counts as a ban, since it was set on purpose.
fn read(value: &[u8]) -> Ban {
    serde_json::from_slice(value).unwrap_or_else(|_| Ban {
        reason: String::new(),
        since: 0,
        until: None,
    })
}
