//! `POST /_gateway/decrypt`: data that WeChat encrypted for the user, and one refusal for all other
//! data.

use serde_json::{Map, Value, json};

use crate::support::client::{Client, Request, Response};
use crate::support::process::GatewayProcess;
use crate::support::setup::{APP, OTHER_APP, Parts, Setup};
use crate::support::stack::Stack;

pub(crate) const PHONE: &str = "13580006666";

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("no object: {other}"),
    }
}

fn phone() -> Map<String, Value> {
    map(json!({ "phoneNumber": PHONE, "purePhoneNumber": PHONE, "countryCode": "86" }))
}

/// Data of the phone number button, under the user's newest session_key.
pub(crate) fn phone_data(parts: &Parts, user: &str) -> Value {
    let data = parts.wechat.encrypt(APP.0, user, phone());
    serde_json::to_value(data.expect("a session_key")).expect("JSON")
}

pub(crate) fn decrypt_request(skey: &str, body: &Value) -> Request {
    Request::post_json("/_gateway/decrypt", body).header("skey", skey)
}

/// The refusal without its request id.
fn refusal(answer: &Response) -> (u16, Option<&str>, Value) {
    let mut body = answer.json();
    body["request_id"].take();
    (answer.status, answer.error(), body)
}

#[tokio::test]
async fn a_phone_number_and_a_profile_are_decrypted() {
    let stack = Stack::start(Setup::new()).await;
    let skey = stack.login("ann").await;
    let info = stack.wechat.user_info(APP.0, "ann").expect("a session_key");

    let number = stack
        .send(decrypt_request(&skey, &phone_data(&stack, "ann")))
        .await;
    let profile = stack.send(decrypt_request(&skey, &json!(info))).await;

    assert_eq!(number.status, 200, "{}", number.text());
    assert_eq!(number.headers.get("cache-control"), Some("no-store"));
    let answer = number.json();
    assert_eq!(
        (&answer["errcode"], &answer["errmsg"]),
        (&json!(0), &json!("ok"))
    );
    assert_eq!(answer["data"]["phoneNumber"], PHONE);
    assert_eq!(answer["data"]["watermark"]["appid"], APP.0);
    let profile = profile.json();
    assert_eq!(profile["data"]["openId"], stack.wechat.openid(APP.0, "ann"));
    assert_eq!(profile["data"]["nickName"], "微信用户");
    assert_eq!(stack.upstream.requests(), 0);
}

#[tokio::test]
async fn data_of_the_previous_session_key_decrypts_after_a_new_login_and_older_data_does_not() {
    let mut stack = Stack::start(Setup::new()).await;
    let replica = stack.one_more().await;
    stack.login("ann").await;
    let first = phone_data(&stack, "ann");
    let skey = stack.skey(replica, "ann").await;
    let second = phone_data(&stack, "ann");

    let previous = stack.send(decrypt_request(&skey, &first)).await;
    let newest = decrypt_request(&skey, &second).send(replica).await;
    let latest = stack.login("ann").await;
    let third_oldest = stack.send(decrypt_request(&latest, &first)).await;
    let still = stack.send(decrypt_request(&latest, &second)).await;

    for answer in [previous, newest, still] {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["data"]["phoneNumber"], PHONE);
    }
    assert_eq!(third_oldest.error(), Some("undecryptable"));
}

#[tokio::test]
async fn every_decryption_failure_is_one_refusal() {
    let stack = Stack::start(Setup::new().two_apps()).await;
    let skey = stack.login("ann").await;
    stack.login("bob").await;
    let good = phone_data(&stack, "ann");
    let changed = |key: &str, value: &str| {
        let mut order = good.clone();
        order[key] = json!(value);
        order
    };
    let sealed = |watermark: &str, openid: &str| {
        let mark = json!({ "openId": openid, "watermark": { "appid": watermark, "timestamp": 1 } });
        json!(
            stack
                .wechat
                .encrypt(APP.0, "ann", map(mark))
                .expect("a session_key")
        )
    };
    let own = stack.wechat.openid(APP.0, "ann");
    assert_eq!(
        stack
            .send(decrypt_request(&skey, &sealed(APP.0, &own)))
            .await
            .status,
        200
    );
    let text = good["encryptedData"].as_str().expect("a text");
    let cases = [
        ("no base64", changed("encryptedData", "*")),
        (
            "a plus that became a blank",
            changed("iv", "r7BXXKkLb8qrSNn05n0qi A=="),
        ),
        ("nothing", changed("encryptedData", "")),
        ("half a block", changed("encryptedData", "AAAA")),
        ("a short iv", changed("iv", "AAAA")),
        ("another iv", changed("iv", "AAAAAAAAAAAAAAAAAAAAAA==")),
        ("a block less", changed("encryptedData", &text[..64])),
        ("another user's key", phone_data(&stack, "bob")),
        ("another app's watermark", sealed(OTHER_APP.0, &own)),
        (
            "another user's openid",
            sealed(APP.0, &stack.wechat.openid(APP.0, "bob")),
        ),
        ("other raw data", changed("rawData", "{}")),
        ("another signature", changed("signature", &"0".repeat(40))),
    ];
    for (what, body) in cases {
        let answer = stack.send(decrypt_request(&skey, &body)).await;
        let expected = json!({
            "error": "undecryptable", "errcode": 400,
            "errmsg": "undecryptable: log in, then fetch the data again", "request_id": null,
        });
        assert_eq!(
            refusal(&answer),
            (400, Some("undecryptable"), expected),
            "{what}"
        );
    }
}

#[tokio::test]
async fn forms_are_taken_and_skeys_in_bodies() {
    let setup = Setup::new().table("session", "token_from = [\"form:token\", \"json:token\"]");
    let stack = Stack::start(setup).await;
    let skey = stack.login("ann").await;
    let mut json = phone_data(&stack, "ann");
    let mut form = form_urlencoded::Serializer::new(format!("token={skey}"));
    for name in ["encryptedData", "iv", "rawData", "signature"] {
        form.append_pair(name, json[name].as_str().expect("a text"));
    }
    json["token"] = json!(skey);

    let form = Request::post_form("/_gateway/decrypt", &form.finish());
    let json = Request::post_json("/_gateway/decrypt", &json);

    for request in [form, json] {
        let answer = stack.send(request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["data"]["phoneNumber"], PHONE);
    }
}

#[tokio::test]
async fn an_invalid_decrypt_request_is_refused_by_name() {
    let stack = Stack::start(Setup::new()).await;
    let skey = stack.login("ann").await;
    let good = phone_data(&stack, "ann");
    let without = |key: &str| {
        let mut order = good.clone();
        order[key].take();
        order.to_string()
    };
    let json = |body: &str| {
        let request = Request::new("POST", "/_gateway/decrypt").header("skey", &skey);
        request
            .header("Content-Type", "application/json")
            .body(body)
    };
    let form = |body: &str| Request::post_form("/_gateway/decrypt", body).header("skey", &skey);
    for (what, request) in [
        (
            "no body",
            Request::new("POST", "/_gateway/decrypt").header("skey", &skey),
        ),
        ("an empty object", json("{}")),
        ("no data", json(&without("encryptedData"))),
        ("no iv", json(&without("iv"))),
        ("a signature of nothing", json(&without("rawData"))),
        ("raw data without a signature", json(&without("signature"))),
        ("a list", json("[]")),
        ("numbers", json(r#"{"encryptedData":1,"iv":2}"#)),
        (
            "two ivs",
            json(r#"{"encryptedData":"AAAA","iv":"AAAA","iv":"BBBB"}"#),
        ),
        ("two ivs in a form", form("encryptedData=A&iv=A&iv=B")),
    ] {
        let answer = stack.send(request).await;
        assert_eq!(
            (answer.status, answer.error()),
            (400, Some("bad_request")),
            "{what}: {}",
            answer.text()
        );
    }
    let long = stack.send(json(&" ".repeat(64 * 1024 + 1))).await;
    assert_eq!(long.error(), Some("body_too_large"));
    let get = stack.get("/_gateway/decrypt", &skey).await;
    assert_eq!((get.status, get.headers.get("allow")), (405, Some("POST")));
}

#[tokio::test]
async fn an_unauthenticated_request_is_refused_before_its_body_is_read() {
    let stack = Stack::start(Setup::new()).await;
    let mut client = Client::connect(stack.address()).await;

    client
        .write(
            "POST /_gateway/decrypt HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 900\r\n\r\n",
        )
        .await;

    let answer = client.response("POST").await;
    assert_eq!(
        (answer.status, answer.error()),
        (401, Some("not_logged_in"))
    );
}

#[tokio::test]
async fn responses_and_refusals_have_the_style_of_the_first_login() {
    let stack = Stack::start(Setup::new().routes(
        "[[login]]\nstyle = \"wafer2\"\nrate_limit = { per_address = \"1/h\", burst = 4 }\n\
         [[routes]]\npath = \"/*\"\nupstream = \"api\"\n",
    ))
    .await;
    let login = stack.log_in(stack.address(), "ann").await.json();
    let skey = login["data"]["skey"].as_str().expect("an skey");
    let data = phone_data(&stack, "ann");

    let good = stack.send(decrypt_request(skey, &data)).await.json();
    let bad = stack
        .send(decrypt_request(
            skey,
            &json!({ "encryptedData": "*", "iv": "*" }),
        ))
        .await;
    let stranger = stack.send(decrypt_request(&"k".repeat(43), &data)).await;
    stack.get("/_gateway/me", skey).await;
    let limited = stack.send(decrypt_request(skey, &data)).await;

    assert_eq!(
        (&good["code"], &good["data"]["phoneNumber"]),
        (&json!(0), &json!(PHONE))
    );
    assert_eq!(bad.error(), Some("undecryptable"));
    assert_eq!(bad.json()["code"], 400);
    assert_eq!(stranger.json()["code"], -1);
    assert_eq!(
        (limited.status, limited.error()),
        (429, Some("rate_limited"))
    );
}

#[tokio::test]
async fn the_log_names_the_reason_and_no_decrypted_value() {
    let setup = Setup::new().table("log", "level = \"trace\"\nformat = \"json\"");
    let parts = setup.start().await;
    let mut gateway = GatewayProcess::start(&parts.toml).await;
    let old = {
        parts.skey(gateway.address, "ann").await;
        parts.wechat.session_key(APP.0, "ann").expect("a key")
    };
    let skey = parts.skey(gateway.address, "ann").await;
    let key = parts.wechat.session_key(APP.0, "ann").expect("a key");
    let good = phone_data(&parts, "ann");
    let mut bad = good.clone();
    bad["signature"] = json!("0");

    let good = decrypt_request(&skey, &good).send(gateway.address).await;
    let bad = decrypt_request(&skey, &bad).send(gateway.address).await;
    gateway.program.signal("TERM");
    let log = gateway.program.output().await;

    assert_eq!(good.status, 200, "{}", good.text());
    assert_eq!(bad.error(), Some("undecryptable"));
    assert!(
        log.contains("\"cause\":\"the signature is not that of rawData\""),
        "{log}"
    );
    assert!(log.contains("\"endpoint\":\"decrypt\""), "{log}");
    for secret in [PHONE, "微信用户", &key, &old, &skey] {
        assert!(!log.contains(secret), "{secret} in the log");
    }
}
