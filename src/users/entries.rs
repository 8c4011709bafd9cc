//! Listing of the user directory, page by page, for directories of any size.

use super::UserDirectory;
use crate::store_error::StoreError;

/// One entry of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An openid of a user.
    Openid {
        /// The user id.
        user_id: String,
        /// The mini program; empty for an existing table without a column for it.
        appid: String,
        /// WeChat's id of the user in the mini program.
        openid: String,
    },
    /// A unionid of a user.
    Unionid {
        /// The user id.
        user_id: String,
        /// WeChat's id of the user across all apps.
        unionid: String,
    },
    /// A user id that was merged into an older one.
    Merged {
        /// The newer id.
        user_id: String,
        /// The id that stays.
        into: String,
    },
}

/// Kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// `Entry::Openid`.
    Openids,
    /// `Entry::Unionid`.
    Unionids,
    /// `Entry::Merged`.
    Merged,
}

/// A page of entries.
#[derive(Debug, Default)]
pub struct Entries {
    /// Unordered. While logins continue, an entry may appear twice.
    pub entries: Vec<Entry>,
    /// Number of keys or rows that were scanned.
    pub looked_at: u64,
    /// Position of the next page, in a form of the directory's own; `None` at the end.
    pub next: Option<String>,
}

impl UserDirectory {
    /// A page of one kind of entries, from `next` of the page before, empty at first. A page may be
    /// empty without being the last. A directory in memory or behind a webhook has no entries, an
    /// existing table none of merges.
    ///
    /// # Errors
    /// The directory cannot answer, or holds something that is not a user id.
    pub async fn entries(&self, kind: EntryKind, from: &str) -> Result<Entries, StoreError> {
        match self {
            Self::Redis(users) => users.entries(kind, from).await,
            Self::Sql(users) => users.entries(kind, from).await,
            Self::Webhook(_) | Self::Memory(_) | Self::Off => Ok(Entries::default()),
        }
    }

    /// Whether `current_id` follows merges.
    #[must_use]
    pub fn knows_merges(&self) -> bool {
        match self {
            Self::Sql(users) => !users.is_existing_table(),
            Self::Redis(_) | Self::Webhook(_) | Self::Memory(_) | Self::Off => true,
        }
    }

    /// The current id of a user id: itself, unless it was merged into an older one. An existing
    /// table does not record merges: see `knows_merges`.
    ///
    /// # Errors
    /// As `entries`.
    pub async fn current_id(&self, user_id: &str) -> Result<String, StoreError> {
        match self {
            Self::Redis(users) => users.current_id(user_id).await,
            Self::Sql(users) => users.current_id(user_id).await,
            Self::Memory(users) => Ok(users.current_id(user_id)),
            Self::Webhook(_) | Self::Off => Ok(user_id.to_owned()),
        }
    }
}
