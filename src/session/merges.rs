//! Recent merges, as far as sessions need them: for the header that tells upstreams, for logins in
//! progress during a merge, and to settle each merge once. The user directory keeps the permanent
//! record.

use std::time::Duration;

use super::SessionStore;
use crate::clock;
use crate::identity::Merged;
use crate::store_error::StoreError;

/// Maximum ids in the header, newest merge first.
const MAX_IDS: usize = 8;
/// How long a login finds the note that an id was merged: longer than `LOGIN_DEADLINE`.
pub(super) const MERGE_NOTE_TTL: Duration = Duration::from_secs(60);

impl SessionStore {
    /// Notes that `newer` was merged into `older`, for `header_for` if that is set. Returns what
    /// the sessions of `older` tell upstreams: `newer`, the ids merged into it, and the ids merged
    /// into `older` before. A repeated note does not extend the first.
    ///
    /// # Errors
    /// The store did not confirm it.
    pub async fn note_merge(
        &self,
        newer: &str,
        older: &str,
        header_for: Option<Duration>,
    ) -> Result<Option<Merged>, StoreError> {
        // The header separates ids by commas; an existing table may have ids that contain one.
        let header_for = header_for.filter(|_| !newer.contains(','));
        match self {
            Self::Redis(store) => store.note_merge(newer, older, header_for).await,
            Self::Memory(store) => Ok(store.note_merge(newer, older, header_for)),
        }
    }

    /// The merges that a user's sessions tell upstreams.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn merged_from(&self, user_id: &str) -> Result<Option<Merged>, StoreError> {
        match self {
            Self::Redis(store) => store.merged_from(user_id).await,
            Self::Memory(store) => Ok(store.merged_from(user_id)),
        }
    }

    /// The id that this user was merged into within the last minute.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn merged_into(&self, user_id: &str) -> Result<Option<String>, StoreError> {
        match self {
            Self::Redis(store) => store.merged_into(user_id).await,
            Self::Memory(store) => Ok(store.merged_into(user_id)),
        }
    }

    /// The id that this user was merged into, settled or not; for callers other than logins. `None`
    /// also when the note has expired.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn became(&self, user_id: &str) -> Result<Option<String>, StoreError> {
        let under_way = self.merged_into(user_id).await?;
        if under_way.is_some() {
            return Ok(under_way);
        }
        match self {
            Self::Redis(store) => store.told_into(user_id).await,
            Self::Memory(store) => Ok(store.told_into(user_id)),
        }
    }

    /// Whether the merge of `newer` into `older` is settled: every session has the older id.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn merge_is_told(&self, newer: &str, older: &str) -> Result<bool, StoreError> {
        match self {
            Self::Redis(store) => store.merge_is_told(newer, older).await,
            Self::Memory(store) => Ok(store.merge_is_told(newer, older)),
        }
    }

    /// Notes that a merge is settled.
    ///
    /// # Errors
    /// The store did not confirm it: the next login settles the merge again.
    pub async fn note_told(&self, newer: &str, older: &str) -> Result<(), StoreError> {
        match self {
            Self::Redis(store) => store.note_told(newer, older).await,
            Self::Memory(store) => {
                store.note_told(newer, older);
                Ok(())
            }
        }
    }
}

/// The value to store after the merge of `newer`; `None` when it is stored already.
pub(super) fn with(
    newer: &str,
    into_newer: Option<&Merged>,
    before: Option<&Merged>,
    header_for: Duration,
) -> Option<Merged> {
    let ids = |merged: Option<&'_ Merged>| merged.map_or("", |merged| &merged.user_id).to_owned();
    let (into_newer, before) = (ids(into_newer), ids(before));
    if before.split(',').any(|id| id == newer) {
        return None;
    }
    let mut all: Vec<&str> = vec![newer];
    for id in into_newer.split(',').chain(before.split(',')) {
        if !id.is_empty() && !all.contains(&id) {
            all.push(id);
        }
    }
    all.truncate(MAX_IDS);
    Some(Merged {
        user_id: all.join(","),
        until: clock::unix_seconds().saturating_add(header_for.as_secs()),
    })
}

/// Whether upstreams still receive it.
pub(super) fn is_news(merged: &Merged) -> bool {
    clock::unix_seconds() < merged.until
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::{both, session_config};

    const DAY: Option<Duration> = Some(Duration::from_secs(86_400));

    #[tokio::test]
    async fn the_header_lists_every_merged_id_the_last_first() {
        let (_server, stores) = both(&session_config()).await;
        for store in stores {
            assert_eq!(store.merged_from("1").await.unwrap(), None);
            let note =
                async |newer: &str, older: &str| store.note_merge(newer, older, DAY).await.unwrap();
            assert_eq!(note("5", "4").await.unwrap().user_id, "5");
            assert_eq!(note("2", "1").await.unwrap().user_id, "2");
            // Includes the ids merged into it; a second note changes nothing.
            for _ in 0..2 {
                assert_eq!(note("4", "1").await.unwrap().user_id, "4,5,2");
            }
            let merged = store.merged_from("1").await.unwrap().unwrap();
            assert_eq!(merged.user_id, "4,5,2");
            let left = merged.until - clock::unix_seconds();
            assert!((86_390..=86_400).contains(&left), "{left}");
            assert_eq!(store.note_merge("4", "1", DAY).await.unwrap(), Some(merged));
            for number in 10..20 {
                note(&number.to_string(), "1").await;
            }
            let merged = store.merged_from("1").await.unwrap().unwrap();
            assert_eq!(merged.user_id, "19,18,17,16,15,14,13,12");

            // Without `header_for` nothing is kept for the header, nor is an id that the header
            // cannot hold.
            assert_eq!(store.note_merge("8", "7", None).await.unwrap(), None);
            assert_eq!(store.note_merge("a,b", "7", DAY).await.unwrap(), None);
            assert_eq!(store.merged_from("7").await.unwrap(), None);
            let into = store.merged_into("a,b").await.unwrap();
            assert_eq!(into.as_deref(), Some("7"));
            assert_eq!(store.merged_into("7").await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_merge_is_told_once_into_each_id() {
        let (_server, stores) = both(&session_config()).await;
        for store in stores {
            assert!(!store.merge_is_told("2", "1").await.unwrap());
            store.note_told("2", "1").await.unwrap();
            assert!(store.merge_is_told("2", "1").await.unwrap());
            assert_eq!(store.became("2").await.unwrap().as_deref(), Some("1"));
            assert_eq!(store.became("1").await.unwrap(), None);
            assert!(!store.merge_is_told("2", "0").await.unwrap());
            assert!(!store.merge_is_told("1", "2").await.unwrap());
        }
    }
}
