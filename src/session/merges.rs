//! Who was merged into whom, as far as sessions need it: for the header that tells upstreams, for logins that were under way
//! meanwhile, and so that a merge is told once. The user directory alone knows it for good.

use std::time::Duration;

use super::SessionStore;
use crate::clock;
use crate::identity::Merged;
use crate::store_error::StoreError;

/// Ids that the header tells at most, the newest merge first.
const MAX_IDS: usize = 8;
/// How long logins find an id that is gone: longer than one may take.
pub(super) const MERGE_NOTE_TTL: Duration = Duration::from_secs(60);

impl SessionStore {
    /// Notes that an id turned out to be an older one, for `header_for` if at all. Gives what the older one's sessions have to tell:
    /// this id, those that were merged into it, and those that were merged into the older one before. Said twice, the first counts.
    ///
    /// # Errors
    /// The store did not confirm it.
    pub async fn note_merge(
        &self,
        newer: &str,
        older: &str,
        header_for: Option<Duration>,
    ) -> Result<Option<Merged>, StoreError> {
        // An id of an adopted table: between commas nobody could tell it.
        let header_for = header_for.filter(|_| !newer.contains(','));
        match self {
            Self::Redis(store) => store.note_merge(newer, older, header_for).await,
            Self::Memory(store) => Ok(store.note_merge(newer, older, header_for)),
        }
    }

    /// What a user's sessions have to tell of merges.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn merged_from(&self, user_id: &str) -> Result<Option<Merged>, StoreError> {
        match self {
            Self::Redis(store) => store.merged_from(user_id).await,
            Self::Memory(store) => Ok(store.merged_from(user_id)),
        }
    }

    /// The id that a user's turned out to be within the last minute.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn merged_into(&self, user_id: &str) -> Result<Option<String>, StoreError> {
        match self {
            Self::Redis(store) => store.merged_into(user_id).await,
            Self::Memory(store) => Ok(store.merged_into(user_id)),
        }
    }

    /// The id that a user's turned out to be, whether everybody knows that yet or not; for those who do not log in. `None` also where
    /// that was longer ago than is remembered.
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

    /// Whether everybody knows that an id turned out to be an older one.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn merge_is_told(&self, newer: &str, older: &str) -> Result<bool, StoreError> {
        match self {
            Self::Redis(store) => store.merge_is_told(newer, older).await,
            Self::Memory(store) => Ok(store.merge_is_told(newer, older)),
        }
    }

    /// Notes that everybody knows.
    ///
    /// # Errors
    /// The store did not confirm it: they are told again.
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

/// What has to be told once `newer` was merged, too; `None` where that is told already.
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

/// Whether it is still told.
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
            // With what was merged into it; once more is the same.
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

            // Nothing is kept for the header where there is none, nor what it could not tell.
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
