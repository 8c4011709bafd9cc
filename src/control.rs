//! What an operator does to users and their sessions, by command now and by an API later. Each change leaves one line in the log:
//! who did what to whom. That line comes after the change, so it never tells of one that was not made.

use crate::clock;
use crate::config::ProfileField;
use crate::identity::Holder;
use crate::redis::StoreError;
use crate::session::{Handle, Listed, Page, Revoked, SessionStore};
use crate::users::{
    Ban, Bans, CreateUsers, Entries, Entry, EntryKind, Found, Profile, Profiles, UserDirectory,
};

/// What a ban came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Banned {
    /// Who is banned: the user that the one who was named is now.
    pub holder: Holder,
    /// So many of his sessions were ended.
    pub sessions: u64,
}

/// An operator's hands.
#[derive(Clone)]
pub struct Control {
    sessions: SessionStore,
    users: UserDirectory,
    bans: Bans,
    profiles: Option<Profiles>,
    by: &'static str,
}

impl Control {
    /// `by` stands in every line of the log: the way the operator came.
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

    /// Knows what is kept of users.
    #[must_use]
    pub fn with_profiles(mut self, profiles: Option<Profiles>) -> Self {
        self.profiles = profiles;
        self
    }

    /// Who has this openid, as `current` says; `None` for somebody who never logged in.
    ///
    /// # Errors
    /// The user directory cannot answer.
    pub async fn holder(&self, appid: &str, openid: &str) -> Result<Option<Holder>, StoreError> {
        let found = self
            .users
            .find_or_create(appid, openid, None, CreateUsers::No);
        Ok(match found.await? {
            Found::User { user_id, .. } => Some(self.current(&Holder::User(user_id)).await?),
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
        self.tell_of_all_revoked(holder, revoked.sessions);
        Ok(revoked)
    }
}

/// Bans.
impl Control {
    /// The user that somebody is now: an id that was merged into another stands for that one.
    ///
    /// # Errors
    /// The user directory or the session store cannot answer.
    pub async fn current(&self, holder: &Holder) -> Result<Holder, StoreError> {
        let Holder::User(user_id) = holder else {
            return Ok(holder.clone());
        };
        let mut current = self.users.current_id(user_id).await?;
        if !self.users.knows_merges() {
            // Whose sessions are another's by now, the session store remembers. Somebody who changes the table may make a circle.
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

    /// The user's ban, if he has one.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn ban_of(&self, holder: &Holder) -> Result<Option<Ban>, StoreError> {
        self.bans.find(holder).await
    }

    /// Bans a user and ends all his sessions. The directory is then looked through for older ids of his, whose sessions end
    /// as well; `looked_at` is told of every page of that.
    ///
    /// # Errors
    /// The user directory or the store cannot answer. The ban holds when the log says so, but some sessions may live on.
    pub async fn ban(
        &self,
        holder: &Holder,
        ban: &Ban,
        looked_at: impl FnMut(u64),
    ) -> Result<Banned, StoreError> {
        let mut current = self.current(holder).await?;
        let mut set: Option<Holder> = None;
        loop {
            // The ban comes before the sessions: a login that is under way sees it, or its session is there to be ended.
            self.bans.set(&current, ban).await?;
            if let Some(former) = set.replace(current.clone()) {
                // In an adopted table it would come back with a login, after it was lifted.
                self.bans.lift(&former).await?;
            }
            // A merge in between has carried the ban over, or is seen here.
            let now = self.current(&current).await?;
            if now == current {
                break;
            }
            current = now;
        }
        let whom = Whom::of(&current);
        tracing::info!(
            event = "user.banned",
            user.id = whom.user_id,
            appid = whom.appid,
            openid = whom.openid,
            reason = ban.reason,
            until = ban.until.map(clock::timestamp),
            by = self.by,
            "a user was banned by an operator"
        );
        let mut sessions = self.revoke_all(&current).await?.sessions;
        let mut others = self.merged_into(&current, looked_at).await?;
        // Once more, for what became his while they were looked for.
        others.push(current.clone());
        for other in others {
            let ended = self.sessions.revoke_all(&other).await?.sessions;
            if ended > 0 {
                self.tell_of_all_revoked(&other, ended);
            }
            sessions += ended;
        }
        Ok(Banned {
            holder: current,
            sessions,
        })
    }

    /// Lets a user in again; the ban he had.
    ///
    /// # Errors
    /// The store did not confirm it.
    pub async fn unban(&self, holder: &Holder) -> Result<Option<Ban>, StoreError> {
        let lifted = self.bans.lift(holder).await?;
        if lifted.is_some() {
            let whom = Whom::of(holder);
            tracing::info!(
                event = "user.unbanned",
                user.id = whom.user_id,
                appid = whom.appid,
                openid = whom.openid,
                by = self.by,
                "an operator let a banned user in again"
            );
        }
        Ok(lifted)
    }

    /// Every id that was merged into this one, through others too.
    async fn merged_into(
        &self,
        holder: &Holder,
        mut looked_at: impl FnMut(u64),
    ) -> Result<Vec<Holder>, StoreError> {
        let Holder::User(user_id) = holder else {
            return Ok(Vec::new());
        };
        let mut known = vec![user_id.clone()];
        // Entries come in no order: one that leads to an id found later is met on the next round.
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

    fn tell_of_all_revoked(&self, holder: &Holder, sessions: u64) {
        let whom = Whom::of(holder);
        tracing::info!(
            event = "sessions.revoked",
            user.id = whom.user_id,
            appid = whom.appid,
            openid = whom.openid,
            sessions,
            by = self.by,
            "all sessions of a user were ended by an operator"
        );
    }
}

/// The user directory.
impl Control {
    /// What is kept of a user besides his ids, field by field; `None` where nothing is.
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

    /// Notes down that so much of the directory was handed out.
    pub fn note_export(&self, entries: u64) {
        tracing::info!(
            event = "users.exported",
            entries,
            by = self.by,
            "the user directory was exported"
        );
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::identity::{Attributes, Identity};
    use crate::session::Origin;
    use crate::testing::RedisServer;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_session_gained_during_the_merged_id_lookup_is_ended_too() {
        let server = RedisServer::start().await;
        let toml = "[[apps]]\nappid = \"wx1234567890abcdef\"\nsecret = \"0123456789abcdef\"\n\
                    [[routes]]\npath = \"/*\"\nrespond = { status = 204 }\n";
        let config = Config::parse("gateway.toml", toml, &|_| None).unwrap();
        let sessions = SessionStore::memory(&config.config.session);
        let users = UserDirectory::redis(server.link(), "gate:");
        let bans = Bans::redis(server.link(), "gate:");
        let control = Control::new(sessions.clone(), users, bans, "test");
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
        let banned = control.ban(&holder, &ban, looked_at);
        let banned = banned.await.unwrap();

        assert_eq!(banned.sessions, 1);
        assert_eq!(sessions.find(&skey.unwrap()).await.unwrap(), None);
    }
}
