//! What a login does when its user turns out to be one with a newer one: his sessions become the older's, upstreams are told for a
//! time, and so is the operator's service. The merge itself is the user directory's. Done again by each login that comes by the merge
//! until all of it is done, so that nothing is lost with a process, or with a store that fails in between.

use std::sync::Arc;
use std::time::Duration;

use super::Logins;
use super::notices::MergeNotices;
use super::profile::spread;
use crate::error::Error;
use crate::identity::{Holder, Identity, Merged};
use crate::session::{LoginClaim, NewSession, Origin, Session, SessionStore};
use crate::users::{Profiles, UserDirectory};

/// How long a login waits for everybody to know. Who has thousands of sessions shall log in all the same; the rest goes on behind.
const WAIT: Duration = Duration::from_secs(1);
/// Times that a session is made anew because its user was merged meanwhile.
const MOST_REPLACED: usize = 8;

/// `[users.merged]`.
#[derive(Clone, Default)]
pub struct Merges {
    /// How long upstreams are told; `None`: not.
    pub header_for: Option<Duration>,
    /// The operator's service; `None`: it is not told.
    pub notices: Option<Arc<MergeNotices>>,
}

/// A merge that was found, and everything that has to know.
struct Work {
    sessions: SessionStore,
    users: UserDirectory,
    merges: Merges,
    profiles: Option<Profiles>,
    /// The user that stays, by the names of the login that came by.
    identity: Identity,
    older: String,
    newer: String,
}

impl Logins {
    /// Lets everybody know that `newer` is this user. Waits a second for that; what takes longer goes on in a task of its own, and
    /// where that fails the next login begins again.
    ///
    /// # Errors
    /// `StoreUnavailable`, `DirectoryUnavailable`: not everybody may know; the next login does it again.
    pub(super) async fn settle_merge(
        &self,
        identity: &Identity,
        newer: String,
    ) -> Result<(), Error> {
        let Some(older) = identity.user_id.clone() else {
            return Ok(());
        };
        let told = self.sessions.merge_is_told(&newer, &older).await;
        if told.map_err(Error::StoreUnavailable)? {
            return Ok(());
        }
        let claim = self.sessions.claim_merge(&newer, &older).await;
        let LoginClaim::Won(ticket) = claim.map_err(Error::StoreUnavailable)? else {
            // Another login is at it, or was a moment ago.
            return Ok(());
        };
        let work = Work {
            sessions: self.sessions.clone(),
            users: self.users.clone(),
            merges: self.merges.clone(),
            profiles: self.profiles.clone(),
            identity: identity.clone(),
            older,
            newer,
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
        let store = Error::StoreUnavailable;
        let (sessions, older, newer) = (&self.sessions, &self.older, &self.newer);
        // Noted first: a login that is under way finds the note, or its session is there to be changed.
        let merged = sessions
            .note_merge(newer, older, self.merges.header_for)
            .await
            .map_err(store)?;
        sessions
            .amend(
                &Holder::User(newer.clone()),
                become_his(&self.identity, &merged),
            )
            .await
            .map_err(store)?;
        if merged.is_some() {
            sessions
                .amend(
                    &Holder::User(older.clone()),
                    become_his(&self.identity, &merged),
                )
                .await
                .map_err(store)?;
        }
        // What the older lacked came from the newer, and the newer's own is nobody's any more.
        if let Some(profiles) = &self.profiles {
            let holders = [Holder::User(older.clone())];
            spread(sessions, profiles, &holders, older).await?;
        }
        if let Some(notices) = &self.merges.notices {
            notices.add(older, newer).await.map_err(store)?;
        }
        // From here on no login may come by the merge any more, so this is last but for the note that it is done.
        self.users
            .settle(
                &self.identity.appid,
                &self.identity.openid,
                self.identity.unionid.as_deref(),
            )
            .await
            .map_err(Error::DirectoryUnavailable)?;
        sessions.note_told(newer, older).await.map_err(store)
    }
}

/// The change that makes a session the user's.
fn become_his(
    identity: &Identity,
    merged: &Option<Merged>,
) -> impl Fn(&mut Session) + Sync + use<> {
    let (user_id, merged) = (identity.user_id.clone(), merged.clone());
    move |session: &mut Session| {
        session.identity.user_id.clone_from(&user_id);
        if merged.is_some() {
            session.identity.attributes.merged_from.clone_from(&merged);
        }
    }
}
