//! Operations on sessions and users by the built command, and their effect on every replica.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::support::client::{Request, Response};
use crate::support::command::{skeygate, skeygate_with};
use crate::support::database::{Database, Kind};
use crate::support::redis::Reply;
use crate::support::setup::{ACCOUNT, APP, OTHER_APP, Setup, login_request};
use crate::support::stack::Stack;
use crate::support::within;

/// A login as WeChat's client sends it.
async fn login(stack: &Stack, appid: &str, user: &str) -> Response {
    let code = stack.wechat.new_code(appid, user);
    let referer = format!("https://servicewechat.com/{appid}/12/page-frame.html");
    let request = Request::post_json("/login", &json!({ "code": code }))
        .header("Referer", &referer)
        .header("User-Agent", "MicroMessenger/8.0.50");
    let answer = stack.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

fn with(skey: &str) -> Request {
    Request::get("/x").header("skey", skey)
}

#[tokio::test]
async fn a_session_revoked_by_handle_is_refused_by_the_other_replica_on_the_next_request() {
    let mut stack = Stack::start(Setup::new()).await;
    let other = stack.one_more().await;
    let ann = login(&stack, APP.0, "ann").await;
    let again = login(&stack, APP.0, "ann").await;
    let skey = ann.field("skey");
    assert_eq!(with(&skey).send(other).await.status, 200);
    let user = ann.field("user_id");
    let listed = skeygate(&stack, &["sessions", "list", "--user", &user, "--json"]).await;
    let handle = listed.json()[0]["handle"].clone();
    let handle = handle.as_str().expect("a handle");

    let said = skeygate(&stack, &["sessions", "revoke", handle]).await;

    assert_eq!(
        (said.code, said.stdout.as_str()),
        (Some(0), "1 session ended\n")
    );
    for at in [other, stack.address()] {
        let refused = with(&skey).send(at).await;
        assert_eq!(
            (refused.status, refused.error()),
            (401, Some("not_logged_in"))
        );
    }
    assert_eq!(with(&again.field("skey")).send(other).await.status, 200);
    let audit = said.audit();
    assert_eq!(audit.len(), 1, "{audit:?}");
    assert_eq!(audit[0]["event"], "session.revoked");
    assert_eq!(audit[0]["level"], "INFO");
    assert_eq!(audit[0]["user.id"], user.as_str());
    assert_eq!(audit[0]["session"], handle);
    assert_eq!(audit[0]["by"], "command");
    let twice = skeygate(&stack, &["sessions", "revoke", handle, "--user", &user]).await;
    assert_eq!((twice.code, twice.stdout.as_str()), (Some(1), ""));
}

#[tokio::test]
async fn a_list_tells_device_version_address_and_times_and_no_skey() {
    let stack = Stack::start(Setup::new()).await;
    let ann = login(&stack, APP.0, "ann").await;
    let bob = login(&stack, APP.0, "bob").await;

    let said = skeygate(&stack, &["sessions", "list", "--json"]).await;
    let text = skeygate(&stack, &["sessions", "list"]).await;

    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    let mut listed = said.json();
    assert_eq!(listed.len(), 2, "{listed:?}");
    listed.retain(|one| one["user_id"] == ann.field("user_id").as_str());
    let one = &listed[0];
    assert_eq!(one["appid"], APP.0);
    assert_eq!(one["openid"], stack.wechat.openid(APP.0, "ann").as_str());
    assert_eq!(one["address"], "127.0.0.1");
    assert_eq!(one["version"], "12");
    assert_eq!(one["device"], "MicroMessenger/8.0.50");
    assert_eq!(one["logged_in_at"], one["last_seen_at"]);
    let left = one["expires_in"].as_u64().expect("a number");
    assert!((604_000..=604_800).contains(&left), "{left}");
    assert_eq!(text.stdout.lines().count(), 3, "{}", text.stdout);
    assert!(text.stdout.contains("MicroMessenger/8.0.50"));
    for skey in [ann.field("skey"), bob.field("skey")] {
        assert!(!said.stdout.contains(&skey) && !text.stdout.contains(&skey));
        assert!(!said.stdout.contains(&skey[..12]));
    }
}

#[tokio::test]
async fn all_sessions_of_a_user_end_on_both_replicas_by_id_and_by_openid() {
    let mut stack = Stack::start(Setup::new().two_apps()).await;
    let other = stack.one_more().await;
    let bob = login(&stack, APP.0, "bob").await.field("skey");
    let ann = [
        login(&stack, APP.0, "ann").await,
        login(&stack, OTHER_APP.0, "ann").await,
    ];
    let user = ann[0].field("user_id");

    let said = skeygate(
        &stack,
        &["sessions", "revoke", "--user", &user, "--all", "--json"],
    )
    .await;

    assert_eq!(said.json(), [json!({ "revoked": 2 })]);
    assert_eq!(said.audit()[0]["event"], "sessions.revoked");
    assert_eq!(said.audit()[0]["user.id"], user.as_str());
    assert_eq!(said.audit()[0]["sessions"], 2);
    for answer in &ann {
        assert_eq!(with(&answer.field("skey")).send(other).await.status, 401);
    }
    assert_eq!(with(&bob).send(other).await.status, 200);

    let new = login(&stack, OTHER_APP.0, "ann").await.field("skey");
    assert_eq!(with(&new).send(other).await.status, 200);
    let openid = stack.wechat.openid(OTHER_APP.0, "ann");
    let app = ["--openid", &openid, "--app", OTHER_APP.0];
    let said = skeygate(
        &stack,
        &[&["sessions", "revoke", "--all"], &app[..]].concat(),
    )
    .await;
    assert_eq!(said.stdout, "1 session ended\n", "{said:?}");
    assert_eq!(with(&new).send(other).await.status, 401);
}

#[tokio::test]
async fn users_without_ids_are_named_by_openid() {
    let stack = Stack::start(Setup::new().table("users", "store = \"off\"")).await;
    let ann = login(&stack, APP.0, "ann").await.field("skey");
    let bob = login(&stack, APP.0, "bob").await.field("skey");
    let openid = stack.wechat.openid(APP.0, "ann");

    let said = skeygate(
        &stack,
        &["sessions", "revoke", "--openid", &openid, "--all"],
    )
    .await;

    assert_eq!(said.stdout, "1 session ended\n", "{said:?}");
    assert_eq!(said.audit()[0]["openid"], openid.as_str());
    assert_eq!(said.audit()[0]["appid"], APP.0);
    assert_eq!(stack.get("/x", &ann).await.status, 401);
    assert_eq!(stack.get("/x", &bob).await.status, 200);
}

fn refusal(answer: &Response) -> (u16, Option<&str>) {
    (answer.status, answer.error())
}

const BANNED: (u16, Option<&str>) = (403, Some("user_banned"));

async fn sessions_in(stack: &Stack) -> usize {
    let redis = stack.redis.as_ref().expect("Redis");
    match redis.command(&[b"KEYS", b"skeygate:s:*"]).await {
        Reply::List(keys) => keys.len(),
        other => panic!("KEYS without a list: {other:?}"),
    }
}

#[tokio::test]
async fn a_ban_ends_all_sessions_and_refuses_logins_on_both_replicas_until_it_is_lifted() {
    let mut stack = Stack::start(Setup::new().two_apps()).await;
    let other = stack.one_more().await;
    let bob = login(&stack, APP.0, "bob").await.field("skey");
    let ann = [
        login(&stack, APP.0, "ann").await,
        login(&stack, APP.0, "ann").await,
        login(&stack, OTHER_APP.0, "ann").await,
    ];
    let user = ann[0].field("user_id");

    let ban = ["users", "ban", &user, "--reason", "sells fakes", "--json"];
    let said = skeygate(&stack, &ban).await;

    assert_eq!(said.json()[0]["revoked"], 3, "{said:?}");
    for answer in &ann {
        for at in [stack.address(), other] {
            let refused = with(&answer.field("skey")).send(at).await;
            assert_eq!(refusal(&refused), (401, Some("not_logged_in")));
        }
    }
    let refused = stack.log_in(other, "ann").await;
    assert_eq!(refusal(&refused), BANNED);
    assert!(!refused.text().contains("fakes"), "{}", refused.text());
    assert_eq!(with(&bob).send(other).await.status, 200);
    assert_eq!(sessions_in(&stack).await, 1);
    // Sent again, the code's answer is the same.
    let login = login_request(&stack.code("ann"));
    assert_eq!(refusal(&login.clone().send(other).await), BANNED);
    assert_eq!(refusal(&stack.send(login).await), BANNED);

    let said = skeygate(&stack, &["users", "unban", &user]).await;

    assert_eq!(said.code, Some(0), "{said:?}");
    let skey = stack.login("ann").await;
    assert_eq!(with(&skey).send(other).await.status, 200);
}

#[tokio::test]
async fn a_ban_ends_by_itself() {
    let stack = Stack::start(Setup::new()).await;
    let user = login(&stack, APP.0, "ann").await.field("user_id");
    let ban = ["users", "ban", &user, "--reason", "a moment", "--for", "1s"];
    assert_eq!(skeygate(&stack, &ban).await.code, Some(0));
    let redis = stack.redis.as_ref().expect("Redis");
    let key = format!("skeygate:b:{user}");
    let left = redis.command(&[b"PTTL", key.as_bytes()]).await;
    assert!(matches!(left, Reply::Number(..=1000)), "{left:?}");

    within("the ban to end", async {
        while redis.command(&[b"EXISTS", key.as_bytes()]).await != Reply::Number(0) {}
    })
    .await;

    assert_eq!(stack.log_in(stack.address(), "ann").await.status, 200);
}

#[tokio::test]
async fn a_ban_of_an_openid_holds_where_there_are_no_user_ids() {
    let stack = Stack::start(Setup::new().table("users", "store = \"off\"")).await;
    let ann = stack.login("ann").await;
    let bob = stack.login("bob").await;
    let openid = stack.wechat.openid(APP.0, "ann");

    let ban = ["users", "ban", "--openid", &openid, "--reason", "x"];
    let said = skeygate(&stack, &ban).await;

    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.audit()[0]["openid"], openid.as_str());
    assert_eq!(stack.get("/x", &ann).await.status, 401);
    assert_eq!(stack.get("/x", &bob).await.status, 200);
    assert_eq!(refusal(&stack.log_in(stack.address(), "ann").await), BANNED);
    assert_eq!(stack.log_in(stack.address(), "bob").await.status, 200);
}

#[tokio::test]
async fn a_ban_reaches_the_sessions_of_every_id_that_was_merged_into_the_user() {
    let stack = Stack::start(Setup::new().two_apps()).await;
    stack.wechat.set_account(APP.0, None);
    let older = login(&stack, APP.0, "ann").await;
    let newer = login(&stack, OTHER_APP.0, "ann").await;
    stack.wechat.set_account(APP.0, Some(ACCOUNT));
    let joined = login(&stack, APP.0, "ann").await;
    assert_eq!(joined.field("user_id"), older.field("user_id"));
    assert_ne!(newer.field("user_id"), older.field("user_id"));

    // By an id that was merged away.
    let ban = [
        "users",
        "ban",
        &newer.field("user_id"),
        "--reason",
        "x",
        "--json",
    ];
    let said = skeygate(&stack, &ban).await;

    assert_eq!(said.json()[0]["user_id"], older.field("user_id").as_str());
    assert_eq!(said.json()[0]["revoked"], 3, "{said:?}");
    for answer in [older, newer, joined] {
        assert_eq!(stack.get("/x", &answer.field("skey")).await.status, 401);
    }
    assert_eq!(refusal(&stack.log_in(stack.address(), "ann").await), BANNED);
}

/// Redis is 20 ms away from the replicas and near to the command, so the ban falls between the
/// steps of logins: each of them ends with 403, or with an skey that the ban has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_that_race_a_ban_leave_no_session_behind() {
    let far = Setup::new().far_redis(Duration::from_millis(20));
    let mut stack = Stack::start(far).await;
    let gateways = [stack.address(), stack.one_more().await];
    let user = login(&stack, APP.0, "ann").await.field("user_id");
    let (network, redis) = (stack.network().address(), stack.redis().address());
    let toml = stack.toml.replace(&network.to_string(), &redis.to_string());

    let stop = Arc::new(AtomicBool::new(false));
    let mut logins = JoinSet::new();
    let (done, mut ended) = mpsc::unbounded_channel();
    for number in 0..24 {
        let (to, stop, done) = (gateways[number % 2], Arc::clone(&stop), done.clone());
        let codes: Vec<String> = (0..200).map(|_| stack.code("ann")).collect();
        logins.spawn(async move {
            let mut answers = Vec::new();
            for code in codes {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let answer = login_request(&code).send(to).await;
                answers.push((answer.status, answer.error().map(str::to_owned)));
                let _ = done.send(());
            }
            answers
        });
    }
    // The others are under way by then.
    within("a login", ended.recv()).await;
    let ban = ["users", "ban", &user, "--reason", "x"];
    let said = skeygate_with(&toml, &ban).await;
    stop.store(true, Ordering::Relaxed);
    let answers: Vec<_> = logins.join_all().await.into_iter().flatten().collect();

    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(sessions_in(&stack).await, 0, "{said:?}");
    let count = |status| answers.iter().filter(|answer| answer.0 == status).count();
    assert_eq!(count(200) + count(403), answers.len(), "{answers:?}");
    assert!(count(200) > 0, "no race: {answers:?}");
    assert_eq!(refusal(&stack.log_in(gateways[1], "ann").await), BANNED);
}

#[tokio::test]
async fn a_login_is_refused_when_its_ban_cannot_be_looked_up() {
    let mut stack = Stack::start(Setup::new()).await;
    let user = login(&stack, APP.0, "ann").await.field("user_id");
    // Something that is no ban, under its name.
    let key = format!("skeygate:b:{user}");
    let redis = stack.redis();
    redis.command(&[b"LPUSH", key.as_bytes(), b"x"]).await;

    let answer = stack.log_in(stack.address(), "ann").await;

    assert_eq!(refusal(&answer), (503, Some("store_unavailable")));
}

#[tokio::test]
async fn a_ban_holds_for_users_in_a_database_by_any_id_of_theirs() {
    let database = Database::start(Kind::Sqlite).await;
    let setup = Setup::new().two_apps();
    let tables = database.tables().into_iter();
    let setup = tables.fold(setup, |setup, (table, keys)| setup.table(table, &keys));
    let stack = Stack::start(setup).await;
    stack.wechat.set_account(APP.0, None);
    let older = login(&stack, APP.0, "ann").await;
    let newer = login(&stack, OTHER_APP.0, "ann").await;
    stack.wechat.set_account(APP.0, Some(ACCOUNT));
    login(&stack, APP.0, "ann").await;
    let bob = stack.login("bob").await;

    let named = newer.field("user_id");
    let ban = ["users", "ban", &named, "--reason", "x", "--json"];
    let said = skeygate(&stack, &ban).await;

    assert_eq!(said.json()[0]["user_id"], older.field("user_id").as_str());
    assert_eq!(said.json()[0]["revoked"], 3, "{said:?}");
    for answer in [older, newer] {
        assert_eq!(stack.get("/x", &answer.field("skey")).await.status, 401);
    }
    assert_eq!(refusal(&stack.log_in(stack.address(), "ann").await), BANNED);
    assert_eq!(stack.get("/x", &bob).await.status, 200);
}
