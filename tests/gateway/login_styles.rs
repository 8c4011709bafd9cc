//! Each style from login over a request to logout and the refusal after it.

use serde_json::{Value, json};

use crate::support::client::{Request, Response};
use crate::support::setup::Setup;
use crate::support::stack::Stack;

/// A login entry and a route of one style.
fn style(style: &str) -> Setup {
    Setup::new().routes(&format!(
        "[[login]]\npath = \"/enter\"\nmethods = [\"GET\", \"POST\"]\nstyle = {style}\n\
         [[routes]]\npath = \"/api/*\"\nupstream = \"api\"\nstyle = {style}\n"
    ))
}

/// Logs in, makes a request, logs out and gives the refusal of the next request; `skey` finds the
/// skey in the login's answer.
async fn round(setup: Setup, skey: impl Fn(&Value) -> &Value) -> (Value, Response) {
    let mut stack = Stack::start(setup).await;
    let code = stack.code("ann");
    let login = Request::post_json("/enter", &json!({ "code": code }));
    let login = stack.send(login).await;
    assert_eq!(login.status, 200, "{}", login.text());
    assert_eq!(login.headers.get("cache-control"), Some("no-store"));
    let answer = login.json();
    let skey = skey(&answer).as_str().expect("an skey").to_owned();
    // 256 bits in base64url.
    assert!(skey.len() >= 43, "{skey}");

    let let_in = stack.get("/api/x", &skey).await;
    assert_eq!((let_in.status, let_in.text().as_str()), (200, "ok"));
    let forwarded = stack.upstream.request().await;
    assert!(forwarded.head.headers.get("x-openid").is_some());

    let logout = Request::new("POST", "/_gateway/logout").header("skey", &skey);
    let logout = stack.send(logout).await;
    assert!((200..300).contains(&logout.status), "{}", logout.text());

    let refusal = stack.get("/api/x", &skey).await;
    assert_eq!(refusal.error(), Some("not_logged_in"));
    assert_eq!(stack.upstream.requests(), 1);
    (answer, refusal)
}

#[tokio::test]
async fn plain_logs_in_and_refuses() {
    let (login, refusal) = round(style("\"plain\""), |login| &login["skey"]).await;

    assert_eq!(login["expires_in"], 7 * 24 * 3600);
    assert_eq!(login["is_new"], true);
    assert!(login["user_id"].is_string(), "{login}");
    assert_eq!(refusal.status, 401);
    let request_id = refusal.headers.get("x-request-id").expect("a request id");
    let expected = json!({
        "error": "not_logged_in", "errcode": 40001, "errmsg": "not logged in", "request_id": request_id,
    });
    assert_eq!(refusal.json(), expected);
}

#[tokio::test]
async fn token_logs_in_and_refuses() {
    let (login, refusal) = round(style("\"token\""), |login| &login["token"]).await;

    assert_eq!(login["expires_in"], 7 * 24 * 3600);
    assert_eq!(refusal.status, 401);
    assert_eq!(refusal.json()["errcode"], 40001);
    assert_eq!(refusal.json()["errmsg"], "not logged in");
}

#[tokio::test]
async fn sessionid_logs_in_and_refuses() {
    let (_, refusal) = round(style("\"sessionid\""), |login| &login["sessionid"]).await;

    assert_eq!(refusal.status, 401);
    assert_eq!(refusal.json()["errcode"], 40001);
}

#[tokio::test]
async fn wafer2_logs_in_and_refuses() {
    let (login, refusal) = round(style("\"wafer2\""), |login| &login["data"]["skey"]).await;

    assert_eq!(login["code"], 0);
    // The client library takes nothing but an object for a login that worked.
    assert!(login["data"]["userinfo"].is_object(), "{login}");
    assert_eq!(refusal.status, 401);
    assert_eq!(refusal.json()["code"], -1);
}

#[tokio::test]
async fn errcode200_logs_in_and_refuses_with_status_200() {
    let (_, refusal) = round(style("\"errcode200\""), |login| &login["skey"]).await;

    assert_eq!(refusal.status, 200);
    assert_eq!(refusal.json()["errcode"], 40001);
}

#[tokio::test]
async fn a_custom_style_logs_in_and_refuses() {
    let own = r#"{ login = '{"errno":0,"data":{"token":"{skey}"}}', refusal_status = 200, refusal = '{"errno":501,"errmsg":"{errmsg}"}' }"#;
    let (login, refusal) = round(style(own), |login| &login["data"]["token"]).await;

    assert_eq!(login["errno"], 0);
    assert_eq!(refusal.status, 200);
    let expected = json!({ "errno": 501, "errmsg": "not logged in" });
    assert_eq!(refusal.json(), expected);
}

#[tokio::test]
async fn the_wafer2_client_library_is_understood() {
    let stack = Stack::start(style("\"wafer2\"")).await;
    // Its login is a GET with the code in a header, its skey a header of its own.
    let login = Request::get("/enter").header("X-WX-Code", &stack.code("ann"));
    let skey = stack.send(login).await.json()["data"]["skey"].clone();
    let skey = skey.as_str().expect("an skey");

    let request = Request::get("/api/x").header("X-WX-Skey", skey);
    assert_eq!(stack.send(request).await.status, 200);
}

#[tokio::test]
async fn wafer2_says_minus_one_only_for_not_logged_in() {
    let mut stack = Stack::start(style("\"wafer2\"")).await;
    let login = Request::get("/enter").header("X-WX-Code", "never-issued");
    let skey = {
        let login = Request::get("/enter").header("X-WX-Code", &stack.code("ann"));
        let answer = stack.send(login).await.json();
        answer["data"]["skey"].as_str().expect("an skey").to_owned()
    };
    stack.upstream.refuse().await;

    let bad_code = stack.send(login).await;
    let bad_gateway = stack.get("/api/x", &skey).await;

    for (answer, status) in [(bad_code, 400), (bad_gateway, 502)] {
        assert_eq!(answer.status, status);
        // -1 would make the client library throw its login away.
        let code = answer.json()["code"].as_i64().expect("a code");
        assert!(code != -1 && code != 0, "{}", answer.text());
    }
}

#[tokio::test]
async fn a_code_is_taken_from_json_form_query_and_header() {
    let stack = Stack::start(style("\"plain\"")).await;
    let code = || stack.code("ann");
    let ways = [
        Request::post_json("/enter", &json!({ "code": code(), "other": [1] })),
        Request::post_form("/enter", &format!("a=1&code={}", code())),
        Request::get(&format!("/enter?code={}", code())),
        Request::get("/enter").header("x-wx-code", &code()),
    ];
    for way in ways {
        let answer = stack.send(way.clone()).await;
        assert_eq!(answer.status, 200, "{way:?}: {}", answer.text());
    }
}

#[tokio::test]
async fn logins_without_a_good_code_are_refused_by_name() {
    let stack = Stack::start(Setup::new()).await;
    let login = |code: &str| Request::post_json("/login", &json!({ "code": code }));
    let used = stack.code("ann");
    assert_eq!(stack.send(login(&used)).await.status, 200);
    let missing = Request::post_json("/login", &json!({ "other": 1 }));

    let missing = stack.send(missing).await;
    let unknown = stack.send(login("no-such-code")).await;

    assert_eq!(
        (missing.status, missing.error()),
        (400, Some("login_code_missing"))
    );
    assert_eq!(missing.json()["errcode"], 41008);
    assert_eq!(
        (unknown.status, unknown.error()),
        (400, Some("login_code_invalid"))
    );
    assert_eq!(unknown.json()["errcode"], 40029);
}

#[tokio::test]
async fn me_returns_the_user_id_and_refuses_strangers() {
    let stack = Stack::start(Setup::new()).await;
    let login = stack.log_in(stack.address(), "ann").await;

    let me = stack.get("/_gateway/me", &login.field("skey")).await;
    let stranger = stack.send(Request::get("/_gateway/me")).await;

    assert_eq!(me.status, 200);
    assert_eq!(me.field("user_id"), login.field("user_id"));
    assert_eq!(
        (stranger.status, stranger.error()),
        (401, Some("not_logged_in"))
    );
}

#[tokio::test]
async fn missing_unknown_and_ended_skeys_are_refused_alike() {
    let stack = Stack::start(Setup::new()).await;
    let ended = stack.login("ann").await;
    let logout = Request::new("POST", "/_gateway/logout").header("skey", &ended);
    stack.send(logout).await;
    let without_id = |answer: Response| {
        let mut body = answer.json();
        body["request_id"].take();
        (answer.status, body)
    };

    let missing = without_id(stack.send(Request::get("/x")).await);
    let unknown = without_id(stack.get("/x", &"u".repeat(43)).await);
    let malformed = without_id(stack.get("/x", "not an skey!").await);
    let ended = without_id(stack.get("/x", &ended).await);

    assert_eq!(missing.0, 401);
    assert!(
        [&unknown, &malformed, &ended]
            .iter()
            .all(|&other| *other == missing)
    );
}
