//! A forged identity never arrives: the forwarded header list is compared with that of an honest
//! request of the same user.

use http::Request as H2Request;

use crate::support::client::{Client, Request};
use crate::support::fields::Fields;
use crate::support::h2::H2Client;
use crate::support::setup::{APP, Setup};
use crate::support::stack::Stack;
use crate::support::steps::{Answer, chunk};

const ROUTES: &str = r#"
    [[routes]]
    path = "/*"
    upstream = "api"

    [[routes]]
    path = "/optional/*"
    upstream = "api"
    auth = "optional"

    [[routes]]
    path = "/off/*"
    upstream = "api"
    auth = "off"
"#;

const IDENTITY: [&str; 4] = ["x-openid", "x-user-id", "x-unionid", "x-wx-appid"];

/// Every identity header with every character that a header name may hold in place of its hyphens,
/// and in other letters.
fn spellings() -> Vec<String> {
    let mut spellings = Vec::new();
    for name in IDENTITY {
        spellings.push(name.to_owned());
        spellings.push(name.to_ascii_uppercase());
        for other in "!#$%&'*+.^_`|~".chars() {
            spellings.push(name.replace('-', &other.to_string()));
        }
    }
    spellings.extend(["X_User-Id", "X-Wx.Appid", "x.USER_id"].map(str::to_owned));
    spellings
}

/// The list without what differs between any two requests, sorted.
fn comparable(headers: &Fields) -> Vec<(String, String)> {
    let mut list: Vec<_> = headers
        .0
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .filter(|(name, _)| !matches!(name.as_str(), "x-request-id" | "traceparent"))
        .collect();
    list.sort();
    list
}

/// Sends the honest request and the forged one, and gives what arrived of each.
async fn both(
    stack: &mut Stack,
    honest: Request,
    forge: impl Fn(Request) -> Request,
) -> [Fields; 2] {
    let forged = forge(honest.clone());
    let mut arrived = Vec::new();
    for request in [honest, forged] {
        let answer = stack.send(request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        arrived.push(stack.upstream.request().await.head.headers);
    }
    arrived.try_into().expect("two")
}

fn forge_all(mut request: Request) -> Request {
    for name in spellings() {
        request = request.header(&name, "forged");
    }
    request
}

#[tokio::test]
async fn the_session_overrides_every_spelling_of_a_forged_identity() {
    let mut stack = Stack::start(Setup::new().routes(ROUTES)).await;
    let login = stack.log_in(stack.address(), "ann").await;
    let honest = Request::get("/a").header("skey", &login.field("skey"));

    let [honest, forged] = both(&mut stack, honest, forge_all).await;

    assert_eq!(comparable(&forged), comparable(&honest));
    let openid = stack.wechat.openid(APP.0, "ann");
    let user_id = login.field("user_id");
    assert_eq!(forged.get("x-openid"), Some(openid.as_str()));
    assert_eq!(forged.get("x-user-id"), Some(user_id.as_str()));
    assert_eq!(forged.get("x-wx-appid"), Some(APP.0));
    assert_eq!(forged.get("skey"), None);
}

#[tokio::test]
async fn a_doubled_header_does_not_survive() {
    let mut stack = Stack::start(Setup::new().routes(ROUTES)).await;
    let skey = stack.login("ann").await;
    let honest = Request::get("/a").header("skey", &skey);

    let forge = |request: Request| {
        request
            .header("X-Openid", "forged")
            .header("X-Openid", "forged too")
            .header("x-openid", "")
    };
    let [honest, forged] = both(&mut stack, honest, forge).await;

    assert_eq!(comparable(&forged), comparable(&honest));
}

#[tokio::test]
async fn connection_lines_cannot_remove_the_identity() {
    let mut stack = Stack::start(Setup::new().routes(ROUTES)).await;
    let skey = stack.login("ann").await;
    let honest = Request::get("/a").header("skey", &skey);

    let forge = |request: Request| {
        request
            .header("Connection", "keep-alive, X-Openid")
            .header("X-First", "1")
            .header(
                "Connection",
                "x-user-id, X-Unionid , x-WX-appid, X-First, X-Second",
            )
            .header("X-Second", "2")
            .header("Connection", "X-Forwarded-For, X-Request-Id")
    };
    let [honest, forged] = both(&mut stack, honest, forge).await;

    // X-First and X-Second, named by a second line, are gone as well.
    assert_eq!(comparable(&forged), comparable(&honest));
    assert_eq!(forged.names(), honest.names());
}

#[tokio::test]
async fn routes_without_auth_carry_no_identity() {
    let mut stack = Stack::start(Setup::new().routes(ROUTES)).await;
    let skey = stack.login("ann").await;

    for honest in [
        Request::get("/off/a"),
        Request::get("/off/a").header("skey", &skey),
        Request::get("/optional/a"),
        Request::get("/optional/a").header("skey", &"u".repeat(43)),
    ] {
        let [honest, forged] = both(&mut stack, honest, forge_all).await;
        assert_eq!(comparable(&forged), comparable(&honest));
        assert!(
            IDENTITY.iter().all(|name| forged.get(name).is_none()),
            "{forged:?}"
        );
    }
}

#[tokio::test]
async fn an_optional_route_carries_the_identity_of_logged_in_users_only() {
    let mut stack = Stack::start(Setup::new().routes(ROUTES)).await;
    let skey = stack.login("ann").await;
    let honest = Request::get("/optional/a").header("skey", &skey);

    let [honest, forged] = both(&mut stack, honest, forge_all).await;

    assert_eq!(comparable(&forged), comparable(&honest));
    let openid = stack.wechat.openid(APP.0, "ann");
    assert_eq!(forged.get("x-openid"), Some(openid.as_str()));
}

#[tokio::test]
async fn trailers_carry_no_identity() {
    let mut stack = Stack::start(Setup::new().routes(ROUTES)).await;
    let skey = stack.login("ann").await;
    let mut client = Client::connect(stack.address()).await;
    let head = format!(
        "POST /a HTTP/1.1\r\nHost: gateway.test\r\nskey: {skey}\r\nTransfer-Encoding: chunked\r\n\
         TE: trailers\r\nTrailer: X-Checksum, X-Openid\r\n\r\n"
    );
    client.write(head).await;
    client.write(chunk("body")).await;
    let mut trailers = "0\r\nX-Checksum: 1\r\n".to_owned();
    for name in spellings() {
        trailers += &format!("{name}: forged\r\n");
    }
    trailers += &format!("skey: {skey}\r\n\r\n");

    client.write(trailers).await;

    assert_eq!(client.response("POST").await.status, 200);
    let request = stack.upstream.request().await;
    assert_eq!(request.text(), "body");
    assert_eq!(request.trailers.names(), ["x-checksum"]);
}

#[tokio::test]
async fn a_websocket_upgrade_carries_the_true_identity() {
    let mut stack = Stack::start(Setup::new().routes(ROUTES)).await;
    stack.upstream.always(|_| Answer::echo_upgrade());
    let skey = stack.login("ann").await;
    let honest = Request::get("/socket")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("skey", &skey);
    let forged = forge_all(honest.clone()).header("Connection", "X-Openid");
    let mut arrived = Vec::new();

    for request in [honest, forged] {
        assert_eq!(stack.send(request).await.status, 101);
        arrived.push(stack.upstream.request().await.head.headers);
    }

    assert_eq!(comparable(&arrived[1]), comparable(&arrived[0]));
    let openid = stack.wechat.openid(APP.0, "ann");
    assert_eq!(arrived[1].get("x-openid"), Some(openid.as_str()));
}

#[tokio::test]
async fn http2_requests_are_cleaned_the_same_way() {
    let mut stack = Stack::start(Setup::new().routes(ROUTES)).await;
    let skey = stack.login("ann").await;
    let mut client = H2Client::connect(stack.address()).await;
    let honest = || {
        let url = format!("http://{}/a", "gateway.test");
        H2Request::get(url).header("skey", &skey)
    };
    let mut forged = honest();
    for name in spellings() {
        forged = forged.header(name, "forged");
    }
    let mut arrived = Vec::new();

    for request in [honest(), forged] {
        let request = request.body(bytes::Bytes::new()).expect("a request");
        assert_eq!(client.send(request).await.status(), 200);
        arrived.push(stack.upstream.request().await.head.headers);
    }

    assert_eq!(comparable(&arrived[1]), comparable(&arrived[0]));
}

#[tokio::test]
async fn other_headers_with_underscores_are_dropped_unless_kept() {
    let mut dropping = Stack::start(Setup::new()).await;
    let keep = Setup::new().table("server", "underscore_headers = \"keep\"");
    let mut keeping = Stack::start(keep).await;

    for (stack, expected) in [(&mut dropping, None), (&mut keeping, Some("1"))] {
        let skey = stack.login("ann").await;
        let request = Request::get("/a")
            .header("skey", &skey)
            .header("my_header", "1")
            .header("x_openid", "forged");
        stack.send(request).await;
        let headers = stack.upstream.request().await.head.headers;
        assert_eq!(headers.get("my_header"), expected);
        assert_eq!(headers.get("x_openid"), None);
    }
}
