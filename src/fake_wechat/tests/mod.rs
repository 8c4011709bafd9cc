//! The fake over plain sockets, without the project's HTTP client.

mod tokens;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const APP: &str = "wx0123456789abcdef";
const OTHER: &str = "wxfedcba9876543210";
const CALL: Endpoint = Endpoint::Jscode2session;

async fn start() -> FakeWechat {
    let app = |appid: &str, account: Option<&str>| FakeApp {
        appid: appid.to_owned(),
        secret: format!("secret-of-{appid}"),
        account: account.map(str::to_owned),
    };
    let apps = vec![app(APP, Some("acme")), app(OTHER, None)];
    FakeWechat::start(([127, 0, 0, 1], 0).into(), apps)
        .await
        .unwrap()
}

/// Sends one request on a new connection. Returns head and body of the response, both empty without
/// one.
async fn ask(fake: &FakeWechat, method: &str, target: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(fake.address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: fake\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    (head.to_owned(), body.to_owned())
}

fn fault(fields: Value) -> Fault {
    serde_json::from_value(fields).unwrap()
}

fn right_query(appid: &str, code: &str) -> String {
    format!("appid={appid}&secret=secret-of-{appid}&js_code={code}&grant_type=authorization_code")
}

async fn exchange(fake: &FakeWechat, appid: &str, code: &str) -> Value {
    get(fake, &right_query(appid, code)).await
}

async fn get(fake: &FakeWechat, query: &str) -> Value {
    let target = format!("/sns/jscode2session?{query}");
    let (head, body) = ask(fake, "GET", &target, "").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("content-type: text/plain\r\n"), "{head}");
    serde_json::from_str(&body).unwrap()
}

/// The response of a successful control.
async fn order(fake: &FakeWechat, name: &str, order: Value) -> Value {
    let (head, body) = ask(fake, "POST", &format!("/_mock/{name}"), &order.to_string()).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{name}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn a_fresh_code_gives_the_computable_ids() {
    let fake = start().await;
    let code = fake.new_code(APP, "alice");
    let answer = exchange(&fake, APP, &code).await;
    let expected = json!({
        "openid": fake.openid(APP, "alice"),
        "session_key": fake.session_key(APP, "alice"),
        "unionid": fake.unionid("acme", "alice"),
    });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn checks_come_in_wechats_order() {
    let fake = start().await;
    fake.set(Settings {
        ip_allowed: false,
        ..Settings::default()
    });
    let app = format!("appid={APP}");
    let right = format!("secret=secret-of-{APP}");
    let asked = [
        ("js_code=x".to_owned(), 41002),
        ("appid=".to_owned(), 41002),
        ("appid=wx&js_code=x".to_owned(), 41004),
        ("appid=wx&secret=x".to_owned(), 41008),
        ("appid=wx&secret=x&js_code=x".to_owned(), 40013),
        (format!("{app}&secret=x&js_code=x"), 40125),
        (format!("{app}&{right}&js_code=x"), 40164),
    ];
    for (query, errcode) in asked {
        assert_eq!(get(&fake, &query).await["errcode"], errcode, "{query}");
    }
    fake.set(Settings::default());
    let answer = get(&fake, &format!("{app}&{right}&js_code=x")).await;
    assert_eq!(answer["errcode"], 40002);
    let answer = exchange(&fake, APP, "x").await;
    assert_eq!(answer["errcode"], 40029);
    let errmsg = answer["errmsg"].as_str().unwrap();
    let rid = errmsg.strip_prefix("invalid code, rid: ").unwrap();
    assert_eq!(rid.len(), 26);
}

#[tokio::test]
async fn a_code_is_good_once_for_300_seconds_and_for_its_own_app() {
    let fake = start().await;
    let code = fake.new_code(APP, "alice");
    assert_eq!(exchange(&fake, OTHER, &code).await["errcode"], 40029);
    assert!(exchange(&fake, APP, &code).await["openid"].is_string());
    assert_eq!(exchange(&fake, APP, &code).await["errcode"], 40163);

    let code = fake.new_code(APP, "alice");
    fake.advance(Duration::from_secs(290));
    assert!(exchange(&fake, APP, &code).await["openid"].is_string());
    let code = fake.new_code(APP, "alice");
    fake.advance(Duration::from_secs(301));
    assert_eq!(exchange(&fake, APP, &code).await["errcode"], 40029);
}

#[tokio::test]
async fn only_a_success_spends_a_code() {
    let fake = start().await;
    let code = fake.new_code(APP, "alice");
    let refusals = [
        fault(json!({ "errcode": -1 })),
        fault(json!({ "body": "<html>" })),
        fault(json!({ "drop": "before" })),
    ];
    let target = format!("/sns/jscode2session?{}", right_query(APP, &code));
    for fault in refusals {
        fake.push_fault(CALL, fault);
        ask(&fake, "GET", &target, "").await;
    }
    let lost = fault(json!({ "drop": "after" }));
    fake.push_fault(CALL, lost);
    let lost = ask(&fake, "GET", &target, "").await;
    assert_eq!(lost, (String::new(), String::new()));
    assert_eq!(exchange(&fake, APP, &code).await["errcode"], 40163);
    assert_eq!(fake.calls(CALL), 5);
}

#[tokio::test]
async fn wx_login_replaces_a_session_key_that_is_old_enough() {
    let fake = start().await;
    assert_eq!(fake.session_key(APP, "alice"), None);
    let first = fake.new_code(APP, "alice");
    let first_key = fake.session_key(APP, "alice");
    let _second = fake.new_code(APP, "alice");
    let second_key = fake.session_key(APP, "alice");
    assert_ne!(first_key, second_key);
    let answer = exchange(&fake, APP, &first).await;
    assert_eq!(
        answer["session_key"].as_str(),
        second_key.as_deref(),
        "one key is live"
    );

    fake.set(Settings {
        rotate_min: Duration::from_secs(60),
        ..Settings::default()
    });
    let _third = fake.new_code(APP, "alice");
    assert_eq!(fake.session_key(APP, "alice"), second_key);
    fake.advance(Duration::from_secs(61));
    let _fourth = fake.new_code(APP, "alice");
    assert_ne!(fake.session_key(APP, "alice"), second_key);
}

#[tokio::test]
async fn a_user_may_be_exchanged_a_hundred_times_a_minute() {
    let fake = start().await;
    for _ in 0..100 {
        let code = fake.new_code(APP, "alice");
        assert!(exchange(&fake, APP, &code).await["openid"].is_string());
    }
    let code = fake.new_code(APP, "alice");
    assert_eq!(exchange(&fake, APP, &code).await["errcode"], 45011);
    let bobs = fake.new_code(APP, "bob");
    assert!(exchange(&fake, APP, &bobs).await["openid"].is_string());
    fake.advance(Duration::from_secs(61));
    assert!(
        exchange(&fake, APP, &code).await["openid"].is_string(),
        "the code was not spent"
    );
}

#[tokio::test]
async fn a_blocked_user_is_refused_in_every_app() {
    let fake = start().await;
    fake.block("alice");
    for appid in [APP, OTHER] {
        let code = fake.new_code(appid, "alice");
        assert_eq!(exchange(&fake, appid, &code).await["errcode"], 40226);
    }
}

#[tokio::test]
async fn dev_codes_work_only_when_switched_on_and_then_again_and_again() {
    let fake = start().await;
    assert_eq!(exchange(&fake, APP, "dev-alice").await["errcode"], 40029);
    fake.set(Settings {
        accept_any_code: true,
        ..Settings::default()
    });
    for _ in 0..2 {
        let answer = exchange(&fake, APP, "dev-alice").await;
        assert_eq!(answer["openid"], fake.openid(APP, "alice"));
        assert_eq!(
            answer["session_key"].as_str(),
            fake.session_key(APP, "alice").as_deref()
        );
    }
    assert_eq!(exchange(&fake, APP, "dev-").await["errcode"], 40029);
    assert_eq!(exchange(&fake, APP, "alice").await["errcode"], 40029);
}

#[tokio::test]
async fn faults_come_in_their_order_and_number() {
    let fake = start().await;
    for (times, errcode) in [(2, 1), (0, 2), (1, 3), (-1, 4), (1, 5)] {
        fake.push_fault(CALL, fault(json!({ "times": times, "errcode": errcode })));
    }
    for errcode in [1, 1, 3, 4, 4, 4] {
        assert_eq!(exchange(&fake, APP, "x").await["errcode"], errcode);
    }
}

#[tokio::test]
async fn a_truncated_response_ends_at_the_chosen_byte() {
    let fake = start().await;
    fake.push_fault(CALL, fault(json!({ "truncate": 5, "body": "0123456789" })));
    let (head, body) = ask(&fake, "GET", "/sns/jscode2session", "").await;
    assert!(head.contains("content-length: 10"), "{head}");
    assert_eq!(body, "01234");
}

#[tokio::test]
async fn a_call_that_waits_is_counted_and_can_be_waited_for() {
    let fake = start().await;
    fake.push_fault(CALL, fault(json!({ "delay_ms": 3_600_000 })));
    tokio::select! {
        answer = exchange(&fake, APP, "x") => panic!("answered: {answer}"),
        () = fake.wait_for_calls(CALL, 1) => {}
    }
    assert_eq!(fake.calls(CALL), 1);

    let twice = json!({ "endpoint": "jscode2session", "calls": 2 });
    let (_, said) = tokio::join!(exchange(&fake, APP, "y"), order(&fake, "wait", twice));
    assert_eq!(said, json!({}));
}

#[tokio::test]
async fn the_controls_match_the_methods() {
    let fake = start().await;
    let code = order(&fake, "code", json!({ "appid": APP, "user": "alice" })).await;
    let answer = exchange(&fake, APP, code["code"].as_str().unwrap()).await;
    let identity = order(&fake, "identity", json!({ "appid": APP, "user": "alice" })).await;
    assert_eq!(answer, identity);

    let own = json!({ "appid": APP, "user": "alice", "code": "mine" });
    assert_eq!(order(&fake, "code", own).await, json!({ "code": "mine" }));
    order(&fake, "advance", json!({ "ms": 301_000 })).await;
    assert_eq!(exchange(&fake, APP, "mine").await["errcode"], 40029);

    order(&fake, "set", json!({ "acceptAnyCode": true })).await;
    order(&fake, "set", json!({ "ratePerMinute": 1 })).await;
    order(&fake, "account", json!({ "appid": APP, "account": null })).await;
    let answer = exchange(&fake, APP, "dev-bob").await;
    assert!(answer["openid"].is_string(), "{answer}");
    assert!(answer.get("unionid").is_none(), "{answer}");
    assert_eq!(exchange(&fake, APP, "dev-bob").await["errcode"], 45011);

    let queue = json!([{ "errcode": 40029, "string_errcode": true }, { "drop": "before" }]);
    order(
        &fake,
        "fault",
        json!({ "endpoint": "jscode2session", "queue": queue }),
    )
    .await;
    assert_eq!(exchange(&fake, APP, "dev-eve").await["errcode"], "40029");
    assert_eq!(ask(&fake, "GET", "/sns/jscode2session", "").await.0, "");

    order(&fake, "block", json!({ "user": "eve" })).await;
    assert_eq!(exchange(&fake, APP, "dev-eve").await["errcode"], 40226);

    let stats = order(&fake, "stats", json!({})).await;
    assert_eq!(
        stats,
        json!({ "calls": {
            "jscode2session": fake.calls(CALL), "stable_token": 0, "token": 0, "getuserphonenumber": 0,
            "msg_sec_check": 0, "media_upload": 0, "media_get": 0, "checksession": 0,
        } })
    );
    order(&fake, "reset", json!({})).await;
    assert_eq!(fake.calls(CALL), 0);
    assert_eq!(exchange(&fake, APP, "dev-eve").await["errcode"], 40029);
}

#[tokio::test]
async fn no_code_comes_twice_not_even_after_a_reset() {
    let fake = start().await;
    let first = fake.new_code(APP, "alice");
    fake.reset();
    assert_ne!(fake.new_code(APP, "alice"), first);
    assert_eq!(exchange(&fake, APP, &first).await["errcode"], 40029);
}

#[tokio::test]
async fn an_order_that_cannot_be_understood_is_refused() {
    let fake = start().await;
    let orders = [
        ("POST", "code", "{", "EOF"),
        (
            "POST",
            "code",
            r#"{"appid":"wx0","user":"alice"}"#,
            "no app has the appid `wx0`",
        ),
        (
            "POST",
            "set",
            r#"{"ratePerSecond":1}"#,
            "unknown field `ratePerSecond`",
        ),
        (
            "POST",
            "fault",
            r#"{"endpoint":"pay","queue":[]}"#,
            "unknown variant `pay`",
        ),
        ("POST", "dance", "{}", "there is no control `dance`"),
        ("GET", "stats", "", "controls are POST requests"),
    ];
    for (method, name, body, why) in orders {
        let (head, body) = ask(&fake, method, &format!("/_mock/{name}"), body).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{name}: {head}");
        assert!(body.contains(why), "{name}: {body}");
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_as_wechat_refuses_them() {
    let fake = start().await;
    let (_, body) = ask(&fake, "GET", "/sns/oauth2", "").await;
    assert!(body.contains(r#""errcode":40066"#), "{body}");
    let (_, body) = ask(&fake, "POST", "/sns/jscode2session", "").await;
    assert!(body.contains(r#""errcode":43001"#), "{body}");
}

#[tokio::test]
async fn a_fake_that_others_could_reach_does_not_start() {
    let error = FakeWechat::start(([0, 0, 0, 0], 0).into(), Vec::new()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(
        error
            .to_string()
            .contains("0.0.0.0:0 is not a loopback address"),
        "{error}"
    );
}

#[tokio::test]
async fn dropping_the_fake_closes_its_port_and_its_connections() {
    let fake = start().await;
    let address = fake.address;
    let mut open = TcpStream::connect(address).await.unwrap();
    open.write_all(b"GET / HTTP/1.1\r\nHost: fake\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(open.read_u8().await.unwrap(), b'H');
    drop(fake);
    let mut rest = Vec::new();
    // Ends when the other side closes, or resets with unread data.
    let _ = open.read_to_end(&mut rest).await;
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn user_info_is_encrypted_as_ordered() {
    let fake = start().await;
    let key = "AAECAwQFBgcICQoLDA0ODw==";
    let data = json!({ "phoneNumber": "1" });
    let what = json!({ "appid": APP, "user": "ann", "watermark": OTHER, "session_key": key, "data": data });
    let sealed = order(&fake, "userinfo", what).await;
    let encrypted = crate::wechat::open_data::Encrypted {
        data: sealed["encryptedData"].as_str().unwrap(),
        iv: sealed["iv"].as_str().unwrap(),
    };
    let keys = [crate::secret::Secret::new(key)];
    let opened = crate::wechat::open_data::open(&keys, encrypted, OTHER, "").unwrap();
    assert_eq!(opened["phoneNumber"], "1");
}
