//! The user directory of one process, with the rules of the one in Redis.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::id::UserId;
use super::{CreateUsers, Found};
use crate::clock;
use crate::redis::StoreError;

/// Users that end with the process. A clone shares them.
#[derive(Clone)]
pub struct MemoryUsers {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    openids: HashMap<(String, String), UserId>,
    unionids: HashMap<String, UserId>,
    aliases: HashMap<UserId, UserId>,
    last: Option<UserId>,
}

impl MemoryUsers {
    pub(super) fn new() -> Self {
        Self {
            state: Arc::new(Mutex::new(State::default())),
        }
    }

    pub(super) fn find_or_create(
        &self,
        appid: &str,
        openid: &str,
        unionid: Option<&str>,
        create: CreateUsers,
    ) -> Result<Found, StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let by_openid = (appid.to_owned(), openid.to_owned());
        let known = state.openids.get(&by_openid).copied();
        let joined = unionid.and_then(|unionid| state.unionids.get(unionid).copied());
        let (id, is_new) = match (known, joined) {
            (Some(one), Some(other)) => (state.join(one, other), false),
            (Some(id), None) | (None, Some(id)) => (state.resolve(id), false),
            (None, None) if create == CreateUsers::No => return Ok(Found::Unknown),
            (None, None) => (state.draw()?, true),
        };
        state.openids.entry(by_openid).or_insert(id);
        if let Some(unionid) = unionid {
            state.unionids.entry(unionid.to_owned()).or_insert(id);
        }
        Ok(Found::User {
            user_id: id.to_string(),
            is_new,
            merged: UserId::merged(id, [known, joined]),
        })
    }

    pub(super) fn settle(&self, unionid: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = state.unionids.get(unionid).copied() {
            let stays = state.resolve(id);
            state.unionids.insert(unionid.to_owned(), stays);
        }
    }
}

impl State {
    fn draw(&mut self) -> Result<UserId, StoreError> {
        let drawn = UserId::draw(clock::unix_millis())?;
        let id = self.last.map_or(drawn, |last| drawn.after(last));
        self.last = Some(id);
        Ok(id)
    }

    fn join(&mut self, one: UserId, other: UserId) -> UserId {
        let (one, other) = (self.resolve(one), self.resolve(other));
        let (older, newer) = (one.min(other), one.max(other));
        if older != newer {
            self.aliases.insert(newer, older);
            super::tell_of_merge(&older, &newer);
        }
        older
    }

    /// Ends: an alias always leads to a smaller id.
    fn resolve(&self, mut id: UserId) -> UserId {
        while let Some(older) = self.aliases.get(&id) {
            id = *older;
        }
        id
    }
}
