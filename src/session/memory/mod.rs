//! Sessions in memory, with the semantics of those in Redis. Expiry uses the monotonic clock.

mod merges;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::lifetime::{GRACE_PERIOD, Lifetime, SESSION_KEY_TTL};
use super::operations::{Listed, Page, Revoked};
use super::{NewSession, Origin, Session, Skey};
use crate::clock;
use crate::config;
use crate::identity::{Holder, Identity, Merged};
use crate::secret::Secret;
use crate::store_error::StoreError;
use crate::ttl_map::TtlMap;

/// Sessions that end with the process. Clones share them.
#[derive(Clone)]
pub struct MemorySessions {
    lifetime: Lifetime,
    state: Arc<Mutex<State>>,
}

struct State {
    sessions: TtlMap<Held>,
    /// Session hashes per user, oldest first.
    lists: TtlMap<Vec<String>>,
    session_key_histories: TtlMap<Vec<Secret>>,
    merged: TtlMap<Merged>,
    merge_notes: TtlMap<String>,
}

struct Held {
    session: Session,
    created: Instant,
    renewed: Instant,
    ending: bool,
}

impl MemorySessions {
    pub(super) fn new(config: &config::Session) -> Self {
        Self {
            lifetime: Lifetime::new(config),
            state: Arc::new(Mutex::new(State {
                sessions: TtlMap::new(),
                lists: TtlMap::new(),
                session_key_histories: TtlMap::new(),
                merged: TtlMap::new(),
                merge_notes: TtlMap::new(),
            })),
        }
    }

    pub(super) fn reconfigured(&self, config: &config::Session) -> Self {
        Self {
            lifetime: Lifetime::new(config),
            state: Arc::clone(&self.state),
        }
    }

    pub(super) fn find(&self, skey: &Skey) -> Option<Session> {
        let hash = skey.hash();
        let now = Instant::now();
        let mut state = self.state();
        let (held, _) = state.sessions.find(&hash, now)?;
        // A reload may have made it shorter.
        if now - held.created >= self.lifetime.max_age {
            return None;
        }
        if held.ending || now - held.renewed < self.lifetime.renew_every {
            return Some(held.session.clone());
        }
        held.renewed = now;
        held.session.renewed = clock::unix_seconds();
        let session = held.session.clone();
        let ends = (now + self.lifetime.ttl).min(held.created + self.lifetime.max_age);
        state.sessions.set_end(&hash, ends);
        Some(session)
    }

    pub(super) fn create(
        &self,
        identity: &Identity,
        origin: &Origin,
    ) -> Result<NewSession, StoreError> {
        let skey = Skey::random()?;
        let hash = skey.hash();
        let unix = clock::unix_seconds();
        let session = Session {
            identity: identity.clone(),
            created: unix,
            renewed: unix,
            origin: origin.cut(),
        };
        let expires_in = self.lifetime.at_first();
        let now = Instant::now();
        let held = Held {
            session: session.clone(),
            created: now,
            renewed: now,
            ending: false,
        };
        let mut state = self.state();
        state.sweep(now);
        state.sessions.insert(&hash, held, now + expires_in);
        state.list(&name_of(&identity.holder()), hash, &self.lifetime, now);
        Ok(NewSession {
            skey,
            session,
            expires_in,
        })
    }

    pub(super) fn revoke(&self, skey: &Skey) -> Option<Session> {
        self.revoke_hash(&skey.hash())
    }

    pub(super) fn revoke_hash(&self, hash: &str) -> Option<Session> {
        let now = Instant::now();
        let mut state = self.state();
        let held = state.sessions.remove(hash, now)?;
        let user = held.session.identity.holder();
        if let Some((list, _)) = state.lists.find(&name_of(&user), now) {
            list.retain(|listed| listed != hash);
        }
        Some(held.session)
    }

    pub(super) fn revoke_all(&self, holder: &Holder) -> Revoked {
        let now = Instant::now();
        let mut state = self.state();
        let list = state.lists.remove(&name_of(holder), now);
        let hashes = list.unwrap_or_default();
        let ended = hashes
            .iter()
            .filter(|hash| state.sessions.remove(hash, now).is_some());
        Revoked {
            sessions: u64::try_from(ended.count()).unwrap_or(u64::MAX),
        }
    }

    pub(super) fn amend(&self, holder: &Holder, change: impl Fn(&mut Session)) -> u64 {
        let now = Instant::now();
        let (name, mut amended) = (name_of(holder), 0);
        let mut state = self.state();
        let list = state.lists.find(&name, now);
        let hashes = list.map(|(list, _)| list.clone()).unwrap_or_default();
        for hash in hashes {
            let Some((held, _)) = state.sessions.find(&hash, now) else {
                continue;
            };
            let before = held.session.clone();
            change(&mut held.session);
            if held.session == before {
                continue;
            }
            amended += 1;
            let new_name = name_of(&held.session.identity.holder());
            if new_name != name {
                if let Some((list, _)) = state.lists.find(&name, now) {
                    list.retain(|listed| *listed != hash);
                }
                state.list(&new_name, hash, &self.lifetime, now);
            }
        }
        amended
    }

    /// All sessions that `wanted` accepts, oldest first.
    pub(super) fn page(&self, wanted: impl Fn(&Identity) -> bool) -> Page {
        let now = Instant::now();
        let state = self.state();
        let mut found: Vec<(Instant, Listed)> = state
            .sessions
            .iter(now)
            .filter(|(_, held, _)| wanted(&held.session.identity))
            .map(|(hash, held, ends)| {
                let listed = Listed {
                    hash: hash.to_owned(),
                    session: held.session.clone(),
                    expires_in: ends - now,
                };
                (held.created, listed)
            })
            .collect();
        found.sort_by_key(|(created, _)| *created);
        Page {
            listed: found.into_iter().map(|(_, listed)| listed).collect(),
            ..Page::default()
        }
    }

    pub(super) fn size(&self) -> u64 {
        let now = Instant::now();
        u64::try_from(self.state().sessions.iter(now).count()).unwrap_or(u64::MAX)
    }

    pub(super) fn remember_session_key(&self, appid: &str, openid: &str, session_key: &Secret) {
        let now = Instant::now();
        let name = openid_of(appid, openid);
        let mut state = self.state();
        let mut history = state
            .session_key_histories
            .remove(&name, now)
            .unwrap_or_default();
        history.retain(|kept| kept != session_key);
        history.insert(0, session_key.clone());
        history.truncate(2);
        state
            .session_key_histories
            .insert(&name, history, now + SESSION_KEY_TTL);
    }

    pub(super) fn session_keys(&self, appid: &str, openid: &str) -> Vec<Secret> {
        let mut state = self.state();
        let history = state
            .session_key_histories
            .find(&openid_of(appid, openid), Instant::now());
        history
            .map(|(history, _)| history.clone())
            .unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is complete before the next statement that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn sweep(&mut self, now: Instant) {
        self.sessions.sweep(now);
        self.lists.sweep(now);
        self.session_key_histories.sweep(now);
        self.merged.sweep(now);
        self.merge_notes.sweep(now);
    }

    /// Adds a session to a user's list. The oldest sessions over the limit end after the grace
    /// period.
    fn list(&mut self, user: &str, hash: String, lifetime: &Lifetime, now: Instant) {
        let mut list = self.lists.remove(user, now).unwrap_or_default();
        list.retain(|listed| self.sessions.find(listed, now).is_some());
        list.push(hash);
        let limit = lifetime.max_per_user.unwrap_or(usize::MAX);
        for oldest in list.iter().take(list.len().saturating_sub(limit)) {
            if let Some((held, ends)) = self.sessions.find(oldest, now)
                && !held.ending
            {
                held.ending = true;
                self.sessions.set_end(oldest, ends.min(now + GRACE_PERIOD));
            }
        }
        self.lists.insert(user, list, now + lifetime.max_age);
    }
}

fn name_of(holder: &Holder) -> String {
    match holder {
        Holder::User(user_id) => user_id.clone(),
        Holder::Openid { appid, openid } => openid_of(appid, openid),
    }
}

/// Neither part contains NUL.
fn openid_of(appid: &str, openid: &str) -> String {
    [appid, "\0", openid].concat()
}
