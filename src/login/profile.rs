//! Profiles: the user's fields besides the ids, between the directory and the sessions. The
//! directory is authoritative: after each change the sessions are updated from it until they match.
//! So concurrent changes on any replicas leave no session with an outdated profile.

use std::sync::Arc;

use super::LOGIN_DEADLINE;
use super::Logins;
use crate::config::ProfileField;
use crate::error::Error;
use crate::identity::{Holder, Identity};
use crate::session::SessionStore;
use crate::store_error::StoreError;
use crate::users::{Change, Profile, ProfileError, Profiles};

/// Maximum updates of the sessions because the directory changed meanwhile. Only concurrent changes
/// need more than one.
const MAX_ROUNDS: usize = 8;

impl Logins {
    /// Enables profiles.
    #[must_use]
    pub fn with_profiles(mut self, profiles: Option<Profiles>) -> Self {
        self.profiles = profiles;
        self
    }

    /// Shares the concurrency limits of `others`, which these logins replace at a reload.
    #[must_use]
    pub fn with_limits_of(mut self, others: &Self) -> Self {
        self.login_permits = Arc::clone(&others.login_permits);
        self.change_permits = Arc::clone(&others.change_permits);
        self.changes_per_user = others.changes_per_user.clone();
        self
    }

    /// The profile fields that are kept.
    #[must_use]
    pub fn kept(&self) -> &[ProfileField] {
        self.profiles.as_ref().map_or(&[], Profiles::kept)
    }

    /// Changes a user's profile, in the directory first, then in all sessions of the user; returns
    /// the whole profile. Continues as one of `tasks` when the client disconnects.
    ///
    /// # Errors
    /// `DirectoryUnavailable`, also after 5 s; `StoreUnavailable` when sessions may have the old
    /// profile; `BadRequest` when the table cannot hold a value; `UnknownUser` when the directory
    /// does not have the user any more; `Overloaded` when 64 changes are in progress, or 32 of this
    /// user.
    pub async fn change_profile(
        self: &Arc<Self>,
        identity: &Identity,
        changes: Vec<Change>,
    ) -> Result<Profile, Error> {
        let user_id = identity.user_id.clone().ok_or(Error::UnknownUser)?;
        let entry = self
            .changes_per_user
            .enter(&user_id)
            .ok_or(Error::Overloaded)?;
        let logins = Arc::clone(self);
        let holder = identity.holder();
        let running = self.tasks.spawn(async move {
            let work = async {
                let _user_permit = entry.permit().await;
                // Acquired after the user's own permit: a change that waits for its user must not
                // take a global one.
                let permit = logins.change_permits.try_acquire();
                let _permit = permit.map_err(|_| Error::Overloaded)?;
                logins.change_and_spread(holder, &user_id, &changes).await
            };
            let in_time = tokio::time::timeout(LOGIN_DEADLINE, work).await;
            in_time.unwrap_or_else(|_| {
                Err(Error::DirectoryUnavailable(StoreError::Unavailable {
                    cause: "the change of a profile took longer than 5 s".to_owned(),
                }))
            })
        });
        let lost = || Error::Internal("the change of a profile panicked".to_owned());
        running.await.unwrap_or_else(|_| Err(lost()))
    }

    async fn change_and_spread(
        &self,
        holder: Holder,
        user_id: &str,
        changes: &[Change],
    ) -> Result<Profile, Error> {
        let Some(profiles) = &self.profiles else {
            return Err(Error::Internal("no profile is kept".to_owned()));
        };
        let current = profiles.change(user_id, changes).await.map_err(refused)?;
        // Sessions from before a merge may still have the older id.
        let mut holders = vec![Holder::User(current.clone()), holder];
        holders.dedup();
        spread(&self.sessions, profiles, &holders, &current).await
    }

    /// Fills in the profile of a new session.
    pub(super) async fn add_profile(&self, identity: &mut Identity) -> Result<(), Error> {
        if let (Some(profiles), Some(user_id)) = (&self.profiles, &identity.user_id) {
            let profile = profiles.read(user_id).await;
            let profile = profile.map_err(Error::DirectoryUnavailable)?;
            profile.put(&mut identity.attributes);
        }
        Ok(())
    }

    /// Compares the profile again after the session is stored: a change between the first read and
    /// the store did not find the session.
    pub(super) async fn settle(&self, identity: &Identity) {
        let (Some(profiles), Some(user_id)) = (&self.profiles, &identity.user_id) else {
            return;
        };
        let settled = async {
            let profile = profiles.read(user_id).await;
            if profile.map_err(Error::DirectoryUnavailable)? != Profile::of(&identity.attributes) {
                let holders = [identity.holder()];
                spread(&self.sessions, profiles, &holders, user_id).await?;
            }
            Ok::<_, Error>(())
        };
        // The login succeeds anyway, with the profile as first read.
        if let Err(error) = settled.await {
            tracing::debug!(%error, "a new session's profile was not compared with the directory");
        }
    }
}

/// Updates a user's sessions from the directory.
pub(super) async fn spread(
    sessions: &SessionStore,
    profiles: &Profiles,
    holders: &[Holder],
    user_id: &str,
) -> Result<Profile, Error> {
    let read = async || {
        let profile = profiles.read(user_id).await;
        profile.map_err(Error::DirectoryUnavailable)
    };
    let mut profile = read().await?;
    for _ in 0..MAX_ROUNDS {
        for holder in holders {
            let amended = sessions.amend(holder, |session| {
                profile.put(&mut session.identity.attributes);
            });
            amended.await.map_err(Error::StoreUnavailable)?;
        }
        let now = read().await?;
        if now == profile {
            break;
        }
        profile = now;
    }
    Ok(profile)
}

fn refused(error: ProfileError) -> Error {
    match error {
        ProfileError::Store(cause) => Error::DirectoryUnavailable(cause),
        ProfileError::NoUser => Error::UnknownUser,
        ProfileError::DoesNotFit => Error::BadRequest(
            "the user table cannot hold a value: too long, or with characters that it does not allow",
        ),
    }
}
