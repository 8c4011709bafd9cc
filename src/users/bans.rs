//! Bans of users, in any kind of directory. A ban with an end expires by itself. The caller ends
//! the sessions of a banned user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::ban::Ban;
use super::redis::RedisBans;
use crate::clock;
use crate::identity::Holder;
use crate::redis::RedisLink;
use crate::store_error::StoreError;

/// The store of bans. A clone shares the same ones.
#[derive(Clone)]
pub enum Bans {
    /// Shared by all replicas.
    Redis(RedisBans),
    /// In this process.
    Memory(MemoryBans),
}

/// Bans that end with the process. A clone shares them.
#[derive(Clone, Default)]
pub struct MemoryBans {
    bans: Arc<Mutex<HashMap<Holder, Ban>>>,
}

impl Bans {
    /// Bans kept in Redis.
    #[must_use]
    pub fn redis(link: RedisLink, key_prefix: &str) -> Self {
        Self::Redis(RedisBans::new(link, key_prefix))
    }

    /// Bans that end with the process.
    #[must_use]
    pub fn memory() -> Self {
        Self::Memory(MemoryBans::default())
    }

    /// The user's ban, if there is one.
    ///
    /// # Errors
    /// The store cannot answer, which must not be taken for "not banned".
    pub async fn find(&self, holder: &Holder) -> Result<Option<Ban>, StoreError> {
        match self {
            Self::Redis(bans) => bans.find(holder).await,
            Self::Memory(bans) => Ok(bans.find(holder, clock::unix_seconds())),
        }
    }

    /// Bans the user; replaces an earlier ban.
    ///
    /// # Errors
    /// The store did not confirm it.
    pub async fn set(&self, holder: &Holder, ban: &Ban) -> Result<(), StoreError> {
        match self {
            Self::Redis(bans) => bans.set(holder, ban).await,
            Self::Memory(bans) => {
                bans.lock().insert(holder.clone(), ban.clone());
                Ok(())
            }
        }
    }

    /// After a merge: the ban of `from` applies to `to` too, unless `to` has one that lasts longer.
    pub(super) async fn carry_over(&self, from: &str, to: &str) -> Result<(), StoreError> {
        match self {
            Self::Redis(bans) => bans.carry_over(from, to).await,
            Self::Memory(bans) => {
                bans.carry_over(from, to, clock::unix_seconds());
                Ok(())
            }
        }
    }

    /// As `carry_over`, and removes the ban of `from`. A ban that is set meanwhile is moved too,
    /// never lost.
    pub(super) async fn move_over(&self, from: &str, to: &str) -> Result<(), StoreError> {
        match self {
            Self::Redis(bans) => bans.move_over(from, to).await,
            Self::Memory(bans) => {
                bans.move_over(from, to, clock::unix_seconds());
                Ok(())
            }
        }
    }

    /// Lifts the user's ban and returns it.
    ///
    /// # Errors
    /// The store did not confirm it.
    pub async fn lift(&self, holder: &Holder) -> Result<Option<Ban>, StoreError> {
        match self {
            Self::Redis(bans) => bans.lift(holder).await,
            Self::Memory(bans) => {
                let found = bans.find(holder, clock::unix_seconds());
                bans.lock().remove(holder);
                Ok(found)
            }
        }
    }
}

impl MemoryBans {
    fn find(&self, holder: &Holder, now: u64) -> Option<Ban> {
        find(&self.lock(), holder, now)
    }

    fn carry_over(&self, from: &str, to: &str, now: u64) {
        carry_over(&mut self.lock(), from, to, now);
    }

    fn move_over(&self, from: &str, to: &str, now: u64) {
        let mut bans = self.lock();
        carry_over(&mut bans, from, to, now);
        bans.remove(&Holder::User(from.to_owned()));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Holder, Ban>> {
        self.bans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find(bans: &HashMap<Holder, Ban>, holder: &Holder, now: u64) -> Option<Ban> {
    let ban = bans.get(holder)?.clone();
    ban.until.is_none_or(|until| until > now).then_some(ban)
}

fn carry_over(bans: &mut HashMap<Holder, Ban>, from: &str, to: &str, now: u64) {
    let (from, to) = (Holder::User(from.to_owned()), Holder::User(to.to_owned()));
    let Some(ban) = find(bans, &from, now) else {
        return;
    };
    let end = |ban: &Ban| ban.until.unwrap_or(u64::MAX);
    if find(bans, &to, now).is_none_or(|his| end(&his) < end(&ban)) {
        bans.insert(to, ban);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{RedisServer, eventually};

    #[tokio::test]
    async fn a_ban_is_moved_and_the_longer_of_two_stays() {
        let server = RedisServer::start().await;
        for bans in [Bans::redis(server.link(), "gate:"), Bans::memory()] {
            let holder = |id: &str| Holder::User(id.to_owned());
            let of = async |id: &str| bans.find(&holder(id)).await.unwrap();
            let hour = Ban::new("an hour", Some(Duration::from_secs(3600)));
            let day = Ban::new("a day", Some(Duration::from_secs(86_400)));
            bans.move_over("2", "1").await.unwrap();
            assert_eq!(of("1").await, None);
            for (newers, stays) in [(&hour, &hour), (&day, &day), (&hour, &day)] {
                bans.set(&holder("2"), newers).await.unwrap();
                bans.move_over("2", "1").await.unwrap();
                assert_eq!((of("2").await, of("1").await), (None, Some(stays.clone())));
            }
        }
    }

    #[tokio::test]
    async fn a_ban_is_of_one_user_until_it_is_lifted_or_ends() {
        let server = RedisServer::start().await;
        for bans in [Bans::redis(server.link(), "gate:"), Bans::memory()] {
            let user = Holder::User("17".to_owned());
            let openid = |openid: &str| Holder::Openid {
                appid: "wx1".to_owned(),
                openid: openid.to_owned(),
            };
            let ban = Ban::new("sells stolen goods", None);
            bans.set(&user, &ban).await.unwrap();
            assert_eq!(bans.find(&user).await.unwrap(), Some(ban.clone()));
            assert_eq!(bans.find(&openid("17")).await.unwrap(), None);
            assert_eq!(bans.lift(&user).await.unwrap(), Some(ban));
            assert_eq!(bans.lift(&user).await.unwrap(), None);
            assert_eq!(bans.find(&user).await.unwrap(), None);

            let short = Ban::new("for a second", Some(Duration::from_millis(10)));
            bans.set(&openid("o1"), &short).await.unwrap();
            assert_eq!(bans.find(&openid("o1")).await.unwrap(), Some(short));
            assert_eq!(bans.find(&openid("o2")).await.unwrap(), None);
            eventually("the ban has ended", || async {
                bans.find(&openid("o1")).await.unwrap().is_none()
            })
            .await;
        }
    }
}
