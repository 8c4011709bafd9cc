//! The client against the fake on loopback.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tracing_subscriber::util::SubscriberInitExt;

use super::*;
use crate::config::{self, Secret};
use crate::fake_wechat::{DropWhen, Endpoint, FakeApp, FakeWechat, Fault, Settings};

const APPID: &str = "wx0123456789abcdef";
const SECRET: &str = "s3cr+t/&=5f0e1d2c3b4a";
const CALL: Endpoint = Endpoint::Jscode2session;

/// A fake, a client that uses it, and the app it knows.
struct Pair {
    fake: FakeWechat,
    wechat: Wechat,
    app: config::App,
}

impl Pair {
    async fn start() -> Self {
        let app = FakeApp {
            appid: APPID.to_owned(),
            secret: SECRET.to_owned(),
            account: Some("acme".to_owned()),
        };
        let fake = FakeWechat::start(([127, 0, 0, 1], 0).into(), vec![app])
            .await
            .unwrap();
        let wechat = Wechat::new(&settings(&fake.url())).unwrap();
        Self {
            fake,
            wechat,
            app: app_with(SECRET),
        }
    }

    /// Logs `alice` in with a fresh code.
    async fn exchange(&self) -> Result<Exchanged, WechatError> {
        self.exchange_code(&self.fake.new_code(APPID, "alice"))
            .await
    }

    async fn exchange_code(&self, code: &str) -> Result<Exchanged, WechatError> {
        let code = LoginCode::parse(code).unwrap();
        self.wechat.exchange(&self.app, &code, in_5s()).await
    }

    /// What a single call that meets `fault` comes to.
    async fn under(&self, fault: Fault) -> Result<Exchanged, WechatError> {
        self.fake.push_fault(CALL, fault);
        self.exchange().await
    }

    /// As `under`, for the flaw of a bad answer.
    async fn flaw_under(&self, fault: Fault) -> Flaw {
        match self.under(fault).await {
            Err(WechatError::BadAnswer { what }) => what,
            other => panic!("not a bad answer: {other:?}"),
        }
    }
}

fn settings(api_base: &str) -> config::Wechat {
    config::Wechat {
        api_base: api_base.to_owned(),
        proxy: None,
        connect_timeout: Duration::from_secs(2),
        timeout: Duration::from_secs(4),
    }
}

fn app_with(secret: &str) -> config::App {
    config::App {
        name: "main".to_owned(),
        appid: APPID.to_owned(),
        secret: Secret::new(secret),
        secret_previous: None,
        default: true,
        hosts: Vec::new(),
    }
}

fn in_5s() -> Instant {
    Instant::now() + config::LOGIN_DEADLINE
}

fn errcode(errcode: i64, errmsg: &str) -> Fault {
    Fault {
        errcode: Some(errcode),
        errmsg: Some(errmsg.to_owned()),
        ..Fault::default()
    }
}

fn body(body: &str) -> Fault {
    Fault {
        body: Some(body.to_owned()),
        ..Fault::default()
    }
}

fn extra(name: &str, value: Value) -> Fault {
    Fault {
        extra: [(name.to_owned(), value)].into_iter().collect(),
        ..Fault::default()
    }
}

#[tokio::test]
async fn a_code_gives_openid_session_key_and_unionid() {
    let pair = Pair::start().await;
    let got = pair.exchange().await.unwrap();
    assert_eq!(got.openid, pair.fake.openid(APPID, "alice"));
    assert_eq!(got.unionid, Some(pair.fake.unionid("acme", "alice")));
    let key = pair.fake.session_key(APPID, "alice").unwrap();
    assert_eq!(got.session_key.expose(), key);
}

#[tokio::test]
async fn an_app_without_an_account_gives_no_unionid() {
    let pair = Pair::start().await;
    pair.fake.set_account(APPID, None);
    assert_eq!(pair.exchange().await.unwrap().unionid, None);
    for nothing in [json!(""), Value::Null] {
        let got = pair.under(extra("unionid", nothing)).await.unwrap();
        assert_eq!(got.unionid, None);
    }
}

#[tokio::test]
async fn parameters_arrive_as_they_are_whatever_characters_they_hold() {
    let pair = Pair::start().await;
    for code in [
        "the code is a mock one",
        "a+b&appid=x#%41?/\\\"'=;~-._",
        " ",
    ] {
        pair.fake.issue_code(APPID, "alice", code);
        let got = pair.exchange_code(code).await;
        assert!(got.is_ok(), "{code}: {got:?}");
    }
}

#[tokio::test]
async fn odd_but_honest_successes_are_accepted() {
    let pair = Pair::start().await;
    let odd = [
        Fault {
            errcode0: true,
            ..Fault::default()
        },
        Fault {
            errcode0: true,
            string_errcode: true,
            ..Fault::default()
        },
        Fault {
            reorder: true,
            ..Fault::default()
        },
        Fault {
            content_type: Some("application/json; charset=utf-8".to_owned()),
            ..Fault::default()
        },
        extra("expires_in", json!(7200)),
        extra(
            "new_field",
            json!({ "openid": ["x", { "session_key": 1 }] }),
        ),
    ];
    for fault in odd {
        let shown = format!("{fault:?}");
        let got = pair.under(fault).await;
        let openid = got.map(|got| got.openid);
        assert_eq!(
            openid.ok(),
            Some(pair.fake.openid(APPID, "alice")),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn every_errcode_of_the_table_gives_the_error_of_its_class() {
    let pair = Pair::start().await;
    let mut seen = 0;
    for known in KNOWN {
        if matches!(known.class, Class::Success | Class::Busy) {
            continue;
        }
        for string_errcode in [false, true] {
            let error = pair
                .under(Fault {
                    string_errcode,
                    ..errcode(known.errcode, "some words, rid: 5f9f0b2e-1b2c3d4e-0a0b0c0d")
                })
                .await
                .unwrap_err();
            let right = match known.class {
                Class::CodeInvalid => matches!(error, WechatError::CodeInvalid(_)),
                Class::CodeUsed => matches!(error, WechatError::CodeUsed(_)),
                Class::UserBlocked => matches!(error, WechatError::UserBlocked(_)),
                Class::UserRateLimited => matches!(error, WechatError::UserRateLimited(_)),
                Class::QuotaExceeded => matches!(error, WechatError::QuotaExceeded(_)),
                Class::Misconfigured => matches!(error, WechatError::Misconfigured(_)),
                Class::GatewayBug => matches!(error, WechatError::GatewayBug(_)),
                Class::TokenStale | Class::SessionKeyStale => {
                    matches!(error, WechatError::Unknown(_))
                }
                Class::Success | Class::Busy => false,
            };
            assert!(right, "{}: {error:?}", known.errcode);
            assert_eq!(error.errcode(), Some(known.errcode));
            assert_eq!(error.rid(), Some("5f9f0b2e-1b2c3d4e-0a0b0c0d"));
            assert!(
                error
                    .to_string()
                    .contains(&format!("errcode {}: ", known.errcode))
            );
            seen += 1;
        }
    }
    assert_eq!(seen, 58);
    assert_eq!(pair.fake.calls(CALL), 58, "none of them is tried again");
}

#[tokio::test]
async fn an_errcode_outside_the_table_is_unknown_and_the_operators_matter() {
    let pair = Pair::start().await;
    let error = pair
        .under(errcode(99999, "new, hints: [ req_id: aBc.D1 ]"))
        .await;
    let error = error.unwrap_err();
    assert!(matches!(error, WechatError::Unknown(_)), "{error:?}");
    assert!(error.operator_must_act());
    assert_eq!(error.rid(), Some("aBc.D1"));
    assert_eq!(
        error.to_string(),
        "exchanging a login code: errcode 99999: not an errcode this version knows; look it up in wechat's \
         documentation (errmsg: new, hints: [ req_id: aBc.D1 ])"
    );
}

#[tokio::test]
async fn what_the_fake_refuses_by_itself_is_understood() {
    let mut pair = Pair::start().await;
    let code = pair.fake.new_code(APPID, "alice");
    pair.exchange_code(&code).await.unwrap();
    let used = pair.exchange_code(&code).await.unwrap_err();
    assert!(matches!(used, WechatError::CodeUsed(_)), "{used:?}");
    assert!(!used.operator_must_act());

    pair.fake.set(Settings {
        ip_allowed: false,
        ..Settings::default()
    });
    let address = pair.exchange().await.unwrap_err();
    assert!(address.to_string().contains("IP allow-list"), "{address}");
    assert!(address.to_string().contains("203.0.113.7"), "{address}");
    assert!(address.operator_must_act());

    pair.app = app_with("wrong");
    let secret = pair.exchange().await.unwrap_err();
    assert!(secret.to_string().contains("`apps.secret`"), "{secret}");
}

#[tokio::test]
async fn bodies_that_are_not_wechats_are_bad_answers() {
    let pair = Pair::start().await;
    let key = r#""session_key":"AAAAAAAAAAAAAAAAAAAAAA==""#;
    let bodies = [
        (String::new(), Flaw::NotJson),
        ("<html>502 Bad Gateway</html>".to_owned(), Flaw::NotJson),
        (r#"{"openid":"o1","session_k"#.to_owned(), Flaw::NotJson),
        (r#"{"openid":"o1"} x"#.to_owned(), Flaw::NotJson),
        ("[".repeat(60_000), Flaw::NotJson),
        ("[1]".to_owned(), Flaw::NotAnObject),
        ("null".to_owned(), Flaw::NotAnObject),
        ("{}".to_owned(), Flaw::Openid),
        (format!(r#"{{"openid":"",{key}}}"#), Flaw::Openid),
        (format!(r#"{{"openid":7,{key}}}"#), Flaw::Openid),
        (format!(r#"{{"openid":"a b",{key}}}"#), Flaw::Openid),
        (
            format!(r#"{{"openid":"a\r\nX-Role: admin",{key}}}"#),
            Flaw::Openid,
        ),
        (
            format!(r#"{{"openid":"{}",{key}}}"#, "o".repeat(129)),
            Flaw::Openid,
        ),
        (r#"{"openid":"o1"}"#.to_owned(), Flaw::SessionKey),
        (
            r#"{"openid":"o1","session_key":""}"#.to_owned(),
            Flaw::SessionKey,
        ),
        (
            r#"{"openid":"o1","session_key":"AAAA"}"#.to_owned(),
            Flaw::SessionKey,
        ),
        (
            format!(r#"{{"openid":"o1","unionid":5,{key}}}"#),
            Flaw::Unionid,
        ),
        (
            format!(r#"{{"openid":"o1","unionid":"\n",{key}}}"#),
            Flaw::Unionid,
        ),
        (
            format!(r#"{{"errcode":"none","openid":"o1",{key}}}"#),
            Flaw::Errcode,
        ),
        (
            format!(r#"{{"errcode":[],"openid":"o1",{key}}}"#),
            Flaw::Errcode,
        ),
        (
            format!(r#"{{"x":"{}"}}"#, "x".repeat(64 * 1024)),
            Flaw::TooLarge,
        ),
    ];
    for (text, flaw) in bodies {
        let start: String = text.chars().take(60).collect();
        assert_eq!(pair.flaw_under(body(&text)).await, flaw, "{start}");
    }
}

#[tokio::test]
async fn a_status_other_than_200_is_a_bad_answer_whatever_its_body() {
    let pair = Pair::start().await;
    for status in [201, 204, 404, 407, 429, 500, 503] {
        let flaw = pair.flaw_under(Fault {
            status: Some(status),
            ..Fault::default()
        });
        assert_eq!(flaw.await, Flaw::Status(status));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_so_the_secret_goes_nowhere_else() {
    let pair = Pair::start().await;
    let elsewhere = Pair::start().await;
    for status in [301, 302, 307, 308] {
        let flaw = pair.flaw_under(Fault {
            status: Some(status),
            location: Some(format!("{}/sns/jscode2session", elsewhere.fake.url())),
            ..Fault::default()
        });
        assert_eq!(flaw.await, Flaw::Status(status));
    }
    assert_eq!(elsewhere.fake.calls(CALL), 0);
}

#[tokio::test]
async fn a_broken_connection_is_not_tried_again_because_the_code_may_be_spent() {
    let pair = Pair::start().await;
    let breaks = [
        Fault {
            drop: Some(DropWhen::Before),
            ..Fault::default()
        },
        Fault {
            drop: Some(DropWhen::After),
            ..Fault::default()
        },
        Fault {
            truncate: Some(20),
            ..Fault::default()
        },
    ];
    for (index, fault) in (1..).zip(breaks) {
        let error = pair.under(fault).await.unwrap_err();
        assert!(matches!(error, WechatError::Dropped(_)), "{error:?}");
        assert_eq!(pair.fake.calls(CALL), index);
    }
}

#[tokio::test]
async fn busy_is_asked_again_and_the_code_still_counts() {
    let pair = Pair::start().await;
    let busy_twice = Fault {
        times: 2,
        ..errcode(-1, "system error")
    };
    assert!(pair.under(busy_twice).await.is_ok());
    assert_eq!(pair.fake.calls(CALL), 3);
}

#[tokio::test]
async fn busy_three_times_is_busy() {
    let pair = Pair::start().await;
    let always = Fault {
        times: -1,
        ..errcode(-1, "system error")
    };
    let error = pair.under(always).await.unwrap_err();
    assert!(matches!(error, WechatError::Busy(_)), "{error:?}");
    assert!(!error.operator_must_act());
    assert_eq!(pair.fake.calls(CALL), 3);
}

#[tokio::test]
async fn busy_is_not_asked_again_past_the_deadline() {
    let pair = Pair::start().await;
    pair.fake.push_fault(
        CALL,
        Fault {
            times: -1,
            ..errcode(-1, "system error")
        },
    );
    let code = LoginCode::parse(&pair.fake.new_code(APPID, "alice")).unwrap();
    // After the second try the third would begin at 400 ms at the earliest.
    let deadline = Instant::now() + Duration::from_millis(390);
    let error = pair.wechat.exchange(&pair.app, &code, deadline).await;
    assert!(matches!(
        error,
        Err(WechatError::Busy(_) | WechatError::Timeout { .. })
    ));
    assert!(pair.fake.calls(CALL) < 3);
}

#[tokio::test]
async fn no_answer_is_a_timeout_and_not_tried_again() {
    let mut pair = Pair::start().await;
    pair.wechat = Wechat::new(&config::Wechat {
        timeout: Duration::from_millis(50),
        ..settings(&pair.fake.url())
    })
    .unwrap();
    let error = pair
        .under(Fault {
            delay_ms: 3_600_000,
            ..Fault::default()
        })
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            WechatError::Timeout {
                during: Stage::Answering,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(pair.fake.calls(CALL) <= 1);
}

#[tokio::test]
async fn the_deadline_ends_a_call_that_has_time_left() {
    let pair = Pair::start().await;
    pair.fake.push_fault(
        CALL,
        Fault {
            delay_ms: 3_600_000,
            ..Fault::default()
        },
    );
    let code = LoginCode::parse(&pair.fake.new_code(APPID, "alice")).unwrap();
    let soon = Instant::now() + Duration::from_millis(50);
    let error = pair
        .wechat
        .exchange(&pair.app, &code, soon)
        .await
        .unwrap_err();
    assert!(matches!(error, WechatError::Timeout { .. }), "{error:?}");

    let before = pair.fake.calls(CALL);
    let error = pair
        .wechat
        .exchange(&pair.app, &code, soon)
        .await
        .unwrap_err();
    assert!(matches!(error, WechatError::Timeout { .. }), "{error:?}");
    assert_eq!(
        pair.fake.calls(CALL),
        before,
        "nothing is sent when no time is left"
    );
}

/// A loopback address where nobody listens: bound, to keep others off it, but not listening.
fn closed_port() -> (tokio::net::TcpSocket, std::net::SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_and_then_unreachable() {
    let (_kept, address) = closed_port();
    let wechat = Wechat::new(&settings(&format!("http://{address}"))).unwrap();
    let code = LoginCode::parse("0a1B2c3D4e5F").unwrap();
    let started = Instant::now();
    let error = wechat.exchange(&app_with(SECRET), &code, in_5s()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, WechatError::Unreachable(_)), "{error:?}");
    assert!(
        started.elapsed() >= Duration::from_millis(400),
        "three tries, with both waits"
    );
}

#[tokio::test]
async fn a_wechat_that_comes_back_within_the_deadline_is_reached() {
    let (socket, address) = closed_port();
    let wechat = Wechat::new(&settings(&format!("http://{address}"))).unwrap();
    let app = app_with(SECRET);
    let code = LoginCode::parse("dev-alice").unwrap();
    let (exchanged, fake) = tokio::join!(wechat.exchange(&app, &code, in_5s()), async {
        // The first try was refused before this is polled or while the port is closed; the next ones find the fake.
        drop(socket);
        let known = FakeApp {
            appid: APPID.to_owned(),
            secret: SECRET.to_owned(),
            account: None,
        };
        let fake = FakeWechat::start(address, vec![known]).await.unwrap();
        fake.set(Settings {
            accept_any_code: true,
            ..Settings::default()
        });
        fake
    });
    assert_eq!(exchanged.unwrap().openid, fake.openid(APPID, "alice"));
}

#[tokio::test]
async fn tls_needs_no_provider_installed_for_the_process() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let wechat = Wechat::new(&settings(&format!("https://{address}"))).unwrap();
    let app = app_with(SECRET);
    let code = LoginCode::parse("0a1B2c3D4e5F").unwrap();
    let hang_up = async {
        let mut first = [0; 3];
        for _ in 0..3 {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first)
                .await
                .unwrap();
        }
        first
    };
    let (error, first) = tokio::join!(wechat.exchange(&app, &code, in_5s()), hang_up);
    assert_eq!(first[..2], [0x16, 0x03], "a TLS handshake was begun");
    let error = error.unwrap_err();
    assert!(matches!(error, WechatError::Unreachable(_)), "{error:?}");
}

#[test]
fn an_api_base_or_proxy_that_is_no_url_is_refused_with_the_key_to_mend() {
    for api_base in [
        "",
        "api.weixin.qq.com",
        "ftp://api.weixin.qq.com",
        "https://",
    ] {
        let error = Wechat::new(&settings(api_base)).unwrap_err();
        assert!(
            error.to_string().starts_with("`wechat.api_base` is"),
            "{error}"
        );
    }
    let error = Wechat::new(&config::Wechat {
        proxy: Some("http://user:hunter22@".to_owned()),
        ..settings("https://api.weixin.qq.com")
    });
    let shown = format!("{0:?} {0:#?}", error.unwrap_err());
    assert!(shown.contains("Proxy"), "{shown}");
    assert!(!shown.contains("hunter22"), "{shown}");
}

#[tokio::test]
async fn errmsg_is_one_short_line_without_what_must_not_be_shown() {
    let pair = Pair::start().await;
    let code = pair.fake.new_code(APPID, "alice");
    let errmsg = format!("bad {code}\r\nwith {SECRET} \u{1b}[31m{}", "x".repeat(5000));
    pair.fake.push_fault(CALL, errcode(40125, &errmsg));
    let error = pair.exchange_code(&code).await.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert!(
        refusal.errmsg.starts_with("bad (..)  with (..)  [31mxxx"),
        "{refusal:?}"
    );
    assert_eq!(refusal.errmsg.chars().count(), 300);
}

/// Everything that was logged, whatever the level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn neither_error_nor_trace_log_shows_secret_code_or_session_key() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone());
    let guard = subscriber.finish().set_default();

    let pair = Pair::start().await;
    let (_kept, closed) = closed_port();
    let nobody = Wechat::new(&settings(&format!("http://{closed}"))).unwrap();
    let code = pair.fake.new_code(APPID, "alice");
    let login_code = LoginCode::parse(&code).unwrap();
    let faults = [
        errcode(-1, "system error"),
        errcode(40029, &format!("invalid code {code}")),
        errcode(40125, &format!("invalid appsecret {SECRET}")),
        body("<html>"),
        Fault {
            status: Some(302),
            location: Some(format!("{}/elsewhere", pair.fake.url())),
            ..Fault::default()
        },
        Fault {
            drop: Some(DropWhen::Before),
            ..Fault::default()
        },
        Fault {
            truncate: Some(3),
            ..Fault::default()
        },
    ];
    let mut errors = vec![
        nobody
            .exchange(&pair.app, &login_code, in_5s())
            .await
            .unwrap_err(),
    ];
    for fault in faults {
        pair.fake.push_fault(CALL, fault);
        if let Err(error) = pair.exchange_code(&code).await {
            errors.push(error);
        }
    }
    drop(guard);
    assert_eq!(errors.len(), 7);

    let mut shown = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        shown.contains("starting new connection"),
        "the HTTP client's own log is in it"
    );
    for error in &errors {
        shown += &format!("{error} {error:?} {error:#?}");
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            shown += &format!("{cause} {cause:?}");
            source = cause.source();
        }
    }
    shown += &format!("{:?} {:?}", pair.wechat, pair.app);
    let key = pair.fake.session_key(APPID, "alice").unwrap();
    let encoded = "s3cr%2Bt%2F%26%3D5f0e1d2c3b4a";
    for secret in [SECRET, encoded, code.as_str(), key.as_str()] {
        assert!(!shown.contains(secret), "{secret} is in it");
    }
}
