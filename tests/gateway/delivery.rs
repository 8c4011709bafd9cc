//! `decrypt.deliver = "upstream"`: the service gets the decrypted data, from the gateway only.

use serde_json::json;

use crate::decrypt::{PHONE, decrypt_request, phone_data};
use crate::support::client::Request;
use crate::support::setup::{APP, Setup};
use crate::support::stack::Stack;
use crate::support::steps::Answer;

fn setup(path: &str) -> Setup {
    let keys = format!("deliver = \"upstream\"\nupstream = \"api\"\npath = \"{path}\"");
    Setup::new().table("decrypt", &keys).routes(
        "[[routes]]\npath = \"/*\"\nupstream = \"api\"\n\
         [[routes]]\npath = \"/open/*\"\nupstream = \"api\"\nauth = \"off\"\nstrip_prefix = \"/open\"\n\
         [[routes]]\npath = \"/phone\"\nupstream = \"api\"\nadd_prefix = \"/internal\"\n\
         [[login]]\nstyle = \"wafer2\"\nrate_limit = \"none\"\n",
    )
}

async fn skey(stack: &Stack) -> String {
    let login = stack.log_in(stack.address(), "ann").await.json();
    login["data"]["skey"].as_str().expect("an skey").to_owned()
}

#[tokio::test]
async fn decrypted_data_is_posted_to_the_service_and_its_response_passed_back() {
    let mut stack = Stack::start(setup("/internal/phone")).await;
    let skey = skey(&stack).await;
    stack.upstream.next(Answer::text(201, "saved"));
    let request = decrypt_request(&skey, &phone_data(&stack, "ann"))
        .header("X-Openid", "forged")
        .header("X-App-Version", "7")
        .header("If-None-Match", "*")
        .header("Content-Language", "zh")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket");

    let answer = stack.send(request).await;

    assert_eq!((answer.status, answer.text().as_str()), (201, "saved"));
    assert_eq!(answer.error(), None);
    let got = stack.upstream.request().await;
    assert_eq!(got.head.start, "POST /internal/phone HTTP/1.1");
    let body: serde_json::Value = serde_json::from_slice(&got.body).expect("JSON");
    assert_eq!(body["phoneNumber"], PHONE);
    assert_eq!(body["watermark"]["appid"], APP.0);
    let header = |name| got.head.headers.all(name);
    assert_eq!(header("x-openid"), [stack.wechat.openid(APP.0, "ann")]);
    assert_eq!(header("x-user-id").len(), 1);
    assert_eq!(header("content-type"), ["application/json"]);
    assert_eq!(header("content-length"), [got.body.len().to_string()]);
    assert_eq!(header("x-app-version"), ["7"]);
    for gone in ["skey", "upgrade", "if-none-match", "content-language"] {
        assert!(header(gone).is_empty(), "{gone}");
    }
}

#[tokio::test]
async fn a_failed_decryption_is_refused_in_the_login_style_and_not_delivered() {
    let mut stack = Stack::start(setup("/internal/phone")).await;
    let skey = skey(&stack).await;
    let good = phone_data(&stack, "ann");
    let mut bad = good.clone();
    bad["signature"] = json!("0");

    let undecryptable = stack.send(decrypt_request(&skey, &bad)).await;
    let other_method = decrypt_request(&skey, &good).header("X-HTTP-Method-Override", "DELETE");
    let other_method = stack.send(other_method).await;
    let requests = stack.upstream.requests();
    stack.upstream.refuse().await;
    let refused = stack.send(decrypt_request(&skey, &good)).await;

    assert_eq!(undecryptable.error(), Some("undecryptable"));
    assert_eq!(undecryptable.json()["error"], "ERR_IN_DECRYPT_DATA");
    assert_eq!(other_method.error(), Some("bad_request"));
    assert_eq!(requests, 0);
    assert_eq!(
        (refused.status, refused.error()),
        (502, Some("upstream_refused"))
    );
    assert_eq!(refused.json()["code"], 502);
}

#[tokio::test]
async fn no_route_leads_to_where_the_gateway_delivers() {
    let stack = Stack::start(setup("/internal/phone")).await;
    let skey = skey(&stack).await;
    let post = |target: &str| {
        let request = Request::post_json(target, &json!({ "phoneNumber": "forged" }));
        request.header("skey", &skey)
    };
    for target in [
        "/internal/phone",
        "/internal/phone?a=b",
        "/internal/phone/",
        "/internal/phone/x",
        "/internal/phone.json",
        "/internal//phone",
        "/Internal/PHONE",
        "/internal/%70hone",
        "/internal/%2570hone",
        "/internal/phone%20",
        "/index.php/internal/phone",
        "/open/internal/phone",
        "/open/INTERNAL/phone",
        "/phone",
    ] {
        let answer = stack.send(post(target)).await;
        assert!(matches!(answer.status, 400 | 404), "{target}: {answer:?}");
        assert_eq!(stack.upstream.requests(), 0, "{target}");
    }
    for target in ["/internal/phones", "/internal", "/internal/phone-book"] {
        assert_eq!(stack.send(post(target)).await.status, 200, "{target}");
    }
}

#[tokio::test]
async fn a_script_that_the_gateway_delivers_to_is_reached_by_no_other_name() {
    let stack = Stack::start(setup("/index.php/internal/phone")).await;
    let skey = skey(&stack).await;
    for target in [
        "/index.php/internal/phone",
        "/internal/phone",
        "/app.php/internal/phone/1",
    ] {
        let answer = stack.send(Request::get(target).header("skey", &skey)).await;
        assert!(matches!(answer.status, 400 | 404), "{target}: {answer:?}");
    }
    let page = Request::get("/index.php/other").header("skey", &skey);
    assert_eq!(stack.send(page).await.status, 200);
    assert_eq!(stack.upstream.requests(), 1);
}
