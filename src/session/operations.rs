//! Session management for operators: list sessions, name them by handle, end them without their
//! skey. Results come in pages, so that the size of the store does not matter. Authorization and
//! the audit log are the caller's part.

use std::fmt;
use std::time::Duration;

use super::{Session, SessionStore};
use crate::identity::Holder;
use crate::store_error::StoreError;

/// A session's name for operators: the first characters of its skey's hash. It opens no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handle(String);

/// A live session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub(super) hash: String,
    /// The stored session.
    pub session: Session,
    /// Remaining lifetime if it is not used.
    pub expires_in: Duration,
}

/// One page of a listing.
#[derive(Debug, Default)]
pub struct Page {
    /// Live sessions. A session may appear on two pages when others are created or ended meanwhile.
    pub listed: Vec<Listed>,
    /// Sessions that do not open with the configured keys; no client can use them.
    pub unreadable: u64,
    /// Store entries passed over so far, for progress.
    pub looked_at: u64,
    /// Where the next page begins; `None` on the last page.
    pub next: Option<u64>,
}

/// Result of ending sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Revoked {
    /// Number of sessions ended.
    pub sessions: u64,
}

impl Handle {
    /// Characters displayed: 72 bits.
    const SHOWN_LENGTH: usize = 12;
    /// Length of a whole hash.
    const MAX_LENGTH: usize = 43;

    /// Parses a handle as displayed, or a longer part of the hash. `None` when it is not a handle.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let fits = (Self::SHOWN_LENGTH..=Self::MAX_LENGTH).contains(&text.len())
            && text.bytes().all(allowed);
        fits.then(|| Self(text.replace('.', "-")))
    }

    /// Whether the handle names the session with this hash.
    #[must_use]
    pub(super) fn names(&self, hash: &str) -> bool {
        hash.starts_with(&self.0)
    }

    /// The prefix of the hashes it names.
    pub(super) fn start(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Handle {
    /// Prints dots for hyphens: a handle with a leading hyphen would be read as a command-line
    /// option.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.replace('-', "."))
    }
}

impl Listed {
    /// Whether the handle names this session.
    #[must_use]
    pub fn is_named(&self, handle: &Handle) -> bool {
        handle.names(&self.hash)
    }

    /// The session's handle.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(
            self.hash
                .get(..Handle::SHOWN_LENGTH)
                .unwrap_or(&self.hash)
                .to_owned(),
        )
    }
}

impl SessionStore {
    /// A user's sessions in order of login. `from` is `next` of the previous page, 0 for the first.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn page_of(&self, holder: &Holder, from: u64) -> Result<Page, StoreError> {
        match self {
            Self::Redis(store) => store.page_of(holder, from).await,
            Self::Memory(store) => Ok(store.page(|held| held.holder() == *holder)),
        }
    }

    /// All sessions in no order, or only those that `named` matches. `from` is `next` of the
    /// previous page, 0 for the first. An empty page is not necessarily the last.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn page(&self, named: Option<&Handle>, from: u64) -> Result<Page, StoreError> {
        match self {
            Self::Redis(store) => store.page(named, from).await,
            Self::Memory(store) => {
                let mut page = store.page(|_| true);
                let listed = &mut page.listed;
                listed.retain(|one| named.is_none_or(|handle| handle.names(&one.hash)));
                Ok(page)
            }
        }
    }

    /// Approximate number of entries that `page` will pass over.
    ///
    /// # Errors
    /// The store cannot answer.
    pub async fn size(&self) -> Result<u64, StoreError> {
        match self {
            Self::Redis(store) => store.size().await,
            Self::Memory(store) => Ok(store.size()),
        }
    }

    /// Applies `change` to all sessions of a user, on every replica; returns how many changed. A
    /// session that changes its user is listed under the new user from then on. A concurrent login
    /// may leave a session unchanged.
    ///
    /// # Errors
    /// The store did not confirm it: some sessions may be unchanged.
    pub async fn amend(
        &self,
        holder: &Holder,
        change: impl Fn(&mut Session) + Sync,
    ) -> Result<u64, StoreError> {
        match self {
            Self::Redis(store) => store.amend(holder, &change).await,
            Self::Memory(store) => Ok(store.amend(holder, change)),
        }
    }

    /// Ends a session at once, on every replica. Returns whether it existed.
    ///
    /// # Errors
    /// The store did not confirm it: the session may live on.
    pub async fn revoke_listed(&self, listed: &Listed) -> Result<bool, StoreError> {
        match self {
            Self::Redis(store) => store.revoke_listed(&listed.hash).await,
            Self::Memory(store) => Ok(store.revoke_hash(&listed.hash).is_some()),
        }
    }

    /// Ends all sessions of a user at once, on every replica. A concurrent login may leave a new
    /// one.
    ///
    /// # Errors
    /// The store did not confirm it: some may live on.
    pub async fn revoke_all(&self, holder: &Holder) -> Result<Revoked, StoreError> {
        match self {
            Self::Redis(store) => store.revoke_all(holder).await,
            Self::Memory(store) => Ok(store.revoke_all(holder)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::{both, identity, phone, session_config};

    async fn handles(store: &SessionStore, holder: &Holder) -> Vec<String> {
        let page = store.page_of(holder, 0).await.unwrap();
        page.listed
            .iter()
            .map(|one| one.handle().to_string())
            .collect()
    }

    #[test]
    fn a_handle_is_no_option_and_is_read_as_it_is_shown() {
        let handle = Handle::parse("-bcdefghijk_").unwrap();
        assert_eq!(handle.to_string(), ".bcdefghijk_");
        assert_eq!(Handle::parse(".bcdefghijk_"), Some(handle.clone()));
        assert!(handle.names("-bcdefghijk_more"));
        assert!(!handle.names("abcdefghijk_more"));
        for text in ["", "abcdefghijk", "abcdefghijk*", &"a".repeat(44)] {
            assert_eq!(Handle::parse(text), None, "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_users_sessions_are_listed_with_where_they_came_from_and_ended_by_handle() {
        let (_server, stores) = both(&session_config()).await;
        for store in stores {
            let ann = identity("o1");
            let first = store.create(&ann, &phone()).await.unwrap();
            let second = store.create(&ann, &phone()).await.unwrap();
            let other = store.create(&identity("o2"), &phone()).await.unwrap();

            let page = store.page_of(&ann.holder(), 0).await.unwrap();
            assert_eq!(page.next, None);
            let sessions: Vec<&Session> = page.listed.iter().map(|one| &one.session).collect();
            assert_eq!(sessions, [&first.session, &second.session]);
            assert!(page.listed[0].expires_in <= session_config().ttl);
            assert!(page.listed[0].expires_in > session_config().ttl / 2);
            let shown = format!("{page:?}");
            assert!(!shown.contains(first.skey.expose()), "{shown}");

            let handle = page.listed[0].handle();
            let named = store.page(Some(&handle), 0).await.unwrap();
            assert_eq!(named.listed.len(), 1);
            assert_eq!(named.listed[0].session, first.session);
            assert!(store.revoke_listed(&named.listed[0]).await.unwrap());
            assert!(!store.revoke_listed(&named.listed[0]).await.unwrap());
            assert_eq!(store.find(&first.skey).await.unwrap(), None);
            assert!(store.find(&second.skey).await.unwrap().is_some());
            assert_eq!(handles(&store, &ann.holder()).await.len(), 1);
            assert!(store.find(&other.skey).await.unwrap().is_some());
        }
    }

    #[tokio::test]
    async fn all_sessions_of_a_user_end_and_no_others() {
        let (_server, stores) = both(&session_config()).await;
        for store in stores {
            let (ann, mut bob) = (identity("o1"), identity("o2"));
            bob.user_id = None;
            let mut skeys = Vec::new();
            for _ in 0..450 {
                skeys.push(store.create(&ann, &phone()).await.unwrap().skey);
            }
            let bobs = store.create(&bob, &phone()).await.unwrap().skey;

            let revoked = store.revoke_all(&ann.holder()).await.unwrap();

            assert_eq!(revoked, Revoked { sessions: 450 });
            for skey in skeys {
                assert_eq!(store.find(&skey).await.unwrap(), None);
            }
            assert!(store.find(&bobs).await.unwrap().is_some());
            assert_eq!(handles(&store, &ann.holder()).await, [] as [String; 0]);
            let none = store.revoke_all(&ann.holder()).await.unwrap();
            assert_eq!(none, Revoked::default());
            let bobs = store.revoke_all(&bob.holder()).await.unwrap();
            assert_eq!(bobs, Revoked { sessions: 1 });
        }
    }

    #[tokio::test]
    async fn a_full_scan_lists_every_session() {
        let (_server, stores) = both(&session_config()).await;
        for store in stores {
            let mut expected = Vec::new();
            for number in 0..1200 {
                let identity = identity(&format!("o{number}"));
                let new = store.create(&identity, &phone()).await.unwrap();
                expected.push(new.session.identity.openid);
            }
            let mut seen = Vec::new();
            let mut from = Some(0);
            while let Some(start) = from {
                let page = store.page(None, start).await.unwrap();
                seen.extend(
                    page.listed
                        .into_iter()
                        .map(|one| one.session.identity.openid),
                );
                from = page.next;
            }
            seen.sort();
            seen.dedup();
            expected.sort();
            assert_eq!(seen, expected);
            assert!(store.size().await.unwrap() >= 1200);
        }
    }

    #[tokio::test]
    async fn all_sessions_of_a_user_are_updated_and_found_under_the_new_owner() {
        let mut config = session_config();
        config.max_per_user = 2;
        let (_server, stores) = both(&config).await;
        for store in stores {
            let (ann, bob) = (identity("o1"), identity("o2"));
            let mut skeys = Vec::new();
            for _ in 0..3 {
                skeys.push(store.create(&ann, &phone()).await.unwrap().skey);
            }
            let bobs = store.create(&bob, &phone()).await.unwrap().skey;
            let before = store.page_of(&ann.holder(), 0).await.unwrap().listed;

            let named = |session: &mut Session| {
                session.identity.attributes.nickname = Some("Ann".to_owned());
            };
            assert_eq!(store.amend(&ann.holder(), named).await.unwrap(), 3);
            assert_eq!(store.amend(&ann.holder(), named).await.unwrap(), 0);
            for skey in &skeys {
                let session = store.find(skey).await.unwrap().unwrap();
                let nickname = session.identity.attributes.nickname;
                assert_eq!(nickname.as_deref(), Some("Ann"));
            }
            let after = store.page_of(&ann.holder(), 0).await.unwrap().listed;
            assert_eq!((before.len(), after.len()), (3, 3));
            for (before, after) in before.iter().zip(&after) {
                // The ending session still ends, the others keep their expiry.
                assert!(after.expires_in <= before.expires_in);
            }
            let bobs_session = store.find(&bobs).await.unwrap().unwrap();
            assert!(bobs_session.identity.attributes.nickname.is_none());

            let to_bob = |session: &mut Session| {
                session.identity.user_id = bob.user_id.clone();
            };
            assert_eq!(store.amend(&ann.holder(), to_bob).await.unwrap(), 3);
            assert_eq!(handles(&store, &ann.holder()).await, [] as [String; 0]);
            assert_eq!(handles(&store, &bob.holder()).await.len(), 4);
            let ended = store.revoke_all(&bob.holder()).await.unwrap();
            assert_eq!(ended.sessions, 4);
        }
    }
}
