//! The client against the fake on loopback.

mod open_data;
mod responses;
mod rotation;
mod secrets;
mod tries;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::config;
use crate::fake_wechat::{DropWhen, Endpoint, FakeApp, FakeWechat, Fault, Settings};
use crate::secret::Secret;

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

    /// As `under`; returns the flaw of a malformed response.
    async fn flaw_under(&self, fault: Fault) -> Flaw {
        match self.under(fault).await {
            Err(WechatError::BadAnswer { what }) => what,
            other => panic!("not a malformed response: {other:?}"),
        }
    }
}

fn settings(api_base: &str) -> config::Wechat {
    config::Wechat {
        api_base: api_base.to_owned(),
        proxy: None,
        timeout: Duration::from_secs(4),
    }
}

fn app_with(secret: &str) -> config::App {
    config::App {
        name: "main".to_owned(),
        appid: APPID.to_owned(),
        secret: Secret::new(secret),
        secret_next: None,
        secret_previous: None,
        default: true,
        hosts: Vec::new(),
    }
}

fn in_5s() -> Instant {
    Instant::now() + crate::login::LOGIN_DEADLINE
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

/// A loopback address without a listener: bound, so that no other process can use it.
fn closed_port() -> (tokio::net::TcpSocket, std::net::SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}
