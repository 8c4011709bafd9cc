//! Secrets that must appear in no error and no log line.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing_subscriber::util::SubscriberInitExt;

use super::*;

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

#[tokio::test]
async fn errmsg_is_one_short_line_without_secrets() {
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
