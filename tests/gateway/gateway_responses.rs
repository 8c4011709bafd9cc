//! The gateway's own responses: the same few headers, JSON, no part of the request and no
//! internals, for every failure and in every style.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use skeygate::fake_wechat::{Endpoint, Fault};

use crate::support::client::{Client, Request, Response};
use crate::support::setup::{APP, Setup, login_request};
use crate::support::stack::Stack;
use crate::support::steps::{Answer, Step};

/// Marker in every hostile input.
const MARK: &str = "zq9mark";

const STYLES: [(&str, &str); 7] = [
    ("plain", "\"plain\""),
    ("token", "\"token\""),
    ("sessionid", "\"sessionid\""),
    ("wafer1", "\"wafer1\""),
    ("wafer2", "\"wafer2\""),
    ("errcode200", "\"errcode200\""),
    (
        "own",
        r#"{ login = '{"token":"{skey}"}', refusal_status = 200, refusal = '{"code":{errcode},"text":"{errmsg}","id":"{request_id}"}' }"#,
    ),
];

/// Logins and routes of every style, which fail in every way.
fn setup() -> Setup {
    let mut tables = String::new();
    for (name, style) in STYLES {
        tables += &format!(
            "[[login]]\npath = \"/{name}/login\"\nstyle = {style}\n\
             [[routes]]\npath = \"/{name}/*\"\nupstream = \"api\"\nstyle = {style}\nmax_body = \"1KiB\"\n\
             methods = [\"GET\", \"POST\"]\ntoken_from = [\"header:skey\", \"cookie:sid\", \"json:skey\"]\n\
             [[routes]]\npath = \"/{name}/open/*\"\nupstream = \"api\"\nstyle = {style}\nauth = \"off\"\n\
             [[routes]]\npath = \"/{name}/gone/*\"\nupstream = \"gone\"\nstyle = {style}\nauth = \"off\"\n"
        );
    }
    Setup::new()
        .table("upstreams.api", "retries = 0\nresponse_timeout = \"150ms\"")
        .table(
            "upstreams.gone",
            "servers = [\"http://127.0.0.1:9\"]\nretries = 0",
        )
        .table("server", "trusted_proxies = [\"127.0.0.0/8\"]")
        .table("redis", "timeout = \"1s\"")
        .routes(&tables)
}

/// Asserts that a response of the gateway holds only permitted content; gives its name.
fn assert_clean_refusal(answer: &Response, what: &str) -> String {
    let name = answer.error().unwrap_or_default().to_owned();
    let all = format!("{:?} {}", answer.headers, answer.text()).to_lowercase();
    for secret in [
        MARK,
        "script",
        "127.0.0.1",
        "redis:",
        "hyper",
        "panick",
        "src/",
        "tokio",
        ".rs",
        "wx0000",
        concat!("/", env!("CARGO_PKG_VERSION")),
        "x-powered-by",
        "gone",
        "\u{fffd}",
    ] {
        assert!(!all.contains(secret), "{what}: {secret} in {all}");
    }
    for name in answer.headers.names() {
        let usual = [
            "allow",
            "cache-control",
            "connection",
            "content-length",
            "content-type",
            "date",
            "ratelimit-limit",
            "ratelimit-remaining",
            "ratelimit-reset",
            "retry-after",
            "x-content-type-options",
            "x-gateway-error",
            "x-request-id",
        ];
        assert!(usual.contains(&name.as_str()), "{what}: {name}");
    }
    let header = |name| answer.headers.get(name);
    assert_eq!(
        header("content-type"),
        Some("application/json; charset=utf-8"),
        "{what}"
    );
    assert_eq!(header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(header("x-content-type-options"), Some("nosniff"), "{what}");
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert!(body.is_object(), "{what}: {body}");
    name
}

/// A request whose every part is hostile.
fn marked(method: &str, target: &str) -> Request {
    let script = format!("<script>{MARK}</script>");
    Request::new(method, target)
        .header("X-Forwarded-Host", &format!("{MARK}.test"))
        .header("X-Request-Id", &format!("\"{MARK}"))
        .header("User-Agent", &script)
        .header(
            "Referer",
            &format!("https://servicewechat.com/{MARK}/1/page.html"),
        )
        .header("X-Wx-App", MARK)
        .header("Accept", &format!("text/html;{MARK}"))
        .header("Origin", &format!("https://{MARK}.test"))
}

#[tokio::test]
async fn no_refusal_in_any_style_reflects_the_request_or_shows_internals() {
    let mut stack = Stack::start(setup()).await;
    let mut names = BTreeSet::new();
    for (style, _) in STYLES {
        let at = |rest: &str| format!("/{style}/{rest}{MARK}?{MARK}=%3Cscript%3E");
        let skey = format!("{MARK}{}", "k".repeat(36));
        let json = |body: &Value| {
            let request = marked("POST", &at("")).header("Content-Type", "application/json");
            request.body(body.to_string())
        };
        let requests = [
            marked("GET", &at("")),
            marked("GET", &at("")).header("skey", &skey),
            marked("GET", &at("")).header("skey", &format!("'{MARK}\"")),
            marked("GET", &at(""))
                .header("skey", &skey)
                .header("Cookie", &format!("sid={}", "z".repeat(43))),
            marked("PUT", &at("")),
            marked(&MARK.to_uppercase(), &at("")),
            marked("GET", &at("%2e%2e/")),
            marked("GET", &at("a;")),
            marked("GET", &at("%00")),
            marked("GET", &at("%ff")),
            marked("GET", &format!("/{MARK}/'\"{MARK}")),
            marked("GET", &format!("/_gateway/{MARK}")),
            marked("GET", &format!("/{style}/login?code={MARK}")),
            marked("GET", &at("gone/")),
            json(&json!([MARK])),
            json(&json!({ "a": MARK.repeat(300) })),
            marked("POST", &at("open/")).header("Content-Length", "007"),
            marked("POST", &format!("/{style}/login")),
            marked("POST", &format!("/{style}/login"))
                .body(format!("{{\"code\":{{\"{MARK}\":1}}}}")),
            marked("POST", &format!("/{style}/login"))
                .body(format!("{{\"code\":\"<script>{MARK}\"")),
            marked("POST", &format!("/{style}/login"))
                .body([MARK.as_bytes(), &[0xff, 0xc3]].concat()),
            marked("POST", &format!("/{style}/login")).body(MARK.repeat(5000)),
        ];
        for request in requests {
            let what = String::from_utf8_lossy(&request.bytes())
                .chars()
                .take(60)
                .collect::<String>();
            let answer = stack.send(request).await;
            assert_ne!(answer.error(), None, "{what}: {answer:?}");
            names.insert(assert_clean_refusal(&answer, &what));
        }
        for errcode in [40029, 40163, 40226, 45011, -1, 40125, 77] {
            // Asked three times, with pauses: once will do.
            if errcode == -1 && style != "plain" {
                continue;
            }
            let fault = Fault {
                errcode: Some(errcode),
                errmsg: Some(format!("{MARK}<script>")),
                times: 3,
                ..Fault::default()
            };
            stack.wechat.push_fault(Endpoint::Jscode2session, fault);
            let code = json!({ "code": format!("<script>{MARK}{style}{errcode}") });
            let answer = stack
                .send(Request::post_json(&format!("/{style}/login"), &code))
                .await;
            names.insert(assert_clean_refusal(&answer, &format!("{style} {errcode}")));
            stack.wechat.reset();
        }
        let fault = Fault {
            body: Some(format!("<html>{MARK}</html>")),
            times: 3,
            ..Fault::default()
        };
        stack.wechat.push_fault(Endpoint::Jscode2session, fault);
        let code = json!({ "code": format!("{MARK}{style}") });
        let answer = stack
            .send(Request::post_json(&format!("/{style}/login"), &code))
            .await;
        names.insert(assert_clean_refusal(&answer, style));
        stack.wechat.reset();
        for upstream in [
            Answer(vec![Step::ReadBody, Step::Close]),
            Answer::raw(format!("{MARK}\r\n\r\n")),
            Answer(vec![Step::ReadBody, Step::Hang]),
        ] {
            stack.upstream.next(upstream);
            let answer = stack.send(marked("GET", &at("open/"))).await;
            names.insert(assert_clean_refusal(&answer, style));
        }
    }
    stack.redis().pause();
    let asked = STYLES.map(|(style, _)| {
        let request = Request::get(&format!("/{style}/{MARK}")).header("skey", &"k".repeat(43));
        let to = stack.address();
        tokio::spawn(async move { request.send(to).await })
    });
    for answer in asked {
        names.insert(assert_clean_refusal(
            &answer.await.expect("an answer"),
            "without Redis",
        ));
    }
    stack.redis().resume();

    let expected = [
        "ambiguous_path",
        "bad_request",
        "body_too_large",
        "conflicting_skeys",
        "login_code_invalid",
        "login_code_missing",
        "login_code_used",
        "login_user_blocked",
        "method_not_allowed",
        "no_route",
        "not_logged_in",
        "rate_limited",
        "store_unavailable",
        "upstream_protocol",
        "upstream_refused",
        "upstream_reset",
        "upstream_timeout",
        "wechat_busy",
        "wechat_misconfigured",
        "wechat_unreachable",
    ];
    let missing: Vec<_> = expected
        .iter()
        .filter(|name| !names.contains(**name))
        .collect();
    assert!(missing.is_empty(), "not seen: {missing:?} in {names:?}");
}

#[tokio::test]
async fn hostile_hosts_are_not_reflected() {
    let stack = Stack::start(setup()).await;
    for host in [
        format!("{MARK}.test"),
        format!("{MARK}<script>"),
        format!("\"{MARK}\""),
        format!("{MARK}:99999"),
        format!("{MARK}\u{540d}"),
        format!("user@{MARK}"),
    ] {
        let mut client = Client::connect(stack.address()).await;
        client
            .write(format!("GET /none HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        let answer = client.response("GET").await;
        assert!(matches!(answer.status, 400 | 404), "{host}: {answer:?}");
        assert_clean_refusal(&answer, &host);
    }
}

#[tokio::test]
async fn successes_of_our_own_endpoints_are_never_cached() {
    let stack = Stack::start(Setup::new().memory()).await;
    let login = login_request(&stack.code("ann"))
        .send(stack.address())
        .await;
    let skey = login.field("skey");
    let me = stack.get("/_gateway/me", &skey).await;
    let logout = stack
        .send(Request::new("POST", "/_gateway/logout").header("skey", &skey))
        .await;
    for answer in [login, me, logout] {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.headers.get("cache-control"), Some("no-store"));
        assert_eq!(
            answer.headers.get("x-content-type-options"),
            Some("nosniff")
        );
        assert_eq!(answer.headers.get("server"), None);
        assert!(answer.json().is_object());
    }
}

#[tokio::test]
async fn a_login_stores_a_bounded_description_of_the_client() {
    let mut stack = Stack::start(Setup::new()).await;
    let agent = "a".repeat(20_000);
    let login = login_request(&stack.code("ann")).header("User-Agent", &agent);

    let answer = stack.send(login).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    let dump = stack.redis().dump().await;
    let text = String::from_utf8_lossy(&dump);
    assert!(text.contains("skeygate:s:"), "no session in {text:?}");
    assert!(dump.len() < 4000, "{}", dump.len());
}

#[tokio::test]
async fn an_identity_of_odd_characters_is_one_header_line_of_visible_ascii() {
    let mut stack = Stack::start(Setup::new()).await;
    let odd = "o%0d%0aX-User-Id:1;,\"'<>{}|\\^`~%E5#?&=+";
    let fault = |openid: &str| Fault {
        extra: json!({ "openid": openid, "unionid": format!("u{openid}") })
            .as_object()
            .cloned()
            .expect("an object"),
        ..Fault::default()
    };
    stack
        .wechat
        .push_fault(Endpoint::Jscode2session, fault(odd));
    let skey = stack.login("ann").await;
    assert_eq!(stack.get("/a", &skey).await.status, 200);

    let seen = stack.upstream.request().await.head.headers;

    // Only what is not visible ASCII, and the percent sign itself, is encoded.
    let encoded = odd.replace('%', "%25");
    assert_eq!(seen.get("x-openid"), Some(encoded.as_str()));
    assert_eq!(seen.get("x-unionid"), Some(format!("u{encoded}").as_str()));
    assert_eq!(seen.get("x-wx-appid"), Some(APP.0));
    assert_eq!(seen.all("x-user-id").len(), 1);
    // Values that WeChat's documentation excludes are no identity.
    for openid in [
        "",
        "o\u{540d}",
        "o\r\nX-User-Id: 1",
        "o \u{0}",
        "o\u{7f}",
        &"o".repeat(129),
    ] {
        stack
            .wechat
            .push_fault(Endpoint::Jscode2session, fault(openid));
        let refused = stack.log_in(stack.address(), "bob").await;
        assert_eq!(
            (refused.status, refused.error()),
            (502, Some("wechat_unreachable")),
            "{openid:?}"
        );
    }
}
