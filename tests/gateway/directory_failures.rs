//! `users.store = "webhook"`, when the operator's service is away, slow, or responds with invalid
//! data.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::directory_webhook::{AWAY, json_response, refusal, setup};
use crate::support::client::Request;
use crate::support::process::GatewayProcess;
use crate::support::service::SECRET;
use crate::support::setup::login_request;
use crate::support::steps::{Answer, Step};
use crate::support::upstream::RecordingUpstream;

/// Faults of the service, and their log lines.
fn wrong_answers(elsewhere: &str) -> Vec<(Answer, &'static str)> {
    let json = |text: &str| {
        let length = text.len();
        Answer::raw(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}"
        ))
    };
    let many: Vec<String> = (0..17).map(|number| format!("\"c{number}\":1")).collect();
    vec![
        (
            Answer::text(500, "hush-hush"),
            "returned 500 instead of 200",
        ),
        (Answer::text(204, ""), "returned 204 instead of 200"),
        (
            Answer::text(401, "hush-hush"),
            "returned 401; check that it has the same secret and a correct clock",
        ),
        (
            Answer::raw(format!(
                "HTTP/1.1 307 Over\r\nLocation: {elsewhere}/hush-hush\r\nContent-Length: 0\r\n\r\n"
            )),
            "returned 307; redirects are not followed",
        ),
        (json("<b>hush-hush"), "the response is not JSON"),
        (json("{}"), "the response has no `user_id`"),
        (
            json(r#"{"user_id":"hush hush"}"#),
            "`user_id` is not 1 to 64 visible ASCII characters",
        ),
        (
            json(r#"{"user_id":1,"claims":{"Role":"hush-hush"}}"#),
            "the name of a claim is not 1 to 32 small letters",
        ),
        (
            json(r#"{"user_id":1,"claims":{"role":["hush-hush"]}}"#),
            "claim `role` is no text, number, true or false",
        ),
        (
            json(&format!(
                r#"{{"user_id":1,"claims":{{{}}}}}"#,
                many.join(",")
            )),
            "there are more than 16 claims",
        ),
        (
            json(&format!(
                r#"{{"user_id":1,"more":"{}"}}"#,
                "x".repeat(65_536)
            )),
            "the response is larger than 64 KiB",
        ),
        (
            Answer::raw("no http at all\r\n\r\n").then(Step::Close),
            "the connection broke",
        ),
        (
            Answer(vec![Step::ReadBody, Step::Close]),
            "the connection broke",
        ),
        (
            Answer(vec![Step::ReadBody, Step::Reset]),
            "the connection broke",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_lookup_response_is_logged_without_values_and_refuses_the_login() {
    let mut service = RecordingUpstream::start().await;
    let parts = setup(&service.url())
        .table("log", "level = \"trace\"\nformat = \"json\"")
        .start()
        .await;
    let mut gateway = GatewayProcess::start(&parts.toml).await;
    service.next(json_response(
        &json!({ "user_id": 1, "claims": { "role": "hush-hush" } }),
    ));
    let skey = parts.skey(gateway.address, "ann").await;
    service.request().await;
    let wrong = wrong_answers(&parts.upstream.url());
    let mut expected = Vec::new();

    for (answer, words) in wrong {
        service.next(answer);
        let refused = login_request(&parts.code("ann"))
            .send(gateway.address)
            .await;
        assert_eq!(refusal(&refused), AWAY, "{words}");
        assert!(!refused.text().contains("hush"), "{}", refused.text());
        // Once: a sent request is not repeated.
        service.request().await;
        expected.push(words);
    }
    service.next(json_response(&json!({ "deny": "hush-hush-of-the-reason" })));
    let denied = parts.log_in(gateway.address, "ann").await;
    assert_eq!(refusal(&denied), (403, Some("login_denied")));
    service.refuse().await;
    let refused = parts.log_in(gateway.address, "ann").await;
    assert_eq!(refusal(&refused), AWAY);
    expected.push("no connection: Connection refused");
    let get = Request::get("/x").header("skey", &skey);
    assert_eq!(get.send(gateway.address).await.status, 200);
    service.listen().await;
    service.next(json_response(&json!({ "user_id": 1 })));
    assert_eq!(parts.log_in(gateway.address, "ann").await.status, 200);

    gateway.program.signal("TERM");
    gateway.program.exit().await;
    let log = gateway.program.output().await;
    let address = format!("users.webhook at {}: ", service.url());
    for words in &expected {
        let line = format!("{address}{words}");
        assert!(log.contains(&line), "{line}\n{log}");
    }
    assert_eq!(service.requests(), expected.len() - 1 + 3);
    // Where the redirect led.
    assert_eq!(parts.upstream.requests(), 1);
    // The reason of a denial, once, at debug; nothing else that the service said, nor where on it
    // we asked.
    let reasons: Vec<&str> = log.lines().filter(|line| line.contains("hush")).collect();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(reasons[0].contains("\"DEBUG\"") && reasons[0].contains("hush-hush-of-the-reason"));
    for secret in [SECRET, "/who", "v1="] {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_slow_service_refuses_logins_within_its_timeout_and_leaves_sessions_alone() {
    let mut service = RecordingUpstream::start().await;
    let setup = setup(&service.url());
    let parts = setup.start().await;
    let toml = parts
        .toml
        .replace("timeout = \"4s\"", "timeout = \"300ms\"");
    let gateway = GatewayProcess::start(&toml).await;
    service.next(json_response(&json!({ "user_id": 1 })));
    let skey = parts.skey(gateway.address, "ann").await;
    service.request().await;

    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"user_id\":";
    for answer in [
        Answer(vec![Step::ReadBody, Step::Hang]),
        Answer::raw(head).then(Step::Hang),
    ] {
        service.next(answer);
        let began = Instant::now();
        let refused = parts.log_in(gateway.address, "ann").await;
        assert_eq!(refusal(&refused), AWAY);
        assert!(began.elapsed() >= Duration::from_millis(300));
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "{:?}",
            began.elapsed()
        );
        service.request().await;
        let get = Request::get("/x").header("skey", &skey);
        assert_eq!(get.send(gateway.address).await.status, 200);
    }
    assert_eq!(service.requests(), 3);
}
