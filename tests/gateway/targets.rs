//! Request targets: a path, alone or in a URL, is forwarded in its one spelling; any other form
//! reaches no upstream; a query is forwarded byte for byte and never affects routing.

use crate::support::client::{Client, Response};
use crate::support::h2::{RawAnswer, raw_request};
use crate::support::setup::Setup;
use crate::support::stack::Stack;

const ROUTES: &str = r#"
    [[routes]]
    path = "/*"
    upstream = "api"
    auth = "off"
    [[routes]]
    path = "/admin/*"
    upstream = "api"
"#;

async fn stack() -> Stack {
    Stack::start(Setup::new().memory().routes(ROUTES)).await
}

/// Sends a request line as it is, with a host and the end of the connection.
async fn send(stack: &Stack, line: impl AsRef<[u8]>) -> Response {
    let mut client = Client::connect(stack.address()).await;
    let rest = b"\r\nHost: gateway.test\r\nConnection: close\r\n\r\n";
    client.write([line.as_ref(), rest].concat()).await;
    client.response("GET").await
}

#[tokio::test]
async fn a_path_is_forwarded_in_its_one_spelling_alone_or_in_a_url() {
    let mut stack = stack().await;
    for (target, forwarded) in [
        ("/", "/"),
        ("/a/b?c=d", "/a/b?c=d"),
        ("//a///b//", "/a/b/"),
        ("//other.test/a", "/other.test/a"),
        ("/%61%2Db/%7e", "/a-b/~"),
        ("/caf%c3%a9/\"x\"", "/caf%C3%A9/%22x%22"),
        ("/a=b&c,d:e@f!$'()*+", "/a=b&c,d:e@f!$'()*+"),
        ("/.well-known/x", "/.well-known/x"),
        ("/http://other.test/a", "/http:/other.test/a"),
        ("http://gateway.test/a?b", "/a?b"),
        ("HTTP://GATEWAY.test:80//a", "/a"),
        ("http://gateway.test", "/"),
        ("http://gateway.test?b", "/?b"),
    ] {
        let answer = send(&stack, &format!("GET {target} HTTP/1.1")).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        let head = stack.upstream.request().await.head;
        assert_eq!(head.target(), forwarded, "{target}");
        assert_eq!(head.headers.get("host"), Some("gateway.test"), "{target}");
    }
}

#[tokio::test]
async fn invalid_targets_reach_no_upstream() {
    let stack = stack().await;
    for (line, status) in [
        ("OPTIONS * HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("GET gateway.test HTTP/1.1", 400),
        ("GET gateway.test:80 HTTP/1.1", 400),
        ("POST gateway.test:80 HTTP/1.1", 400),
        ("CONNECT gateway.test:80 HTTP/1.1", 405),
        ("CONNECT /a HTTP/1.1", 405),
        ("CONNECT http://gateway.test/a HTTP/1.1", 405),
        ("GET ftp://gateway.test/a HTTP/1.1", 400),
        ("GET ws://gateway.test/a HTTP/1.1", 400),
        ("GET file:///etc/passwd HTTP/1.1", 400),
        ("GET unix:/a HTTP/1.1", 400),
        ("GET javascript:x HTTP/1.1", 400),
        ("GET http:///a HTTP/1.1", 400),
        ("GET http:/a HTTP/1.1", 400),
        ("GET http://u:p@gateway.test/a HTTP/1.1", 400),
        ("GET http://gateway.test@other.test/a HTTP/1.1", 400),
        ("GET http://gateway.test:99999/a HTTP/1.1", 400),
        ("GET http://gateway.test:/a HTTP/1.1", 400),
        ("GET http://gateway.test\\@other.test/a HTTP/1.1", 400),
        ("GET http://other.test/a HTTP/1.1", 400),
        ("GET https://gateway.test:80/a HTTP/1.1", 400),
        ("GET a HTTP/1.1", 400),
        ("GET a/b HTTP/1.1", 400),
        ("GET ../a HTTP/1.1", 400),
        ("GET ?a HTTP/1.1", 400),
        ("GET #a HTTP/1.1", 400),
        ("GET \\a HTTP/1.1", 400),
        ("GET %2fa HTTP/1.1", 400),
    ] {
        let answer = send(&stack, line).await;
        assert_eq!(answer.status, status, "{line}: {}", answer.text());
    }
    assert_eq!(stack.upstream.requests(), 0);
}

#[tokio::test]
async fn targets_without_a_canonical_path_reach_no_upstream() {
    let stack = stack().await;
    for target in [
        "/a/../b",
        "/..",
        "/.",
        "/a/%2e%2E/b",
        "/a/.%2e",
        "/a%2Fb",
        "/a%2fb",
        "/a%5Cb",
        "/a\\b",
        "/a;b",
        "/a%3Bb",
        "/a%3fb",
        "/a%23b",
        "/a%00",
        "/a%0A",
        "/a%0d%0aX:y",
        "/a%1b",
        "/a%7F",
        "/a%25b",
        "/a%",
        "/a%4",
        "/a%zz",
        "/a%u0041",
        "/%c0%ae",
        "/%ff",
        "/%ed%a0%80",
        "/%f4%90%80%80",
        "/\u{7f}",
    ] {
        let answer = send(&stack, &format!("GET {target} HTTP/1.1")).await;
        assert_eq!(answer.status, 400, "{target}: {}", answer.text());
        assert!(!answer.text().contains("%"), "reflected: {}", answer.text());
    }
    assert_eq!(stack.upstream.requests(), 0);
}

#[tokio::test]
async fn a_fragment_reaches_no_upstream() {
    let stack = stack().await;
    for target in [
        "/a#b",
        "/a#/../admin/x",
        "/a?b#c",
        "http://gateway.test/a#b",
        "/admin/x#/../../a",
    ] {
        let answer = send(&stack, &format!("GET {target} HTTP/1.1")).await;
        assert_eq!(answer.status, 400, "{target}");
    }
    assert_eq!(stack.upstream.requests(), 0);
}

#[tokio::test]
async fn a_query_is_forwarded_byte_for_byte_and_routes_nothing() {
    let mut stack = stack().await;
    for query in [
        "",
        "a=b",
        "a=b&a=c&&=&",
        "?",
        "/admin/x",
        "/../../admin/x",
        "a=%2e%2e%2f%5c%00%0d%0a",
        "a=%zz%",
        "a=b;c=d",
        "a[]=1&a[b]=2",
        "{'a':'b|c^d`e'}",
        "url=http://other.test/a?b=c",
        "\\",
        "~!$'()*+,:@",
        "%E4%BD%A0",
        "a=\u{4f60}\u{597d}",
    ] {
        let answer = send(&stack, &format!("GET /a?{query} HTTP/1.1")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let head = stack.upstream.request().await.head;
        let told = String::from_utf8(head.raw).expect("UTF-8");
        assert!(
            told.starts_with(&format!("GET /a?{query} HTTP/1.1\r\n")),
            "{told}"
        );
        let answer = send(&stack, &format!("GET /admin/x?{query} HTTP/1.1")).await;
        assert_eq!(answer.status, 401, "{query}: {}", answer.text());
    }
}

#[tokio::test]
async fn invalid_query_bytes_are_refused() {
    let stack = stack().await;
    for query in [
        b"\0".as_slice(),
        b"\x01",
        b"\t",
        b"\x0b",
        b"\x1b[31m",
        b"\x7f",
        b"a b",
        b" ",
        b"\"",
        b"<",
        b">",
        // Not UTF-8, as of GBK; such texts have to be percent-encoded.
        b"a=\xc4\xe3",
        b"\xff",
    ] {
        let line = [b"GET /a?".as_slice(), query, b" HTTP/1.1"].concat();
        let answer = send(&stack, line).await;
        assert_eq!(answer.status, 400, "{query:?}: {}", answer.text());
    }
    assert_eq!(stack.upstream.requests(), 0);
}

#[tokio::test]
async fn http2_paths_are_held_to_the_same() {
    let mut stack = stack().await;
    let address = stack.address();
    let ask = async |method: &str, scheme: &str, path: &str| {
        let fields = [
            (":method", method),
            (":scheme", scheme),
            (":path", path),
            (":authority", "gateway.test"),
        ];
        raw_request(address, &fields).await
    };
    for (method, scheme, path) in [
        ("GET", "http", "*"),
        ("OPTIONS", "http", "*"),
        ("GET", "http", "/a/../b"),
        ("GET", "http", "/a%2fb"),
        ("GET", "http", "/a\\b"),
        ("GET", "http", "/a;b"),
        ("GET", "ftp", "/a"),
    ] {
        let answer = ask(method, scheme, path).await;
        assert_eq!(
            answer,
            RawAnswer::Status(Some(400)),
            "{method} {scheme} {path}"
        );
    }
    for path in [
        "",
        "a",
        "http://gateway.test/a",
        "?a",
        "/a b",
        "/a\u{7f}",
        "\\a",
        "/a\r\nX: y",
    ] {
        let answer = ask("GET", "http", path).await;
        let refused = matches!(answer, RawAnswer::Reset | RawAnswer::Status(Some(400)));
        assert!(refused, "{path:?}: {answer:?}");
    }
    assert_eq!(stack.upstream.requests(), 0);
    for (scheme, path, forwarded) in [
        ("http", "//gateway.test/a", "/gateway.test/a"),
        ("https", "/%61?b", "/a?b"),
        ("http", "/a#/../admin/x", "/a"),
    ] {
        assert_eq!(
            ask("GET", scheme, path).await,
            RawAnswer::Status(Some(200)),
            "{path}"
        );
        assert_eq!(stack.upstream.request().await.head.target(), forwarded);
    }
}

#[tokio::test]
async fn under_raw_a_path_is_forwarded_as_it_came_and_rewritten_only_when_canonical() {
    let routes = r#"
        [[routes]]
        path = "/*"
        upstream = "api"
        auth = "off"
        [[routes]]
        path = "/cut/*"
        upstream = "api"
        auth = "off"
        strip_prefix = "/cut"
    "#;
    let setup = Setup::new().memory().routes(routes);
    let mut stack = Stack::start(setup.table("server", "path_policy = \"raw\"")).await;
    for target in [
        "/a/../b",
        "//a//b",
        "/a%2fb%2F",
        "/%61",
        "/a;b=c",
        "/a\\b",
        "/a%00",
        "/a%zz",
        "/caf%C3%a9",
        "/cutter",
    ] {
        let answer = send(&stack, &format!("GET {target}?q HTTP/1.1")).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        let head = stack.upstream.request().await.head;
        assert_eq!(head.target(), format!("{target}?q"));
    }
    let answer = send(&stack, "GET /cut/a HTTP/1.1").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(stack.upstream.request().await.head.target(), "/a");
    for target in [
        "/cut/../a",
        "/cut//a",
        "/cut/%61",
        "/cut/a%2f..",
        "*",
        "ftp://gateway.test/",
    ] {
        let answer = send(&stack, &format!("GET {target} HTTP/1.1")).await;
        assert_eq!(answer.status, 400, "{target}: {}", answer.text());
    }
    assert_eq!(stack.upstream.requests(), 11);
}
