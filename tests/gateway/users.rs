//! Users of several apps: which logins share a user id.

use serde_json::json;

use crate::support::client::{Request, Response};
use crate::support::command::skeygate;
use crate::support::setup::{ACCOUNT, APP, OTHER_APP, Setup};
use crate::support::stack::Stack;

/// Logs in to an app the way a mini program does: WeChat's client names the app in `Referer`.
async fn login(stack: &Stack, appid: &str, user: &str) -> Response {
    let code = stack.wechat.new_code(appid, user);
    let referer = format!("https://servicewechat.com/{appid}/12/page-frame.html");
    let request =
        Request::post_json("/login", &json!({ "code": code })).header("Referer", &referer);
    let answer = stack.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

#[tokio::test]
async fn two_apps_with_one_unionid_give_one_user_id() {
    let mut stack = Stack::start(Setup::new().two_apps()).await;

    let first = login(&stack, APP.0, "ann").await;
    let second = login(&stack, OTHER_APP.0, "ann").await;

    assert_eq!(second.field("user_id"), first.field("user_id"));
    assert_eq!(first.json()["is_new"], true);
    assert_eq!(second.json()["is_new"], false);
    stack.get("/x", &second.field("skey")).await;
    let headers = stack.upstream.request().await.head.headers;
    let openid = stack.wechat.openid(OTHER_APP.0, "ann");
    assert_eq!(headers.get("x-openid"), Some(openid.as_str()));
    assert_eq!(headers.get("x-wx-appid"), Some(OTHER_APP.0));
}

#[tokio::test]
async fn different_users_have_different_user_ids() {
    let stack = Stack::start(Setup::new().two_apps()).await;

    let ann = login(&stack, APP.0, "ann").await;
    let bob = login(&stack, APP.0, "bob").await;

    assert_ne!(ann.field("user_id"), bob.field("user_id"));
}

#[tokio::test]
async fn a_unionid_that_shows_up_later_joins_the_two_under_the_older_id() {
    let stack = Stack::start(Setup::new().two_apps()).await;
    stack.wechat.set_account(APP.0, None);
    let older = login(&stack, APP.0, "ann").await;
    let newer = login(&stack, OTHER_APP.0, "ann").await;
    assert_ne!(older.field("user_id"), newer.field("user_id"));

    stack.wechat.set_account(APP.0, Some(ACCOUNT));
    let joined = login(&stack, APP.0, "ann").await;

    assert_eq!(joined.field("user_id"), older.field("user_id"));
    let other = login(&stack, OTHER_APP.0, "ann").await;
    assert_eq!(other.field("user_id"), older.field("user_id"));
}

#[tokio::test]
async fn without_an_account_there_is_no_unionid_and_still_a_user_id() {
    let mut stack = Stack::start(Setup::new()).await;
    stack.wechat.set_account(APP.0, None);
    let first = login(&stack, APP.0, "ann").await;
    let second = login(&stack, APP.0, "ann").await;

    stack.get("/x", &second.field("skey")).await;

    assert_eq!(first.field("user_id"), second.field("user_id"));
    let headers = stack.upstream.request().await.head.headers;
    assert_eq!(headers.get("x-unionid"), None);
    assert_eq!(
        headers.get("x-user-id"),
        Some(first.field("user_id").as_str())
    );
}

#[tokio::test]
async fn an_app_is_chosen_by_login_entry_and_header() {
    let setup = Setup::new().two_apps().routes(&format!(
        "[[login]]\n[[login]]\npath = \"/two/login\"\napp = \"{}\"\n\
         [[routes]]\npath = \"/*\"\nupstream = \"api\"\n",
        OTHER_APP.0
    ));
    let mut stack = Stack::start(setup).await;
    let code = || json!({ "code": stack.wechat.new_code(OTHER_APP.0, "ann") });
    let ways = [
        Request::post_json("/two/login", &code()),
        Request::post_json("/login", &code()).header("X-Wx-App", OTHER_APP.0),
    ];

    for way in ways {
        let answer = stack.send(way.clone()).await;
        assert_eq!(answer.status, 200, "{way:?}: {}", answer.text());
        stack.get("/x", &answer.field("skey")).await;
        let headers = stack.upstream.request().await.head.headers;
        assert_eq!(headers.get("x-wx-appid"), Some(OTHER_APP.0));
    }
}

#[tokio::test]
async fn strangers_are_refused_where_users_are_not_created() {
    let setup = Setup::new().routes(
        "[[login]]\n[[login]]\npath = \"/known/login\"\ncreate_users = false\n\
         [[routes]]\npath = \"/*\"\nupstream = \"api\"\n",
    );
    let stack = Stack::start(setup).await;
    let known = |user: &str| {
        let code = stack.code(user);
        Request::post_json("/known/login", &json!({ "code": code }))
    };

    let stranger = stack.send(known("ann")).await;
    let first = login(&stack, APP.0, "ann").await;
    let again = stack.send(known("ann")).await;

    assert_eq!(
        (stranger.status, stranger.error()),
        (403, Some("unknown_user"))
    );
    assert_eq!(again.field("user_id"), first.field("user_id"));
}

#[tokio::test]
async fn with_users_off_only_the_openid_is_forwarded() {
    let mut stack = Stack::start(Setup::new().table("users", "store = \"off\"")).await;
    let skey = stack.login("ann").await;

    stack.get("/x", &skey).await;

    let headers = stack.upstream.request().await.head.headers;
    assert!(headers.get("x-openid").is_some());
    assert_eq!(headers.get("x-user-id"), None);
}

#[tokio::test]
async fn an_export_has_every_openid_unionid_and_merged_id() {
    let stack = Stack::start(Setup::new().two_apps()).await;
    stack.wechat.set_account(APP.0, None);
    let older = login(&stack, APP.0, "ann").await.field("user_id");
    let newer = login(&stack, OTHER_APP.0, "ann").await.field("user_id");
    stack.wechat.set_account(APP.0, Some(ACCOUNT));
    let code = stack.wechat.new_code(APP.0, "ann");
    let skey = login(&stack, APP.0, "ann").await.field("skey");

    let said = skeygate(&stack, &["users", "export", "--json"]).await;
    let text = skeygate(&stack, &["users", "export"]).await;

    assert_eq!(said.code, Some(0), "{said:?}");
    let openid = |app: &str| stack.wechat.openid(app, "ann");
    let me = stack.send(Request::get("/_gateway/me").header("skey", &skey));
    let unionid = me.await.field("unionid");
    let mut exported: Vec<String> = said.json().iter().map(ToString::to_string).collect();
    let mut expected = [
        json!({ "user_id": older, "appid": APP.0, "openid": openid(APP.0) }),
        // Still the newer, which it had first; the last line has its owner.
        json!({ "user_id": newer, "appid": OTHER_APP.0, "openid": openid(OTHER_APP.0) }),
        json!({ "user_id": older, "unionid": unionid }),
        json!({ "user_id": newer, "merged_into": older }),
    ]
    .map(|line| line.to_string());
    exported.sort();
    expected.sort();
    assert_eq!(exported, expected);
    let audit = said.audit();
    assert_eq!(audit.len(), 1, "{audit:?}");
    assert_eq!(audit[0]["event"], "users.exported");
    assert_eq!(audit[0]["entries"], 4);
    assert_eq!(text.stdout.lines().count(), 5, "{}", text.stdout);
    for secret in [skey, code] {
        assert!(!said.stdout.contains(&secret) && !text.stdout.contains(&secret));
    }
}

#[tokio::test]
async fn without_a_directory_there_is_nothing_to_export() {
    let stack = Stack::start(Setup::new().table("users", "store = \"off\"")).await;

    let said = skeygate(&stack, &["users", "export"]).await;

    assert_eq!((said.code, said.stdout.as_str()), (Some(78), ""));
    assert!(said.stderr.contains("users.store"), "{}", said.stderr);
}
