//! The access_token, observed through phone numbers: one token for all replicas, renewed once, and
//! never a dead one in use.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use skeygate::fake_wechat::{DropWhen, Endpoint, Fault};

use crate::support::client::{Request, Response};
use crate::support::redis::Reply;
use crate::support::setup::{APP, Setup};
use crate::support::stack::Stack;
use crate::support::within;

const KEPT: &str = "skeygate:t:{wx00000000000000a1}";

pub(crate) fn setup() -> Setup {
    Setup::new().table("phone", "enabled = true")
}

/// `POST /_gateway/phone` with a new code of the user.
pub(crate) async fn ask(stack: &Stack, at: SocketAddr, skey: &str, user: &str) -> Response {
    let code = stack.wechat.new_phone_code(APP.0, user);
    let request = Request::post_json("/_gateway/phone", &json!({ "code": code }));
    request.header("skey", skey).send(at).await
}

fn fetched(stack: &Stack) -> u64 {
    stack.wechat.calls(Endpoint::StableToken)
}

/// Advances time at WeChat and for the tokens in Redis.
async fn advance(stack: &mut Stack, time: Duration) {
    stack.wechat.advance(time);
    let time = i64::try_from(time.as_millis()).expect("a short time");
    let redis = stack.redis();
    let Reply::List(names) = redis.command(&[b"KEYS", b"skeygate:t:*"]).await else {
        panic!("no list of keys");
    };
    for name in names {
        let Reply::Text(name) = name else {
            panic!("{name:?}")
        };
        if let Reply::Number(left @ 1..) = redis.command(&[b"PTTL", &name]).await {
            let left = (left - time).max(1).to_string();
            redis.command(&[b"PEXPIRE", &name, left.as_bytes()]).await;
        }
    }
}

/// Waits until no replica renews the token.
async fn wait_for_renewal(stack: &mut Stack) {
    let turn = format!("{KEPT}:turn");
    let nobody = async {
        while stack.redis().command(&[b"EXISTS", turn.as_bytes()]).await != Reply::Number(0) {}
    };
    within("the end of a renewal", nobody).await;
}

#[tokio::test]
async fn three_replicas_share_each_token_for_its_two_hours_and_fetch_thirteen_in_a_day() {
    const STEP: Duration = Duration::from_secs(173);
    let mut stack = Stack::start(setup()).await;
    let replicas = [
        stack.address(),
        stack.one_more().await,
        stack.one_more().await,
    ];
    let skey = stack.login("ann").await;
    let mut fetches = Vec::new();

    for step in 0..500_u64 {
        let asked = replicas.map(|at| ask(&stack, at, &skey, "ann"));
        for answer in join_all(asked).await {
            assert_eq!(answer.status, 200, "step {step}: {}", answer.text());
        }
        wait_for_renewal(&mut stack).await;
        if fetched(&stack) != u64::try_from(fetches.len()).expect("a number") {
            fetches.push(step);
        }
        advance(&mut stack, STEP).await;
    }

    // 500 steps are a day. A token is good for 7200 s and renewed in its last 290: 40 steps of 173
    // s.
    assert_eq!(fetched(&stack), 13);
    assert_eq!(
        fetches,
        (0..13).map(|token| token * 40).collect::<Vec<u64>>()
    );
    assert_eq!(stack.wechat.refused_tokens(), 0);
    assert_eq!(stack.wechat.calls(Endpoint::Getuserphonenumber), 1500);
}

#[tokio::test]
async fn sixty_first_uses_on_three_replicas_fetch_one_token() {
    let mut stack = Stack::start(setup()).await;
    let replicas = [
        stack.address(),
        stack.one_more().await,
        stack.one_more().await,
    ];
    let skey = stack.login("ann").await;
    let slow = Fault {
        delay_ms: 200,
        ..Fault::default()
    };
    stack.wechat.push_fault(Endpoint::StableToken, slow);

    let all = replicas.iter().cycle().take(60);
    let answers = join_all(all.map(|at| ask(&stack, *at, &skey, "ann"))).await;

    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(fetched(&stack), 1);
}

#[tokio::test]
async fn a_token_ended_elsewhere_is_replaced_without_a_failed_call() {
    let stack = Stack::start(setup()).await;
    let skey = stack.login("ann").await;
    assert_eq!(ask(&stack, stack.address(), &skey, "ann").await.status, 200);
    stack.wechat.end_token(APP.0);

    let all = (0..10).map(|_| ask(&stack, stack.address(), &skey, "ann"));
    let answers = join_all(all).await;

    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(fetched(&stack), 2);
}

#[tokio::test]
async fn a_good_token_is_ended_only_when_wechat_refuses_it_and_at_most_every_30_s() {
    let mut stack = Stack::start(setup()).await;
    let skey = stack.login("ann").await;
    let at = stack.address();
    assert_eq!(ask(&stack, at, &skey, "ann").await.status, 200);

    stack.wechat.spoil_token(APP.0);
    assert_eq!(ask(&stack, at, &skey, "ann").await.status, 200);
    // The first, the same again, and one by force.
    assert_eq!(fetched(&stack), 3);

    stack.wechat.spoil_token(APP.0);
    let refused = ask(&stack, at, &skey, "ann").await;
    assert_eq!(refused.error(), Some("wechat_misconfigured"), "{refused:?}");
    assert_eq!(fetched(&stack), 4);

    wait_for_renewal(&mut stack).await;
    advance(&mut stack, Duration::from_secs(31)).await;
    let at_last = ask(&stack, at, &skey, "ann").await;
    assert_eq!(at_last.status, 200, "{}", at_last.text());
    assert_eq!(fetched(&stack), 6);
}

#[tokio::test]
async fn a_wechat_that_gives_no_new_token_costs_nothing_while_the_old_one_is_good() {
    let mut stack = Stack::start(setup()).await;
    let skey = stack.login("ann").await;
    let at = stack.address();
    assert_eq!(ask(&stack, at, &skey, "ann").await.status, 200);
    advance(&mut stack, Duration::from_secs(6950)).await;
    let away = Fault {
        drop: Some(DropWhen::Before),
        ..Fault::default()
    };
    stack.wechat.push_fault(Endpoint::StableToken, away);

    assert_eq!(ask(&stack, at, &skey, "ann").await.status, 200);
    stack.wechat.wait_for_calls(Endpoint::StableToken, 2).await;
    wait_for_renewal(&mut stack).await;
    assert_eq!(ask(&stack, at, &skey, "ann").await.status, 200);
    wait_for_renewal(&mut stack).await;

    assert_eq!(fetched(&stack), 3);
    advance(&mut stack, Duration::from_secs(300)).await;
    assert_eq!(ask(&stack, at, &skey, "ann").await.status, 200);
    assert_eq!((fetched(&stack), stack.wechat.refused_tokens()), (3, 0));
}

#[tokio::test]
async fn after_a_failure_wechat_is_left_alone_for_a_second() {
    let stack = Stack::start(setup()).await;
    let skey = stack.login("ann").await;
    let broken = Fault {
        errcode: Some(40164),
        times: -1,
        ..Fault::default()
    };
    stack.wechat.push_fault(Endpoint::StableToken, broken);

    let first = ask(&stack, stack.address(), &skey, "ann").await;
    let all = (0..20).map(|_| ask(&stack, stack.address(), &skey, "ann"));
    let others = join_all(all).await;

    assert_eq!(first.error(), Some("wechat_misconfigured"));
    let names: Vec<_> = others.iter().map(Response::error).collect();
    assert!(
        names.contains(&Some("wechat_unreachable")),
        "every request called WeChat: {names:?}"
    );
    assert!(fetched(&stack) < 21, "{}", fetched(&stack));
}

#[tokio::test]
async fn a_dump_of_redis_shows_no_token() {
    let mut stack = Stack::start(setup()).await;
    let skey = stack.login("ann").await;
    let known = Fault {
        body: Some(r#"{"access_token":"the-token-in-clear","expires_in":7200}"#.to_owned()),
        ..Fault::default()
    };
    stack.wechat.push_fault(Endpoint::StableToken, known);
    let phone = Fault {
        errcode: Some(-1),
        ..Fault::default()
    };
    stack.wechat.push_fault(Endpoint::Getuserphonenumber, phone);
    ask(&stack, stack.address(), &skey, "ann").await;

    let stored = stack.redis().command(&[b"EXISTS", KEPT.as_bytes()]).await;
    let dump = stack.redis().dump().await;

    assert_eq!(stored, Reply::Number(1));
    assert!(!String::from_utf8_lossy(&dump).contains("the-token-in-clear"));
}

#[tokio::test]
async fn without_redis_a_process_keeps_its_own_token() {
    let stack = Stack::start(setup().memory()).await;
    let skey = stack.login("ann").await;

    let all = (0..20).map(|_| ask(&stack, stack.address(), &skey, "ann"));
    let answers = join_all(all).await;
    stack.wechat.end_token(APP.0);
    let after = ask(&stack, stack.address(), &skey, "ann").await;

    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!((after.status, fetched(&stack)), (200, 2));
}
