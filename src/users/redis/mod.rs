//! The user directory in Redis. Its keys, under `redis.key_prefix`:
//!
//! | key | value | lives |
//! |---|---|---|
//! | `o:<appid>:<openid>` | user id | for good |
//! | `n:<unionid>` | user id | for good |
//! | `a:<user id>` | the older id that this one was merged into | for good |
//! | `i:<user id>` | claimed | 1 d |
//! | `p:<user id>` | hash: nickname, avatar and phone, as far as they are kept and set | for good |
//! | `b:<user>` | JSON: reason, start and end of the ban | until its end |
//!
//! Each step changes one key, by "set unless present" or "replace the value read". So concurrent
//! logins on several replicas agree, and a crash between two steps leaves an unused id or a join
//! that the next login completes.

mod bans;
mod entries;
mod profile;
#[cfg(test)]
mod tests;

use deadpool_redis::redis::{cmd, pipe};

pub use self::bans::RedisBans;

use super::id::UserId;
use super::{CreateUsers, UserLookup};
use crate::clock;
use crate::redis::{RedisLink, eval, get, key_part};
use crate::store_error::StoreError;

/// Sets a key unless it exists; returns its value. Arguments: value.
const CLAIM: &str = "
local v = redis.call('GET', KEYS[1])
if v then return v end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]";

/// Replaces a value if it is unchanged since it was read. Arguments: value read, new value.
const REPLACE: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1";

/// Lifetime of a claim in seconds: no other login gets the same id, should a clock be set back.
const CLAIM_LIFETIME_SECONDS: u64 = 86_400;
/// Maximum number of draws of an id: with 4096 ids per millisecond a second draw is rare.
const MAX_DRAWS: usize = 16;
/// Aliases followed before the directory counts as damaged: each join adds one, and a person has
/// few apps.
const MAX_ALIASES: usize = 64;

/// Users shared by all replicas.
#[derive(Clone)]
pub struct RedisUsers {
    link: RedisLink,
    prefix: String,
    bans: RedisBans,
}

impl RedisUsers {
    pub(super) fn new(link: RedisLink, key_prefix: &str) -> Self {
        Self {
            bans: RedisBans::new(link.clone(), key_prefix),
            link,
            prefix: key_prefix.to_owned(),
        }
    }

    pub(super) async fn find_or_create(
        &self,
        appid: &str,
        openid: &str,
        unionid: Option<&str>,
        create: CreateUsers,
    ) -> Result<UserLookup, StoreError> {
        let by_openid = self.openid_name(appid, openid);
        let by_unionid = unionid.map(|unionid| self.unionid_name(unionid));
        let (known, joined) = self.read(&by_openid, by_unionid.as_deref()).await?;
        let (mut id, is_new) = match (known.or(joined), create) {
            (Some(id), _) => (self.resolve(id).await?, false),
            (None, CreateUsers::No) => return Ok(UserLookup::Unknown),
            // The unionid first: concurrent logins of two apps then find the same id before either
            // openid has one.
            (None, CreateUsers::Yes) => {
                self.make(by_unionid.as_deref().unwrap_or(&by_openid))
                    .await?
            }
        };
        let made = is_new.then_some(id);
        if known.is_none() {
            id = self.point(&by_openid, id).await?;
        }
        if let Some(name) = &by_unionid
            && joined != Some(id)
        {
            id = self.point(name, id).await?;
        }
        Ok(UserLookup::User {
            user_id: id.to_string(),
            is_new: made == Some(id),
            merged: UserId::merged(id, self.passed([known, joined], id).await?),
        })
    }

    pub(super) async fn settle(&self, unionid: &str) -> Result<(), StoreError> {
        let name = self.unionid_name(unionid);
        let found: Option<String> = self.link.read(&get(&name)).await?;
        let Some(there) = self.parse(found)? else {
            return Ok(());
        };
        let stays = self.resolve(there).await?;
        if there != stays {
            // Another login replaced it first: both values lead to the same person.
            let replace = eval(REPLACE, &name)
                .arg(there.to_string())
                .arg(stays.to_string())
                .to_owned();
            self.link.query::<()>(&replace).await?;
        }
        Ok(())
    }

    /// Stores a new id under `name`, or returns the id that another login stored first; the drawn
    /// id then stays unused and is never an alias.
    async fn make(&self, name: &str) -> Result<(UserId, bool), StoreError> {
        let drawn = self.draw().await?;
        let there = self.claim(name, drawn).await?;
        Ok((self.resolve(there).await?, there == drawn))
    }

    /// Makes `name` lead to the same person as `id`, and joins the two ids if it leads elsewhere.
    /// Returns the id that stays.
    async fn point(&self, name: &str, id: UserId) -> Result<UserId, StoreError> {
        let there = self.claim(name, id).await?;
        if there == id {
            return Ok(id);
        }
        self.join(there, id).await
    }

    /// Joins two ids of one person: the newer becomes an alias of the older. Returns the older.
    async fn join(&self, one: UserId, other: UserId) -> Result<UserId, StoreError> {
        let (mut one, mut other) = (self.resolve(one).await?, self.resolve(other).await?);
        for _ in 0..MAX_ALIASES {
            if one == other {
                return Ok(one);
            }
            let (older, newer) = (one.min(other), one.max(other));
            // A ban of the newer id applies to both. It is carried over before the join, because a
            // crash in between must not lift it, and after it, for a ban that is set in between:
            // the ban operation looks for an alias afterwards.
            let ids = (newer.to_string(), older.to_string());
            self.bans.carry_over(&ids.0, &ids.1).await?;
            self.complete_profile(newer, older).await?;
            let alias_of = self.claim(&self.alias_name(newer), older).await?;
            self.bans.carry_over(&ids.0, &ids.1).await?;
            if alias_of == older {
                // Once more, for fields that were written in between; after this the newer id is
                // not read any more.
                self.complete_profile(newer, older).await?;
                self.forget_profile(newer).await?;
                super::log_merge(&older, &newer);
            }
            // Another login may have made it an alias of a third id.
            (one, other) = (self.resolve(alias_of).await?, self.resolve(older).await?);
        }
        Err(self.endless())
    }

    /// Follows aliases, which always lead to smaller ids.
    async fn resolve(&self, mut id: UserId) -> Result<UserId, StoreError> {
        for _ in 0..MAX_ALIASES {
            match self.older(id).await? {
                Some(older) => id = older,
                None => return Ok(id),
            }
        }
        Err(self.endless())
    }

    /// The ids passed on the way from openid and unionid; needs no call if they led to `stays`
    /// directly.
    async fn passed(
        &self,
        led_to: [Option<UserId>; 2],
        stays: UserId,
    ) -> Result<Vec<UserId>, StoreError> {
        let mut passed = Vec::new();
        for id in led_to.into_iter().flatten() {
            let mut next = Some(id);
            while let Some(id) = next.filter(|id| *id != stays && !passed.contains(id)) {
                passed.push(id);
                next = self.older(id).await?;
            }
        }
        Ok(passed)
    }

    /// The id that an id is an alias of.
    async fn older(&self, id: UserId) -> Result<Option<UserId>, StoreError> {
        let found: Option<String> = self.link.read(&get(&self.alias_name(id))).await?;
        match self.parse(found)? {
            Some(older) if older >= id => Err(self.endless()),
            found => Ok(found),
        }
    }

    /// An id that is issued to no other user.
    async fn draw(&self) -> Result<UserId, StoreError> {
        for _ in 0..MAX_DRAWS {
            let id = UserId::draw(clock::unix_millis())?;
            let claim = cmd("SET")
                .arg(format!("{}i:{id}", self.prefix))
                .arg(1)
                .arg("NX")
                .arg("EX")
                .arg(CLAIM_LIFETIME_SECONDS)
                .to_owned();
            let claimed: Option<String> = self.link.query(&claim).await?;
            if claimed.is_some() {
                return Ok(id);
            }
        }
        Err(StoreError::Unavailable {
            cause: format!("drawing a user id: {MAX_DRAWS} in a row were taken"),
        })
    }

    async fn read(
        &self,
        by_openid: &str,
        by_unionid: Option<&str>,
    ) -> Result<(Option<UserId>, Option<UserId>), StoreError> {
        let mut commands = pipe();
        commands.cmd("GET").arg(by_openid);
        if let Some(name) = by_unionid {
            commands.cmd("GET").arg(name);
        }
        let found: Vec<Option<String>> = self.link.pipeline(&commands).await?;
        let mut found = found.into_iter();
        let (known, joined) = (found.next().flatten(), found.next().flatten());
        Ok((self.parse(known)?, self.parse(joined)?))
    }

    async fn claim(&self, name: &str, id: UserId) -> Result<UserId, StoreError> {
        let claim = eval(CLAIM, name).arg(id.to_string()).to_owned();
        let there: String = self.link.query(&claim).await?;
        Ok(self.parse(Some(there))?.unwrap_or(id))
    }

    fn parse(&self, text: Option<String>) -> Result<Option<UserId>, StoreError> {
        let Some(text) = text else { return Ok(None) };
        match UserId::parse(&text) {
            Some(id) => Ok(Some(id)),
            None => Err(StoreError::Corrupt {
                what: format!("redis at {}: a user's key holds no id", self.link.address()),
            }),
        }
    }

    fn endless(&self) -> StoreError {
        StoreError::Corrupt {
            what: format!(
                "redis at {}: a user's aliases do not end",
                self.link.address()
            ),
        }
    }

    fn openid_name(&self, appid: &str, openid: &str) -> String {
        format!("{}o:{}:{}", self.prefix, key_part(appid), key_part(openid))
    }

    fn unionid_name(&self, unionid: &str) -> String {
        format!("{}n:{}", self.prefix, key_part(unionid))
    }

    fn alias_name(&self, id: UserId) -> String {
        format!("{}a:{id}", self.prefix)
    }
}
