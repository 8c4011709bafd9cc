//! What is kept of a user besides his ids, on its way between the directory and his sessions. The directory is right: after each
//! change the sessions are given what it says then, until it says no more than they have. So of two changes at once, on whatever
//! replicas, none leaves sessions behind that hold the other.

use std::sync::Arc;

use super::LOGIN_DEADLINE;
use super::Logins;
use crate::config::ProfileField;
use crate::error::Error;
use crate::identity::{Holder, Identity};
use crate::session::SessionStore;
use crate::store_error::StoreError;
use crate::users::{Change, Profile, ProfileError, Profiles};

/// Times that sessions are changed because the directory says something new. Only changes at once need more than one.
const MAX_ROUNDS: usize = 8;

impl Logins {
    /// Keeps profiles from now on.
    #[must_use]
    pub fn with_profiles(mut self, profiles: Option<Profiles>) -> Self {
        self.profiles = profiles;
        self
    }

    /// What is kept of users.
    #[must_use]
    pub fn kept(&self) -> &[ProfileField] {
        self.profiles.as_ref().map_or(&[], Profiles::kept)
    }

    /// Changes a user's profile, first in the directory, then in all of his sessions; gives the whole of it. Goes on when the caller
    /// leaves, as one of `tasks`.
    ///
    /// # Errors
    /// `DirectoryUnavailable`, also when it took longer than 5 s; `StoreUnavailable` when his sessions may have the old one;
    /// `BadRequest` where a table cannot hold it; `UnknownUser` where the directory has no such user any more; `Overloaded` when 64
    /// changes are under way, or 32 of this user.
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
                // Only now: whoever waits for a turn of his own keeps nobody from theirs.
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
        // Sessions from before a merge may still go by the older name.
        let mut holders = vec![Holder::User(current.clone()), holder];
        holders.dedup();
        spread(&self.sessions, profiles, &holders, &current).await
    }

    /// What a new session begins with.
    pub(super) async fn add_profile(&self, identity: &mut Identity) -> Result<(), Error> {
        if let (Some(profiles), Some(user_id)) = (&self.profiles, &identity.user_id) {
            let profile = profiles.read(user_id).await;
            let profile = profile.map_err(Error::DirectoryUnavailable)?;
            profile.put(&mut identity.attributes);
        }
        Ok(())
    }

    /// Looks once more when a session is stored: whoever changed the profile after the first look and before it was there to be
    /// changed did not meet it.
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
        // He is logged in all the same, with the profile of a moment ago.
        if let Err(error) = settled.await {
            tracing::debug!(%error, "a new session's profile was not looked at again");
        }
    }
}

/// Gives a user's sessions what the directory keeps of him.
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
            "the user table cannot hold this as it is: too long, or characters that it does not have",
        ),
    }
}
