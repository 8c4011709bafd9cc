//! Malformed skeys: nothing, too much, bytes meant for Redis, two of them. All get the same
//! response, and Redis is never asked about a malformed skey.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::client::{Client, Request, Response};
use crate::support::redis::Reply;
use crate::support::setup::Setup;
use crate::support::stack::Stack;

/// Every kind of place, on every path.
const EVERYWHERE: &str = r#"
[[routes]]
path = "/*"
upstream = "api"
token_from = ["header:skey", "bearer", "cookie:sid", "query:skey", "form:skey", "json:skey"]
"#;

const PLACES: [&str; 6] = ["header", "bearer", "cookie", "query", "form", "json"];

/// A request with this value in that place, if it can stand there at all.
fn with(place: &str, value: &str) -> Option<Request> {
    let in_header = value.bytes().all(|byte| byte >= 0x20 && byte != 0x7f);
    let encoded: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
    Some(match place {
        "header" if in_header => Request::get("/a").header("skey", value),
        "bearer" if in_header => {
            Request::get("/a").header("Authorization", &format!("Bearer {value}"))
        }
        "cookie" if in_header => Request::get("/a").header("Cookie", &format!("a=1; sid={value}")),
        "query" if encoded.len() < 6000 => Request::get(&format!("/a?b=1&skey={encoded}")),
        "form" => Request::post_form("/a", &format!("b=1&skey={encoded}")),
        "json" => Request::post_json("/a", &json!({ "b": 1, "skey": value })),
        _ => return None,
    })
}

/// A response without its variable parts.
fn constant(answer: &Response) -> String {
    let mut headers = answer.headers.clone();
    let id = headers.get("x-request-id").unwrap_or_default().to_owned();
    headers
        .0
        .retain(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id"));
    let body = answer.text().replace(&id, "ID");
    format!("{} {headers:?} {body}", answer.status)
}

/// The commands that Redis was given since `reset_commands`, but for the gateway's pings and this test's
/// own.
async fn commands(stack: &mut Stack) -> BTreeMap<String, String> {
    let reply = stack.redis().command(&[b"INFO", b"commandstats"]).await;
    let Reply::Text(text) = reply else {
        panic!("INFO without a text")
    };
    let text = String::from_utf8(text).expect("text");
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(':'));
    lines
        .filter(|(name, _)| !["ping", "info", "role", "hello", "config|resetstat"].contains(name))
        .map(|(name, facts)| {
            let calls = facts.split(',').next().unwrap_or_default();
            (name.to_owned(), calls.to_owned())
        })
        .collect()
}

async fn reset_commands(stack: &mut Stack) {
    stack.redis().command(&[b"CONFIG", b"RESETSTAT"]).await;
}

#[tokio::test]
async fn malformed_skeys_are_refused_alike_and_redis_is_not_asked() {
    let mut stack = Stack::start(Setup::new().routes(EVERYWHERE)).await;
    stack.login("ann").await;
    reset_commands(&mut stack).await;
    let (long, longer) = ("x".repeat(129), "x".repeat(20_000));
    let values = [
        "",
        " ",
        "short",
        "nineteen-characters",
        &long,
        &longer,
        "************************************",
        "????????????????????",
        "[a-z][a-z][a-z][a-z][a-z]",
        "skeygate:s:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaaaaaaaaaa\r\nDEL skeygate:s:a\r\n",
        "*1\r\n$8\r\nFLUSHALL\r\n*1\r\n$8\r\nFLUSHALL\r\n",
        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        "aaaaaaaaaaaaaaaaaaaaaaaa\u{0}aaaaaaaaaaaaaaaaaa",
        "\u{540d}\u{540d}\u{540d}\u{540d}\u{540d}\u{540d}\u{540d}",
        "{\"$ne\":null}aaaaaaaaaaaaaaaaaaaa",
        "../../../../../../../../etc/passwd",
        "' OR '1'='1' -- aaaaaaaaaaaaaaa",
        "${jndi:ldap://127.0.0.1/aaaaaaaaa}",
        "%2a%2a%2a%2a%2a%2a%2a%2a%2a%2a%2a%2a",
    ];
    let mut answers = BTreeSet::new();
    let mut sent = 0;
    for value in values {
        for request in PLACES.iter().filter_map(|place| with(place, value)) {
            let answer = stack.send(request).await;
            assert_eq!(answer.status, 401, "{value:?}: {}", answer.text());
            answers.insert(constant(&answer));
            sent += 1;
        }
    }
    for odd in [
        json!(7),
        json!(null),
        json!(["a"]),
        json!({ "a": "b" }),
        json!(true),
    ] {
        let answer = stack
            .send(Request::post_json("/a", &json!({ "skey": odd })))
            .await;
        assert_eq!(answer.status, 401, "{odd}");
        answers.insert(constant(&answer));
    }
    let mut binary = Client::connect(stack.address()).await;
    binary.write(b"GET /a HTTP/1.1\r\nHost: g\r\nskey: ").await;
    binary.write([0xff; 43]).await;
    binary.write(b"\r\n\r\n").await;
    answers.insert(constant(&binary.response("GET").await));

    assert!(sent > 80, "{sent}");
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(commands(&mut stack).await, BTreeMap::new());
    assert_eq!(stack.upstream.requests(), 0);
    // A well-formed skey is looked up: the counter works.
    assert_eq!(stack.get("/a", &"u".repeat(43)).await.status, 401);
    assert_ne!(commands(&mut stack).await, BTreeMap::new());
}

#[tokio::test]
async fn unknown_revoked_and_expired_skeys_get_one_response_at_one_cost() {
    let mut stack = Stack::start(Setup::new().routes(EVERYWHERE)).await;
    let revoked = stack.login("ann").await;
    let logout = Request::new("POST", "/_gateway/logout").header("skey", &revoked);
    assert_eq!(stack.send(logout).await.status, 200);
    let expired = stack.login("bob").await;
    assert_eq!(stack.get("/a", &expired).await.status, 200);
    let sessions = stack.redis().command(&[b"KEYS", b"*s:*"]).await;
    let Reply::List(sessions) = sessions else {
        panic!("KEYS without a list")
    };
    for key in sessions {
        let Reply::Text(key) = key else {
            panic!("a key without a name")
        };
        stack.redis().command(&[b"PEXPIRE", &key, b"-1"]).await;
    }

    let mut seen = BTreeSet::new();
    for skey in ["u".repeat(43), "u".repeat(20), revoked, expired] {
        for place in PLACES {
            if place == "bearer" && skey.len() != 43 {
                continue;
            }
            let request = with(place, &skey).expect("a request");
            reset_commands(&mut stack).await;
            let answer = stack.send(request).await;
            seen.insert((constant(&answer), commands(&mut stack).await));
        }
    }

    assert_eq!(seen.len(), 1, "{seen:?}");
    let (answer, cost) = seen.first().expect("one");
    assert!(answer.starts_with("401 "), "{answer}");
    let calls: u64 = cost
        .values()
        .filter_map(|calls| calls.strip_prefix("calls=")?.parse::<u64>().ok())
        .sum();
    assert_eq!(calls, 1, "{cost:?}");
}

/// Two skeys in two places, as one request.
fn with_two(first: (&str, &str), second: (&str, &str)) -> Option<Request> {
    let mut places = [first, second];
    // The request with a body comes first: the other place is added to it.
    places.sort_by_key(|(place, _)| !matches!(*place, "form" | "json"));
    let [(place, value), (other, another)] = places;
    let (cookie, bearer) = (format!("sid={another}"), format!("Bearer {another}"));
    Some(match (place, other) {
        ("form", "form") => Request::post_form("/a", &format!("skey={value}&skey={another}")),
        ("form", "query") => {
            Request::post_form(&format!("/a?skey={another}"), &format!("skey={value}"))
        }
        ("json", "query") => {
            Request::post_json(&format!("/a?skey={another}"), &json!({ "skey": value }))
        }
        ("query", "query") => Request::get(&format!("/a?skey={value}&skey={another}")),
        (_, "query") => return with_two(second, first),
        ("cookie", "cookie") => {
            Request::get("/a").header("Cookie", &format!("sid={value}; b=1; sid={another}"))
        }
        (_, "header") => with(place, value)?.header("skey", another),
        (_, "bearer") => with(place, value)?.header("Authorization", &bearer),
        (_, "cookie") => with(place, value)?.header("Cookie", &cookie),
        // A body has one type.
        _ => return None,
    })
}

#[tokio::test]
async fn two_skeys_are_one_user_or_refused_wherever_they_stand() {
    let mut stack = Stack::start(Setup::new().routes(EVERYWHERE)).await;
    let (ann, bob) = (stack.login("ann").await, stack.login("bob").await);
    let openid = stack.wechat.openid(crate::support::setup::APP.0, "ann");
    let mut pairs = 0;
    for (number, place) in PLACES.into_iter().enumerate() {
        for other in PLACES.into_iter().skip(number) {
            let Some(twice) = with_two((place, &ann), (other, &ann)) else {
                continue;
            };
            let different = with_two((place, &ann), (other, &bob)).expect("a request");
            let garbage = with_two((place, &ann), (other, "not-an-skey")).expect("a request");

            let answer = stack.send(twice).await;
            assert_eq!(answer.status, 200, "{place} {other}: {}", answer.text());
            reset_commands(&mut stack).await;
            let refused = stack.send(different).await;
            assert_eq!(
                commands(&mut stack).await,
                BTreeMap::new(),
                "{place} {other}"
            );
            let tolerated = stack.send(garbage).await;

            assert_eq!(
                (refused.status, refused.error()),
                (400, Some("conflicting_skeys")),
                "{place} {other}"
            );
            // A malformed skey belongs to no user.
            assert_eq!(
                tolerated.status,
                200,
                "{place} {other}: {}",
                tolerated.text()
            );
            for _ in 0..2 {
                let seen = stack.upstream.request().await;
                assert_eq!(seen.head.headers.get("x-openid"), Some(openid.as_str()));
                let all = [seen.head.raw, seen.body].concat();
                assert!(
                    !String::from_utf8_lossy(&all).contains(&ann),
                    "{place} {other}"
                );
            }
            pairs += 1;
        }
    }
    assert_eq!(pairs, 19);
    assert_eq!(stack.upstream.requests(), 2 * pairs);
}

#[tokio::test]
async fn a_json_body_with_the_field_twice_is_not_authenticated() {
    let stack = Stack::start(Setup::new().routes(EVERYWHERE)).await;
    let ann = stack.login("ann").await;
    let body = format!("{{\"skey\":\"{ann}\",\"skey\":\"{ann}\"}}");
    let request = Request::new("POST", "/a")
        .header("Content-Type", "application/json")
        .body(body);

    let answer = stack.send(request).await;

    assert_eq!((answer.status, answer.error()), (400, Some("bad_request")));
    assert_eq!(answer.json()["errcode"], Value::from(400));
    assert_eq!(stack.upstream.requests(), 0);
}
