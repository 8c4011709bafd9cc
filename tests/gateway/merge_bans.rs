//! Merges of two users while an operator bans or looks up one of them: by any of its ids it is the
//! remaining user, and no session is left behind.

use std::time::Duration;

use serde_json::json;
use skeygate::clock::unix_millis;

use crate::support::client::{Request, Response};
use crate::support::command::{skeygate, skeygate_with};
use crate::support::database::{Database, Kind};
use crate::support::redis::{RedisServer, Reply};
use crate::support::setup::{ACCOUNT, APP, OTHER_APP, Setup};
use crate::support::stack::Stack;
use crate::support::within;

/// Where users are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Users {
    Redis,
    OurTables,
    AdoptedTable,
}

const EVERYWHERE: [Users; 3] = [Users::Redis, Users::OurTables, Users::AdoptedTable];

/// Two users that a merge will join: skey and id of each, the older first.
type Two = [(String, String); 2];

/// The database lives as long as the first value.
async fn start(users: Users) -> (Option<Database>, Stack) {
    let (database, setup) = setup(users).await;
    (database, Stack::start(setup).await)
}

async fn setup(users: Users) -> (Option<Database>, Setup) {
    let mut setup = Setup::new().two_apps();
    if users == Users::Redis {
        return (None, setup);
    }
    let database = Database::start(Kind::Sqlite).await;
    let tables = database.tables().into_iter();
    setup = tables.fold(setup, |setup, (table, keys)| setup.table(table, &keys));
    if users == Users::AdoptedTable {
        let table = "CREATE TABLE user (id INTEGER PRIMARY KEY, openid TEXT NOT NULL UNIQUE, union_id TEXT UNIQUE)";
        database.sql(table).await;
        let keys = "table = \"user\"\ncolumns = { unionid = \"union_id\" }";
        setup = setup.table("users.sql", keys);
    }
    (Some(database), setup)
}

async fn try_login(stack: &Stack, appid: &str, user: &str) -> Response {
    let code = stack.wechat.new_code(appid, user);
    let referer = format!("https://servicewechat.com/{appid}/12/page-frame.html");
    let login = Request::post_json("/login", &json!({ "code": code }));
    stack.send(login.header("Referer", &referer)).await
}

async fn login(stack: &Stack, appid: &str, user: &str) -> (String, String) {
    let answer = try_login(stack, appid, user).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    (answer.field("skey"), answer.field("user_id"))
}

/// The app of the user with a unionid logs in first once both have one: the other login finds the
/// merge.
async fn two_users(stack: &Stack) -> Two {
    stack.wechat.set_account(OTHER_APP.0, None);
    let older = login(stack, APP.0, "ann").await;
    let newer = login(stack, OTHER_APP.0, "ann").await;
    assert_ne!(older.1, newer.1);
    stack.wechat.set_account(OTHER_APP.0, Some(ACCOUNT));
    [older, newer]
}

/// They are merged by now, and both sessions belong to the older id.
async fn one_user(stack: &Stack) -> Two {
    let two = two_users(stack).await;
    let (_, joined) = login(stack, OTHER_APP.0, "ann").await;
    assert_eq!(joined, two[0].1);
    two
}

async fn ended(stack: &Stack, skey: &str) -> bool {
    match stack.get("/x", skey).await.status {
        401 => true,
        200 => false,
        status => panic!("{status}"),
    }
}

fn is_banned(answer: &Response) -> bool {
    (answer.status, answer.error()) == (403, Some("user_banned"))
}

#[tokio::test]
async fn a_merge_with_a_banned_user_ends_the_sessions_of_both() {
    for users in EVERYWHERE {
        for banned in [0, 1] {
            let (_database, stack) = start(users).await;
            let two = two_users(&stack).await;
            let ban = ["users", "ban", &two[banned].1, "--reason", "x"];
            let said = skeygate(&stack, &ban).await;
            assert_eq!(said.code, Some(0), "{said:?}");
            let other = &two[1 - banned].0;
            assert!(!ended(&stack, other).await);

            let refused = try_login(&stack, OTHER_APP.0, "ann").await;

            assert!(is_banned(&refused), "{users:?}: {}", refused.text());
            for (skey, _) in &two {
                assert!(ended(&stack, skey).await, "{users:?}, {banned} is banned");
            }
            assert!(is_banned(&try_login(&stack, APP.0, "ann").await));
        }
    }
}

#[tokio::test]
async fn a_merged_user_is_listed_and_logged_out_by_every_id() {
    for users in EVERYWHERE {
        let (_database, stack) = start(users).await;
        let [older, newer] = one_user(&stack).await;
        let openid = stack.wechat.openid(OTHER_APP.0, "ann");
        let names: [&[&str]; 3] = [
            &["--user", &newer.1],
            &["--openid", &openid, "--app", OTHER_APP.0],
            &["--user", &older.1],
        ];
        let mut skeys = vec![older.0.clone(), newer.0.clone()];
        let mut live = 3;
        for name in names {
            let list = [&["sessions", "list", "--json"], name].concat();
            let listed = skeygate(&stack, &list).await;
            let listed = listed.json();
            assert_eq!(listed.len(), live, "{users:?} {name:?}: {listed:?}");
            assert!(listed.iter().all(|one| one["user_id"] == older.1.as_str()));
            let handle = listed[0]["handle"].as_str().expect("a handle");
            let one = [&["sessions", "revoke", handle], name].concat();
            let said = skeygate(&stack, &one).await;
            assert_eq!(said.code, Some(0), "{users:?} {name:?}: {said:?}");

            let all = [&["sessions", "revoke", "--all", "--json"], name].concat();
            let said = skeygate(&stack, &all).await;

            let revoked = &said.json()[0]["revoked"];
            assert_eq!(*revoked, live - 1, "{users:?} {name:?}: {said:?}");
            for skey in skeys {
                assert!(ended(&stack, &skey).await, "{users:?} {name:?}");
            }
            let (skey, _) = login(&stack, APP.0, "ann").await;
            skeys = vec![skey, login(&stack, OTHER_APP.0, "ann").await.0];
            live = 2;
        }
        let named = skeygate(&stack, &["sessions", "list", "--user", &newer.1]).await;
        let whose = format!("{} was merged into {}", newer.1, older.1);
        assert!(named.stderr.contains(&whose), "{users:?}: {named:?}");
        let all = ["sessions", "revoke", "--all", "--json", "--user", &newer.1];
        let said = skeygate(&stack, &all).await.json();
        let done = json!({ "revoked": 2, "user_id": older.1, "merged_from": newer.1 });
        assert_eq!(said, [done], "{users:?}");
    }
}

#[tokio::test]
async fn a_merged_user_is_banned_and_unbanned_by_every_id() {
    for users in EVERYWHERE {
        let (_database, stack) = start(users).await;
        let [older, newer] = one_user(&stack).await;
        let openid = stack.wechat.openid(OTHER_APP.0, "ann");
        let names: [&[&str]; 2] = [&[&newer.1], &["--openid", &openid, "--app", OTHER_APP.0]];
        let mut skeys = vec![older.0.clone(), newer.0.clone()];
        for name in names {
            let ban = [&["users", "ban", "--reason", "x", "--json"], name].concat();
            let said = skeygate(&stack, &ban).await;

            let banned = &said.json()[0];
            assert_eq!(banned["user_id"], older.1.as_str(), "{users:?}: {said:?}");
            for skey in skeys {
                assert!(ended(&stack, &skey).await, "{users:?} {name:?}");
            }
            for appid in [APP.0, OTHER_APP.0] {
                let refused = try_login(&stack, appid, "ann").await;
                assert!(is_banned(&refused), "{users:?}: {}", refused.text());
            }
            let unban = [&["users", "unban"], name].concat();
            let said = skeygate(&stack, &unban).await;
            assert_eq!(said.code, Some(0), "{users:?}: {said:?}");
            skeys = vec![login(&stack, APP.0, "ann").await.0];
        }
    }
}

/// Until this version a ban by a merged id was stored where only the other openid's login found it.
#[tokio::test]
async fn a_ban_that_was_left_with_a_merged_row_ends_the_sessions_once_it_is_found() {
    let (_database, mut stack) = start(Users::AdoptedTable).await;
    let [older, newer] = one_user(&stack).await;
    let key = format!("skeygate:b:{}", newer.1);
    let ban = json!({ "reason": "x", "since": 1 }).to_string();
    let redis = stack.redis();
    redis
        .command(&[b"SET", key.as_bytes(), ban.as_bytes()])
        .await;

    let refused = try_login(&stack, OTHER_APP.0, "ann").await;

    assert!(is_banned(&refused), "{}", refused.text());
    for (skey, _) in [older, newer] {
        assert!(ended(&stack, &skey).await);
    }
}

/// The forwarded identity: the user id, and the ids that were merged into it.
async fn forwarded_identity(stack: &mut Stack, skey: &str) -> (String, Vec<String>) {
    assert!(!ended(stack, skey).await);
    let headers = stack.upstream.request().await.head.headers;
    let ids = headers.get("x-user-id-merged-from").unwrap_or_default();
    let mut ids: Vec<String> = ids.split(',').map(str::to_owned).collect();
    ids.sort();
    let user_id = headers.get("x-user-id").expect("a user id");
    (user_id.to_owned(), ids)
}

/// The order of two ids of one millisecond is random.
async fn next_millisecond() {
    let now = unix_millis();
    while unix_millis() == now {
        tokio::task::yield_now().await;
    }
}

/// The login that merged the third into the second died once the directory had stored it.
#[tokio::test]
async fn every_merge_of_a_chain_is_told_after_an_interruption() {
    let mut stack = Stack::start(Setup::new().two_apps()).await;
    stack.wechat.set_account(APP.0, None);
    let first = login(&stack, APP.0, "ann").await;
    next_millisecond().await;
    let second = login(&stack, APP.0, "bob").await;
    next_millisecond().await;
    let third = login(&stack, OTHER_APP.0, "ann").await;
    let alias = format!("skeygate:a:{}", third.1);
    let redis = stack.redis();
    redis
        .command(&[b"SET", alias.as_bytes(), second.1.as_bytes()])
        .await;

    stack.wechat.set_account(APP.0, Some(ACCOUNT));
    let joined = login(&stack, APP.0, "ann").await;

    assert_eq!(joined.1, first.1);
    let mut merged = vec![second.1.clone(), third.1.clone()];
    merged.sort();
    for (skey, _) in [&first, &second, &third, &joined] {
        let is_told = (first.1.clone(), merged.clone());
        assert_eq!(forwarded_identity(&mut stack, skey).await, is_told);
    }
}

/// Redis is 20 ms away from the gateway and near to the command, so that the ban runs while the
/// merge moves the first session of the newer id: the remaining ones are on neither list when the
/// ban looks there.
#[tokio::test]
async fn a_ban_during_a_merge_leaves_no_session_behind() {
    for users in [Users::Redis, Users::AdoptedTable] {
        for banned in [0, 1] {
            let (_database, setup) = setup(users).await;
            let far = setup.far_redis(Duration::from_millis(20));
            let mut stack = Stack::start(far).await;
            let two = two_users(&stack).await;
            for _ in 0..2 {
                stack.wechat.set_account(OTHER_APP.0, None);
                login(&stack, OTHER_APP.0, "ann").await;
            }
            stack.wechat.set_account(OTHER_APP.0, Some(ACCOUNT));
            let (network, redis) = (stack.network().address(), stack.redis().address());
            let toml = stack.toml.replace(&network.to_string(), &redis.to_string());
            let noted = format!("skeygate:m:{}:into", two[1].1);
            let told = format!("skeygate:m:{}:told", two[1].1);

            let ban = async {
                until_there(&stack, &noted).await;
                let ban = ["users", "ban", &two[banned].1, "--reason", "x"];
                skeygate_with(&toml, &ban).await
            };
            let (refused, said) = tokio::join!(try_login(&stack, OTHER_APP.0, "ann"), ban);

            assert!(said.stdout.contains(&two[0].1), "{users:?}: {said:?}");
            assert!(is_banned(&refused), "{users:?}: {}", refused.text());
            until_there(&stack, &told).await;
            for (skey, _) in &two {
                assert!(ended(&stack, skey).await, "{users:?}, {banned} is banned");
            }
            let left = redis_of(&stack).command(&[b"KEYS", b"skeygate:s:*"]).await;
            assert!(
                matches!(&left, Reply::List(keys) if keys.is_empty()),
                "{users:?}, {banned} is banned: {left:?}"
            );
        }
    }
}

fn redis_of(stack: &Stack) -> &RedisServer {
    stack.redis.as_ref().expect("Redis")
}

async fn until_there(stack: &Stack, key: &str) {
    within(key, async {
        while redis_of(stack).command(&[b"EXISTS", key.as_bytes()]).await != Reply::Number(1) {}
    })
    .await;
}
