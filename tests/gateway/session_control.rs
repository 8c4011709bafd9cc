//! What an operator does to sessions and users, by the built command, and what their callers then
//! meet on every replica.

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::client::{Request, Response};
use crate::support::setup::{APP, OTHER_APP, Setup};
use crate::support::stack::Stack;

/// What a command said, and how it ended.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    /// What it printed: one JSON object a line.
    fn json(&self) -> Vec<Value> {
        lines(&self.stdout)
    }

    /// The audit: what it logged.
    fn audit(&self) -> Vec<Value> {
        lines(&self.stderr)
    }
}

fn lines(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {text}"));
    text.lines().map(parse).collect()
}

/// Runs `skeygate` with the gateway.toml of the stack.
async fn skeygate(stack: &Stack, arguments: &[&str]) -> Said {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("gateway.toml"), &stack.toml).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_skeygate"))
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("SKEYGATE_CONFIG")
        .output()
        .await
        .expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Said {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

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
