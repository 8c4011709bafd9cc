//! What an operator does to users and their sessions, by command now and by an API later. Each change leaves one line in the log:
//! who did what to whom. That line comes after the change, so it never tells of one that was not made.

use crate::identity::Holder;
use crate::redis::StoreError;
use crate::session::{Handle, Listed, Page, Revoked, SessionStore};
use crate::users::{CreateUsers, Found, UserDirectory};

/// An operator's hands.
#[derive(Clone)]
pub struct Control {
    sessions: SessionStore,
    users: UserDirectory,
    by: &'static str,
}

impl Control {
    /// `by` stands in every line of the log: the way the operator came.
    #[must_use]
    pub fn new(sessions: SessionStore, users: UserDirectory, by: &'static str) -> Self {
        Self {
            sessions,
            users,
            by,
        }
    }

    /// Who has this openid; `None` for somebody who never logged in.
    ///
    /// # Errors
    /// The user directory cannot answer.
    pub async fn holder(&self, appid: &str, openid: &str) -> Result<Option<Holder>, StoreError> {
        let found = self
            .users
            .find_or_create(appid, openid, None, CreateUsers::No);
        Ok(match found.await? {
            Found::User { user_id, .. } => Some(Holder::User(user_id)),
            Found::Unknown => None,
            Found::NoDirectory => Some(Holder::Openid {
                appid: appid.to_owned(),
                openid: openid.to_owned(),
            }),
        })
    }

    /// As `SessionStore::page_of` for one user, as `SessionStore::page` for all.
    ///
    /// # Errors
    /// The session store cannot answer.
    pub async fn sessions(&self, of: Option<&Holder>, from: u64) -> Result<Page, StoreError> {
        match of {
            Some(holder) => self.sessions.page_of(holder, from).await,
            None => self.sessions.page(None, from).await,
        }
    }

    /// A page of looking for the session of this name; as `SessionStore::page`.
    ///
    /// # Errors
    /// The session store cannot answer.
    pub async fn named(&self, handle: &Handle, from: u64) -> Result<Page, StoreError> {
        self.sessions.page(Some(handle), from).await
    }

    /// Entries that are looked at where no user is named, about.
    ///
    /// # Errors
    /// The session store cannot answer.
    pub async fn size(&self) -> Result<u64, StoreError> {
        self.sessions.size().await
    }

    /// Ends one session; whether it was still there.
    ///
    /// # Errors
    /// The session store did not confirm it: the session may live on.
    pub async fn revoke(&self, listed: &Listed) -> Result<bool, StoreError> {
        let ended = self.sessions.revoke_listed(listed).await?;
        if ended {
            let whom = Whom::of(&listed.session.identity.holder());
            tracing::info!(
                event = "session.revoked",
                user.id = whom.user_id,
                appid = whom.appid,
                openid = whom.openid,
                session = %listed.handle(),
                by = self.by,
                "a session was ended by an operator"
            );
        }
        Ok(ended)
    }

    /// Ends all sessions of a user.
    ///
    /// # Errors
    /// The session store did not confirm it: some may live on.
    pub async fn revoke_all(&self, holder: &Holder) -> Result<Revoked, StoreError> {
        let revoked = self.sessions.revoke_all(holder).await?;
        let whom = Whom::of(holder);
        tracing::info!(
            event = "sessions.revoked",
            user.id = whom.user_id,
            appid = whom.appid,
            openid = whom.openid,
            sessions = revoked.sessions,
            by = self.by,
            "all sessions of a user were ended by an operator"
        );
        Ok(revoked)
    }
}

/// A user as the log names him: by his id, and only where there is none by his openid.
#[derive(Default)]
struct Whom {
    user_id: Option<String>,
    appid: Option<String>,
    openid: Option<String>,
}

impl Whom {
    fn of(holder: &Holder) -> Self {
        match holder.clone() {
            Holder::User(user_id) => Self {
                user_id: Some(user_id),
                ..Self::default()
            },
            Holder::Openid { appid, openid } => Self {
                user_id: None,
                appid: Some(appid),
                openid: Some(openid),
            },
        }
    }
}
