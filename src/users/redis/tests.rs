//! What only the directory in Redis can get wrong: logins at once, crashes between steps, foreign values.

use std::collections::BTreeSet;

use super::*;
use crate::testing::RedisServer;

fn users(server: &RedisServer) -> RedisUsers {
    RedisUsers::new(server.link(), "gate:")
}

async fn id(users: &RedisUsers, appid: &str, openid: &str, unionid: Option<&str>) -> String {
    let found = users.find_or_create(appid, openid, unionid, CreateUsers::Yes);
    match found.await.unwrap() {
        Found::User { user_id, .. } => user_id,
        Found::Unknown | Found::NoDirectory => panic!("a user is made"),
    }
}

async fn set(users: &RedisUsers, name: &str, value: &str) {
    let set = cmd("SET").arg(name).arg(value).to_owned();
    users.link.query::<()>(&set).await.unwrap();
}

/// All ids that these logins, half of them on each of two replicas, are given at once.
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
async fn a_hundred_logins_of_one_person_in_many_apps_over_two_replicas_give_one_id() {
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
    let names = [users.openid_name("wx2", "o2"), users.unionid_name("u1")];
    for name in names {
        let value: String = users.link.read(&get(&name)).await.unwrap();
        assert_eq!(value, older, "{name}");
    }
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
async fn what_is_not_an_id_and_aliases_in_a_circle_are_corrupt() {
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
