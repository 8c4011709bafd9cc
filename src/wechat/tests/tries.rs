//! Connections, deadlines and retries.

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;

/// A response that never comes.
fn never() -> Fault {
    Fault {
        delay_ms: 3_600_000,
        ..Fault::default()
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
    // The third call would begin at 400 ms at the earliest.
    let deadline = Instant::now() + Duration::from_millis(390);
    let error = pair.wechat.exchange(&pair.app, &code, deadline).await;
    assert!(
        matches!(
            error,
            Err(WechatError::Busy(_) | WechatError::Timeout { .. })
        ),
        "{error:?}"
    );
    let calls = pair.fake.calls(CALL);
    assert!((1..3).contains(&calls), "{calls} calls");
}

#[tokio::test]
async fn a_missing_response_is_a_timeout_and_not_retried() {
    let mut pair = Pair::start().await;
    pair.wechat = Wechat::new(&config::Wechat {
        timeout: Duration::from_millis(300),
        ..settings(&pair.fake.url())
    })
    .unwrap();
    let error = pair.under(never()).await.unwrap_err();
    let called = timeout(in_5s() - Instant::now(), pair.fake.wait_for_calls(CALL, 1));
    called.await.expect("the call is sent");
    let WechatError::Timeout {
        after,
        during: Stage::Answering,
    } = error
    else {
        panic!("not a timeout: {error:?}");
    };
    assert!(
        after < crate::login::LOGIN_DEADLINE,
        "its own time ends before all of it"
    );
    assert_eq!(pair.fake.calls(CALL), 1);
}

#[tokio::test]
async fn the_deadline_ends_a_call_that_has_time_left() {
    let pair = Pair::start().await;
    pair.fake.push_fault(CALL, never());
    let code = LoginCode::parse(&pair.fake.new_code(APPID, "alice")).unwrap();
    let soon = Instant::now() + Duration::from_millis(50);
    let error = pair.wechat.exchange(&pair.app, &code, soon).await;
    let Err(WechatError::Timeout { after, .. }) = error else {
        panic!("not a timeout: {error:?}");
    };
    assert!(after < settings("").timeout, "the deadline came first");
}

#[tokio::test]
async fn nothing_is_sent_when_no_time_is_left() {
    let pair = Pair::start().await;
    // Leaves an open connection, on which a call would go out at once.
    pair.exchange().await.unwrap();
    let code = pair.fake.new_code(APPID, "alice");
    let login_code = LoginCode::parse(&code).unwrap();
    let now = Instant::now();
    let error = pair.wechat.exchange(&pair.app, &login_code, now).await;
    assert!(
        matches!(error, Err(WechatError::Timeout { .. })),
        "{error:?}"
    );
    pair.exchange_code(&code).await.unwrap();
    assert_eq!(pair.fake.calls(CALL), 2);
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
async fn a_connection_that_does_not_come_about_in_time_is_not_tried_again() {
    // A listener whose queue is full: the kernel lets further callers wait.
    let (socket, address) = closed_port();
    let _listener = socket.listen(1).unwrap();
    let mut queue = Vec::new();
    while let Ok(connected) = timeout(Duration::from_millis(50), TcpStream::connect(address)).await
    {
        queue.push(connected.unwrap());
        assert!(queue.len() < 100, "the queue is never full");
    }
    let wechat = Wechat::new(&config::Wechat {
        timeout: Duration::from_millis(100),
        ..settings(&format!("http://{address}"))
    })
    .unwrap();
    let code = LoginCode::parse("0a1B2c3D4e5F").unwrap();
    let error = wechat.exchange(&app_with(SECRET), &code, in_5s()).await;
    let Err(WechatError::Timeout {
        during: Stage::Connecting,
        ..
    }) = error
    else {
        panic!("not a timeout while connecting: {error:?}");
    };
}

#[tokio::test]
async fn a_wechat_that_comes_back_within_the_deadline_is_reached() {
    let (socket, address) = closed_port();
    let wechat = Wechat::new(&settings(&format!("http://{address}"))).unwrap();
    let app = app_with(SECRET);
    let code = LoginCode::parse("dev-alice").unwrap();
    let (exchanged, fake) = tokio::join!(wechat.exchange(&app, &code, in_5s()), async {
        // Polled when the first call waits: it was refused, or is about to be. A later one finds
        // the fake.
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
async fn a_proxy_is_used_when_one_is_configured() {
    let mut pair = Pair::start().await;
    // The fake does not mind a target with a foreign host in it, which is what a proxy is sent.
    pair.wechat = Wechat::new(&config::Wechat {
        proxy: Some(pair.fake.url()),
        ..settings("http://api.weixin.invalid")
    })
    .unwrap();
    let got = pair.exchange().await.unwrap();
    assert_eq!(got.openid, pair.fake.openid(APPID, "alice"));
}

#[tokio::test]
async fn tls_needs_no_provider_installed_for_the_process() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let wechat = Wechat::new(&settings(&format!("https://{address}"))).unwrap();
    let app = app_with(SECRET);
    let code = LoginCode::parse("0a1B2c3D4e5F").unwrap();
    let (mut tries, mut first) = (0, [0; 3]);
    let hang_up = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut first).await.unwrap();
            tries += 1;
        }
    };
    let error = tokio::select! {
        error = wechat.exchange(&app, &code, in_5s()) => error,
        () = hang_up => unreachable!(),
    };
    assert_eq!(tries, 3);
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
