//! `decrypt.checksession`: a dead session_key is distinguished from bad data, and bad data does not
//! spend WeChat's quota.

use serde_json::{Value, json};
use skeygate::fake_wechat::{DropWhen, Endpoint, Fault};

use crate::decrypt::{PHONE, decrypt_request, phone_data};
use crate::support::client::{Client, Request, Response};
use crate::support::process::GatewayProcess;
use crate::support::setup::{APP, OTHER_APP, Parts, Setup};
use crate::support::stack::Stack;

fn setup() -> Setup {
    Setup::new()
        .memory()
        .table("decrypt", "checksession = true")
}

/// Number of calls to WeChat.
fn checksession_calls(parts: &Parts) -> u64 {
    parts.wechat.calls(Endpoint::Checksession)
}

/// Well-formed, but encrypted under no known key.
fn garbage() -> Value {
    let block = "AAAAAAAAAAAAAAAAAAAAAA==";
    json!({ "encryptedData": block, "iv": block })
}

/// A logged-in user whose newest session_key the gateway lacks: the mini program called wx.login
/// and kept the code.
async fn login_with_newer_key(stack: &Stack, user: &str) -> String {
    let skey = stack.login(user).await;
    stack.code(user);
    skey
}

fn refusal(answer: &Response) -> (u16, Option<&str>, Value) {
    (
        answer.status,
        answer.error(),
        answer.json()["errcode"].clone(),
    )
}

fn assert_dead(answer: &Response, what: &str) {
    let expected = (400, Some("session_key_expired"), json!(87009));
    assert_eq!(refusal(answer), expected, "{what}");
    let errmsg = "session_key expired: log in, then fetch the data again";
    assert_eq!(answer.json()["errmsg"], errmsg, "{what}");
}

fn assert_undecryptable(answer: &Response, what: &str) {
    assert_eq!(
        refusal(answer),
        (400, Some("undecryptable"), json!(400)),
        "{what}"
    );
}

#[tokio::test]
async fn a_dead_session_key_is_reported_and_new_data_opens_after_a_login() {
    let stack = Stack::start(setup()).await;
    let skey = login_with_newer_key(&stack, "ann").await;
    let data = phone_data(&stack, "ann");

    let dead = stack.send(decrypt_request(&skey, &data)).await;

    assert_dead(&dead, "data of a key that the gateway does not have");
    let skey = stack.login("ann").await;
    // The key of the code that was never sent is gone, and so is what was encrypted under it.
    let again = stack.send(decrypt_request(&skey, &data)).await;
    assert_undecryptable(&again, "the same data");
    let anew = stack
        .send(decrypt_request(&skey, &phone_data(&stack, "ann")))
        .await;
    assert_eq!(anew.json()["data"]["phoneNumber"], PHONE);
    assert_eq!(checksession_calls(&stack), 1);
}

#[tokio::test]
async fn wechat_is_not_asked_by_default_or_for_data_that_opens_or_is_malformed() {
    let off = Stack::start(Setup::new().memory()).await;
    let skey = login_with_newer_key(&off, "ann").await;
    let answer = off.send(decrypt_request(&skey, &garbage())).await;
    assert_undecryptable(&answer, "by default");

    let stack = Stack::start(setup()).await;
    let skey = stack.login("ann").await;
    let good = stack
        .send(decrypt_request(&skey, &phone_data(&stack, "ann")))
        .await;
    assert_eq!(good.status, 200, "{}", good.text());
    for (data, iv) in [
        ("*", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("AAAAAAAAAAAAAAAAAAAAAA==", "AAAA"),
        ("AAAA", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ] {
        let malformed = json!({ "encryptedData": data, "iv": iv });
        let answer = stack.send(decrypt_request(&skey, &malformed)).await;
        assert_undecryptable(&answer, data);
    }
    let mut unsigned = phone_data(&stack, "ann");
    unsigned["signature"] = json!("0");
    let answer = stack.send(decrypt_request(&skey, &unsigned)).await;
    assert_undecryptable(&answer, "another signature");

    for stack in [&off, &stack] {
        assert_eq!(
            (
                checksession_calls(stack),
                stack.wechat.calls(Endpoint::StableToken)
            ),
            (0, 0)
        );
    }
}

#[tokio::test]
async fn wechat_is_asked_once_for_any_data_of_a_user() {
    let stack = Stack::start(setup()).await;
    let live = stack.login("ann").await;
    let dead = login_with_newer_key(&stack, "bob").await;

    for (skey, expected) in [(&live, "undecryptable"), (&dead, "session_key_expired")] {
        let many = (0..20).map(|_| stack.send(decrypt_request(skey, &garbage())));
        for answer in futures_util::future::join_all(many).await {
            assert_eq!((answer.status, answer.error()), (400, Some(expected)));
        }
    }

    assert_eq!(checksession_calls(&stack), 2);
}

/// A difference would be a padding oracle.
#[tokio::test]
async fn every_mismatch_of_a_session_key_is_checked_and_reported_alike() {
    let stack = Stack::start(setup().two_apps()).await;
    for (index, (appid, of)) in [(OTHER_APP.0, "own"), (APP.0, "bob"), ("", "")]
        .iter()
        .enumerate()
    {
        for is_dead in [false, true] {
            let user = format!("user {index} {is_dead}");
            let skey = stack.login(&user).await;
            let data = match *appid {
                "" => garbage(),
                appid => {
                    let of = if *of == "own" { user.as_str() } else { of };
                    let openid = stack.wechat.openid(APP.0, of);
                    let mark = json!({ "appid": appid, "timestamp": 1 });
                    let fields = [
                        ("openId".to_owned(), json!(openid)),
                        ("watermark".to_owned(), mark),
                    ];
                    json!(
                        stack
                            .wechat
                            .encrypt(APP.0, &user, fields.into_iter().collect())
                    )
                }
            };
            if is_dead {
                stack.code(&user);
            }
            let before = checksession_calls(&stack);

            let answer = stack.send(decrypt_request(&skey, &data)).await;

            match is_dead {
                true => assert_dead(&answer, &user),
                false => assert_undecryptable(&answer, &user),
            }
            assert_eq!(checksession_calls(&stack), before + 1, "{user}");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_does_not_make_the_next_one_ask_again() {
    let stack = Stack::start(setup()).await;
    let skey = login_with_newer_key(&stack, "ann").await;
    let slow = Fault {
        delay_ms: 300,
        ..Fault::default()
    };
    stack.wechat.push_fault(Endpoint::Checksession, slow);
    let mut client = Client::connect(stack.address()).await;
    client
        .write(decrypt_request(&skey, &garbage()).bytes())
        .await;
    stack.wechat.wait_for_calls(Endpoint::Checksession, 1).await;
    drop(client);

    let answer = stack.send(decrypt_request(&skey, &garbage())).await;

    assert_dead(&answer, "asked for a client that has left");
    assert_eq!(checksession_calls(&stack), 1);
}

#[tokio::test]
async fn a_token_ended_elsewhere_is_replaced_once() {
    let stack = Stack::start(setup()).await;
    let first = login_with_newer_key(&stack, "ann").await;
    assert_dead(
        &stack.send(decrypt_request(&first, &garbage())).await,
        "ann",
    );
    stack.wechat.end_token(APP.0);
    let second = login_with_newer_key(&stack, "bob").await;

    let answer = stack.send(decrypt_request(&second, &garbage())).await;

    assert_dead(&answer, "bob");
    assert_eq!(checksession_calls(&stack), 3);
    assert_eq!(stack.wechat.calls(Endpoint::StableToken), 2);
}

#[tokio::test]
async fn an_inconclusive_checksession_leaves_the_response_unchanged() {
    let stack = Stack::start(setup()).await;
    let dropped = |drop| Fault {
        drop: Some(drop),
        ..Fault::default()
    };
    let says = |body: &str| Fault {
        body: Some(body.to_owned()),
        ..Fault::default()
    };
    let faults = [
        ("no answer", dropped(DropWhen::Before)),
        ("an answer that was lost", dropped(DropWhen::After)),
        ("no JSON", says("<html>")),
        ("a strange errcode", says(r#"{"errcode":"many"}"#)),
        (
            "another status",
            Fault {
                status: Some(502),
                ..Fault::default()
            },
        ),
        (
            "silence",
            Fault {
                delay_ms: 60_000,
                ..Fault::default()
            },
        ),
    ];
    for (what, fault) in faults {
        let skey = login_with_newer_key(&stack, what).await;
        stack.wechat.push_fault(Endpoint::Checksession, fault);
        let before = checksession_calls(&stack);

        let answer = stack.send(decrypt_request(&skey, &garbage())).await;

        assert_undecryptable(&answer, what);
        assert_eq!(checksession_calls(&stack), before + 1, "{what}: asked once");
    }
    let skey = login_with_newer_key(&stack, "ann").await;
    stack.wechat.set_secret(APP.0, "reset-in-the-console");
    stack.wechat.end_token(APP.0);
    let answer = stack.send(decrypt_request(&skey, &garbage())).await;
    assert_undecryptable(&answer, "no token");
}

#[tokio::test]
async fn a_slow_checksession_is_not_awaited_and_its_result_serves_the_next_request() {
    let stack = Stack::start(setup()).await;
    let mut skeys = Vec::new();
    for number in 0..6 {
        skeys.push(login_with_newer_key(&stack, &format!("user {number}")).await);
    }
    let slow = Fault {
        delay_ms: 2_500,
        times: 6,
        ..Fault::default()
    };
    stack.wechat.push_fault(Endpoint::Checksession, slow);

    let answers = skeys
        .iter()
        .map(|skey| stack.send(decrypt_request(skey, &garbage())));
    for answer in futures_util::future::join_all(answers).await {
        assert_undecryptable(&answer, "in time");
    }
    // Five calls without an answer would have logins refused.
    stack.login("ann").await;
    for skey in &skeys {
        assert_dead(
            &stack.send(decrypt_request(skey, &garbage())).await,
            "later",
        );
    }
    assert_eq!(checksession_calls(&stack), 6);
}

#[tokio::test]
async fn a_user_without_a_session_key_must_log_in_and_wechat_is_not_asked() {
    let mut stack = Stack::start(Setup::new().table("decrypt", "checksession = true")).await;
    let skey = stack.login("ann").await;
    let ring = format!(
        "skeygate:k:{{{}:{}}}",
        APP.0,
        stack.wechat.openid(APP.0, "ann")
    );
    stack.redis().command(&[b"DEL", ring.as_bytes()]).await;

    let answer = stack.send(decrypt_request(&skey, &garbage())).await;

    assert_dead(&answer, "no key");
    assert_eq!(checksession_calls(&stack), 0);
}

#[tokio::test]
async fn neither_session_key_nor_signature_nor_token_is_in_the_log_at_any_level() {
    let log = "level = \"trace\"\nformat = \"json\"";
    let parts = setup().table("log", log).start().await;
    let mut gateway = GatewayProcess::start(&parts.toml).await;
    let mut keys = Vec::new();
    for (user, errcode) in [("ann", None), ("bob", Some(48001)), ("eve", Some(40029))] {
        let skey = parts.skey(gateway.address, user).await;
        keys.extend([
            skey.clone(),
            parts.wechat.session_key(APP.0, user).expect("a key"),
        ]);
        parts.code(user);
        let fault = Fault {
            errcode,
            errmsg: Some("api unauthorized, rid: 5f9f0b2e-1b2c3d4e-0a0b0c0d".to_owned()),
            ..Fault::default()
        };
        parts.wechat.push_fault(Endpoint::Checksession, fault);
        decrypt_request(&skey, &garbage())
            .send(gateway.address)
            .await;
    }
    let me = Request::get("/_gateway/me").header("skey", &keys[0]);
    assert_eq!(me.send(gateway.address).await.status, 200);
    gateway.program.signal("TERM");
    let log = gateway.program.output().await;

    assert_eq!(checksession_calls(&parts), 3);
    assert!(log.contains("\"error\":\"session_key_expired\""), "{log}");
    // Failures that an operator can mend are logged, once; others are not.
    let told = "no answer to checksession (`decrypt.checksession`)";
    assert_eq!(log.matches(told).count(), 1, "{log}");
    assert!(log.contains("48001"), "{log}");
    // The fake's tokens all begin alike.
    for secret in [APP.1, "76_Zx0VbTq4", "sig_method"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    for key in keys {
        assert!(!log.contains(&key), "{log}");
    }
}
