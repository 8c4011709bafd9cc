//! Merge notes in Redis: one key per note, each with its own expiry. They are sealed because a
//! forged note would let the next login become another user.

use std::time::Duration;

use deadpool_redis::redis::{cmd, pipe};

use super::{Inner, RedisSessions, eval, get, scripts, whole_seconds};
use crate::identity::Merged;
use crate::redis::key_part;
use crate::session::merges::{MERGE_NOTE_TTL, is_news, with};
use crate::store_error::StoreError;

/// Maximum attempts to update a note that concurrent merges change.
const MAX_ATTEMPTS: usize = 8;

impl RedisSessions {
    pub(in crate::session) async fn note_merge(
        &self,
        newer: &str,
        older: &str,
        header_for: Option<Duration>,
    ) -> Result<Option<Merged>, StoreError> {
        let inner = &self.inner;
        inner
            .keep(&inner.merge_name(newer, ":into"), older, MERGE_NOTE_TTL)
            .await?;
        let Some(header_for) = header_for else {
            return Ok(None);
        };
        let (into_newer, _) = inner.merged(&inner.merge_name(newer, "")).await?;
        let name = inner.merge_name(older, "");
        for _ in 0..MAX_ATTEMPTS {
            let (before, found) = inner.merged(&name).await?;
            let merged = with(newer, into_newer.as_ref(), before.as_ref(), header_for);
            let Some(merged) = merged else {
                return Ok(before);
            };
            let text = format!("{} {}", merged.until, merged.user_id);
            let note = eval(scripts::MERGED, &name)
                .arg(found.unwrap_or_default())
                .arg(inner.sealer.seal("", &name, &[], text.as_bytes())?)
                .arg(whole_seconds(header_for))
                .to_owned();
            if inner.link.query::<bool>(&note).await? {
                return Ok(Some(merged));
            }
        }
        Err(StoreError::Unavailable {
            cause: format!("storing a merge: the note changed {MAX_ATTEMPTS} times meanwhile"),
        })
    }

    pub(in crate::session) async fn merged_from(
        &self,
        user_id: &str,
    ) -> Result<Option<Merged>, StoreError> {
        let inner = &self.inner;
        let (merged, _) = inner.merged(&inner.merge_name(user_id, "")).await?;
        Ok(merged)
    }

    pub(in crate::session) async fn merged_into(
        &self,
        user_id: &str,
    ) -> Result<Option<String>, StoreError> {
        self.inner.noted(user_id, ":into").await
    }

    pub(in crate::session) async fn told_into(
        &self,
        user_id: &str,
    ) -> Result<Option<String>, StoreError> {
        self.inner.noted(user_id, ":told").await
    }

    pub(in crate::session) async fn merge_is_told(
        &self,
        newer: &str,
        older: &str,
    ) -> Result<bool, StoreError> {
        let inner = &self.inner;
        let name = inner.merge_name(newer, ":told");
        let mut commands = pipe();
        commands
            .cmd("GET")
            .arg(&name)
            .cmd("EXPIRE")
            .arg(&name)
            .arg(whole_seconds(inner.lifetime.max_age));
        let (mut told, _): (Option<Vec<u8>>, i64) = inner.link.pipeline(&commands).await?;
        let told = inner.open_merge(&name, told.as_mut());
        Ok(told.as_deref() == Some(older))
    }

    pub(in crate::session) async fn note_told(
        &self,
        newer: &str,
        older: &str,
    ) -> Result<(), StoreError> {
        let inner = &self.inner;
        let name = inner.merge_name(newer, ":told");
        inner.keep(&name, older, inner.lifetime.max_age).await
    }
}

impl Inner {
    fn merge_name(&self, user_id: &str, what: &str) -> String {
        format!("{}m:{}{what}", self.prefix, key_part(user_id))
    }

    /// The older id in one of a user's notes.
    async fn noted(&self, user_id: &str, what: &str) -> Result<Option<String>, StoreError> {
        let name = self.merge_name(user_id, what);
        let mut found = self.raw(&name).await?;
        Ok(self.open_merge(&name, found.as_mut()))
    }

    /// The merges that upstreams receive, and the stored value that they were read from.
    async fn merged(&self, name: &str) -> Result<(Option<Merged>, Option<Vec<u8>>), StoreError> {
        let found = self.raw(name).await?;
        let text = self.open_merge(name, found.clone().as_mut());
        let merged = text.and_then(|text| {
            let (until, user_id) = text.split_once(' ')?;
            Some(Merged {
                user_id: user_id.to_owned(),
                until: until.parse().ok()?,
            })
        });
        Ok((merged.filter(is_news), found))
    }

    async fn raw(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.link.read(&get(name)).await
    }

    fn open_merge(&self, name: &str, value: Option<&mut Vec<u8>>) -> Option<String> {
        let text = self.open(name, value?)?;
        std::str::from_utf8(text).ok().map(str::to_owned)
    }

    async fn keep(&self, name: &str, value: &str, lasts: Duration) -> Result<(), StoreError> {
        let set = cmd("SET")
            .arg(name)
            .arg(self.sealer.seal("", name, &[], value.as_bytes())?)
            .arg("EX")
            .arg(whole_seconds(lasts))
            .to_owned();
        self.link.read(&set).await
    }
}
