//! Settles merges: two users of the directory turn out to be one. The sessions of the newer id get
//! the older id, and upstreams are told for a time. When either user is banned, the sessions of
//! both end. Only the user directory decides which users are merged.
//!
//! Every login that meets a merge settles it until one has completed, so that a process that dies
//! or a store that fails in between loses nothing.

use std::time::Duration;

use super::Logins;
use super::profile::spread;
use crate::error::Error;
use crate::identity::{Holder, Identity, Merged};
use crate::lease::{LeaseState, Work};
use crate::session::{NewSession, Origin, Session, SessionStore};
use crate::users::{Bans, Profiles, UserDirectory};

/// How long a login waits for a merge to be settled. A user with thousands of sessions logs in
/// anyway; the rest runs in the background.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);
/// Lease time of a settlement. When it has passed, the next login that meets the merge settles it
/// as well.
const LEASE_TIMEOUT: Duration = Duration::from_secs(6);
/// How long logins skip a merge that was just settled.
const SETTLED_TTL: Duration = Duration::from_secs(10);
/// Maximum times that a login replaces its session because its user was merged meanwhile.
const MAX_REPLACED: usize = 8;
/// Maximum merges followed from the surviving user.
const MAX_FOLLOWED: usize = 8;

/// `[users.merged]`.
#[derive(Clone, Copy, Default)]
pub struct Merges {
    /// How long upstreams are told of a merge; `None` for never.
    pub header_for: Option<Duration>,
}

/// The merges that one login met, and the stores that they concern.
struct Settlement {
    sessions: SessionStore,
    users: UserDirectory,
    bans: Bans,
    merges: Merges,
    profiles: Option<Profiles>,
    /// The surviving user, with the openid and unionid of the login.
    identity: Identity,
    older: String,
    /// In merge order.
    newer: Vec<String>,
}

impl Logins {
    /// Settles the merges of `newer` into this user. Waits at most a second; a task continues in
    /// the background, and if that fails, the next login starts again.
    ///
    /// # Errors
    /// `StoreUnavailable`, `DirectoryUnavailable`: part of it may be undone; the next login repeats
    /// it.
    pub(super) async fn settle_merges(
        &self,
        identity: &Identity,
        newer: Vec<String>,
    ) -> Result<(), Error> {
        let Some(older) = identity.user_id.clone().filter(|_| !newer.is_empty()) else {
            return Ok(());
        };
        let mut is_settled = true;
        for newer in &newer {
            let told = self.sessions.merge_is_told(newer, &older).await;
            is_settled &= told.map_err(Error::StoreUnavailable)?;
        }
        let settlement = Settlement {
            sessions: self.sessions.clone(),
            users: self.users.clone(),
            bans: self.bans.clone(),
            merges: self.merges,
            profiles: self.profiles.clone(),
            identity: identity.clone(),
            older,
            newer,
        };
        if is_settled {
            // In an existing table this login may have brought a ban along.
            return settlement.end_where_banned(&settlement.older).await;
        }
        let work = settlement.work();
        let look = self.leases.look(&work, Duration::ZERO).await;
        let LeaseState::Granted(lease) = look.map_err(Error::StoreUnavailable)?.state else {
            // Another login is settling it, or has just done so.
            return Ok(());
        };
        let leases = self.leases.clone();
        let settling = self.tasks.spawn(async move {
            let done = settlement.settle().await;
            let ended = match &done {
                Ok(()) => leases.publish(lease, b"settled", SETTLED_TTL).await,
                Err(error) => {
                    tracing::debug!(%error, "a merge is not settled yet");
                    leases.release(lease).await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "the lease of a merge was not released and expires by itself");
            }
            done
        });
        match tokio::time::timeout(SETTLE_TIMEOUT, settling).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(Error::Internal("settling a merge panicked".to_owned())),
            Err(_) => Ok(()),
        }
    }

    /// The merges that a new session of the user tells upstreams.
    pub(super) async fn merged_from(&self, identity: &Identity) -> Result<Option<Merged>, Error> {
        match &identity.user_id {
            Some(user_id) if self.merges.header_for.is_some() && self.users.merges() => {
                let found = self.sessions.merged_from(user_id).await;
                found.map_err(Error::StoreUnavailable)
            }
            _ => Ok(None),
        }
    }

    /// Creates a session. When the user is merged meanwhile, either the settlement finds the new
    /// session, or this login finds the settlement's note after the session is stored, and replaces
    /// the session.
    pub(super) async fn open_session(
        &self,
        identity: &mut Identity,
        origin: &Origin,
    ) -> Result<NewSession, Error> {
        let mut replaced = 0;
        loop {
            let new = self.sessions.create(identity, origin).await;
            let new = new.map_err(Error::StoreUnavailable)?;
            if replaced == MAX_REPLACED || !self.users.merges() {
                return Ok(new);
            }
            let changed = self.changed(identity).await;
            if matches!(changed, Ok(None)) {
                return Ok(new);
            }
            // The skey was not given out, so a session that remains is harmless.
            let _ = self.sessions.revoke(&new.skey).await;
            if let Some(changed) = changed? {
                *identity = changed;
            }
            replaced += 1;
        }
    }

    /// The identity according to the current merge notes; `None` when it is unchanged.
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

impl Settlement {
    fn work(&self) -> Work {
        let newer = self.newer.iter().map(String::as_str);
        let ids: Vec<&str> = newer.chain([self.older.as_str()]).collect();
        Work::about("merge", &self.identity.appid, &ids, LEASE_TIMEOUT)
    }

    async fn settle(self) -> Result<(), Error> {
        let (store, directory) = (Error::StoreUnavailable, Error::DirectoryUnavailable);
        let (sessions, older) = (&self.sessions, &self.older);
        // The note comes first: a concurrent login finds the note, or its session is there to be
        // changed.
        let mut merged = None;
        for newer in &self.newer {
            let noted = sessions.note_merge(newer, older, self.merges.header_for);
            merged = noted.await.map_err(store)?.or(merged);
        }
        for newer in &self.newer {
            self.move_sessions(newer, older, merged.as_ref()).await?;
        }
        if merged.is_some() {
            self.move_sessions(older, older, merged.as_ref()).await?;
        }
        let stays = self.follow().await?;
        // The older user inherited missing profile fields from the newer, which has no profile any
        // more.
        if let Some(profiles) = &self.profiles {
            spread(sessions, profiles, &[user(&stays)], &stays).await?;
        }
        for newer in &self.newer {
            let brought = self.users.bring_ban(newer, &stays);
            brought.await.map_err(directory)?;
        }
        // After the sessions have moved: a ban is written first and then ends sessions. Either this
        // login sees the ban, or the ban finds the sessions.
        self.end_where_banned(&stays).await?;
        // Afterwards no login meets the merge again, so only the note of completion follows. If
        // `older` was merged as well, logins must continue to meet that merge, and it is not
        // settled here.
        if self.users.current_id(older).await.map_err(directory)? == *older {
            let Identity {
                appid,
                openid,
                unionid,
                ..
            } = &self.identity;
            let settled = self.users.settle(appid, openid, unionid.as_deref());
            settled.await.map_err(directory)?;
        }
        for newer in &self.newer {
            sessions.note_told(newer, older).await.map_err(store)?;
        }
        Ok(())
    }

    /// When `older` was merged into a third user meanwhile, that settlement may have missed the
    /// sessions that came from `newer`: moves them on. Returns the surviving id.
    async fn follow(&self) -> Result<String, Error> {
        let (sessions, store) = (&self.sessions, Error::StoreUnavailable);
        let mut stays = self.older.clone();
        for _ in 0..MAX_FOLLOWED {
            let Some(into) = sessions.merged_into(&stays).await.map_err(store)? else {
                break;
            };
            let merged = sessions.merged_from(&into).await.map_err(store)?;
            self.move_sessions(&stays, &into, merged.as_ref()).await?;
            stays = into;
        }
        Ok(stays)
    }

    /// Gives the sessions of one id to another, with the merge that they tell upstreams.
    async fn move_sessions(
        &self,
        from: &str,
        to: &str,
        merged: Option<&Merged>,
    ) -> Result<(), Error> {
        let (user_id, merged) = (Some(to.to_owned()), merged.cloned());
        let change = |session: &mut Session| {
            session.identity.user_id.clone_from(&user_id);
            if merged.is_some() {
                session.identity.attributes.merged_from.clone_from(&merged);
            }
        };
        let moved = self.sessions.amend(&user(from), change).await;
        moved.map(|_| ()).map_err(Error::StoreUnavailable)
    }

    /// Ends all sessions of a banned user, under every id: the ban found those of one id only.
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
        // Not repeatable by a client: a banned user gets no new session.
        if ended > 0 {
            tracing::info!(
                event = "sessions.revoked",
                user.id = stays,
                sessions = ended,
                by = "merge",
                "ended all sessions of a banned user after a merge"
            );
        }
        Ok(())
    }
}

fn user(user_id: &str) -> Holder {
    Holder::User(user_id.to_owned())
}
