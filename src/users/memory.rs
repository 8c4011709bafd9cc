//! The user directory of one process, by the same rules as in Redis.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::id::UserId;
use super::{Bans, Change, CreateUsers, Profile, UserLookup};
use crate::clock;
use crate::config::ProfileField;
use crate::store_error::StoreError;

/// Users that end with the process. A clone shares them.
#[derive(Clone)]
pub struct MemoryUsers {
    state: Arc<Mutex<State>>,
    bans: Bans,
}

#[derive(Default)]
struct State {
    openids: HashMap<(String, String), UserId>,
    unionids: HashMap<String, UserId>,
    aliases: HashMap<UserId, UserId>,
    profiles: HashMap<String, Profile>,
    last: Option<UserId>,
}

/// The result of one attempt.
enum Step {
    Done(UserLookup),
    /// Two ids belong to one person, and the directory has not recorded it yet.
    Join {
        older: UserId,
        newer: UserId,
    },
}

impl MemoryUsers {
    pub(super) fn new(bans: Bans) -> Self {
        Self {
            state: Arc::default(),
            bans,
        }
    }

    pub(super) async fn find_or_create(
        &self,
        appid: &str,
        openid: &str,
        unionid: Option<&str>,
        create: CreateUsers,
    ) -> Result<UserLookup, StoreError> {
        // Terminates: each join leaves one id fewer that is not an alias.
        loop {
            let (older, newer) = match self.lock().step(appid, openid, unionid, create)? {
                Step::Done(found) => return Ok(found),
                Step::Join { older, newer } => (older, newer),
            };
            let ids = (newer.to_string(), older.to_string());
            // As in Redis: carried over before the join, because no login may find the older id
            // without the ban, and after it, for a ban that is set in between.
            self.bans.carry_over(&ids.0, &ids.1).await?;
            self.lock().join(older, newer);
            self.bans.carry_over(&ids.0, &ids.1).await?;
        }
    }

    pub(super) fn current_id(&self, user_id: &str) -> String {
        let current = UserId::parse(user_id).map(|id| self.lock().resolve(id).to_string());
        current.unwrap_or_else(|| user_id.to_owned())
    }

    pub(super) fn settle(&self, unionid: &str) {
        let mut state = self.lock();
        if let Some(id) = state.unionids.get(unionid).copied() {
            let stays = state.resolve(id);
            state.unionids.insert(unionid.to_owned(), stays);
        }
    }

    pub(super) fn profile(&self, user_id: &str, fields: &[ProfileField]) -> Profile {
        let mut profile = Profile::default();
        if let Some(kept) = self.lock().profiles.get(user_id) {
            for field in fields {
                profile.set(*field, kept.get(*field).map(str::to_owned));
            }
        }
        profile
    }

    pub(super) fn change_profile(&self, user_id: &str, changes: &[Change]) {
        let mut state = self.lock();
        let profile = state.profiles.entry(user_id.to_owned()).or_default();
        for Change { field, value } in changes {
            profile.set(*field, value.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn step(
        &mut self,
        appid: &str,
        openid: &str,
        unionid: Option<&str>,
        create: CreateUsers,
    ) -> Result<Step, StoreError> {
        let by_openid = (appid.to_owned(), openid.to_owned());
        let known = self.openids.get(&by_openid).copied();
        let joined = unionid.and_then(|unionid| self.unionids.get(unionid).copied());
        let stays = |led_to: Option<UserId>| led_to.map(|id| self.resolve(id));
        let (id, is_new) = match (stays(known), stays(joined)) {
            (Some(one), Some(other)) if one != other => {
                let (older, newer) = (one.min(other), one.max(other));
                return Ok(Step::Join { older, newer });
            }
            (Some(id), _) | (None, Some(id)) => (id, false),
            (None, None) if create == CreateUsers::No => {
                return Ok(Step::Done(UserLookup::Unknown));
            }
            (None, None) => (self.draw()?, true),
        };
        self.openids.entry(by_openid).or_insert(id);
        if let Some(unionid) = unionid {
            self.unionids.entry(unionid.to_owned()).or_insert(id);
        }
        Ok(Step::Done(UserLookup::User {
            user_id: id.to_string(),
            is_new,
            merged: UserId::merged(id, self.passed([known, joined])),
        }))
    }

    fn draw(&mut self) -> Result<UserId, StoreError> {
        let drawn = UserId::draw(clock::unix_millis())?;
        let id = self.last.map_or(drawn, |last| drawn.after(last));
        self.last = Some(id);
        Ok(id)
    }

    /// Makes the newer id an alias, unless another login did meanwhile.
    fn join(&mut self, older: UserId, newer: UserId) {
        if self.resolve(older) == self.resolve(newer) {
            return;
        }
        let (older, newer) = (self.resolve(older), self.resolve(newer));
        let (older, newer) = (older.min(newer), older.max(newer));
        self.aliases.insert(newer, older);
        if let Some(gone) = self.profiles.remove(&newer.to_string()) {
            let profile = self.profiles.entry(older.to_string()).or_default();
            for field in ProfileField::ALL {
                if profile.get(field).is_none() {
                    profile.set(field, gone.get(field).map(str::to_owned));
                }
            }
        }
        super::log_merge(&older, &newer);
    }

    /// The ids passed on the way from openid and unionid.
    fn passed(&self, led_to: [Option<UserId>; 2]) -> Vec<UserId> {
        let mut passed = Vec::new();
        for id in led_to.into_iter().flatten() {
            passed.extend(std::iter::successors(Some(id), |id| {
                self.aliases.get(id).copied()
            }));
        }
        passed
    }

    /// Terminates: an alias always leads to a smaller id.
    fn resolve(&self, mut id: UserId) -> UserId {
        while let Some(older) = self.aliases.get(&id) {
            id = *older;
        }
        id
    }
}
