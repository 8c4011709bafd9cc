//! The rules both directories keep; each is tried on both.

use super::{CreateUsers, Found, UserDirectory};
use crate::testing::RedisServer;

/// One directory of each kind. The server lives as long as the first value.
async fn both() -> (RedisServer, [UserDirectory; 2]) {
    let server = RedisServer::start().await;
    let redis = UserDirectory::redis(server.link(), "gate:");
    (server, [redis, UserDirectory::memory()])
}

async fn found(
    users: &UserDirectory,
    appid: &str,
    openid: &str,
    unionid: Option<&str>,
) -> (String, bool) {
    let found = users
        .find_or_create(appid, openid, unionid, CreateUsers::Yes)
        .await
        .unwrap();
    let Found::User { user_id, is_new } = found else {
        panic!("a user is made")
    };
    (user_id, is_new)
}

async fn id(users: &UserDirectory, appid: &str, openid: &str, unionid: Option<&str>) -> String {
    found(users, appid, openid, unionid).await.0
}

/// Two ids of one millisecond are in no order of time, so the number decides.
fn older_of(one: String, other: String) -> String {
    let number = |id: &String| id.parse::<u64>().unwrap();
    std::cmp::min_by_key(one, other, number)
}

#[tokio::test]
async fn an_openid_keeps_its_id_and_is_new_once() {
    let (_server, directories) = both().await;
    for users in directories {
        let (first, is_new) = found(&users, "wx1", "o1", None).await;
        assert!(is_new);
        let known = found(&users, "wx1", "o1", None).await;
        assert_eq!(known, (first.clone(), false));
        let other_app = id(&users, "wx2", "o1", None).await;
        let other_user = id(&users, "wx1", "o2", None).await;
        assert!(first != other_app && first != other_user && other_app != other_user);
        assert!(first.parse::<u64>().unwrap() < 1 << 53);
    }
}

#[tokio::test]
async fn an_unknown_user_stays_unknown_where_none_are_made() {
    let (_server, directories) = both().await;
    for users in directories {
        let ask = async |appid: &str, openid: &str, unionid: Option<&str>| {
            users
                .find_or_create(appid, openid, unionid, CreateUsers::No)
                .await
                .unwrap()
        };
        assert_eq!(ask("wx1", "o1", None).await, Found::Unknown);
        assert_eq!(ask("wx1", "o1", Some("u1")).await, Found::Unknown);
        let user_id = id(&users, "wx1", "o1", Some("u1")).await;
        let known = Found::User {
            user_id,
            is_new: false,
        };
        assert_eq!(ask("wx1", "o1", None).await, known);
        // Known by his unionid in an app he never used.
        assert_eq!(ask("wx2", "o9", Some("u1")).await, known);
    }
}

#[tokio::test]
async fn apps_with_one_unionid_share_one_id() {
    let (_server, directories) = both().await;
    for users in directories {
        let first = id(&users, "wx1", "o1", Some("u1")).await;
        let second = found(&users, "wx2", "o2", Some("u1")).await;
        assert_eq!(second, (first.clone(), false));
        assert_eq!(id(&users, "wx2", "o2", None).await, first);
        assert_ne!(id(&users, "wx2", "o3", Some("u2")).await, first);
    }
}

#[tokio::test]
async fn an_empty_unionid_joins_nobody() {
    let (_server, directories) = both().await;
    for users in directories {
        let first = id(&users, "wx1", "o1", Some("")).await;
        assert_ne!(id(&users, "wx1", "o2", Some("")).await, first);
    }
}

#[tokio::test]
async fn when_the_unionid_shows_up_later_the_older_id_stays_whoever_logs_in_first() {
    let (_server, directories) = both().await;
    for users in directories {
        for (round, newer_first) in [("a", true), ("b", false)] {
            let union = Some(round);
            let (old, new) = (format!("old {round}"), format!("new {round}"));
            let third = format!("third {round}");
            let older = older_of(
                id(&users, "wx1", &old, None).await,
                id(&users, "wx2", &new, None).await,
            );
            let order = match newer_first {
                true => [("wx2", &new), ("wx1", &old)],
                false => [("wx1", &old), ("wx2", &new)],
            };
            for (appid, openid) in order {
                id(&users, appid, openid, union).await;
            }
            for (appid, openid) in order {
                assert_eq!(id(&users, appid, openid, union).await, older);
                assert_eq!(id(&users, appid, openid, None).await, older);
            }
            assert_eq!(id(&users, "wx3", &third, union).await, older);
        }
    }
}

#[tokio::test]
async fn an_id_with_several_openids_is_joined_whole() {
    let (_server, directories) = both().await;
    for users in directories {
        let one = id(&users, "wx1", "o1", None).await;
        let other = id(&users, "wx2", "o2", Some("u1")).await;
        assert_eq!(id(&users, "wx3", "o3", Some("u1")).await, other);
        let oldest = older_of(one, other);
        assert_eq!(id(&users, "wx1", "o1", Some("u1")).await, oldest);
        // Some of these still name the newer id, and give no unionid to find out by.
        assert_eq!(id(&users, "wx2", "o2", None).await, oldest);
        assert_eq!(id(&users, "wx3", "o3", None).await, oldest);
    }
}

#[tokio::test]
async fn without_a_directory_nobody_has_an_id() {
    let found = UserDirectory::Off.find_or_create("wx1", "o1", None, CreateUsers::Yes);
    assert_eq!(found.await.unwrap(), Found::NoDirectory);
}
