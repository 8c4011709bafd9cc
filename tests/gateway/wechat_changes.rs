//! Changes at WeChat while the gateway runs: an AppSecret is reset, WeChat goes away. Requests that
//! do not need WeChat are served.

use std::net::SocketAddr;

use serde_json::json;
use skeygate::fake_wechat::{Endpoint, Fault};
use tokio::time::Instant;

use crate::support::client::{Request, Response};
use crate::support::process::GatewayProcess;
use crate::support::setup::{APP, OTHER_APP, Parts, Setup, login_request};
use crate::support::stack::Stack;
use crate::support::within;

const NEW_SECRET: &str = "the-appsecret-that-follows-7Tb1";

async fn phone(parts: &Parts, at: SocketAddr, skey: &str) -> Response {
    let code = parts.wechat.new_phone_code(APP.0, "ann");
    let request = Request::post_json("/_gateway/phone", &json!({ "code": code }));
    request.header("skey", skey).send(at).await
}

#[tokio::test]
async fn an_appsecret_is_changed_under_two_replicas_without_a_failed_request() {
    let setup = Setup::new().table("phone", "enabled = true");
    let parts = setup.start().await;
    let old = format!("secret = \"{}\"", APP.1);
    let secrets = |keys: String| parts.toml.replace(&old, &keys);
    let first = GatewayProcess::start(&parts.toml).await;
    let before = parts.skey(first.address, "ann").await;

    // 1. The operator makes a second secret known, replica by replica.
    let known = secrets(format!("{old}\nsecret_next = \"{NEW_SECRET}\""));
    let replicas = [
        GatewayProcess::start(&known).await,
        GatewayProcess::start(&known).await,
    ];
    drop(first);
    // 2. They reset it in the WeChat console, in the middle of logins.
    for login in 0..20 {
        if login == 10 {
            parts.wechat.set_secret(APP.0, NEW_SECRET);
            parts.wechat.end_token(APP.0);
        }
        let at = replicas[login % 2].address;
        let skey = parts.skey(at, &format!("user {login}")).await;
        let me = Request::get("/_gateway/me").header("skey", &skey);
        assert_eq!(me.send(at).await.status, 200);
        let number = phone(&parts, at, &before).await;
        assert_eq!(number.status, 200, "{login}: {}", number.text());
    }
    let during = parts.skey(replicas[0].address, "ann").await;
    // Both know by now which one counts: no call is refused any more.
    let exchanges = parts.exchanges();
    for replica in &replicas {
        parts.skey(replica.address, "ann").await;
    }
    assert_eq!(parts.exchanges() - exchanges, 2);
    // 3. They make it current, and keep the old one for values that it sealed.
    let done = secrets(format!(
        "secret = \"{NEW_SECRET}\"\nsecret_previous = \"{}\"",
        APP.1
    ));
    let last = GatewayProcess::start(&done).await;
    drop(replicas);
    for skey in [before, during] {
        let request = Request::get("/x").header("skey", &skey);
        assert_eq!(request.send(last.address).await.status, 200);
    }
}

#[tokio::test]
async fn an_outage_of_wechat_is_logged_at_once_and_affects_no_other_app_and_no_session() {
    let wechat = "timeout = \"300ms\"";
    let setup = Setup::new().memory().two_apps().table("wechat", wechat);
    let stack = Stack::start(setup).await;
    let skey = stack.login("ann").await;
    let silent = Fault {
        times: -1,
        delay_ms: 60_000,
        ..Fault::default()
    };
    stack.wechat.push_fault(Endpoint::Jscode2session, silent);
    let unanswered = (504, Some("wechat_timeout"));
    for _ in 0..5 {
        let answer = stack.log_in(stack.address(), "bob").await;
        assert_eq!((answer.status, answer.error()), unanswered);
    }
    let asked = stack.exchanges();
    let began = Instant::now();

    let many = (0..50).map(|_| stack.log_in(stack.address(), "bob"));
    let answers = futures_util::future::join_all(many).await;

    // One probe a second, should this machine be so slow.
    let tries = stack.exchanges() - asked;
    assert!(tries <= began.elapsed().as_secs(), "{tries} tries");
    for answer in &answers {
        let got = (answer.status, answer.error());
        let refused = got == (502, Some("wechat_unreachable"));
        assert!(refused || tries > 0 && got == unanswered, "{got:?}");
    }
    assert_eq!(stack.get("/x", &skey).await.status, 200);
    // Logins of another app are not affected: WeChat is called.
    let code = stack.wechat.new_code(OTHER_APP.0, "ann");
    let other = login_request(&code).header("X-Wx-App", OTHER_APP.0);
    let other = stack.send(other).await;
    assert_eq!((other.status, other.error()), unanswered);

    stack.wechat.reset();
    let back = async { while stack.log_in(stack.address(), "bob").await.status != 200 {} };
    within("a login that is let through to see", back).await;
    assert_eq!(stack.log_in(stack.address(), "bob").await.status, 200);
}

#[tokio::test]
async fn an_appid_of_another_mini_program_is_logged_once_and_bad_codes_after_a_good_one_never() {
    const WARNING: &str = "check that `apps.appid` is the appid of the mini program";
    for is_the_mini_programs in [false, true] {
        let parts = Setup::new().memory().two_apps().start().await;
        let mut gateway = GatewayProcess::start(&parts.toml).await;
        if is_the_mini_programs {
            parts.skey(gateway.address, "ann").await;
        }
        for _ in 0..45 {
            let code = parts.wechat.new_code(OTHER_APP.0, "ann");
            let answer = login_request(&code).send(gateway.address).await;
            assert_eq!(answer.error(), Some("login_code_invalid"));
        }
        gateway.program.signal("TERM");
        let log = gateway.program.output().await;
        let told = log.lines().filter(|line| line.contains(WARNING)).count();
        assert_eq!(told, usize::from(!is_the_mini_programs), "{log}");
    }
}
