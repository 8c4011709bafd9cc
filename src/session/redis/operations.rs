//! Lists sessions and ends them without their skeys.

use std::time::Duration;

use deadpool_redis::redis::{cmd, pipe};

use super::{Inner, RedisSessions, VALUE_HEAD_LEN, eval, get};
use crate::clock;
use crate::identity::Holder;
use crate::session::operations::{Handle, Listed, Page, Revoked};
use crate::session::{Session, scripts};
use crate::store_error::StoreError;

/// Entries of a user's list read per page.
const LIST_PAGE_SIZE: u64 = 200;
/// `COUNT` of one SCAN: about a tenth of a millisecond of Redis' time.
const SCAN_COUNT: u64 = 1000;
/// Maximum passes over a user's list that moves meanwhile: more than the logins possible in that
/// time.
const MAX_PASSES: usize = 1000;
/// Maximum attempts to change a session that is renewed meanwhile, which happens once in ten
/// minutes.
const MAX_ATTEMPTS: usize = 8;

impl RedisSessions {
    pub(in crate::session) async fn page_of(
        &self,
        holder: &Holder,
        from: u64,
    ) -> Result<Page, StoreError> {
        let inner = &self.inner;
        let hashes = inner.listed(&inner.list_name(holder), from).await?;
        let looked_at = count(hashes.len());
        let mut page = inner.read_all(hashes).await?;
        page.looked_at = looked_at;
        page.next = (looked_at == LIST_PAGE_SIZE).then_some(from + looked_at);
        Ok(page)
    }

    pub(in crate::session) async fn page(
        &self,
        named: Option<&Handle>,
        from: u64,
    ) -> Result<Page, StoreError> {
        let inner = &self.inner;
        let start = inner.session_name("");
        let named = named.map_or("", |handle| handle.start());
        // Neither the prefix nor the handle contains pattern characters.
        let pattern = [&start, named, "*"].concat();
        let scan = cmd("SCAN")
            .arg(from)
            .arg("MATCH")
            .arg(pattern)
            .arg("COUNT")
            .arg(SCAN_COUNT)
            .to_owned();
        let (next, names): (u64, Vec<String>) = inner.link.read(&scan).await?;
        let hashes = names
            .iter()
            .filter_map(|name| name.strip_prefix(&start))
            .map(str::to_owned);
        let mut page = inner.read_all(hashes.collect()).await?;
        page.looked_at = SCAN_COUNT;
        page.next = (next != 0).then_some(next);
        Ok(page)
    }

    pub(in crate::session) async fn size(&self) -> Result<u64, StoreError> {
        self.inner.link.read(&cmd("DBSIZE")).await
    }

    pub(in crate::session) async fn revoke_listed(&self, hash: &str) -> Result<bool, StoreError> {
        Ok(self.revoke_hash(hash).await?.is_some())
    }

    pub(in crate::session) async fn revoke_all(
        &self,
        holder: &Holder,
    ) -> Result<Revoked, StoreError> {
        self.revoke_all_within(holder, MAX_PASSES).await
    }

    /// `revoke_all` with a given maximum of passes.
    pub(super) async fn revoke_all_within(
        &self,
        holder: &Holder,
        passes: usize,
    ) -> Result<Revoked, StoreError> {
        let inner = &self.inner;
        let list = inner.list_name(holder);
        let mut revoked = Revoked::default();
        for _ in 0..passes {
            let ended = inner.end_listed(&list).await?;
            revoked.sessions += ended;
            // Removals by others shift the list, so an index may skip entries: repeat until a pass
            // ends none.
            if ended == 0 {
                return Ok(revoked);
            }
        }
        Err(StoreError::Unavailable {
            cause: format!(
                "ending a user's sessions: {} were ended, but logins continue to create new ones; try again",
                revoked.sessions
            ),
        })
    }
}

/// Changes of stored sessions.
impl RedisSessions {
    pub(in crate::session) async fn amend(
        &self,
        holder: &Holder,
        change: &(impl Fn(&mut Session) + Sync),
    ) -> Result<u64, StoreError> {
        let inner = &self.inner;
        let list = inner.list_name(holder);
        // One read of the whole list: removals by others shift it, so paging may skip entries.
        let all = cmd("ZRANGE").arg(&list).arg(0).arg(-1).to_owned();
        let hashes: Vec<String> = inner.link.read(&all).await?;
        let mut amended = 0;
        for hash in hashes {
            amended += u64::from(inner.amend(&list, &hash, change).await?);
        }
        Ok(amended)
    }
}

impl Inner {
    /// Changes one session; returns whether it existed and changed.
    async fn amend(
        &self,
        list: &str,
        hash: &str,
        change: &(impl Fn(&mut Session) + Sync),
    ) -> Result<bool, StoreError> {
        let name = self.session_name(hash);
        for _ in 0..MAX_ATTEMPTS {
            let found: Option<Vec<u8>> = self.link.read(&get(&name)).await?;
            let Some(mut value) = found else {
                return Ok(false);
            };
            let Some(before) = self.open_session(&name, &mut value) else {
                return Ok(false);
            };
            let mut session = before.clone();
            change(&mut session);
            if session == before {
                return Ok(false);
            }
            let new_list = self.list_name(&session.identity.holder());
            if new_list != list {
                // Listed first: a session that is not listed cannot be ended by user.
                self.list(&new_list, hash).await?;
            }
            let mut sealed = self.seal_session(&name, &session)?;
            value.truncate(VALUE_HEAD_LEN);
            if let (Some(mark), Some(sealed_mark)) = (value.first(), sealed.first_mut()) {
                // An ending session stays ending.
                *sealed_mark = *mark;
            }
            let amend = eval(scripts::AMEND, &name)
                .arg(value)
                .arg(sealed)
                .to_owned();
            // Otherwise a renewal came first: read the session again.
            if self.link.query::<bool>(&amend).await? {
                if new_list != list {
                    self.link
                        .query::<()>(cmd("ZREM").arg(list).arg(hash))
                        .await?;
                }
                return Ok(true);
            }
        }
        Err(StoreError::Unavailable {
            cause: format!("a session changed {MAX_ATTEMPTS} times while it was being updated"),
        })
    }

    /// Hashes in a user's list from an index on.
    async fn listed(&self, list: &str, from: u64) -> Result<Vec<String>, StoreError> {
        let range = cmd("ZRANGE")
            .arg(list)
            .arg(from)
            .arg(from + LIST_PAGE_SIZE - 1)
            .to_owned();
        self.link.read(&range).await
    }

    /// Ends all sessions in a list; returns how many existed.
    async fn end_listed(&self, list: &str) -> Result<u64, StoreError> {
        let (mut from, mut ended) = (0, 0);
        loop {
            let hashes = self.listed(list, from).await?;
            if hashes.is_empty() {
                return Ok(ended);
            }
            let mut commands = pipe();
            for hash in &hashes {
                commands.cmd("DEL").arg(self.session_name(hash));
            }
            let deleted: Vec<bool> = self.link.pipeline(&commands).await?;
            // Removes only the hashes of sessions that existed. A listed session that does not
            // exist may be about to be stored by its login, and unlisted it could not be ended by
            // user.
            let looked_at = count(hashes.len());
            let gone: Vec<String> = hashes
                .into_iter()
                .zip(deleted)
                .filter_map(|(hash, deleted)| deleted.then_some(hash))
                .collect();
            if !gone.is_empty() {
                let unlist = cmd("ZREM").arg(list).arg(&gone).to_owned();
                self.link.query::<()>(&unlist).await?;
            }
            ended += count(gone.len());
            from += looked_at - count(gone.len());
        }
    }

    /// The sessions that exist and have not expired.
    async fn read_all(&self, hashes: Vec<String>) -> Result<Page, StoreError> {
        let mut page = Page::default();
        if hashes.is_empty() {
            return Ok(page);
        }
        let names: Vec<String> = hashes.iter().map(|hash| self.session_name(hash)).collect();
        let (mut values, mut ends) = (pipe(), pipe());
        for name in &names {
            values.cmd("GET").arg(name);
            ends.cmd("PTTL").arg(name);
        }
        let values: Vec<Option<Vec<u8>>> = self.link.pipeline(&values).await?;
        let ends: Vec<i64> = self.link.pipeline(&ends).await?;
        let now = clock::unix_seconds();
        let found = hashes.into_iter().zip(names).zip(values).zip(ends);
        for (((hash, name), value), left) in found {
            // -2: it expired between the two commands.
            let Some(mut value) = value.filter(|_| left != -2) else {
                continue;
            };
            let Some(session) = self.open_session(&name, &mut value) else {
                page.unreadable += 1;
                continue;
            };
            if !self.lifetime.is_over(&session, now) {
                let expires_in = Duration::from_millis(u64::try_from(left).unwrap_or(0));
                page.listed.push(Listed {
                    hash,
                    session,
                    expires_in,
                });
            }
        }
        Ok(page)
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
