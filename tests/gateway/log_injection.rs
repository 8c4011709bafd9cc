//! Log injection: for any bytes of a client, a proxy, WeChat or an upstream each event is one line
//! of bounded length, and JSON stays JSON.

use serde_json::{Value, json};
use skeygate::fake_wechat::{Endpoint, Fault};

use crate::support::client::{Client, Request};
use crate::support::process::GatewayProcess;
use crate::support::setup::{Parts, Setup, login_request};
use crate::support::steps::{Answer, Step};
use crate::support::within;

/// Characters that end lines, colour terminals, hide or turn text.
const DECEPTIVE: &str =
    "\u{1b}[31m\u{7}\u{7f}\u{85}\u{9b}2J\u{2028}\u{2029}\u{202e}\u{2066}\u{200b}\u{feff}";

/// A forged log line.
const FORGED: &str = "\r\n{\"level\":\"ERROR\",\"message\":\"request\",\"forged\":true}\r\n";

/// Requests, each over a connection of its own.
fn hostile() -> Vec<Vec<u8>> {
    let long = "x".repeat(6000);
    let raw = |text: String| text.into_bytes();
    let with = |name: &str, value: &str| {
        raw(format!(
            "GET /a HTTP/1.1\r\nHost: g\r\n{name}: {value}\r\n\r\n"
        ))
    };
    let mut requests: Vec<Vec<u8>> = [
        format!("/a{DECEPTIVE}"),
        format!("/{long}"),
        format!("/{}", "\u{540d}".repeat(1500)),
        "/a%0d%0a%1b%5b31m%e2%80%a8".to_owned(),
        "/a\"},{\"forged\":true,\"b\":{\"".to_owned(),
        "/a\\\"\\n\\u000a".to_owned(),
        "/a?skey=\u{2028}&b=\u{1b}".to_owned(),
        "/a'`$(id)<script>".to_owned(),
        "*".to_owned(),
        "http://evil\u{2028}.test/a".to_owned(),
        format!("http://{long}.test/a"),
    ]
    .iter()
    .map(|target| raw(format!("GET {target} HTTP/1.1\r\nHost: g\r\n\r\n")))
    .collect();
    for method in [
        "M".repeat(5000),
        "GE\u{1b}T".to_owned(),
        "get\"'".to_owned(),
        "!#$%&'*+-.^_`|~".to_owned(),
    ] {
        requests.push(raw(format!("{method} /a HTTP/1.1\r\nHost: g\r\n\r\n")));
    }
    for host in [
        DECEPTIVE,
        "g\u{1b}[31m",
        "\"},{",
        &long,
        "g\u{2028}h",
        "[::1\u{85}]",
        "xn--\u{7}",
    ] {
        requests.push(raw(format!("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n")));
    }
    for name in [
        "User-Agent",
        "Referer",
        "X-Forwarded-For",
        "X-Request-Id",
        "traceparent",
        "skey",
        "Cookie",
    ] {
        for value in [
            DECEPTIVE,
            "\u{2028}\u{202e}",
            &long,
            "\"},{\"forged\":true",
            "a b",
            "1.2.3.4\u{85}",
            "\\n",
        ] {
            requests.push(with(name, value));
        }
        let mut binary = raw(format!("GET /a HTTP/1.1\r\nHost: g\r\n{name}: a"));
        binary.extend([0xff, 0xfe, 0x80, 0xc2, 0x9b]);
        binary.extend(b"\r\n\r\n");
        requests.push(binary);
        requests.push(with(name, &format!("a{FORGED}")));
    }
    requests.push([b"GET /\xff\xfe\xc2\x9b HTTP/1.1\r\nHost: g\r\n\r\n".as_slice()].concat());
    requests.push(raw(format!("GET /a HTTP/1.1{FORGED}\r\n")));
    let code = format!("code{DECEPTIVE}{FORGED}");
    requests.push(login_request(&code).bytes());
    requests.push(Request::post_form("/login", &format!("code=a%0a{DECEPTIVE}")).bytes());
    requests
}

/// Sends the hostile input to a gateway that logs everything; gives the ids of the requests with a
/// response, and the log.
async fn log_of(format: &str) -> (Vec<String>, Vec<String>) {
    let route = |path: &str, auth: &str| {
        format!("[[routes]]\npath = \"{path}\"\nupstream = \"api\"\nauth = \"{auth}\"\n")
    };
    let setup = Setup::new()
        .memory()
        .table(
            "server",
            "trusted_proxies = [\"127.0.0.0/8\"]\npath_policy = \"strict\"",
        )
        .table("log", &format!("format = \"{format}\"\nlevel = \"trace\""))
        .table("upstreams.api", "retries = 0")
        .routes(&(route("/open/*", "off") + &route("/*", "required")));
    let parts: Parts = setup.start().await;
    let mut gateway = GatewayProcess::start(&parts.toml).await;
    let mut ids = Vec::new();
    let mut ask = async |bytes: &[u8]| {
        let mut client = Client::connect(gateway.address).await;
        client.write(bytes).await;
        let answer = client.response("GET").await;
        ids.extend(answer.headers.get("x-request-id").map(str::to_owned));
        answer
    };
    for request in hostile() {
        ask(&request).await;
    }
    // Texts of WeChat.
    for errcode in [-1, 40029, 40125, 45011, 12345] {
        let fault = Fault {
            errcode: Some(errcode),
            errmsg: Some(format!("no{DECEPTIVE}{FORGED}{}", "x".repeat(9000))),
            times: 3,
            ..Fault::default()
        };
        parts.wechat.push_fault(Endpoint::Jscode2session, fault);
        let answer = ask(&login_request(&parts.code("ann")).bytes()).await;
        assert!(answer.status >= 400, "{}", answer.text());
    }
    // Bytes of an upstream.
    for bytes in [
        format!("HTTP/1.1 200 {DECEPTIVE}\r\n\r\n"),
        format!("{DECEPTIVE}{FORGED}"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {DECEPTIVE}\r\n\r\n"),
    ] {
        parts.upstream.next(Answer::raw(bytes).then(Step::Close));
        let answer = ask(&Request::get("/open/a").bytes()).await;
        assert_eq!(answer.status, 502);
    }
    let body = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{DECEPTIVE}{FORGED}");
    parts.upstream.next(Answer::raw(body).then(Step::Close));
    assert!(
        Request::get("/open/b")
            .try_send(gateway.address)
            .await
            .is_err()
    );
    gateway.program.signal("TERM");
    within("the gateway's end", gateway.program.exit()).await;
    let log = gateway.program.output().await;
    (ids, log.lines().map(str::to_owned).collect())
}

fn is_sound(line: &str) -> bool {
    let deceptive =
        |c: char| c.is_control() || DECEPTIVE.replace("[31m", "").replace("2J", "").contains(c);
    line.len() < 4000 && !line.contains(deceptive) && !line.contains(char::REPLACEMENT_CHARACTER)
}

#[tokio::test]
async fn every_json_line_is_one_event_for_any_input() {
    let (ids, lines) = log_of("json").await;

    let events: Vec<Value> = lines
        .iter()
        .map(|line| {
            assert!(is_sound(line), "{line:?}");
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        })
        .collect();
    assert!(events.iter().all(|event| event["forged"].is_null()));
    let logged = |id: &String| {
        let mine = events
            .iter()
            .filter(|event| event["request.id"] == json!(id));
        mine.filter(|event| event["message"] == "request").count()
    };
    assert!(ids.len() > 60, "{}", ids.len());
    for id in &ids {
        assert_eq!(logged(id), 1, "{id}");
    }
}

#[tokio::test]
async fn every_text_line_is_one_event_for_any_input() {
    let (ids, lines) = log_of("text").await;

    for line in &lines {
        assert!(is_sound(line), "{line:?}");
        // A line of the gateway's begins with the time and the level.
        let mut words = line.split_whitespace();
        let time = words.next().unwrap_or_default();
        assert!(time.len() == 24 && time.ends_with('Z'), "{line:?}");
        let level = words.next().unwrap_or_default();
        assert!(
            ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level),
            "{line:?}"
        );
    }
    assert!(ids.len() > 60, "{}", ids.len());
    for id in &ids {
        let end = format!(" id={id}");
        assert_eq!(
            lines.iter().filter(|line| line.ends_with(&end)).count(),
            1,
            "{id}"
        );
    }
}
