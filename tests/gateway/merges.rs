//! Two users who turn out to be one: whose their sessions are, and what upstreams are told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::client::{Request, Response};
use crate::support::command::skeygate;
use crate::support::database::{Database, Kind};
use crate::support::redis::Reply;
use crate::support::setup::{ACCOUNT, APP, OTHER_APP, Parts, Setup};
use crate::support::stack::Stack;
use crate::support::within;

const MERGED_FROM: &str = "x-user-id-merged-from";

/// Logs in to an app the way a mini program does.
async fn try_login(parts: &Parts, at: SocketAddr, appid: &str) -> Response {
    let code = parts.wechat.new_code(appid, "ann");
    let referer = format!("https://servicewechat.com/{appid}/12/page-frame.html");
    let request =
        Request::post_json("/login", &json!({ "code": code })).header("Referer", &referer);
    request.send(at).await
}

async fn login(parts: &Parts, at: SocketAddr, appid: &str) -> (String, String) {
    let answer = try_login(parts, at, appid).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    (answer.field("skey"), answer.field("user_id"))
}

/// Two users before their merge: the sessions and ids of both, the older first.
async fn two_users(parts: &Parts, at: SocketAddr) -> [(String, String); 2] {
    parts.wechat.set_account(APP.0, None);
    let older = login(parts, at, APP.0).await;
    let newer = login(parts, at, OTHER_APP.0).await;
    assert_ne!(older.1, newer.1);
    parts.wechat.set_account(APP.0, Some(ACCOUNT));
    [older, newer]
}

/// The forwarded identity: the user id, and the id that was merged into it.
async fn forwarded_identity(
    parts: &mut Parts,
    at: SocketAddr,
    skey: &str,
) -> (String, Option<String>) {
    let request = Request::get("/x").header("skey", skey);
    let answer = request.send(at).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let headers = parts.upstream.request().await.head.headers;
    let user_id = headers.get("x-user-id").expect("a user id").to_owned();
    (user_id, headers.get(MERGED_FROM).map(str::to_owned))
}

fn in_database(setup: Setup, database: &Database) -> Setup {
    let tables = database.tables().into_iter();
    tables.fold(setup, |setup, (table, keys)| setup.table(table, &keys))
}

#[tokio::test]
async fn both_users_sessions_tell_of_the_merge_on_every_replica_and_so_do_later_ones() {
    for kind in [
        None,
        Some(Kind::Sqlite),
        Some(Kind::MariaDb),
        Some(Kind::Postgres),
    ] {
        let mut setup = Setup::new().two_apps();
        let database = match kind {
            Some(kind) => Some(Database::start(kind).await),
            None => None,
        };
        if let Some(database) = &database {
            setup = in_database(setup, database);
        }
        let mut stack = Stack::start(setup).await;
        let replicas = [stack.address(), stack.one_more().await];
        let [older, newer] = two_users(&stack, replicas[0]).await;
        for (skey, user_id) in [&older, &newer] {
            let before = forwarded_identity(&mut stack, replicas[1], skey).await;
            assert_eq!(before, (user_id.clone(), None));
        }

        let joined = login(&stack, replicas[0], APP.0).await;

        let is_told = (older.1.clone(), Some(newer.1.clone()));
        let later = [
            login(&stack, replicas[1], APP.0).await,
            login(&stack, replicas[1], OTHER_APP.0).await,
        ];
        for (skey, _) in [&older, &newer, &joined].into_iter().chain(&later) {
            for at in replicas {
                assert_eq!(
                    forwarded_identity(&mut stack, at, skey).await,
                    is_told,
                    "{kind:?}"
                );
            }
        }
        // All of them belong to the merged user now, for operators too.
        let all = ["sessions", "revoke", "--user", &older.1, "--all", "--json"];
        let said = skeygate(&stack, &all).await;
        assert_eq!(said.json(), [json!({ "revoked": 5 })], "{said:?}");
        let refused = Request::get("/x").header("skey", &newer.0);
        assert_eq!(refused.send(replicas[1]).await.status, 401);
    }
}

#[tokio::test]
async fn users_of_an_existing_table_are_reported_once() {
    let database = Database::start(Kind::Sqlite).await;
    let table = "CREATE TABLE user (id INTEGER PRIMARY KEY, openid TEXT NOT NULL UNIQUE, union_id TEXT UNIQUE)";
    database.sql(table).await;
    let setup = in_database(Setup::new().two_apps(), &database).table(
        "users.sql",
        "table = \"user\"\ncolumns = { unionid = \"union_id\" }",
    );
    let mut stack = Stack::start(setup).await;
    let at = stack.address();
    let [older, newer] = two_users(&stack, at).await;

    let joined = login(&stack, at, APP.0).await;
    for _ in 0..3 {
        login(&stack, at, OTHER_APP.0).await;
    }

    assert_eq!((older.1.as_str(), newer.1.as_str()), ("1", "2"));
    for skey in [&older.0, &newer.0, &joined.0] {
        let is_told = ("1".to_owned(), Some("2".to_owned()));
        assert_eq!(forwarded_identity(&mut stack, at, skey).await, is_told);
    }
    let rows = database
        .sql("SELECT id FROM user WHERE union_id IS NOT NULL")
        .await;
    assert_eq!(rows, "1");
    // Remembered by the session store, since the table is the same at each login of the user.
    let redis = stack.redis();
    assert_eq!(
        redis.command(&[b"EXISTS", b"skeygate:m:2:told"]).await,
        Reply::Number(1)
    );
}

#[tokio::test]
async fn in_memory_it_is_the_same() {
    let mut stack = Stack::start(Setup::new().two_apps().memory()).await;
    let at = stack.address();
    let [older, newer] = two_users(&stack, at).await;

    let joined = login(&stack, at, APP.0).await;

    for skey in [&older.0, &newer.0, &joined.0] {
        let is_told = (older.1.clone(), Some(newer.1.clone()));
        assert_eq!(forwarded_identity(&mut stack, at, skey).await, is_told);
    }
}

#[tokio::test]
async fn sessions_move_to_the_merged_user_with_and_without_the_header() {
    for (header_for, is_told) in [("2s", true), ("none", false)] {
        let keys = format!("header_for = \"{header_for}\"");
        let setup = Setup::new().two_apps().table("users.merged", &keys);
        let mut stack = Stack::start(setup).await;
        let at = stack.address();
        let [older, newer] = two_users(&stack, at).await;

        let began = Instant::now();
        let joined = login(&stack, at, APP.0).await;

        let first = forwarded_identity(&mut stack, at, &newer.0).await;
        // The header may have ended by now, on a machine that is busy.
        if !is_told || began.elapsed() < Duration::from_secs(2) {
            assert_eq!(first.1.is_some(), is_told, "{first:?}");
        }
        for (skey, _) in [&older, &newer, &joined] {
            within("the header to end", async {
                loop {
                    let (user_id, from) = forwarded_identity(&mut stack, at, skey).await;
                    assert_eq!(user_id, older.1);
                    if from.is_none() {
                        break;
                    }
                    assert!(is_told);
                }
            })
            .await;
        }
        let key = format!("skeygate:m:{}", older.1);
        let redis = stack.redis();
        within("the key to end", async {
            while redis.command(&[b"EXISTS", key.as_bytes()]).await != Reply::Number(0) {}
        })
        .await;
        let (skey, _) = login(&stack, at, OTHER_APP.0).await;
        assert_eq!(
            forwarded_identity(&mut stack, at, &skey).await,
            (older.1.clone(), None)
        );
    }
}

/// Redis fails at every step in turn, as if the gateway had been killed there: the next login
/// completes the merge.
#[tokio::test]
async fn the_next_login_completes_an_interrupted_merge() {
    for step in ["m:{newer}:into", "m:{older}", "m:{newer}:told"] {
        let mut stack = Stack::start(Setup::new().two_apps()).await;
        let at = stack.address();
        let [older, newer] = two_users(&stack, at).await;
        let key = step
            .replace("{newer}", &newer.1)
            .replace("{older}", &older.1);
        let key = format!("skeygate:{key}");
        // A value of another type.
        let redis = stack.redis();
        redis.command(&[b"SADD", key.as_bytes(), b"x"]).await;

        let failed = try_login(&stack, at, APP.0).await;
        let replaced = [key.as_bytes()];
        let redis = stack.redis();
        redis
            .command(&[&[b"DEL".as_slice()], &replaced[..]].concat())
            .await;
        // By SET it is replaced, and nothing fails.
        let set = step == "m:{newer}:into";
        let joined = match failed.status {
            200 if set => (failed.field("skey"), failed.field("user_id")),
            503 if !set => login(&stack, at, APP.0).await,
            status => panic!("{step}: {status} {}", failed.text()),
        };

        assert_eq!(joined.1, older.1, "{step}");
        for skey in [&older.0, &newer.0, &joined.0] {
            let is_told = (older.1.clone(), Some(newer.1.clone()));
            assert_eq!(
                forwarded_identity(&mut stack, at, skey).await,
                is_told,
                "{step}"
            );
        }
    }
}

/// Redis is 20 ms away, so that the merge falls between the steps of logins under the newer id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_that_race_a_merge_leave_no_session_under_the_newer_id() {
    let far = Setup::new().two_apps().far_redis(Duration::from_millis(20));
    let mut stack = Stack::start(far).await;
    let replicas = [stack.address(), stack.one_more().await];
    let [older, newer] = two_users(&stack, replicas[0]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut logins = JoinSet::new();
    for number in 0..12 {
        let (at, stop) = (replicas[number % 2], Arc::clone(&stop));
        let codes: Vec<String> = (0..100)
            .map(|_| stack.wechat.new_code(OTHER_APP.0, "ann"))
            .collect();
        logins.spawn(async move {
            let mut answers = Vec::new();
            for code in codes {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let request = Request::post_json("/login", &json!({ "code": code }))
                    .header("X-Wx-App", OTHER_APP.0);
                let answer = request.send(at).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                answers.push((answer.field("skey"), answer.field("user_id")));
            }
            answers
        });
    }

    let joined = login(&stack, replicas[0], APP.0).await;
    stop.store(true, Ordering::Relaxed);
    let sessions: Vec<_> = logins.join_all().await.into_iter().flatten().collect();

    let key = format!("skeygate:m:{}:told", newer.1);
    let redis = stack.redis();
    within("the end of the merge", async {
        while redis.command(&[b"EXISTS", key.as_bytes()]).await != Reply::Number(1) {}
    })
    .await;
    let is_told = (older.1.clone(), Some(newer.1.clone()));
    let under = |id: &str| sessions.iter().filter(|session| session.1 == id).count();
    assert!(under(&older.1) > 0, "no race: {}", sessions.len());
    assert_eq!(under(&older.1) + under(&newer.1), sessions.len());
    for (skey, _) in sessions.iter().chain([&older, &newer, &joined]) {
        assert_eq!(
            forwarded_identity(&mut stack, replicas[1], skey).await,
            is_told
        );
    }
}

#[tokio::test]
async fn a_merge_forged_in_redis_changes_no_identity() {
    let mut stack = Stack::start(Setup::new().two_apps()).await;
    let at = stack.address();
    let [_, mallory] = two_users(&stack, at).await;
    let redis = stack.redis();
    for (key, value) in [
        (format!("skeygate:m:{}:into", mallory.1), "1"),
        (format!("skeygate:m:{}", mallory.1), "1"),
    ] {
        redis
            .command(&[b"SET", key.as_bytes(), value.as_bytes()])
            .await;
    }

    let (skey, user_id) = login(&stack, at, OTHER_APP.0).await;

    assert_eq!(user_id, mallory.1);
    assert_eq!(
        forwarded_identity(&mut stack, at, &skey).await,
        (user_id, None)
    );
}
