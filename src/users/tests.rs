//! Rules that all directories keep, tested on each. Those of other databases are tested from
//! outside.

use tempfile::TempDir;

use super::{Bans, Change, CreateUsers, Profile, Profiles, UserDirectory, UserLookup};
use crate::config::{Config, ProfileField, UserStore};
use crate::identity::Holder;
use crate::testing::RedisServer;
use crate::users::Ban;

/// One directory of each kind. The server and the folder live as long as the first value.
async fn each() -> ((RedisServer, TempDir), [UserDirectory; 3]) {
    let server = RedisServer::start().await;
    let redis = UserDirectory::redis(server.link(), "gate:");
    let folder = tempfile::tempdir().unwrap();
    let sqlite = sqlite(&folder);
    (
        (server, folder),
        [redis, UserDirectory::memory(Bans::memory()), sqlite],
    )
}

fn sqlite(folder: &TempDir) -> UserDirectory {
    let file = folder.path().join("users.db");
    let toml = format!(
        "[[apps]]\nappid = \"wx1234567890abcdef\"\nsecret = \"0123456789abcdef\"\n\
         [[routes]]\npath = \"/*\"\nrespond = {{ status = 204 }}\n\
         [users]\nstore = \"sql\"\n[users.sql]\nurl = \"sqlite:{}\"\n\
         timeout = \"20s\"\n",
        file.display()
    );
    let loaded = Config::parse("gateway.toml", &toml, &|_| None);
    let UserStore::Sql(sql) = loaded.unwrap().config.users.store else {
        panic!("users.store is sql");
    };
    UserDirectory::sql(&sql, Bans::memory())
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
    let UserLookup::User {
        user_id, is_new, ..
    } = found
    else {
        panic!("a user is made")
    };
    (user_id, is_new)
}

async fn id(users: &UserDirectory, appid: &str, openid: &str, unionid: Option<&str>) -> String {
    found(users, appid, openid, unionid).await.0
}

/// Two ids of one millisecond are not ordered by time, so the number decides.
fn older_of(one: String, other: String) -> String {
    let number = |id: &String| id.parse::<u64>().unwrap();
    std::cmp::min_by_key(one, other, number)
}

#[tokio::test]
async fn an_openid_keeps_its_id_and_is_new_once() {
    let (_server, directories) = each().await;
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
    let (_server, directories) = each().await;
    for users in directories {
        let ask = async |appid: &str, openid: &str, unionid: Option<&str>| {
            users
                .find_or_create(appid, openid, unionid, CreateUsers::No)
                .await
                .unwrap()
        };
        assert_eq!(ask("wx1", "o1", None).await, UserLookup::Unknown);
        assert_eq!(ask("wx1", "o1", Some("u1")).await, UserLookup::Unknown);
        let user_id = id(&users, "wx1", "o1", Some("u1")).await;
        let known = UserLookup::User {
            user_id,
            is_new: false,
            merged: Vec::new(),
        };
        assert_eq!(ask("wx1", "o1", None).await, known);
        // Known by the unionid in an app that is new to the user.
        assert_eq!(ask("wx2", "o9", Some("u1")).await, known);
    }
}

#[tokio::test]
async fn apps_with_one_unionid_share_one_id() {
    let (_server, directories) = each().await;
    for users in directories {
        let first = id(&users, "wx1", "o1", Some("u1")).await;
        let second = found(&users, "wx2", "o2", Some("u1")).await;
        assert_eq!(second, (first.clone(), false));
        assert_eq!(id(&users, "wx2", "o2", None).await, first);
        assert_ne!(id(&users, "wx2", "o3", Some("u2")).await, first);
    }
}

#[tokio::test]
async fn an_empty_unionid_joins_no_users() {
    let (_server, directories) = each().await;
    for users in directories {
        let first = id(&users, "wx1", "o1", Some("")).await;
        assert_ne!(id(&users, "wx1", "o2", Some("")).await, first);
    }
}

#[tokio::test]
async fn when_the_unionid_appears_later_the_older_id_stays_in_any_order_of_logins() {
    let (_server, directories) = each().await;
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
    let (_server, directories) = each().await;
    for users in directories {
        let one = id(&users, "wx1", "o1", None).await;
        let other = id(&users, "wx2", "o2", Some("u1")).await;
        assert_eq!(id(&users, "wx3", "o3", Some("u1")).await, other);
        let oldest = older_of(one, other);
        assert_eq!(id(&users, "wx1", "o1", Some("u1")).await, oldest);
        // Some of these still name the newer id, and have no unionid to find the merge by.
        assert_eq!(id(&users, "wx2", "o2", None).await, oldest);
        assert_eq!(id(&users, "wx3", "o3", None).await, oldest);
    }
}

async fn changed(profiles: &Profiles, user_id: &str, changes: &[Change]) -> String {
    profiles.change(user_id, changes).await.unwrap()
}

#[tokio::test]
async fn a_profile_is_kept_field_by_field_and_per_user() {
    let (_server, directories) = each().await;
    let name = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{1f1e8}\u{1f1f3}";
    for users in directories {
        let (ann, bob) = (
            id(&users, "wx1", "o1", None).await,
            id(&users, "wx1", "o2", None).await,
        );
        let kept = [ProfileField::Nickname, ProfileField::Phone];
        let profiles = Profiles::new(users.clone(), &kept).unwrap();
        assert_eq!(profiles.read(&ann).await.unwrap(), Profile::default());

        let avatar = Change::avatar("/a.png").unwrap();
        let named = [Change::nickname(name).unwrap(), avatar];
        assert_eq!(changed(&profiles, &ann, &named).await, ann);
        changed(&profiles, &ann, &[Change::phone("13800000000")]).await;

        let profile = profiles.read(&ann).await.unwrap();
        assert_eq!(profile.nickname.as_deref(), Some(name));
        assert_eq!(profile.phone.as_deref(), Some("13800000000"));
        // A field that is not kept is ignored.
        let all = Profiles::new(users.clone(), &ProfileField::ALL).unwrap();
        assert_eq!(all.read(&ann).await.unwrap(), profile);
        assert_eq!(all.read(&bob).await.unwrap(), Profile::default());
        // A field that was kept before and is not any more.
        let phones = Profiles::new(users.clone(), &[ProfileField::Phone]).unwrap();
        assert_eq!(phones.read(&ann).await.unwrap().nickname, None);

        changed(&profiles, &ann, &[Change::delete(ProfileField::Nickname)]).await;
        let profile = profiles.read(&ann).await.unwrap();
        assert_eq!((profile.nickname, profile.phone.is_some()), (None, true));
    }
    assert!(Profiles::new(UserDirectory::Off, &[]).is_none());
}

#[tokio::test]
async fn a_merge_keeps_the_older_profile_and_fills_its_gaps_from_the_newer() {
    let (_server, directories) = each().await;
    for users in directories {
        let profiles = Profiles::new(users.clone(), &ProfileField::ALL).unwrap();
        for round in ["a", "b", "c"] {
            let (one, other) = (format!("one {round}"), format!("other {round}"));
            let mut both = [
                (id(&users, "wx1", &one, None).await, ("wx1", &one)),
                (id(&users, "wx2", &other, None).await, ("wx2", &other)),
            ];
            both.sort_by_key(|(id, _)| id.parse::<u64>().unwrap());
            let [(older, first), (newer, second)] = both;
            if round != "c" {
                changed(&profiles, &older, &[Change::nickname("older").unwrap()]).await;
            }
            let newers = [Change::nickname("newer").unwrap(), Change::phone("1")];
            changed(&profiles, &newer, &newers).await;

            let order = if round == "a" {
                [first, second]
            } else {
                [second, first]
            };
            for (appid, openid) in order {
                id(&users, appid, openid, Some(round)).await;
            }

            let profile = profiles.read(&older).await.unwrap();
            let stays = if round == "c" { "newer" } else { "older" };
            assert_eq!(profile.nickname.as_deref(), Some(stays));
            assert_eq!(profile.phone.as_deref(), Some("1"));
            assert_eq!(profiles.read(&newer).await.unwrap(), Profile::default());
            // A write through a session of the newer id changes the older one, and a deleted field
            // stays deleted.
            let deleted = [Change::delete(ProfileField::Nickname)];
            assert_eq!(changed(&profiles, &newer, &deleted).await, older);
            for (appid, openid) in order {
                id(&users, appid, openid, Some(round)).await;
            }
            assert_eq!(profiles.read(&older).await.unwrap().nickname, None);
        }
    }
}

/// Merges in Redis and databases are tested in their modules.
#[tokio::test]
async fn in_memory_a_ban_of_the_newer_id_survives_a_merge() {
    let bans = Bans::memory();
    let users = UserDirectory::memory(bans.clone());
    let older = id(&users, "wx1", "o1", None).await;
    let newer = id(&users, "wx2", "o2", None).await;
    let holder = |id: &String| Holder::User(id.clone());
    let ban = Ban::new("sells stolen goods", None);
    bans.set(&holder(&newer), &ban).await.unwrap();

    id(&users, "wx1", "o1", Some("u1")).await;
    assert_eq!(bans.find(&holder(&older)).await.unwrap(), None);
    assert_eq!(id(&users, "wx2", "o2", Some("u1")).await, older);

    assert_eq!(bans.find(&holder(&older)).await.unwrap(), Some(ban));
    assert_eq!(users.current_id(&newer).await.unwrap(), older);
    // A lifted ban stays lifted across logins.
    bans.lift(&holder(&older)).await.unwrap();
    id(&users, "wx2", "o2", Some("u1")).await;
    assert_eq!(bans.find(&holder(&older)).await.unwrap(), None);
}

#[tokio::test]
async fn a_merge_is_reported_at_each_login_of_either_until_it_is_settled() {
    let (_server, directories) = each().await;
    for users in directories {
        let merged = async |appid: &str, openid: &str, unionid: Option<&str>| {
            let found = users.find_or_create(appid, openid, unionid, CreateUsers::Yes);
            match found.await.unwrap() {
                UserLookup::User { merged, .. } => merged,
                other => panic!("{other:?}"),
            }
        };
        let one = id(&users, "wx1", "o1", None).await;
        let other = id(&users, "wx2", "o2", Some("u1")).await;
        let older = older_of(one.clone(), other.clone());
        let (none, newer) = (Vec::new(), vec![if older == one { other } else { one }]);
        assert_eq!(merged("wx1", "o1", None).await, none);

        for _ in 0..2 {
            assert_eq!(merged("wx1", "o1", Some("u1")).await, newer);
            assert_eq!(merged("wx2", "o2", Some("u1")).await, newer);
            // A third app of the same person gets it as well.
            let third = merged("wx3", "o3", Some("u1")).await;
            assert!(third == none || third == newer, "{third:?}");
        }
        users.settle("wx1", "o1", Some("u1")).await.unwrap();

        let said = [
            merged("wx1", "o1", Some("u1")).await,
            merged("wx2", "o2", Some("u1")).await,
        ];
        // By the openid that first had the newer id, permanently.
        assert!(said.contains(&none) && said.contains(&newer), "{said:?}");
        assert_eq!(merged("wx3", "o4", Some("u1")).await, none);
        for (appid, openid) in [("wx1", "o1"), ("wx2", "o2"), ("wx3", "o3"), ("wx3", "o4")] {
            assert_eq!(id(&users, appid, openid, Some("u1")).await, older);
        }
        users.settle("wx1", "o1", None).await.unwrap();
        users.settle("wx9", "o9", Some("u9")).await.unwrap();
    }
}

#[tokio::test]
async fn a_chain_of_merges_reports_every_id_on_the_way() {
    let (_server, directories) = each().await;
    for users in directories {
        let merged = async |appid: &str, openid: &str, unionid: &str| {
            let found = users.find_or_create(appid, openid, Some(unionid), CreateUsers::Yes);
            match found.await.unwrap() {
                UserLookup::User {
                    user_id, merged, ..
                } => (user_id, merged),
                other => panic!("{other:?}"),
            }
        };
        let mut ids = Vec::new();
        for openid in ["o1", "o2", "o3"] {
            ids.push((id(&users, "wx1", openid, None).await, openid));
        }
        // Ids of one millisecond are unordered.
        ids.sort_by_key(|(id, _)| id.parse::<u64>().unwrap());
        let [(first, a), (second, b), (third, c)] = <[_; 3]>::try_from(ids).unwrap();
        assert_eq!(merged("wx1", c, "u1").await, (third.clone(), Vec::new()));
        // Neither merge is settled.
        let found = merged("wx1", b, "u1").await;
        assert_eq!(found, (second.clone(), vec![third.clone()]));

        let all = (first, vec![third, second.clone()]);
        assert_eq!(merged("wx1", a, "u1").await, all);
        assert_eq!(merged("wx1", a, "u1").await, all);
        assert_eq!(merged("wx1", c, "u1").await, all);

        users.settle("wx1", a, Some("u1")).await.unwrap();
        let found = merged("wx1", a, "u1").await;
        assert_eq!(found, (all.0.clone(), Vec::new()));
        let found = merged("wx1", b, "u1").await;
        assert_eq!(found, (all.0, vec![second]));
    }
}

#[tokio::test]
async fn without_a_directory_there_are_no_ids() {
    let found = UserDirectory::Off.find_or_create("wx1", "o1", None, CreateUsers::Yes);
    assert_eq!(found.await.unwrap(), UserLookup::NoDirectory);
}

#[tokio::test]
async fn a_hundred_logins_at_once_over_two_connections_to_one_file_make_one_user() {
    let folder = tempfile::tempdir().unwrap();
    let replicas = [sqlite(&folder), sqlite(&folder)];
    let logins: Vec<_> = (0..100)
        .map(|number| {
            let users = replicas[number % 2].clone();
            tokio::spawn(async move { found(&users, "wx1", "o1", Some("u1")).await })
        })
        .collect();
    let mut seen = Vec::new();
    for login in logins {
        seen.push(login.await.unwrap());
    }
    assert_eq!(seen.iter().filter(|(_, is_new)| *is_new).count(), 1);
    assert!(seen.iter().all(|(id, _)| *id == seen[0].0), "{seen:?}");
}

#[tokio::test]
async fn a_database_keeps_its_users_over_a_restart_and_tells_capitals_apart() {
    let folder = tempfile::tempdir().unwrap();
    let first = sqlite(&folder);
    let upper = id(&first, "wx1", "oA", None).await;
    let lower = id(&first, "wx1", "oa", None).await;
    assert_ne!(upper, lower);
    drop(first);
    let second = sqlite(&folder);
    assert_eq!(found(&second, "wx1", "oA", None).await, (upper, false));
    assert_eq!(found(&second, "wx1", "oa", None).await, (lower, false));
}
