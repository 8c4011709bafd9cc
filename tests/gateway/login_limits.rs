//! Limits of logins, logout and me.

use serde_json::json;

use crate::rate_limits::{limit_status, trusting};
use crate::support::client::{Client, Request};
use crate::support::process::GatewayProcess;
use crate::support::setup::{Setup, login_request};
use crate::support::stack::Stack;

const LOGINS: &str = "[[login]]\nrate_limit = { per_address = \"1/h\" }\n\
    [[login]]\npath = \"/free\"\nrate_limit = \"none\"\n[[routes]]\npath = \"/*\"\nupstream = \"api\"\n";

#[tokio::test]
async fn a_refused_login_spends_no_code() {
    let stack = Stack::start(trusting(Setup::new().memory().routes(LOGINS))).await;
    let login = |path: &str, code: &str| {
        Request::post_json(path, &json!({ "code": code })).header("X-Forwarded-For", "192.0.2.1")
    };
    let code = stack.code("ann");
    assert_eq!(
        stack.send(login("/login", &stack.code("bob"))).await.status,
        200
    );

    let refused = stack.send(login("/login", &code)).await;

    assert_eq!(
        (refused.status, refused.error()),
        (429, Some("rate_limited"))
    );
    assert_eq!(limit_status(&refused), Some([1, 0]));
    assert_eq!(stack.exchanges(), 1);
    let elsewhere = login_request(&code).header("X-Forwarded-For", "192.0.2.2");
    assert_eq!(stack.send(elsewhere).await.status, 200);
    // A login without a limit.
    let free = stack.send(login("/free", &stack.code("cat"))).await;
    assert_eq!((free.status, limit_status(&free)), (200, None));
}

#[tokio::test]
async fn a_login_is_refused_before_its_body_is_read() {
    let stack = Stack::start(Setup::new().memory().routes(LOGINS)).await;
    stack.login("ann").await;
    let mut client = Client::connect(stack.address()).await;

    client
        .write("POST /login HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 30\r\n\r\n")
        .await;

    assert_eq!(client.response("POST").await.status, 429);
}

#[tokio::test]
async fn logins_are_limited_by_default_and_logout_and_me_apart_from_them() {
    let stack = Stack::start(Setup::new().memory().default_login()).await;
    let login = stack.log_in(stack.address(), "ann").await;
    let skey = login.field("skey");

    let me = stack.get("/_gateway/me", &skey).await;
    let logout = Request::new("POST", "/_gateway/logout").header("skey", &skey);
    let logout = stack.send(logout).await;
    let again = stack.log_in(stack.address(), "bob").await;

    assert_eq!(limit_status(&login), Some([200, 199]));
    assert_eq!(limit_status(&me), Some([200, 199]));
    assert!(
        matches!(limit_status(&logout), Some([200, 198 | 199])),
        "{logout:?}"
    );
    assert!(
        matches!(limit_status(&again), Some([200, 198 | 199])),
        "{again:?}"
    );
}

#[tokio::test]
async fn logout_and_me_are_refused_as_the_first_login_would_be() {
    let stack = Stack::start(Setup::new().memory().routes(LOGINS)).await;
    let skey = stack.login("ann").await;

    assert_eq!(stack.get("/_gateway/me", &skey).await.status, 200);
    let refused = stack.get("/_gateway/me", &skey).await;

    assert_eq!(
        (refused.status, refused.error()),
        (429, Some("rate_limited"))
    );
    assert_eq!(stack.get("/a", &skey).await.status, 200);
}

/// Sends this many logins without a code, which cost nothing; gives the log.
async fn log_of_logins(setup: Setup, forwarded_for: &[&str]) -> String {
    let parts = setup.start().await;
    let mut gateway = GatewayProcess::start(&parts.toml).await;
    let mut client = Client::connect(gateway.address).await;
    for address in forwarded_for {
        let login = Request::new("POST", "/login").header("X-Forwarded-For", address);
        let answer = client.exchange(&login).await;
        assert_eq!(answer.error(), Some("login_code_missing"));
    }
    gateway.program.signal("TERM");
    gateway.program.output().await
}

/// The lines that ask about a proxy in front.
fn questions(log: &str) -> Vec<&str> {
    let asks = |line: &&str| line.contains("server.trusted_proxies");
    log.lines().filter(asks).collect()
}

#[tokio::test]
async fn a_hundred_logins_from_one_private_address_raise_the_question_of_a_proxy_once() {
    let log = log_of_logins(Setup::new().memory().default_login(), &["192.0.2.1"; 150]).await;

    let asked = questions(&log);
    assert_eq!(asked.len(), 1, "{log}");
    assert!(asked[0].contains("\"level\":\"WARN\""), "{}", asked[0]);
    assert!(asked[0].contains("127.0.0.1"), "{}", asked[0]);
}

#[tokio::test]
async fn nothing_is_asked_after_a_few_logins_or_where_the_proxy_is_named() {
    let few = log_of_logins(Setup::new().memory().default_login(), &["192.0.2.1"; 99]).await;
    let named = log_of_logins(
        trusting(Setup::new().memory().default_login()),
        &["10.0.0.1"; 150],
    )
    .await;

    assert_eq!(questions(&few), [] as [&str; 0]);
    assert_eq!(questions(&named), [] as [&str; 0]);
}
