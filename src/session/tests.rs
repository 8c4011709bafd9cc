//! Rules that both stores keep; each test runs on both.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Origin, SessionStore, Skey};
use crate::config::{self, SessionStoreKind};
use crate::identity::{Attributes, Identity};
use crate::secret::Secret;
use crate::testing::{RedisServer, app};

pub(super) fn identity(openid: &str) -> Identity {
    Identity {
        appid: "wx1".to_owned(),
        openid: openid.to_owned(),
        unionid: Some("union1".to_owned()),
        user_id: Some(format!("user of {openid}")),
        attributes: Attributes::default(),
    }
}

/// A login from a phone.
pub(super) fn phone() -> Origin {
    Origin {
        device: "phone".to_owned(),
        version: "12".to_owned(),
        address: Some([192, 0, 2, 7].into()),
    }
}

pub(super) fn session_config() -> config::Session {
    config::Session {
        store: SessionStoreKind::Redis,
        ttl: Duration::from_secs(7 * 24 * 3600),
        max_age: Duration::from_secs(30 * 24 * 3600),
        max_per_user: 0,
        seal_keys: Vec::new(),
        token_from: Vec::new(),
    }
}

/// One store of each kind. The Redis server lives as long as the first value.
pub(super) async fn both(config: &config::Session) -> (RedisServer, [SessionStore; 2]) {
    let server = RedisServer::start().await;
    let redis = SessionStore::redis(server.link(), "gate:", config, &[app("wx1")]);
    (server, [redis, SessionStore::memory(config)])
}

/// The skey of Wafer 2's own server is the SHA-1 of appid, key and session_key. Here an skey is
/// random, so a session_key that leaks opens no session.
#[tokio::test]
async fn an_skey_cannot_be_computed_from_a_session_key() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/wechat_crypto.json");
    let text = std::fs::read_to_string(file).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let vectors = all["wafer2_skey"].as_array().unwrap();
    assert_eq!(vectors.len(), 1);
    let session_key = Secret::new(vectors[0]["session_key"].as_str().unwrap());
    let computed = Skey::parse(vectors[0]["skey"].as_str().unwrap()).expect("the form of an skey");
    let ann = identity("o1");
    let (_server, stores) = both(&session_config()).await;
    for store in stores {
        let mut skeys = BTreeSet::new();
        for _ in 0..2 {
            let remembered = store.remember_session_key("wx1", "o1", &session_key);
            remembered.await.unwrap();
            let new = store.create(&ann, &phone()).await.unwrap();
            assert!(store.find(&new.skey).await.unwrap().is_some());
            skeys.insert(new.skey.expose().to_owned());
        }
        // The same user and session_key, two logins, two skeys.
        assert_eq!(skeys.len(), 2);
        assert_eq!(store.find(&computed).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_session_is_found_until_it_is_revoked() {
    let (_server, stores) = both(&session_config()).await;
    for store in stores {
        let new = store.create(&identity("o1"), &phone()).await.unwrap();
        assert_eq!(new.expires_in, session_config().ttl);
        let found = store.find(&new.skey).await.unwrap();
        assert_eq!(found.as_ref(), Some(&new.session));
        assert_eq!(found.unwrap().origin, phone());
        let revoked = store.revoke(&new.skey).await.unwrap();
        assert_eq!(revoked, Some(new.session));
        assert_eq!(store.find(&new.skey).await.unwrap(), None);
        assert_eq!(store.revoke(&new.skey).await.unwrap(), None);
        let unknown = Skey::random().unwrap();
        assert_eq!(store.find(&unknown).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_login_never_ends_other_sessions_when_there_is_no_limit() {
    let (_server, stores) = both(&session_config()).await;
    for store in stores {
        let mut skeys = Vec::new();
        for _ in 0..70 {
            let new = store
                .create(&identity("o1"), &Origin::default())
                .await
                .unwrap();
            skeys.push(new.skey);
        }
        for skey in skeys {
            assert!(store.find(&skey).await.unwrap().is_some());
        }
    }
}

#[tokio::test]
async fn users_without_an_id_are_distinguished_by_app_and_openid() {
    let mut config = session_config();
    config.max_per_user = 1;
    let (_server, stores) = both(&config).await;
    for store in stores {
        for openid in ["o1", "o2", "o1:x"] {
            let mut identity = identity(openid);
            identity.user_id = None;
            let new = store.create(&identity, &Origin::default()).await.unwrap();
            let found = store.find(&new.skey).await.unwrap().unwrap();
            assert_eq!(found.identity, identity);
        }
    }
}

#[tokio::test]
async fn a_long_device_is_cut_at_a_character() {
    let (_server, stores) = both(&session_config()).await;
    for store in stores {
        let new = store
            .create(
                &identity("o1"),
                &Origin {
                    device: "\u{4e2d}".repeat(100),
                    version: "9".repeat(40),
                    address: None,
                },
            )
            .await
            .unwrap();
        let found = store.find(&new.skey).await.unwrap().unwrap();
        assert_eq!(found.origin.device, "\u{4e2d}".repeat(42));
        assert_eq!(found.origin.version, "9".repeat(32));
    }
}

#[tokio::test]
async fn the_newest_two_session_keys_are_kept_newest_first_and_each_once() {
    let (_server, stores) = both(&session_config()).await;
    for store in stores {
        let keys = async || {
            let keys = store.session_keys("wx1", "o1").await.unwrap();
            keys.iter()
                .map(|key| key.expose().to_owned())
                .collect::<Vec<_>>()
        };
        assert!(keys().await.is_empty());
        for key in ["one", "two", "two", "three", "two"] {
            store
                .remember_session_key("wx1", "o1", &Secret::new(key))
                .await
                .unwrap();
        }
        assert_eq!(keys().await, ["two", "three"]);
        assert!(store.session_keys("wx1", "o2").await.unwrap().is_empty());
    }
}

// The memory store runs on the clock of the test; the Redis store is tested with its own expiry.

fn memory(max_per_user: u32) -> SessionStore {
    let mut config = session_config();
    config.max_per_user = max_per_user;
    SessionStore::memory(&config)
}

async fn login(store: &SessionStore) -> Skey {
    store
        .create(&identity("o1"), &Origin::default())
        .await
        .unwrap()
        .skey
}

async fn lives(store: &SessionStore, skey: &Skey) -> bool {
    store.find(skey).await.unwrap().is_some()
}

#[tokio::test(start_paused = true)]
async fn in_memory_a_used_session_slides_until_its_greatest_age() {
    let store = memory(0);
    let (used, idle) = (login(&store).await, login(&store).await);
    let day = Duration::from_secs(24 * 3600);
    for _ in 0..29 {
        tokio::time::advance(day).await;
        assert!(lives(&store, &used).await);
    }
    assert!(!lives(&store, &idle).await);
    tokio::time::advance(day).await;
    assert!(!lives(&store, &used).await);
}

#[tokio::test(start_paused = true)]
async fn in_memory_the_oldest_session_over_the_limit_ends_after_its_grace_though_used() {
    let store = memory(2);
    let mut skeys = Vec::new();
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(700)).await;
        skeys.push(login(&store).await);
    }
    tokio::time::advance(Duration::from_secs(29)).await;
    assert!(lives(&store, &skeys[0]).await);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(!lives(&store, &skeys[0]).await);
    assert!(lives(&store, &skeys[1]).await);
    assert!(lives(&store, &skeys[2]).await);
}
