//! Rules of sessions in Redis alone: stored values, their lifetimes, and concurrent steps.

use deadpool_redis::redis::cmd;

use super::*;
use crate::lease::{LeaseState, Leases, Work};
use crate::secret::Secret;
use crate::session::tests::{identity, phone, session_config};
use crate::testing::{RedisServer, app, eventually};

const NOW: u64 = 1_800_000_000;

fn sessions(server: &RedisServer, max_per_user: u32) -> RedisSessions {
    let mut config = session_config();
    config.max_per_user = max_per_user;
    RedisSessions::new(server.link(), "gate:", &config, &[app("wx1")])
}

fn name_of(store: &RedisSessions, skey: &Skey) -> String {
    store.inner.session_name(&skey.hash())
}

async fn value(store: &RedisSessions, name: &str) -> Option<Vec<u8>> {
    store.inner.link.read(&get(name)).await.unwrap()
}

async fn seconds_left(store: &RedisSessions, name: &str) -> i64 {
    let link = &store.inner.link;
    link.read(cmd("TTL").arg(name)).await.unwrap()
}

async fn put(store: &RedisSessions, name: &str, value: &[u8]) {
    let set = cmd("SET").arg(name).arg(value).to_owned();
    store.inner.link.query::<()>(&set).await.unwrap();
}

async fn commands_served(store: &RedisSessions, command: &str) -> u64 {
    let info: String = store
        .inner
        .link
        .read(cmd("INFO").arg("commandstats"))
        .await
        .unwrap();
    let start = format!("cmdstat_{command}:calls=");
    info.lines()
        .find_map(|line| line.strip_prefix(&start)?.split(',').next()?.parse().ok())
        .unwrap_or(0)
}

#[tokio::test]
async fn a_look_up_is_exactly_one_get() {
    let server = RedisServer::start().await;
    let store = sessions(&server, 0);
    let new = store
        .create(&identity("o1"), &Origin::default())
        .await
        .unwrap();
    let before = commands_served(&store, "get").await;
    for _ in 0..10 {
        assert!(store.find(&new.skey).await.unwrap().is_some());
    }
    assert_eq!(commands_served(&store, "get").await - before, 10);
    assert_eq!(commands_served(&store, "eval").await, 1);
}

#[tokio::test]
async fn a_session_is_prolonged_once_when_due_and_never_beyond_its_greatest_age() {
    let server = RedisServer::start().await;
    let store = sessions(&server, 0);
    let new = store
        .create_at(&identity("o1"), &Origin::default(), NOW)
        .await
        .unwrap();
    let name = name_of(&store, &new.skey);
    let day = 24 * 3600;
    assert!(store.find_at(&new.skey, NOW + 599).await.unwrap().is_some());
    for _ in 0..20 {
        let found = store.find_at(&new.skey, NOW + 600).await.unwrap();
        assert!(found.is_some());
    }
    let renewed = async |at: u64| store.find_at(&new.skey, at).await.unwrap().unwrap().renewed;
    eventually("the session is prolonged", async || {
        renewed(NOW + 601).await == NOW + 600
    })
    .await;
    assert!((7 * day - 5..=7 * day).contains(&seconds_left(&store, &name).await));
    store
        .find_at(&new.skey, NOW + 28 * 24 * 3600)
        .await
        .unwrap();
    eventually("the rest of its age is left", async || {
        (2 * day - 5..=2 * day).contains(&seconds_left(&store, &name).await)
    })
    .await;
    let at_its_end = store.find_at(&new.skey, NOW + 30 * 24 * 3600).await;
    assert_eq!(at_its_end.unwrap(), None);
}

#[tokio::test]
async fn a_renewal_that_crosses_a_revocation_brings_nothing_back() {
    let server = RedisServer::start().await;
    let store = sessions(&server, 0);
    let new = store
        .create_at(&identity("o1"), &Origin::default(), NOW)
        .await
        .unwrap();
    let name = name_of(&store, &new.skey);
    let mut head = value(&store, &name).await.unwrap();
    head.truncate(VALUE_HEAD_LEN);
    store.revoke(&new.skey).await.unwrap();
    let renewal = store
        .inner
        .renew(&name, &head, new.session.clone(), NOW + 600);
    renewal.await.unwrap();
    assert_eq!(value(&store, &name).await, None);
}

#[tokio::test]
async fn many_renewals_and_a_revocation_at_once_leave_no_session() {
    let server = RedisServer::start().await;
    let store = sessions(&server, 0);
    let mut revoked = Vec::new();
    for _ in 0..20 {
        let new = store
            .create_at(&identity("o1"), &Origin::default(), NOW)
            .await
            .unwrap();
        let mut finds = Vec::new();
        for _ in 0..10 {
            let (store, skey) = (store.clone(), new.skey.clone());
            finds.push(tokio::spawn(async move {
                store.find_at(&skey, NOW + 600).await.unwrap()
            }));
        }
        store.revoke(&new.skey).await.unwrap();
        for find in finds {
            find.await.unwrap();
        }
        revoked.push(new.skey);
    }
    // The renewals of all but the last rounds are long executed.
    for skey in revoked {
        assert_eq!(store.find_at(&skey, NOW + 600).await.unwrap(), None);
    }
}

#[tokio::test]
async fn the_oldest_sessions_over_the_limit_end_after_their_grace_despite_renewals() {
    let server = RedisServer::start().await;
    let store = sessions(&server, 2);
    let mut skeys = Vec::new();
    for _ in 0..4 {
        let new = store
            .create_at(&identity("o1"), &Origin::default(), NOW)
            .await
            .unwrap();
        skeys.push(new.skey);
    }
    for (place, skey) in skeys.iter().enumerate() {
        let name = name_of(&store, skey);
        // In its grace period a session still works and is not renewed, though a renewal is due.
        let found = store.find_at(skey, NOW + 600).await.unwrap();
        assert!(found.is_some());
        let left = seconds_left(&store, &name).await;
        assert_eq!((1..=30).contains(&left), place < 2, "{place}: {left} s");
    }
    let first = name_of(&store, &skeys[0]);
    let mut head = value(&store, &first).await.unwrap();
    assert_eq!(head[0], b'E');
    head[0] = scripts::LIVE;
    head.truncate(VALUE_HEAD_LEN);
    let session = store.find_at(&skeys[0], NOW).await.unwrap().unwrap();
    // A renewal that read the session before it was ended.
    let renewal = store.inner.renew(&first, &head, session, NOW + 600);
    renewal.await.unwrap();
    let left = seconds_left(&store, &first).await;
    assert!((1..=30).contains(&left), "{left} s");
}

#[tokio::test]
async fn parallel_logins_of_one_user_leave_as_many_sessions_as_allowed() {
    let server = RedisServer::start().await;
    let replicas = [sessions(&server, 3), sessions(&server, 3)];
    let logins = (0..20).map(|number| {
        let store = replicas[number % 2].clone();
        tokio::spawn(async move {
            store
                .create(&identity("o1"), &Origin::default())
                .await
                .unwrap()
                .skey
        })
    });
    let mut staying = 0;
    for login in logins.collect::<Vec<_>>() {
        let name = name_of(&replicas[0], &login.await.unwrap());
        if seconds_left(&replicas[0], &name).await > 30 {
            staying += 1;
        }
    }
    assert_eq!(staying, 3);
}

#[tokio::test]
async fn a_users_list_drops_revoked_and_ended_sessions() {
    let server = RedisServer::start().await;
    let store = sessions(&server, 50);
    let link = &store.inner.link;
    let list = store.inner.list_name(&identity("o1").holder());
    let count = async || -> usize { link.read(cmd("ZCARD").arg(&list)).await.unwrap() };
    let revoked = store
        .create(&identity("o1"), &Origin::default())
        .await
        .unwrap();
    store
        .create(&identity("o1"), &Origin::default())
        .await
        .unwrap();
    store.revoke(&revoked.skey).await.unwrap();
    assert_eq!(count().await, 1);
    // Old entries, and two that a crash left behind: a recent one and an older one.
    let time = |seconds_ago: u64| (clock::unix_seconds() - seconds_ago) * 1_000_000;
    let add = cmd("ZADD")
        .arg(&list)
        .arg(&[time(31 * 24 * 3600).to_string(), "old".to_owned()])
        .arg(&[time(100).to_string(), "crashed".to_owned()])
        .arg(&[time(5).to_string(), "just now".to_owned()])
        .to_owned();
    link.query::<()>(&add).await.unwrap();
    assert_eq!(count().await, 4);
    store
        .create(&identity("o1"), &Origin::default())
        .await
        .unwrap();
    // Two live sessions, and one that a login may still be storing.
    assert_eq!(count().await, 3);
}

#[tokio::test]
async fn a_forged_copied_or_foreign_value_is_no_session() {
    let server = RedisServer::start().await;
    let store = sessions(&server, 0);
    let victim = store
        .create(&identity("victim"), &Origin::default())
        .await
        .unwrap();
    let thief = store
        .create(&identity("thief"), &Origin::default())
        .await
        .unwrap();
    let victims = value(&store, &name_of(&store, &victim.skey)).await.unwrap();
    let name = name_of(&store, &thief.skey);
    let mut changed = value(&store, &name).await.unwrap();
    *changed.last_mut().unwrap() ^= 1;
    let plain = record::write(&victim.session);
    let not_json = store
        .inner
        .sealer
        .seal("wx1", &name, &[scripts::LIVE], b"{")
        .unwrap();
    let foreign = Sealer::new(&[Secret::new("theirs")], &[])
        .seal("wx1", &name, &[scripts::LIVE], &plain)
        .unwrap();
    for value in [&victims, &changed, &plain, &not_json, &foreign, &vec![]] {
        put(&store, &name, value).await;
        assert_eq!(store.find(&thief.skey).await.unwrap(), None);
        assert_eq!(store.revoke(&thief.skey).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_rotated_appsecret_keeps_sessions_while_the_old_one_is_named() {
    let server = RedisServer::start().await;
    let new = sessions(&server, 0)
        .create(&identity("o1"), &Origin::default())
        .await
        .unwrap();
    let mut rotated = app("wx1");
    rotated.secret_previous = Some(rotated.secret);
    rotated.secret = Secret::new("new");
    let found = async |app: config::App| {
        let config = session_config();
        let store = RedisSessions::new(server.link(), "gate:", &config, &[app]);
        store.find(&new.skey).await.unwrap().is_some()
    };
    assert!(found(rotated.clone()).await);
    rotated.secret_previous = None;
    assert!(!found(rotated).await);
}

#[tokio::test]
async fn a_dump_shows_no_skey_session_key_openid_or_result() {
    let server = RedisServer::start().await;
    let store = sessions(&server, 1);
    let new = store.create(&identity("openid1"), &phone()).await.unwrap();
    store
        .remember_session_key("wx1", "other", &Secret::new("tiihtNczf5v6AKRyjwEUhQ=="))
        .await
        .unwrap();
    let leases = Leases::redis(server.link(), "gate:", Sealer::new(&[], &[app("wx1")]));
    let second = Duration::from_secs(1);
    let work = Work::about("login", "wx1", &["wx1", "logincode1"], second);
    let LeaseState::Granted(lease) = leases.look(&work, second).await.unwrap().state else {
        panic!("the first claim wins")
    };
    let skey = new.skey.expose().as_bytes();
    leases.publish(lease, skey, 5 * second).await.unwrap();
    let link = &store.inner.link;
    let names: Vec<String> = link.read(cmd("KEYS").arg("*")).await.unwrap();
    assert_eq!(names.len(), 4);
    let mut dump = names.join("\n").into_bytes();
    for name in &names {
        let kind: String = link.read(cmd("TYPE").arg(name)).await.unwrap();
        let all = match kind.as_str() {
            "string" => cmd("GET").arg(name).to_owned(),
            "list" => cmd("LRANGE").arg(name).arg(0).arg(-1).to_owned(),
            "zset" => cmd("ZRANGE").arg(name).arg(0).arg(-1).to_owned(),
            other => panic!("a key of type {other}"),
        };
        let values: Vec<Vec<u8>> = match kind.as_str() {
            "string" => vec![link.read(&all).await.unwrap()],
            _ => link.read(&all).await.unwrap(),
        };
        dump.extend(values.concat());
        assert!(seconds_left(&store, name).await > 0, "{name} ends");
    }
    let secrets = [
        new.skey.expose(),
        "tiihtNczf5v6",
        "openid1\"",
        "phone",
        "192.0.2.7",
        "logincode1",
    ];
    for secret in secrets {
        let found = dump.windows(secret.len()).any(|w| w == secret.as_bytes());
        assert!(!found, "{secret} lies in Redis");
    }
}

#[tokio::test]
async fn no_skey_is_given_out_when_redis_is_full_or_frozen() {
    let server = RedisServer::start_with(&["--maxmemory", "1"]).await;
    let error = sessions(&server, 0)
        .create(&identity("o1"), &Origin::default())
        .await;
    assert!(matches!(error, Err(StoreError::Unavailable { .. })));
    let server = RedisServer::start().await;
    let store = sessions(&server, 0);
    store.inner.link.ping().await.unwrap();
    server.freeze();
    let error = store.create(&identity("o1"), &Origin::default()).await;
    assert!(matches!(error, Err(StoreError::Unavailable { .. })));
    let error = store.find(&Skey::random().unwrap()).await;
    assert!(matches!(error, Err(StoreError::Unavailable { .. })));
}

#[tokio::test]
async fn sessions_that_never_end_to_come_are_an_error_and_not_the_end() {
    let server = RedisServer::start().await;
    let store = sessions(&server, 0);
    let ann = identity("o1");
    let skey = store.create(&ann, &phone()).await.unwrap().skey;

    let error = store.revoke_all_within(&ann.holder(), 1).await;

    let error = error.unwrap_err().to_string();
    assert!(error.contains("1 were ended"), "{error}");
    assert_eq!(store.find(&skey).await.unwrap(), None);
    let none = store.revoke_all(&ann.holder()).await.unwrap();
    assert_eq!(none.sessions, 0);
}
