//! Keys of gateway.toml without a test file of their own: each works as docs/CONFIGURATION.md says.

use crate::support::client::Request;
use crate::support::setup::Setup;
use crate::support::stack::Stack;
use crate::support::steps::Answer;

fn route(keys: &str) -> Setup {
    let route = format!("[[routes]]\npath = \"/*\"\nupstream = \"api\"\nauth = \"off\"\n{keys}\n");
    Setup::new().memory().routes(&route)
}

#[tokio::test]
async fn unix_sockets_carry_requests_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("gateway.sock");
    let mut behind = Stack::start(route("").socket(&socket)).await;
    let before = Stack::start(route("").upstream(&format!("unix:{}", socket.display()))).await;

    let answer = before.send(Request::get("/a?b=c")).await;

    assert_eq!(answer.status, 200);
    let forwarded = behind.upstream.request().await.head;
    assert_eq!(forwarded.start, "GET /a?b=c HTTP/1.1");
    // A peer on a Unix socket has no address, and is not trusted to state another one.
    assert_eq!(forwarded.headers.get("x-forwarded-for"), None);
}

#[tokio::test]
async fn a_raw_path_is_forwarded_as_it_came() {
    let mut stack = Stack::start(route("").table("server", "path_policy = \"raw\"")).await;

    let answer = stack.send(Request::get("/a//%2e%2e/b;x%2fy?q=%zz")).await;

    assert_eq!(answer.status, 200);
    let forwarded = stack.upstream.request().await.head;
    assert_eq!(forwarded.start, "GET /a//%2e%2e/b;x%2fy?q=%zz HTTP/1.1");
}

#[tokio::test]
async fn a_route_lets_through_the_encoded_bytes_it_names_and_no_others() {
    let mut stack = Stack::start(route("allow_encoded = [\"/\"]")).await;

    let slash = stack.send(Request::get("/a%2fb")).await;
    let percent = stack.send(Request::get("/a%25b")).await;

    assert_eq!((slash.status, percent.status), (200, 400));
    assert_eq!(percent.error(), Some("ambiguous_path"));
    let forwarded = stack.upstream.request().await.head;
    assert_eq!(forwarded.start, "GET /a%2Fb HTTP/1.1");
}

#[tokio::test]
async fn the_cloud_run_preset_sends_the_headers_of_the_platform() {
    let setup = Setup::new().memory();
    let mut stack = Stack::start(setup.table("identity", "preset = \"wxcloudrun\"")).await;
    let skey = stack.login("ann").await;
    let request = Request::get("/a").header("skey", &skey);

    stack
        .send(
            request
                .header("X-WX-OPENID", "forged")
                .header("X-WX-FROM-OPENID", "forged"),
        )
        .await;

    let headers = stack.upstream.request().await.head.headers;
    assert_eq!(headers.all("x-wx-openid"), headers.all("x-openid"));
    assert_eq!(headers.all("x-wx-openid").len(), 1);
    assert_ne!(headers.get("x-wx-openid"), Some("forged"));
    assert_eq!(headers.get("x-wx-source"), Some("wx_client"));
    assert!(headers.get("x-wx-appid").is_some() && headers.get("x-wx-unionid").is_some());
    assert_eq!(headers.get("x-wx-from-openid"), None);
}

#[tokio::test]
async fn the_host_is_the_clients_the_upstreams_or_a_fixed_one() {
    for (host, expected) in [
        ("preserve", Some("gateway.test")),
        ("upstream", None),
        ("inside.example", Some("inside.example")),
    ] {
        let keys = format!("host = \"{host}\"");
        let mut stack = Stack::start(route("").table("upstreams.api", &keys)).await;

        stack.send(Request::get("/a")).await;

        let own = stack.upstream.address().to_string();
        let forwarded = stack.upstream.request().await.head;
        assert_eq!(
            forwarded.headers.get("host"),
            Some(expected.unwrap_or(&own))
        );
        assert_eq!(
            forwarded.headers.get("x-forwarded-host"),
            Some("gateway.test")
        );
    }
}

#[tokio::test]
async fn header_rules_change_requests_and_responses() {
    let rules = "request_headers = { set = { \"X-Added\" = \"1\" }, remove = [\"X-Gone\"] }\n\
                 response_headers = { set = { \"X-Frame-Options\" = \"DENY\" }, remove = [\"X-Powered-By\"] }";
    let mut stack = Stack::start(route(rules)).await;
    stack.upstream.next(Answer::raw(
        "HTTP/1.1 200 OK\r\nX-Powered-By: PHP\r\nContent-Length: 0\r\n\r\n",
    ));
    let request = Request::get("/a").header("X-Gone", "1");

    let answer = stack.send(request.header("X-Added", "the client's")).await;

    let forwarded = stack.upstream.request().await.head.headers;
    assert_eq!(forwarded.all("x-added"), ["1"]);
    assert_eq!(forwarded.get("x-gone"), None);
    assert_eq!(answer.headers.get("x-frame-options"), Some("DENY"));
    assert_eq!(answer.headers.get("x-powered-by"), None);
}
