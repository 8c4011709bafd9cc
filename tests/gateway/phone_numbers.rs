//! `POST /_gateway/phone`.

use serde_json::json;
use skeygate::fake_wechat::{DropWhen, Endpoint, Fault};

use crate::access_tokens::{ask, setup};
use crate::support::client::Request;
use crate::support::process::GatewayProcess;
use crate::support::setup::{APP, Setup};
use crate::support::stack::Stack;

#[tokio::test]
async fn a_phone_code_gives_the_number_of_the_logged_in_user() {
    let stack = Stack::start(setup()).await;
    let skey = stack.login("ann").await;
    let number = stack.wechat.phone_number("ann");

    let by_json = ask(&stack, stack.address(), &skey, "ann").await;
    let code = stack.wechat.new_phone_code(APP.0, "ann");
    let form = Request::post_form("/_gateway/phone", &format!("code={code}"));
    let by_form = stack.send(form.header("skey", &skey)).await;

    let expected = json!({ "phoneNumber": number, "purePhoneNumber": number, "countryCode": "86" });
    assert_eq!(by_json.json(), expected);
    assert_eq!(by_form.json(), expected);
    assert_eq!(by_json.headers.get("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_code_beside_an_skey_in_the_body_is_found() {
    let route = "[[routes]]\npath = \"/*\"\nupstream = \"api\"\ntoken_from = [\"json:skey\"]\n";
    let stack = Stack::start(setup().routes(route)).await;
    let skey = stack.login("ann").await;
    let code = stack.wechat.new_phone_code(APP.0, "ann");

    let request = Request::post_json("/_gateway/phone", &json!({ "skey": skey, "code": code }));
    let answer = stack.send(request).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn phone_numbers_are_refused_by_default_and_without_a_session() {
    let off = Stack::start(Setup::new().memory()).await;
    let skey = off.login("ann").await;
    let answer = ask(&off, off.address(), &skey, "ann").await;
    assert_eq!((answer.status, answer.error()), (404, Some("no_route")));

    let stack = Stack::start(setup().memory()).await;
    let answer = ask(&stack, stack.address(), &"k".repeat(43), "ann").await;
    assert_eq!(
        (answer.status, answer.error()),
        (401, Some("not_logged_in"))
    );
    assert_eq!(stack.wechat.calls(Endpoint::StableToken), 0);
}

#[tokio::test]
async fn every_invalid_phone_code_gets_one_refusal() {
    let stack = Stack::start(setup().memory()).await;
    let skey = stack.login("ann").await;
    let used = stack.wechat.new_phone_code(APP.0, "ann");
    let send = |code: &str| {
        let request = Request::post_json("/_gateway/phone", &json!({ "code": code }));
        stack.send(request.header("skey", &skey))
    };
    assert_eq!(send(&used).await.status, 200);

    let another_users = stack.wechat.new_phone_code(APP.0, "bob");
    let of_a_login = stack.code("ann");
    for code in [
        &used,
        &another_users,
        &of_a_login,
        "",
        "unknown",
        "\u{540d}",
    ] {
        let answer = send(code).await;
        let name = if code.is_empty() {
            "bad_request"
        } else {
            "phone_code_invalid"
        };
        assert_eq!((answer.status, answer.error()), (400, Some(name)), "{code}");
    }
    let empty = Request::new("POST", "/_gateway/phone").header("skey", &skey);
    assert_eq!(stack.send(empty).await.error(), Some("bad_request"));
}

#[tokio::test]
async fn each_wechat_error_for_a_phone_code_has_its_status() {
    let stack = Stack::start(setup().memory()).await;
    let skey = stack.login("ann").await;
    for (errcode, status, name) in [
        (-1, 503, "wechat_busy"),
        (45011, 429, "rate_limited"),
        (45009, 503, "wechat_busy"),
        (48001, 502, "wechat_misconfigured"),
        (40029, 400, "phone_code_invalid"),
        (40013, 400, "phone_code_invalid"),
        (99999, 502, "wechat_misconfigured"),
    ] {
        let fault = Fault {
            errcode: Some(errcode),
            ..Fault::default()
        };
        stack.wechat.push_fault(Endpoint::Getuserphonenumber, fault);
        let answer = ask(&stack, stack.address(), &skey, "ann").await;
        assert_eq!((answer.status, answer.error()), (status, Some(name)));
    }
    let garbage = Fault {
        body: Some(r#"{"phone_info":{"phoneNumber":"1","purePhoneNumber":"1","countryCode":"86","watermark":{"appid":"wx1"}}}"#.to_owned()),
        ..Fault::default()
    };
    stack
        .wechat
        .push_fault(Endpoint::Getuserphonenumber, garbage);
    let answer = ask(&stack, stack.address(), &skey, "ann").await;
    assert_eq!(answer.error(), Some("wechat_unreachable"));
}

#[tokio::test]
async fn an_appid_that_gets_no_token_is_the_operators_matter_and_not_the_codes() {
    let stack = Stack::start(setup().memory()).await;
    let skey = stack.login("ann").await;
    let unknown = Fault {
        errcode: Some(40013),
        ..Fault::default()
    };
    stack.wechat.push_fault(Endpoint::StableToken, unknown);

    let answer = ask(&stack, stack.address(), &skey, "ann").await;

    let got = (answer.status, answer.error());
    assert_eq!(got, (502, Some("wechat_misconfigured")));
}

#[tokio::test]
async fn no_token_secret_phone_code_or_number_is_in_the_log_at_any_level() {
    let log = "level = \"trace\"\nformat = \"json\"";
    let parts = setup().memory().table("log", log).start().await;
    let mut gateway = GatewayProcess::start(&parts.toml).await;
    let skey = parts.skey(gateway.address, "ann").await;
    let mut codes = Vec::new();
    for drop in [None, Some(DropWhen::After), Some(DropWhen::Before)] {
        let fault = Fault {
            drop,
            ..Fault::default()
        };
        parts.wechat.push_fault(Endpoint::Getuserphonenumber, fault);
        let code = parts.wechat.new_phone_code(APP.0, "ann");
        let request = Request::post_json("/_gateway/phone", &json!({ "code": code }));
        request.header("skey", &skey).send(gateway.address).await;
        codes.push(code);
    }
    parts.wechat.spoil_token(APP.0);
    let request = Request::post_json("/_gateway/phone", &json!({ "code": codes[2] }));
    let at_last = request.header("skey", &skey).send(gateway.address).await;
    gateway.program.signal("TERM");
    let log = gateway.program.output().await;

    assert_eq!(at_last.status, 200, "{}", at_last.text());
    assert!(log.contains("\"endpoint\":\"phone\""), "{log}");
    let number = parts.wechat.phone_number("ann");
    // The fake's tokens all begin alike.
    for secret in [APP.1, "76_Zx0VbTq4", &number, &skey] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    for code in codes {
        assert!(!log.contains(&code), "{log}");
    }
}
