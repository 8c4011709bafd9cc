//! The user directory looked through, a page at a time: no directory is too large for that.

use super::UserDirectory;
use crate::redis::StoreError;

/// What the directory knows, entry by entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// An openid is of a user.
    Openid {
        /// His id.
        user_id: String,
        /// The mini program; empty in an adopted table without a column for it.
        appid: String,
        /// WeChat's id of him there.
        openid: String,
    },
    /// A unionid is of a user.
    Unionid {
        /// His id.
        user_id: String,
        /// WeChat's id of him over all apps.
        unionid: String,
    },
    /// A user id turned out to be the same person as an older one.
    Merged {
        /// The newer.
        user_id: String,
        /// The one that stays.
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

/// Some of the directory.
#[derive(Debug, Default)]
pub struct Entries {
    /// In no order. While logins go on, one may come up twice.
    pub entries: Vec<Entry>,
    /// Keys or rows that were passed on the way.
    pub looked_at: u64,
    /// Where to go on, in words of the directory's own; `None` at the end.
    pub next: Option<String>,
}

impl UserDirectory {
    /// A page of one kind of entries, from `next` of the page before, empty at first. One may be empty and not the last; a directory
    /// in memory or behind a webhook has none, and an adopted table none of merges.
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

    /// Whether `current_id` finds what was merged.
    #[must_use]
    pub fn knows_merges(&self) -> bool {
        match self {
            Self::Sql(users) => !users.is_existing_table(),
            Self::Redis(_) | Self::Webhook(_) | Self::Memory(_) | Self::Off => true,
        }
    }

    /// The id that a user id stands for now: itself, unless it turned out to be the same person as an older one. An adopted table says
    /// nothing of that: see `knows_merges`.
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
