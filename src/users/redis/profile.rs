//! Profiles in Redis: one hash per user.

use deadpool_redis::redis::{cmd, pipe};

use super::{RedisUsers, UserId, eval};
use crate::config::ProfileField;
use crate::redis::key_part;
use crate::store_error::StoreError;
use crate::users::{Change, Profile};

/// Sets the fields that do not exist. Arguments: field, value, field, value, …
const FILL_MISSING: &str = "
for i = 1, #ARGV, 2 do redis.call('HSETNX', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1";

impl RedisUsers {
    pub(in crate::users) async fn profile(
        &self,
        user_id: &str,
        fields: &[ProfileField],
    ) -> Result<Profile, StoreError> {
        let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
        let get = cmd("HMGET")
            .arg(self.profile_name(user_id))
            .arg(names)
            .to_owned();
        let values: Vec<Option<String>> = self.link.read(&get).await?;
        let mut profile = Profile::default();
        for (field, value) in fields.iter().zip(values) {
            profile.set(*field, value);
        }
        Ok(profile)
    }

    pub(in crate::users) async fn change_profile(
        &self,
        user_id: &str,
        changes: &[Change],
    ) -> Result<(), StoreError> {
        let name = self.profile_name(user_id);
        let mut commands = pipe();
        commands.atomic();
        for Change { field, value } in changes {
            match value {
                Some(value) => commands.cmd("HSET").arg(&name).arg(field.name()).arg(value),
                None => commands.cmd("HDEL").arg(&name).arg(field.name()),
            };
        }
        let _: Vec<i64> = self.link.pipeline(&commands).await?;
        Ok(())
    }

    /// After a merge: missing fields of the older id are taken from the newer.
    pub(super) async fn complete_profile(
        &self,
        newer: UserId,
        older: UserId,
    ) -> Result<(), StoreError> {
        let get = cmd("HGETALL")
            .arg(self.profile_name(&newer.to_string()))
            .to_owned();
        let fields: Vec<(Vec<u8>, Vec<u8>)> = self.link.read(&get).await?;
        if fields.is_empty() {
            return Ok(());
        }
        let mut complete = eval(FILL_MISSING, &self.profile_name(&older.to_string()));
        for (field, value) in fields {
            complete.arg(field).arg(value);
        }
        self.link.query::<()>(&complete).await
    }

    /// Deletes the profile of an id that was merged into another.
    pub(super) async fn forget_profile(&self, newer: UserId) -> Result<(), StoreError> {
        let delete = cmd("DEL")
            .arg(self.profile_name(&newer.to_string()))
            .to_owned();
        self.link.query::<()>(&delete).await
    }

    fn profile_name(&self, user_id: &str) -> String {
        format!("{}p:{}", self.prefix, key_part(user_id))
    }
}
