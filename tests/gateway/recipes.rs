//! The three classic tutorials' gateways, as configuration alone, asked by their own clients'
//! requests.

use serde_json::json;

use crate::support::client::Request;
use crate::support::redis::Reply;
use crate::support::setup::Setup;
use crate::support::stack::Stack;

/// Seconds that the only session in Redis has left.
async fn ttl(stack: &mut Stack) -> i64 {
    let redis = stack.redis();
    let Reply::List(keys) = redis.command(&[b"KEYS", b"skeygate:s:*"]).await else {
        panic!("KEYS without a list");
    };
    let [Reply::Text(key)] = keys.as_slice() else {
        panic!("not one session: {keys:?}");
    };
    let Reply::Number(ttl) = redis.command(&[b"TTL", key]).await else {
        panic!("TTL without a number");
    };
    ttl
}

#[tokio::test]
async fn onlogin_gives_a_sessionid_for_two_hours() {
    let setup = Setup::new().table("session", "ttl = \"2h\"").routes(
        r#"
        [[login]]
        path = "/wx/onlogin"
        methods = ["GET"]
        style = "sessionid"
        code_from = ["query:code"]

        [[routes]]
        path = "/wx/*"
        upstream = "api"
        style = "sessionid"
        token_from = ["header:sessionid"]
        "#,
    );
    let mut stack = Stack::start(setup).await;

    let login = Request::get(&format!("/wx/onlogin?code={}", stack.code("ann")));
    let login = stack.send(login).await;
    let request = Request::get("/wx/orders").header("sessionid", &login.field("sessionid"));
    let answer = stack.send(request).await;
    let stranger = stack.send(Request::get("/wx/orders")).await;

    assert_eq!(answer.status, 200);
    let forwarded = stack.upstream.request().await;
    assert!(forwarded.head.headers.get("x-openid").is_some());
    assert_eq!(forwarded.head.headers.get("sessionid"), None);
    assert_eq!(stranger.status, 401);
    let ttl = ttl(&mut stack).await;
    assert!((7_000..=7_200).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn login_php_gives_a_token_that_comes_back_in_the_body() {
    let setup = Setup::new().table("session", "ttl = \"7d\"").routes(
        r#"
        [[login]]
        path = "/login.php"
        style = "token"
        code_from = ["form:code"]

        [[routes]]
        path = "/*"
        upstream = "api"
        style = "token"
        token_from = ["form:token", "json:token"]
        "#,
    );
    let mut stack = Stack::start(setup).await;

    let login = Request::post_form("/login.php", &format!("code={}", stack.code("ann")));
    let token = stack.send(login).await.field("token");
    let order = format!("item=caf%C3%A9+1&token={token}&note=a%26b");
    let answer = stack.send(Request::post_form("/order.php", &order)).await;
    assert_eq!(answer.status, 200);
    let form = stack.upstream.request().await;
    let order = Request::post_json("/order.php", &json!({ "item": 1, "token": token }));
    assert_eq!(stack.send(order).await.status, 200);
    let object = stack.upstream.request().await;
    let refusal = stack
        .send(Request::post_form("/order.php", "item=1&token=wrong"))
        .await;

    assert_eq!(form.text(), "item=caf%C3%A9+1&note=a%26b");
    let length = form.text().len().to_string();
    assert_eq!(
        form.head.headers.get("content-length"),
        Some(length.as_str())
    );
    assert!(form.head.headers.get("x-openid").is_some());
    let object: serde_json::Value = serde_json::from_str(&object.text()).expect("JSON");
    assert_eq!(object, json!({ "item": 1 }));
    assert_eq!(refusal.status, 401);
    assert_eq!(refusal.json()["errcode"], 40001);
    let ttl = ttl(&mut stack).await;
    assert!((604_000..=604_800).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn an_skey_is_found_in_header_query_and_body_and_goes_no_further() {
    let setup = Setup::new().routes(
        r#"
        [[routes]]
        path = "/*"
        upstream = "api"
        token_from = ["header:skey", "query:skey", "form:skey", "json:skey"]
        "#,
    );
    let mut stack = Stack::start(setup).await;
    let skey = stack.login("ann").await;
    let ways = [
        Request::get("/a?x=%7e&y=+").header("skey", &skey),
        Request::get(&format!("/a?x=%7e&skey={skey}&y=+")),
        Request::post_form("/a?x=%7e&y=+", &format!("skey={skey}&b=2")),
        Request::post_json("/a?x=%7e&y=+", &json!({ "skey": skey, "b": 2 })),
    ];

    for way in ways {
        let answer = stack.send(way.clone()).await;
        assert_eq!(answer.status, 200, "{way:?}: {}", answer.text());
        let forwarded = stack.upstream.request().await;
        // The rest of the query stays byte for byte.
        assert_eq!(forwarded.head.target(), "/a?x=%7e&y=+");
        assert!(forwarded.head.headers.get("x-openid").is_some());
        let all = format!("{forwarded:?}");
        assert!(!all.contains(&skey), "{all}");
    }
}

#[tokio::test]
async fn two_different_skeys_in_one_request_are_refused() {
    let setup = Setup::new().routes(
        r#"
        [[routes]]
        path = "/*"
        upstream = "api"
        token_from = ["header:skey", "query:skey"]
        "#,
    );
    let stack = Stack::start(setup).await;
    let (ann, bob) = (stack.login("ann").await, stack.login("bob").await);

    let both = Request::get(&format!("/a?skey={bob}")).header("skey", &ann);
    let same = Request::get(&format!("/a?skey={ann}")).header("skey", &ann);
    let both = stack.send(both).await;

    assert_eq!(
        (both.status, both.error()),
        (400, Some("conflicting_skeys"))
    );
    assert_eq!(stack.send(same).await.status, 200);
}
