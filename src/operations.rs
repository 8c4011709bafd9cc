//! Operations on users and their sessions for the operator's commands. Each change writes one audit
//! line, after the change was made, so the log never reports a change that failed.

use crate::clock;
use crate::config::ProfileField;
use crate::identity::Holder;
use crate::session::{Handle, Listed, Page, Revoked, SessionStore};
use crate::store_error::StoreError;
use crate::users::{
    Ban, Bans, CreateUsers, Entries, Entry, EntryKind, Profile, Profiles, UserDirectory, UserLookup,
};

/// The result of a ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Banned {
    /// The banned user, after merges of the named one were followed.
    pub holder: Holder,
    /// Number of sessions that were ended.
    pub sessions: u64,
}

/// Operations with the stores that they need.
#[derive(Clone)]
pub struct Operations {
    sessions: SessionStore,
    users: UserDirectory,
    bans: Bans,
    profiles: Option<Profiles>,
    by: &'static str,
}

impl Operations {
    /// `by` is the channel of the operator, in every audit line.
    #[must_use]
    pub fn new(sessions: SessionStore, users: UserDirectory, bans: Bans, by: &'static str) -> Self {
        Self {
            sessions,
            users,
            bans,
            profiles: None,
            by,
        }
    }

    /// Adds the profiles of users.
    #[must_use]
    pub fn with_profiles(mut self, profiles: Option<Profiles>) -> Self {
        self.profiles = profiles;
        self
    }

    /// The current user with this openid, as by `current`; `None` before the first login.
    ///
    /// # Errors
    /// The user directory cannot answer.
    pub async fn holder(&self, appid: &str, openid: &str) -> Result<Option<Holder>, StoreError> {
        let found = self
            .users
            .find_or_create(appid, openid, None, CreateUsers::No);
        Ok(match found.await? {
            UserLookup::User { user_id, .. } => Some(self.current(&Holder::User(user_id)).await?),
            UserLookup::Unknown => None,
            UserLookup::NoDirectory => Some(Holder::Openid {
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

    /// A page of a search for the session with this handle; as `SessionStore::page`.
    ///
    /// # Errors
    /// The session store cannot answer.
    pub async fn named(&self, handle: &Handle, from: u64) -> Result<Page, StoreError> {
        self.sessions.page(Some(handle), from).await
    }

    /// The approximate number of entries that a search without a user looks at.
    ///
    /// # Errors
    /// The session store cannot answer.
    pub async fn size(&self) -> Result<u64, StoreError> {
        self.sessions.size().await
    }

    /// Ends one session. Returns whether it still existed.
    ///
    /// # Errors
    /// The session store did not confirm it: the session may still be valid.
    pub async fn revoke(&self, listed: &Listed) -> Result<bool, StoreError> {
        let ended = self.sessions.revoke_listed(listed).await?;
        if ended {
            let subject = AuditSubject::of(&listed.session.identity.holder());
            tracing::info!(
                event = "session.revoked",
                user.id = subject.user_id,
                appid = subject.appid,
                openid = subject.openid,
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
    /// The session store did not confirm it: some sessions may still be valid.
    pub async fn revoke_all(&self, holder: &Holder) -> Result<Revoked, StoreError> {
        let revoked = self.sessions.revoke_all(holder).await?;
        self.log_all_revoked(holder, revoked.sessions);
        Ok(revoked)
    }
}

/// Bans.
impl Operations {
    /// The current user of a key: an id that was merged into another stands for that one.
    ///
    /// # Errors
    /// The user directory or the session store cannot answer.
    pub async fn current(&self, holder: &Holder) -> Result<Holder, StoreError> {
        let Holder::User(user_id) = holder else {
            return Ok(holder.clone());
        };
        let mut current = self.users.current_id(user_id).await?;
        if !self.users.knows_merges() {
            // The session store records which users' sessions moved to another. Changes of the
            // table by the operator may produce a cycle.
            let mut passed = Vec::new();
            while let Some(into) = self.sessions.became(&current).await? {
                if into == current || passed.contains(&into) {
                    break;
                }
                passed.push(std::mem::replace(&mut current, into));
            }
        }
        Ok(Holder::User(current))
    }

    /// The user's ban, if there is one.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn ban_of(&self, holder: &Holder) -> Result<Option<Ban>, StoreError> {
        self.bans.find(holder).await
    }

    /// Bans a user and ends all of the user's sessions, then searches the directory for merged ids
    /// and ends their sessions as well. `looked_at` is called for every page of the search.
    ///
    /// # Errors
    /// The user directory or the store cannot answer. With an audit line the ban is in force, but
    /// some sessions may still be valid.
    pub async fn ban(
        &self,
        holder: &Holder,
        ban: &Ban,
        looked_at: impl FnMut(u64),
    ) -> Result<Banned, StoreError> {
        let mut current = self.current(holder).await?;
        let mut set: Option<Holder> = None;
        loop {
            // The ban comes before the sessions: a login in flight either sees the ban, or its
            // session exists and is ended below.
            self.bans.set(&current, ban).await?;
            if let Some(former) = set.replace(current.clone()) {
                // With an existing table a later login would restore this ban after it was lifted.
                self.bans.lift(&former).await?;
            }
            // A merge in between has either carried the ban over, or is seen here.
            let now = self.current(&current).await?;
            if now == current {
                break;
            }
            current = now;
        }
        let subject = AuditSubject::of(&current);
        tracing::info!(
            event = "user.banned",
            user.id = subject.user_id,
            appid = subject.appid,
            openid = subject.openid,
            reason = ban.reason,
            until = ban.until.map(clock::timestamp),
            by = self.by,
            "a user was banned by an operator"
        );
        let mut sessions = self.revoke_all(&current).await?.sessions;
        let mut others = self.merged_into(&current, looked_at).await?;
        // The user's own sessions once more, for those that merged into them during the search.
        others.push(current.clone());
        for other in others {
            let ended = self.sessions.revoke_all(&other).await?.sessions;
            if ended > 0 {
                self.log_all_revoked(&other, ended);
            }
            sessions += ended;
        }
        Ok(Banned {
            holder: current,
            sessions,
        })
    }

    /// Lifts a user's ban and returns it.
    ///
    /// # Errors
    /// The store did not confirm it.
    pub async fn unban(&self, holder: &Holder) -> Result<Option<Ban>, StoreError> {
        let lifted = self.bans.lift(holder).await?;
        if lifted.is_some() {
            let subject = AuditSubject::of(holder);
            tracing::info!(
                event = "user.unbanned",
                user.id = subject.user_id,
                appid = subject.appid,
                openid = subject.openid,
                by = self.by,
                "an operator let a banned user in again"
            );
        }
        Ok(lifted)
    }

    /// Every id that was merged into this one, directly or through others.
    async fn merged_into(
        &self,
        holder: &Holder,
        mut looked_at: impl FnMut(u64),
    ) -> Result<Vec<Holder>, StoreError> {
        let Holder::User(user_id) = holder else {
            return Ok(Vec::new());
        };
        let mut known = vec![user_id.clone()];
        // Entries have no order: an alias of an id that is found later is found in the next round.
        loop {
            let before = known.len();
            let mut from = Some(String::new());
            while let Some(start) = from {
                let page = self.users.entries(EntryKind::Merged, &start).await?;
                looked_at(page.looked_at);
                for entry in page.entries {
                    if let Entry::Merged { user_id, into } = entry
                        && known.contains(&into)
                        && !known.contains(&user_id)
                    {
                        known.push(user_id);
                    }
                }
                from = page.next;
            }
            if known.len() == before {
                break;
            }
        }
        Ok(known.into_iter().skip(1).map(Holder::User).collect())
    }

    fn log_all_revoked(&self, holder: &Holder, sessions: u64) {
        let subject = AuditSubject::of(holder);
        tracing::info!(
            event = "sessions.revoked",
            user.id = subject.user_id,
            appid = subject.appid,
            openid = subject.openid,
            sessions,
            by = self.by,
            "all sessions of a user were ended by an operator"
        );
    }
}

/// The user directory.
impl Operations {
    /// The profile of a user, field by field; `None` if no profiles are kept.
    ///
    /// # Errors
    /// The user directory cannot answer.
    pub async fn profile_of(
        &self,
        holder: &Holder,
    ) -> Result<Option<Vec<(ProfileField, Option<String>)>>, StoreError> {
        let Some(profiles) = &self.profiles else {
            return Ok(None);
        };
        let profile = match holder {
            Holder::User(user_id) => profiles.read(user_id).await?,
            Holder::Openid { .. } => Profile::default(),
        };
        let fields = profiles.kept().iter();
        let fields = fields.map(|field| (*field, profile.get(*field).map(str::to_owned)));
        Ok(Some(fields.collect()))
    }

    /// As `UserDirectory::entries`.
    ///
    /// # Errors
    /// The user directory cannot answer.
    pub async fn entries(&self, kind: EntryKind, from: &str) -> Result<Entries, StoreError> {
        self.users.entries(kind, from).await
    }

    /// Writes the audit line of an export of `entries` entries.
    pub fn note_export(&self, entries: u64) {
        tracing::info!(
            event = "users.exported",
            entries,
            by = self.by,
            "the user directory was exported"
        );
    }
}

/// The user in an audit line: by user id, or by appid and openid where there is no user id.
#[derive(Default)]
struct AuditSubject {
    user_id: Option<String>,
    appid: Option<String>,
    openid: Option<String>,
}

impl AuditSubject {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::identity::{Attributes, Identity};
    use crate::session::Origin;
    use crate::testing::RedisServer;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_session_merged_into_a_banned_user_during_the_search_is_ended_too() {
        let server = RedisServer::start().await;
        let toml = "[[apps]]\nappid = \"wx1234567890abcdef\"\nsecret = \"0123456789abcdef\"\n\
                    [[routes]]\npath = \"/*\"\nrespond = { status = 204 }\n";
        let config = Config::parse("gateway.toml", toml, &|_| None).unwrap();
        let sessions = SessionStore::memory(&config.config.session);
        let users = UserDirectory::redis(server.link(), "gate:");
        let bans = Bans::redis(server.link(), "gate:");
        let operations = Operations::new(sessions.clone(), users, bans, "test");
        let ann = Identity {
            appid: "wx1".to_owned(),
            openid: "o1".to_owned(),
            unionid: None,
            user_id: Some("17".to_owned()),
            attributes: Attributes::default(),
        };

        let mut skey = None;
        let looked_at = |_| {
            let origin = Origin::default();
            let new = sessions.create(&ann, &origin);
            let runtime = tokio::runtime::Handle::current();
            let new = tokio::task::block_in_place(|| runtime.block_on(new));
            skey = Some(new.unwrap().skey);
        };
        let (holder, ban) = (ann.holder(), Ban::new("x", None));
        let banned = operations.ban(&holder, &ban, looked_at);
        let banned = banned.await.unwrap();

        assert_eq!(banned.sessions, 1);
        assert_eq!(sessions.find(&skey.unwrap()).await.unwrap(), None);
    }
}
