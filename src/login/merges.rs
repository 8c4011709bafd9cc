//! What a login does when its user turns out to be one with a newer one: the newer's sessions become the older's, and upstreams are
//! told for a time. Where one of them is banned, the sessions of both end. The merge itself is the user directory's. Done again by each login that comes by the merge until all of it is done, so that nothing is lost with a process, or
//! with a store that fails in between.

use std::time::Duration;

use super::Logins;
use super::profile::spread;
use crate::error::Error;
use crate::identity::{Holder, Identity, Merged};
use crate::session::{LoginClaim, NewSession, Origin, Session, SessionStore};
use crate::users::{Bans, Profiles, UserDirectory};

/// How long a login waits for everybody to know. Who has thousands of sessions shall log in all the same; the rest goes on behind.
const WAIT: Duration = Duration::from_secs(1);
/// Times that a session is made anew because its user was merged meanwhile.
const MOST_REPLACED: usize = 8;
/// Merges of the one that stays that are followed, of those of the last minute.
const MOST_FOLLOWED: usize = 8;

/// `[users.merged]`.
#[derive(Clone, Copy, Default)]
pub struct Merges {
    /// How long upstreams are told; `None`: not.
    pub header_for: Option<Duration>,
}

/// Merges that were found, and everything that has to know.
struct Work {
    sessions: SessionStore,
    users: UserDirectory,
    bans: Bans,
    merges: Merges,
    profiles: Option<Profiles>,
    /// The user that stays, by the names of the login that came by.
    identity: Identity,
    older: String,
    /// In the order in which one led to the next.
    newer: Vec<String>,
}

impl Logins {
    /// Lets everybody know that `newer` are this user. Waits a second for that; what takes longer goes on in a task of its own, and
    /// where that fails the next login begins again.
    ///
    /// # Errors
    /// `StoreUnavailable`, `DirectoryUnavailable`: not everybody may know; the next login does it again.
    pub(super) async fn settle_merges(
        &self,
        identity: &Identity,
        newer: Vec<String>,
    ) -> Result<(), Error> {
        let Some(older) = identity.user_id.clone().filter(|_| !newer.is_empty()) else {
            return Ok(());
        };
        let mut work = Work {
            sessions: self.sessions.clone(),
            users: self.users.clone(),
            bans: self.bans.clone(),
            merges: self.merges,
            profiles: self.profiles.clone(),
            identity: identity.clone(),
            older,
            newer: Vec::new(),
        };
        let mut all_told = true;
        for newer in &newer {
            let told = self.sessions.merge_is_told(newer, &work.older).await;
            all_told &= told.map_err(Error::StoreUnavailable)?;
        }
        work.newer = newer;
        if all_told {
            // In an adopted table a ban may have come with this very login.
            return work.end_where_banned(&work.older).await;
        }
        let claim = self.sessions.claim_merge(&work.newer, &work.older).await;
        let LoginClaim::Won(ticket) = claim.map_err(Error::StoreUnavailable)? else {
            // Another login is at it, or was a moment ago.
            return Ok(());
        };
        let sessions = self.sessions.clone();
        let working = self.tasks.spawn(async move {
            let done = work.done().await;
            // It ends by itself, too.
            let _ = match &done {
                Ok(()) => sessions.finish_login(ticket, b"told").await,
                Err(error) => {
                    tracing::debug!(%error, "not everybody knows of a merge yet");
                    sessions.release_login(ticket).await
                }
            };
            done
        });
        match tokio::time::timeout(WAIT, working).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(Error::Internal("settling a merge panicked".to_owned())),
            Err(_) => Ok(()),
        }
    }

    /// What a new session of the user has to tell of merges.
    pub(super) async fn merged_from(&self, identity: &Identity) -> Result<Option<Merged>, Error> {
        match &identity.user_id {
            Some(user_id) if self.merges.header_for.is_some() && self.users.merges() => {
                let found = self.sessions.merged_from(user_id).await;
                found.map_err(Error::StoreUnavailable)
            }
            _ => Ok(None),
        }
    }

    /// A session of the user. Where he is merged while the login is under way, either who lets everybody know of that finds the
    /// session, or we find his note once it is stored: then another takes its place.
    pub(super) async fn open_session(
        &self,
        identity: &mut Identity,
        origin: &Origin,
    ) -> Result<NewSession, Error> {
        let mut replaced = 0;
        loop {
            let new = self.sessions.create(identity, origin).await;
            let new = new.map_err(Error::StoreUnavailable)?;
            if replaced == MOST_REPLACED || !self.users.merges() {
                return Ok(new);
            }
            let changed = self.changed(identity).await;
            if matches!(changed, Ok(None)) {
                return Ok(new);
            }
            // Nobody has its skey, whatever becomes of it.
            let _ = self.sessions.revoke(&new.skey).await;
            if let Some(changed) = changed? {
                *identity = changed;
            }
            replaced += 1;
        }
    }

    /// The identity by what is noted of merges now; `None` when that is as it was.
    async fn changed(&self, identity: &Identity) -> Result<Option<Identity>, Error> {
        let Some(user_id) = &identity.user_id else {
            return Ok(None);
        };
        let into = self.sessions.merged_into(user_id).await;
        let into = into.map_err(Error::StoreUnavailable)?;
        let mut now = identity.clone();
        if into.is_some() {
            now.user_id = into;
        }
        now.attributes.merged_from = self.merged_from(&now).await?;
        Ok(Some(now).filter(|now| now != identity))
    }
}

impl Work {
    async fn done(self) -> Result<(), Error> {
        let (store, directory) = (Error::StoreUnavailable, Error::DirectoryUnavailable);
        let (sessions, older) = (&self.sessions, &self.older);
        // Noted first: a login that is under way finds the note, or its session is there to be changed.
        let mut merged = None;
        for newer in &self.newer {
            let noted = sessions.note_merge(newer, older, self.merges.header_for);
            merged = noted.await.map_err(store)?.or(merged);
        }
        for newer in &self.newer {
            self.give(newer, older, merged.as_ref()).await?;
        }
        if merged.is_some() {
            self.give(older, older, merged.as_ref()).await?;
        }
        let stays = self.pass_on().await?;
        // What the older lacked came from the newer, and the newer's own is nobody's any more.
        if let Some(profiles) = &self.profiles {
            spread(sessions, profiles, &[user(&stays)], &stays).await?;
        }
        for newer in &self.newer {
            let brought = self.users.bring_ban(newer, &stays);
            brought.await.map_err(directory)?;
        }
        // Once the sessions are where they belong: who bans writes the ban first and ends sessions then. Either we see the ban, or he
        // finds the sessions.
        self.end_where_banned(&stays).await?;
        // From here on no login may come by the merge any more, so this is last but for the note that it is done. Where the older is
        // none that stays, logins have to come by that merge: who knows whether anybody has settled it.
        if self.users.current_id(older).await.map_err(directory)? == *older {
            self.users
                .settle(
                    &self.identity.appid,
                    &self.identity.openid,
                    self.identity.unionid.as_deref(),
                )
                .await
                .map_err(directory)?;
        }
        for newer in &self.newer {
            sessions.note_told(newer, older).await.map_err(store)?;
        }
        Ok(())
    }

    /// Where the older turned out to be another's meanwhile, whoever changed its sessions may not have met those that came from the
    /// newer: they follow. Who it is that stays.
    async fn pass_on(&self) -> Result<String, Error> {
        let (sessions, store) = (&self.sessions, Error::StoreUnavailable);
        let mut stays = self.older.clone();
        for _ in 0..MOST_FOLLOWED {
            let Some(into) = sessions.merged_into(&stays).await.map_err(store)? else {
                break;
            };
            let merged = sessions.merged_from(&into).await.map_err(store)?;
            self.give(&stays, &into, merged.as_ref()).await?;
            stays = into;
        }
        Ok(stays)
    }

    /// Makes one's sessions another's, who was merged as it says.
    async fn give(&self, from: &str, to: &str, merged: Option<&Merged>) -> Result<(), Error> {
        let (user_id, merged) = (Some(to.to_owned()), merged.cloned());
        let become_his = |session: &mut Session| {
            session.identity.user_id.clone_from(&user_id);
            if merged.is_some() {
                session.identity.attributes.merged_from.clone_from(&merged);
            }
        };
        let given = self.sessions.amend(&user(from), become_his).await;
        given.map(|_| ()).map_err(Error::StoreUnavailable)
    }

    /// Ends all sessions of a user who is banned, by whatever id. Those of the newer were let be when the ban was made, or those of the
    /// older were.
    async fn end_where_banned(&self, stays: &str) -> Result<(), Error> {
        let store = Error::StoreUnavailable;
        if self.bans.find(&user(stays)).await.map_err(store)?.is_none() {
            return Ok(());
        }
        let mut ended = 0;
        let newer = self.newer.iter().map(String::as_str);
        for id in newer.chain([self.older.as_str(), stays]) {
            let revoked = self.sessions.revoke_all(&user(id)).await;
            ended += revoked.map_err(store)?.sessions;
        }
        // Nobody can do that at will: who is banned gets no new one.
        if ended > 0 {
            tracing::info!(
                event = "sessions.revoked",
                user.id = stays,
                sessions = ended,
                by = "merge",
                "all sessions of a banned user were ended, for he turned out to be another, too"
            );
        }
        Ok(())
    }
}

fn user(user_id: &str) -> Holder {
    Holder::User(user_id.to_owned())
}
