//! Merge notes in memory, with the semantics of those in Redis.

use std::time::Duration;

use tokio::time::Instant;

use super::MemorySessions;
use crate::identity::Merged;
use crate::session::merges::{MERGE_NOTE_TTL, is_news, with};

impl MemorySessions {
    pub(in crate::session) fn note_merge(
        &self,
        newer: &str,
        older: &str,
        header_for: Option<Duration>,
    ) -> Option<Merged> {
        self.keep(&into(newer), older, MERGE_NOTE_TTL);
        let header_for = header_for?;
        let now = Instant::now();
        let mut state = self.state();
        let mut merged = |user_id: &str| {
            let found = state.merged.find(user_id, now);
            found.map(|(merged, _)| merged.clone()).filter(is_news)
        };
        let (into_newer, before) = (merged(newer), merged(older));
        let Some(merged) = with(newer, into_newer.as_ref(), before.as_ref(), header_for) else {
            return before;
        };
        state.merged.insert(older, merged.clone(), now + header_for);
        Some(merged)
    }

    pub(in crate::session) fn merged_from(&self, user_id: &str) -> Option<Merged> {
        let mut state = self.state();
        let (merged, _) = state.merged.find(user_id, Instant::now())?;
        Some(merged.clone()).filter(is_news)
    }

    pub(in crate::session) fn merged_into(&self, user_id: &str) -> Option<String> {
        self.kept(&into(user_id))
    }

    pub(in crate::session) fn told_into(&self, newer: &str) -> Option<String> {
        self.kept(&told(newer))
    }

    pub(in crate::session) fn merge_is_told(&self, newer: &str, older: &str) -> bool {
        self.told_into(newer).is_some_and(|into| into == older)
    }

    pub(in crate::session) fn note_told(&self, newer: &str, older: &str) {
        self.keep(&told(newer), older, self.lifetime.max_age);
    }

    fn keep(&self, name: &str, value: &str, lasts: Duration) {
        let now = Instant::now();
        let mut state = self.state();
        state
            .merge_notes
            .insert(name, value.to_owned(), now + lasts);
    }

    fn kept(&self, name: &str) -> Option<String> {
        let mut state = self.state();
        let found = state.merge_notes.find(name, Instant::now());
        found.map(|(value, _)| value.clone())
    }
}

/// User ids do not contain NUL.
fn into(user_id: &str) -> String {
    [user_id, "\0into"].concat()
}

fn told(user_id: &str) -> String {
    [user_id, "\0told"].concat()
}
