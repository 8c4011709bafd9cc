//! `/wechat/<app>/<path>` on the admin listener: backends call WeChat and never hold a token.

use std::time::Duration;

use serde_json::json;
use skeygate::fake_wechat::{DropWhen, Endpoint, Fault};

use crate::support::client::{Client, Request, Response};
use crate::support::process::{GatewayProcess, run_to_end};
use crate::support::setup::{APP, OTHER_APP, Setup};
use crate::support::stack::Stack;
use crate::support::within_limit;

const TOKEN: &str = "the-admin-token-of-the-tests-3fQ8vZk1";
/// Common prefix of the fake's tokens.
const ACCESS_TOKEN: &str = "76_Zx0VbTq4";
const PATHS: &str =
    r#"paths = ["/wxa/msg_sec_check", "/cgi-bin/media/*", "/cgi-bin/message/send"]"#;

fn setup() -> Setup {
    let admin = format!("token = \"{TOKEN}\"");
    let setup = Setup::new().memory().admin().table("admin", &admin);
    setup.table("relay", PATHS)
}

fn with_token(request: Request) -> Request {
    request.header("Authorization", &format!("Bearer {TOKEN}"))
}

fn check(path: &str) -> Request {
    with_token(Request::post_json(path, &json!({ "content": "\u{1f600}" })))
}

fn path(rest: &str) -> String {
    format!("/wechat/{}{rest}", APP.0)
}

async fn send(stack: &Stack, request: Request) -> Response {
    let answer = request.send(stack.admin()).await;
    let all = format!("{:?} {}", answer.headers, answer.text());
    assert!(!all.contains(ACCESS_TOKEN), "{all}");
    assert!(!all.contains(TOKEN), "{all}");
    answer
}

#[tokio::test]
async fn a_backend_calls_wechat_without_a_token() {
    let stack = Stack::start(setup().two_apps()).await;

    for (appid, _) in [APP, OTHER_APP] {
        let target = format!(
            "/wechat/{appid}/wxa/msg_sec_check?a=1&access_token=mine&access%5Ftoken=x&b=%2B"
        );
        let answer = send(&stack, check(&target)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.headers.get("content-type"), Some("text/plain"));
        let arrived =
            json!({ "appid": appid, "body": { "content": "\u{1f600}" }, "query": "a=1&b=%2B" });
        assert_eq!(answer.json()["arrived"], arrived);
    }
    assert_eq!(stack.wechat.calls(Endpoint::StableToken), 2);
    assert_eq!(stack.wechat.refused_tokens(), 0);
}

#[tokio::test]
async fn only_the_admin_token_and_listed_paths_are_admitted() {
    let stack = Stack::start(setup()).await;
    let good = path("/wxa/msg_sec_check");
    let bare = || Request::post_json(&good, &json!({}));
    let two = with_token(with_token(bare()));
    for request in [
        bare(),
        bare().header("Authorization", "Bearer "),
        bare().header("Authorization", &format!("Bearer {TOKEN}x")),
        bare().header("Authorization", &format!("Basic {TOKEN}")),
        two,
    ] {
        let answer = send(&stack, request).await;
        assert_eq!((answer.status, answer.error()), (401, Some("unauthorized")));
        assert_eq!(answer.headers.get("www-authenticate"), Some("Bearer"));
    }
    for (target, status, name) in [
        (path("/wxa/other"), 403, "path_not_allowed"),
        (path("/cgi-bin/token"), 403, "path_not_allowed"),
        (path("/cgi-bin/mediation"), 403, "path_not_allowed"),
        (path("/wxa/msg_sec_check/"), 403, "path_not_allowed"),
        (path("/cgi-bin/media/../token"), 400, "ambiguous_path"),
        (path("/cgi-bin/media/%2e%2e/token"), 400, "ambiguous_path"),
        (path("/cgi-bin/media/..%2Ftoken"), 400, "ambiguous_path"),
        (
            "/wechat/unknown/wxa/msg_sec_check".to_owned(),
            404,
            "unknown_app",
        ),
        ("/wechat/unknown".to_owned(), 404, "not_found"),
    ] {
        let answer = send(&stack, check(&target)).await;
        assert_eq!(
            (answer.status, answer.error()),
            (status, Some(name)),
            "{target}"
        );
        assert!(answer.json()["message"].is_string());
    }
    let put = with_token(Request::new("PUT", &good));
    assert_eq!(send(&stack, put).await.status, 405);
    assert_eq!(stack.wechat.calls(Endpoint::MsgSecCheck), 0);
    assert_eq!(stack.wechat.calls(Endpoint::StableToken), 0);
    assert_eq!(send(&stack, Request::get("/livez")).await.text(), "live\n");
}

#[tokio::test]
async fn nothing_is_relayed_unless_paths_are_listed_nor_by_the_public_listener() {
    let admin = format!("token = \"{TOKEN}\"");
    let none = Stack::start(Setup::new().memory().admin().table("admin", &admin)).await;
    let answer = send(&none, check(&path("/wxa/msg_sec_check"))).await;
    assert_eq!(answer.status, 405);
    let get = with_token(Request::get(&path("/wxa/msg_sec_check")));
    assert_eq!(send(&none, get).await.status, 404);

    let stack = Stack::start(setup()).await;
    let answer = stack.send(check(&path("/wxa/msg_sec_check"))).await;
    assert_eq!(answer.error(), Some("not_logged_in"));
}

#[tokio::test]
async fn a_dead_token_is_replaced_and_a_short_call_repeated() {
    let stack = Stack::start(setup()).await;
    let target = path("/wxa/msg_sec_check");
    assert_eq!(send(&stack, check(&target)).await.status, 200);
    stack.wechat.end_token(APP.0);

    let answer = send(&stack, check(&target)).await;

    assert_eq!(answer.json()["errcode"], 0);
    assert_eq!(stack.wechat.calls(Endpoint::MsgSecCheck), 3);
    assert_eq!(stack.wechat.calls(Endpoint::StableToken), 2);
}

#[tokio::test]
async fn a_response_that_refuses_the_new_token_too_is_passed_on() {
    let stack = Stack::start(setup()).await;
    let refused = Fault {
        errcode: Some(40001),
        errmsg: Some("told twice".to_owned()),
        times: 2,
        ..Fault::default()
    };
    stack.wechat.push_fault(Endpoint::MsgSecCheck, refused);

    let answer = send(&stack, check(&path("/wxa/msg_sec_check"))).await;

    assert_eq!((answer.status, answer.error()), (200, None));
    assert_eq!(answer.json()["errmsg"], "told twice");
    assert_eq!(stack.wechat.calls(Endpoint::MsgSecCheck), 2);
}

#[tokio::test]
async fn a_long_upload_streams_and_is_not_repeated() {
    const SIZE: usize = 1 << 20;
    let stack = Stack::start(setup()).await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {SIZE}\r\n\r\n",
        path("/cgi-bin/media/upload?type=image")
    );
    for (dead, status) in [(false, 200), (true, 503), (false, 200)] {
        if dead {
            stack.wechat.end_token(APP.0);
        }
        let calls = stack.wechat.calls(Endpoint::MediaUpload);
        let mut client = Client::connect(stack.admin()).await;
        client.write(&head).await;
        client.write(vec![b'u'; SIZE / 2]).await;
        // WeChat has the call while half of it is still to come.
        let begun = stack
            .wechat
            .wait_for_calls(Endpoint::MediaUpload, calls + 1);
        crate::support::within("the call", begun).await;
        client.write(vec![b'u'; SIZE / 2]).await;
        let answer = client.response("POST").await;

        assert_eq!(answer.status, status, "{}", answer.text());
        if dead {
            assert_eq!(answer.error(), Some("access_token_renewed"));
            assert_eq!(answer.headers.get("retry-after"), Some("1"));
        } else {
            assert_eq!(answer.json()["size"], SIZE);
        }
    }
    assert_eq!(stack.wechat.calls(Endpoint::MediaUpload), 3);
}

#[tokio::test]
async fn an_upload_without_a_length_arrives_whole() {
    let stack = Stack::start(setup()).await;
    let mut client = Client::connect(stack.admin()).await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n",
        path("/cgi-bin/media/upload")
    );
    client.write(&head).await;
    let piece = "p".repeat(1000);
    for _ in 0..100 {
        client.write(format!("3e8\r\n{piece}\r\n")).await;
    }
    client.write("0\r\n\r\n").await;

    let answer = client.response("POST").await;

    assert_eq!(answer.json()["size"], 100_000, "{}", answer.text());
}

#[tokio::test]
async fn a_download_passes_with_its_type_and_half_of_one_is_seen_to_be_half() {
    let stack = Stack::start(setup()).await;
    let get = || with_token(Request::get(&path("/cgi-bin/media/get?media_id=1")));

    let whole = send(&stack, get()).await;
    let half = Fault {
        truncate: Some(1 << 20),
        ..Fault::default()
    };
    stack.wechat.push_fault(Endpoint::MediaGet, half);
    let half = get().try_send(stack.admin()).await;

    assert_eq!(whole.status, 200);
    assert_eq!(whole.headers.get("content-type"), Some("image/jpeg"));
    assert_eq!(whole.body, vec![b'm'; 3 << 20]);
    assert!(half.is_err(), "{:?}", half.map(|half| half.body.len()));
    assert_eq!(stack.wechat.calls(Endpoint::MediaGet), 2);
    assert_eq!(send(&stack, get()).await.body.len(), 3 << 20);
}

#[tokio::test]
async fn each_failure_of_wechat_has_its_name() {
    let stack = Stack::start(setup().table("relay", "timeout = \"300ms\"")).await;
    let call = || check(&path("/wxa/msg_sec_check"));
    assert_eq!(send(&stack, call()).await.status, 200);

    let slow = Fault {
        delay_ms: 60_000,
        ..Fault::default()
    };
    stack.wechat.push_fault(Endpoint::MsgSecCheck, slow);
    let slow = send(&stack, call()).await;
    let gone = Fault {
        drop: Some(DropWhen::Before),
        ..Fault::default()
    };
    stack.wechat.push_fault(Endpoint::MsgSecCheck, gone);
    let gone = send(&stack, call()).await;
    let secret = Fault {
        errcode: Some(40125),
        ..Fault::default()
    };
    stack.wechat.end_token(APP.0);
    stack.wechat.push_fault(Endpoint::StableToken, secret);
    let no_token = send(&stack, call()).await;

    assert_eq!((slow.status, slow.error()), (504, Some("wechat_timeout")));
    assert_eq!(
        (gone.status, gone.error()),
        (502, Some("wechat_unreachable"))
    );
    assert_eq!(no_token.error(), Some("wechat_misconfigured"));
    assert!(no_token.field("message").contains("apps.secret"));
}

#[tokio::test]
async fn a_request_body_that_stalls_holds_nothing_for_long() {
    let stack = Stack::start(setup().table("relay", "timeout = \"300ms\"")).await;
    for length in [100, 1 << 20] {
        let mut client = Client::connect(stack.admin()).await;
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {length}\r\n\r\nhalf",
            path("/cgi-bin/media/upload")
        );
        client.write(&head).await;
        // The defaults are 30 s.
        let limit = Duration::from_secs(10);
        let answer = within_limit(limit, "a refusal", client.response("POST")).await;
        assert!(matches!(answer.status, 408 | 504), "{}", answer.status);
    }
}

#[tokio::test]
async fn the_relay_logs_neither_token() {
    let parts = setup()
        .table("log", "level = \"trace\"\nformat = \"json\"")
        .start()
        .await;
    let port = crate::support::free_port();
    let admin = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let toml = parts.toml.replacen(
        "listen = \"127.0.0.1:0\"",
        &format!("listen = \"{admin}\""),
        1,
    );
    let mut gateway = GatewayProcess::start(&toml).await;
    for fault in [None, Some(DropWhen::Before)] {
        let fault = Fault {
            drop: fault,
            ..Fault::default()
        };
        parts.wechat.push_fault(Endpoint::MsgSecCheck, fault);
        check(&path("/wxa/msg_sec_check")).send(admin).await;
        parts.wechat.spoil_token(APP.0);
    }
    check(&path("/wxa/msg_sec_check")).send(admin).await;
    gateway.program.signal("TERM");
    let log = gateway.program.output().await;

    assert!(log.contains("a call was not relayed"), "{log}");
    assert!(log.contains("relayed"), "{log}");
    for secret in [TOKEN, ACCESS_TOKEN, APP.1] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[tokio::test]
async fn an_open_relay_or_a_relayed_token_endpoint_is_refused() {
    let check = async |admin: &str, relay: &str| {
        let setup = Setup::new().memory().admin();
        let parts = setup
            .table("admin", admin)
            .table("relay", relay)
            .start()
            .await;
        run_to_end("check", &parts.toml).await
    };
    let token = format!("token = \"{TOKEN}\"");
    for (admin, relay, said) in [
        ("", PATHS, "there is none"),
        ("token = \"short\"", PATHS, "is shorter than 32 characters"),
        (&token, "paths = [\"/*\"]", "allows every call"),
        (&token, "paths = [\"/cgi-bin/token\"]", "gives out a token"),
        (&token, "paths = [\"wxa\"]", "does not start with `/`"),
    ] {
        let (status, output) = check(admin, relay).await;
        assert_eq!(status, Some(78), "{output}");
        assert!(output.contains(said), "{output}");
        assert!(!output.contains(TOKEN), "{output}");
    }
    let (status, output) = check(&token, PATHS).await;
    assert_eq!(status, Some(0), "{output}");
}
