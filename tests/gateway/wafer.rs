//! Tencent's wafer client SDKs, 1 and 2, as npm has them, with their requests on the wire.

use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::client::{Request, Response};
use crate::support::program::Program;
use crate::support::setup::{APP, Setup};
use crate::support::stack::Stack;

/// A login and routes of one style; one login without a code to be found, one upstream that is not
/// there.
fn setup(style: &str) -> Setup {
    Setup::new()
        .table(
            "upstreams.gone",
            "servers = [\"http://127.0.0.1:9\"]\nretries = 0",
        )
        .routes(&format!(
            "[[login]]\npath = \"/enter\"\nmethods = [\"GET\"]\nstyle = \"{style}\"\n\
             [[login]]\npath = \"/wrong/enter\"\nmethods = [\"GET\"]\nstyle = \"{style}\"\n\
             code_from = [\"query:nothing\"]\n\
             [[routes]]\npath = \"/api/*\"\nupstream = \"api\"\nstyle = \"{style}\"\n\
             [[routes]]\npath = \"/api/gone\"\nupstream = \"gone\"\nstyle = \"{style}\"\n"
        ))
}

/// The output of the page with the SDK.
async fn page(stack: &Stack, sdk: &str) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/clients/wafer.js");
    let modules = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node/node_modules");
    assert!(
        modules.join(sdk).exists(),
        "{sdk} is not installed; tests/run installs it"
    );
    let gateway = format!("http://{}", stack.address());
    let mut command = Command::new("node");
    command
        .arg(script)
        .args([
            sdk,
            &gateway,
            &stack.wechat.url(),
            APP.0,
            "ann",
            "/api/gone",
        ])
        .env("NODE_PATH", modules);
    let line = Program::start(command).line("told ").await;
    serde_json::from_str(line.trim_start_matches("told ")).expect("JSON")
}

#[tokio::test]
async fn the_sdk_of_wafer2_logs_in_repeats_once_and_keeps_its_session_in_an_outage() {
    let mut stack = Stack::start(setup("wafer2")).await;

    let told = page(&stack, "wafer2-client-sdk").await;

    let userinfo = &told["login"]["ok"];
    assert_eq!(userinfo["nickName"], "微信用户", "{told}");
    assert_eq!(userinfo["openId"], stack.wechat.openid(APP.0, "ann"));
    assert!(userinfo["userId"].is_string(), "{told}");
    assert_eq!(told["get"], json!({ "ok": 200 }));
    assert_eq!(told["ended"], json!({ "ok": 200 }));
    assert_eq!(told["failing"], json!({ "ok": 502 }));
    assert_eq!(told["kept"], true);
    let wrong = told["wrong"]["failed"].as_str().expect("a failure");
    assert!(wrong.contains("ERR_HEADER_MISSED"), "{wrong}");
    // The ended session cost one login and one repetition, the outage nothing.
    let calls = [
        "/enter",
        "/api/x",
        "/api/y",
        "/enter",
        "/api/y",
        "/api/gone",
        "/wrong/enter",
    ];
    assert_eq!(told["calls"], json!(calls));
    for path in ["/api/x", "/api/y"] {
        let head = stack.upstream.request().await.head;
        assert_eq!(head.start, format!("GET {path} HTTP/1.1"));
        assert_eq!(head.headers.get("x-openid"), userinfo["openId"].as_str());
        assert_eq!(head.headers.get("x-wx-skey"), None);
    }
}

#[tokio::test]
async fn the_sdk_of_wafer1_logs_in_repeats_once_and_keeps_its_session_in_an_outage() {
    let mut stack = Stack::start(setup("wafer1")).await;

    let told = page(&stack, "wafer-client-sdk").await;

    // Its user info comes from wx.getUserInfo.
    assert_eq!(told["login"]["ok"]["nickName"], "微信用户", "{told}");
    assert_eq!(told["get"], json!({ "ok": 200 }));
    assert_eq!(told["ended"], json!({ "ok": 200 }));
    assert_eq!(told["failing"], json!({ "ok": 502 }));
    assert_eq!(told["kept"], true);
    let wrong = told["wrong"]["failed"].as_str().expect("a failure");
    assert!(wrong.contains("ERR_LOGIN_FAILED"), "{wrong}");
    let calls = [
        "/enter",
        "/api/x",
        "/api/y",
        "/enter",
        "/api/y",
        "/api/gone",
        "/wrong/enter",
    ];
    assert_eq!(told["calls"], json!(calls));
    let head = stack.upstream.request().await.head;
    assert_eq!(head.headers.get("x-wx-id"), None);
    assert_eq!(head.headers.get("x-wx-skey"), None);
    assert!(head.headers.get("x-user-id").is_some());
}

async fn wafer2_login(stack: &Stack, headers: &[(&str, &str)]) -> Response {
    let login = Request::get("/enter").header("X-WX-Code", &stack.code("ann"));
    let login = headers
        .iter()
        .fold(login, |login, (name, value)| login.header(name, value));
    stack.send(login).await
}

#[tokio::test]
async fn a_profile_that_does_not_decrypt_never_fails_a_wafer2_login() {
    let stack = Stack::start(setup("wafer2")).await;
    stack.code("bob");
    let other = stack.wechat.user_info(APP.0, "bob").expect("a session_key");
    let other = [
        ("X-WX-Encrypted-Data", other.encrypted_data.as_str()),
        ("X-WX-IV", other.iv.as_str()),
    ];
    let cases: [&[(&str, &str)]; 5] = [
        &[],
        &other[..1],
        &other,
        &[("X-WX-Encrypted-Data", ""), ("X-WX-IV", "")],
        &[("X-WX-Encrypted-Data", "\u{e9}*"), ("X-WX-IV", "undefined")],
    ];
    for headers in cases {
        let answer = wafer2_login(&stack, headers).await;
        assert_eq!(answer.status, 200, "{headers:?}: {}", answer.text());
        let userinfo = answer.json()["data"]["userinfo"].clone();
        assert_eq!(userinfo["openId"], stack.wechat.openid(APP.0, "ann"));
        assert_eq!(userinfo.as_object().map(serde_json::Map::len), Some(2));
    }
}
