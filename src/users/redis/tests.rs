//! Faults that only the directory in Redis can have: concurrent logins, crashes between steps,
//! foreign values.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::identity::Holder;
use crate::testing::RedisServer;
use crate::users::{Ban, Bans, Entry, EntryKind, UserDirectory};

fn users(server: &RedisServer) -> RedisUsers {
    RedisUsers::new(server.link(), "gate:")
}

async fn id(users: &RedisUsers, appid: &str, openid: &str, unionid: Option<&str>) -> String {
    let found = users.find_or_create(appid, openid, unionid, CreateUsers::Yes);
    match found.await.unwrap() {
        UserLookup::User { user_id, .. } => user_id,
        UserLookup::Unknown | UserLookup::NoDirectory => panic!("a user is made"),
    }
}

/// Ids of two users who will be merged, the older first: within one millisecond the order is
/// random.
async fn two(users: &RedisUsers, one: &str, other: (&str, &str)) -> (String, String) {
    let one = id(users, "wx1", one, None).await;
    let other = id(users, "wx2", other.0, Some(other.1)).await;
    let number = |id: &String| id.parse::<u64>().unwrap();
    match number(&one) < number(&other) {
        true => (one, other),
        false => (other, one),
    }
}

async fn ban_of(server: &RedisServer, user_id: &str) -> Option<Ban> {
    let bans = Bans::redis(server.link(), "gate:");
    bans.find(&Holder::User(user_id.to_owned())).await.unwrap()
}

#[tokio::test]
async fn a_banned_user_merged_into_an_older_one_stays_banned() {
    let server = RedisServer::start().await;
    let users = users(&server);
    let bans = Bans::redis(server.link(), "gate:");
    let (older, newer) = two(&users, "o1", ("o2", "union")).await;
    let hour = Some(Duration::from_secs(3600));
    let ban = Ban::new("of the newer", hour);
    let holder = Holder::User(newer.clone());
    bans.set(&holder, &ban).await.unwrap();

    let joined = id(&users, "wx1", "o1", Some("union")).await;

    assert_eq!(joined, older);
    assert_eq!(ban_of(&server, &older).await, Some(ban));
    let left: i64 = users
        .link
        .read(cmd("TTL").arg(format!("gate:b:{older}")))
        .await
        .unwrap();
    assert!((3590..=3600).contains(&left), "{left}");
}

#[tokio::test]
async fn a_ban_that_is_set_while_another_is_moved_is_not_lifted_with_it() {
    let server = RedisServer::start().await;
    let bans = RedisBans::new(server.link(), "gate:");
    let holder = Holder::User("2".to_owned());
    let hour = Some(Duration::from_secs(3600));
    bans.set(&holder, &Ban::new("read", hour)).await.unwrap();
    let read = bans.carry("2", "1").await.unwrap().unwrap();
    let longer = Ban::new("set meanwhile", None);
    bans.set(&holder, &longer).await.unwrap();

    assert!(!bans.lift_read("2", &read).await.unwrap());

    assert_eq!(ban_of(&server, "2").await, Some(longer.clone()));
    bans.move_over("2", "1").await.unwrap();
    assert_eq!(ban_of(&server, "1").await, Some(longer));
    assert_eq!(ban_of(&server, "2").await, None);
}

#[tokio::test]
async fn a_merge_of_two_bans_keeps_the_longer() {
    let server = RedisServer::start().await;
    let users = users(&server);
    let bans = Bans::redis(server.link(), "gate:");
    let hours = |number: u64| Some(Duration::from_secs(3600 * number));
    for (number, older_lasts, newer_lasts, stays) in [
        (1, hours(2), hours(1), "older"),
        (2, hours(1), hours(2), "newer"),
        (3, None, hours(1), "older"),
        (4, hours(1), None, "newer"),
    ] {
        let (one, other) = (format!("o{number}"), format!("p{number}"));
        let union = format!("u{number}");
        let (older, newer) = two(&users, &one, (&other, &union)).await;
        for (user_id, reason, lasts) in [
            (&older, "older", older_lasts),
            (&newer, "newer", newer_lasts),
        ] {
            let holder = Holder::User(user_id.clone());
            bans.set(&holder, &Ban::new(reason, lasts)).await.unwrap();
        }

        id(&users, "wx1", &one, Some(&union)).await;

        let ban = ban_of(&server, &older).await.unwrap();
        assert_eq!(ban.reason, stays, "{number}");
    }
}

#[tokio::test]
async fn the_directory_is_looked_through_to_its_last_entry() {
    let server = RedisServer::start().await;
    let users = users(&server);
    let mut expected = Vec::new();
    for number in 0..1500 {
        let openid = format!("o:{number}%}}");
        expected.push(Entry::Openid {
            user_id: id(&users, "wx:1", &openid, None).await,
            appid: "wx:1".to_owned(),
            openid,
        });
    }
    let newer = id(&users, "wx2", "o", Some("uni:on")).await;
    let older = id(&users, "wx:1", "o:0%}", Some("uni:on")).await;
    users.settle("uni:on").await.unwrap();
    let directory = UserDirectory::Redis(users);
    let mut seen = Vec::new();
    for kind in [EntryKind::Openids, EntryKind::Unionids, EntryKind::Merged] {
        let mut from = Some(String::new());
        while let Some(start) = from {
            let page = directory.entries(kind, &start).await.unwrap();
            seen.extend(page.entries);
            from = page.next;
        }
    }
    expected.extend([
        Entry::Openid {
            user_id: newer.clone(),
            appid: "wx2".to_owned(),
            openid: "o".to_owned(),
        },
        Entry::Unionid {
            user_id: older.clone(),
            unionid: "uni:on".to_owned(),
        },
        Entry::Merged {
            user_id: newer.clone(),
            into: older.clone(),
        },
    ]);
    for entry in &expected {
        assert!(seen.contains(entry), "{entry:?}");
    }
    assert!(seen.iter().all(|entry| expected.contains(entry)));
    assert_eq!(directory.current_id(&newer).await.unwrap(), older);
    assert_eq!(
        directory.current_id("of others").await.unwrap(),
        "of others"
    );
}

async fn set(users: &RedisUsers, name: &str, value: &str) {
    let set = cmd("SET").arg(name).arg(value).to_owned();
    users.link.query::<()>(&set).await.unwrap();
}

/// All ids that these concurrent logins, half of them on each of two replicas, are given.
async fn at_once(
    server: &RedisServer,
    logins: Vec<(String, String, Option<String>)>,
) -> BTreeSet<String> {
    let replicas = [users(server), users(server)];
    let tasks: Vec<_> = logins
        .into_iter()
        .enumerate()
        .map(|(number, (appid, openid, unionid))| {
            let users = replicas[number % 2].clone();
            tokio::spawn(async move { id(&users, &appid, &openid, unionid.as_deref()).await })
        })
        .collect();
    let mut ids = BTreeSet::new();
    for task in tasks {
        ids.insert(task.await.unwrap());
    }
    ids
}

#[tokio::test]
async fn a_hundred_logins_of_one_user_over_two_replicas_give_one_id() {
    let server = RedisServer::start().await;
    let login = ("wx1".to_owned(), "o1".to_owned(), None);
    assert_eq!(at_once(&server, vec![login; 100]).await.len(), 1);
}

#[tokio::test]
async fn a_hundred_logins_of_one_user_in_many_apps_over_two_replicas_give_one_id() {
    let server = RedisServer::start().await;
    let logins = (0..100)
        .map(|number| {
            let app = number % 10;
            (format!("wx{app}"), format!("o{app}"), Some("u1".to_owned()))
        })
        .collect();
    let ids = at_once(&server, logins).await;
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[tokio::test]
async fn unionids_that_show_up_for_many_apps_at_once_end_at_the_oldest_id() {
    let server = RedisServer::start().await;
    let users = users(&server);
    let mut apart = Vec::new();
    for app in 0..10 {
        apart.push(id(&users, &format!("wx{app}"), "o", None).await);
    }
    apart.sort_by_key(|id| id.parse::<u64>().unwrap());
    let logins = |unionid: Option<&str>| {
        (0..100)
            .map(|number| {
                let unionid = unionid.map(str::to_owned);
                (format!("wx{}", number % 10), "o".to_owned(), unionid)
            })
            .collect()
    };
    at_once(&server, logins(Some("u1"))).await;
    let after = at_once(&server, logins(None)).await;
    assert_eq!(after, BTreeSet::from([apart[0].clone()]));
}

#[tokio::test]
async fn a_join_that_a_crash_cut_short_is_completed_by_the_next_login() {
    let server = RedisServer::start().await;
    let users = users(&server);
    let older = "7".to_owned();
    set(&users, &users.openid_name("wx1", "o1"), &older).await;
    let newer = id(&users, "wx2", "o2", Some("u1")).await;
    // The first step of a join of both.
    set(&users, &format!("gate:a:{newer}"), &older).await;
    assert_eq!(id(&users, "wx2", "o2", None).await, older);
    assert_eq!(id(&users, "wx1", "o1", Some("u1")).await, older);
    users.settle("u1").await.unwrap();
    let by_unionid: String = users
        .link
        .read(&get(&users.unionid_name("u1")))
        .await
        .unwrap();
    assert_eq!(by_unionid, older);
    assert_eq!(id(&users, "wx2", "o2", Some("u1")).await, older);
}

#[tokio::test]
async fn a_unionid_without_its_openid_is_completed_by_the_next_login() {
    let server = RedisServer::start().await;
    let users = users(&server);
    set(&users, &users.unionid_name("u1"), "77").await;
    assert_eq!(id(&users, "wx1", "o1", Some("u1")).await, "77");
    assert_eq!(id(&users, "wx1", "o1", None).await, "77");
}

#[tokio::test]
async fn ids_are_claimed_so_that_a_lost_user_table_gives_none_out_twice() {
    let server = RedisServer::start().await;
    let users = users(&server);
    let user_id = id(&users, "wx1", "o1", None).await;
    let claimed: i64 = users
        .link
        .read(cmd("TTL").arg(format!("gate:i:{user_id}")))
        .await
        .unwrap();
    assert!((86_000..=86_400).contains(&claimed));
}

#[tokio::test]
async fn invalid_ids_and_alias_cycles_are_corrupt() {
    let server = RedisServer::start().await;
    let users = users(&server);
    for (name, value) in [
        ("gate:o:wx1:text", "abc"),
        ("gate:o:wx1:circle", "5"),
        ("gate:a:5", "5"),
    ] {
        set(&users, name, value).await;
    }
    for openid in ["text", "circle"] {
        let found = users.find_or_create("wx1", openid, None, CreateUsers::Yes);
        let error = found.await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    }
}

#[tokio::test]
async fn parts_of_a_name_with_separators_are_kept_apart() {
    let server = RedisServer::start().await;
    let users = users(&server);
    let one = id(&users, "wx1", "a:b", None).await;
    assert_ne!(id(&users, "wx1:a", "b", None).await, one);
}
