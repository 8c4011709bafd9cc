//! Real services behind the gateway read the identity as their own documentation says.

use serde_json::Value;

use crate::support::backend::Backend;
use crate::support::client::{Request, Response};
use crate::support::setup::{APP, Setup};
use crate::support::stack::Stack;

/// Logs in and calls the backend, with and without forged identity headers.
async fn ask(backend: &Backend) -> (Stack, Response, String) {
    let stack = Stack::start(Setup::new().upstream(&backend.url())).await;
    let login = stack.log_in(stack.address(), "ann").await;
    let request = Request::post_form("/orders/7?page=2", "item=tea")
        .header("skey", &login.field("skey"))
        .header("X-Openid", "forged")
        .header("X_Openid", "forged")
        .header("X.User.Id", "forged");
    let answer = stack.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let user_id = login.field("user_id");
    (stack, answer, user_id)
}

#[tokio::test]
async fn php_reads_the_caller_from_server_variables() {
    let backend = Backend::php().await;

    let (stack, answer, user_id) = ask(&backend).await;

    let told = answer.json();
    let server = &told["server"];
    assert_eq!(server["HTTP_X_OPENID"], stack.wechat.openid(APP.0, "ann"));
    assert_eq!(server["HTTP_X_USER_ID"], user_id);
    assert_eq!(server["HTTP_X_WX_APPID"], APP.0);
    assert_eq!(server["HTTP_SKEY"], Value::Null);
    assert_eq!(server["REQUEST_URI"], "/orders/7?page=2");
    assert_eq!(server["HTTP_HOST"], "gateway.test");
    assert_eq!(told["post"]["item"], "tea");
    assert!(!answer.text().contains("forged"), "{}", answer.text());
}

#[tokio::test]
async fn node_reads_the_caller_from_headers() {
    let backend = Backend::node().await;

    let (stack, answer, user_id) = ask(&backend).await;

    let told = answer.json();
    let raw: Vec<&str> = told["rawHeaders"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let all = |wanted: &str| -> Vec<&str> {
        raw.chunks(2)
            .filter(|field| field[0].eq_ignore_ascii_case(wanted))
            .map(|field| field[1])
            .collect()
    };
    assert_eq!(all("x-openid"), [stack.wechat.openid(APP.0, "ann")]);
    assert_eq!(all("x-user-id"), [user_id]);
    assert_eq!(all("x-wx-appid"), [APP.0]);
    assert!(all("skey").is_empty(), "{raw:?}");
    assert_eq!(told["url"], "/orders/7?page=2");
    assert_eq!(told["body"], "item=tea");
    assert!(!answer.text().contains("forged"), "{}", answer.text());
}

#[tokio::test]
async fn nginx_reads_the_caller_from_variables() {
    let backend = Backend::nginx().await;

    let (stack, answer, user_id) = ask(&backend).await;

    let told = answer.json();
    assert_eq!(told["x_openid"], stack.wechat.openid(APP.0, "ann"));
    assert_eq!(told["x_user_id"], user_id);
    assert_eq!(told["skey"], "");
    assert_eq!(told["uri"], "/orders/7?page=2");
}

#[tokio::test]
async fn a_refused_caller_reaches_no_backend() {
    let backend = Backend::php().await;
    let stack = Stack::start(Setup::new().upstream(&backend.url())).await;

    let answer = stack.send(Request::get("/orders/7")).await;

    assert_eq!(
        (answer.status, answer.error()),
        (401, Some("not_logged_in"))
    );
}

#[tokio::test]
async fn a_hundred_requests_to_a_real_node_share_connections_and_none_fails() {
    let backend = Backend::node().await;
    let stack = Stack::start(Setup::new().upstream(&backend.url())).await;
    let skey = stack.login("ann").await;

    for _ in 0..100 {
        assert_eq!(stack.get("/x", &skey).await.status, 200);
    }
}
