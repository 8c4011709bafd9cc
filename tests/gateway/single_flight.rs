//! One login code, many callers: WeChat is asked once.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use tokio::task::JoinSet;

use crate::support::client::Request;
use crate::support::redis::Reply;
use crate::support::setup::{Setup, login_request};
use crate::support::stack::Stack;

/// Sends the code 50 times at once, to the gateways in turn; gives the different skeys that came
/// back.
async fn fifty_logins(code: &str, gateways: &[SocketAddr]) -> BTreeSet<String> {
    let mut logins = JoinSet::new();
    for to in gateways.iter().copied().cycle().take(50) {
        let request = login_request(code);
        logins.spawn(async move { request.send(to).await });
    }
    let answers = logins.join_all().await;
    assert_eq!(answers.len(), 50);
    answers
        .iter()
        .map(|answer| {
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.field("skey")
        })
        .collect()
}

async fn sessions(stack: &mut Stack) -> usize {
    let keys = stack.redis().command(&[b"KEYS", b"skeygate:s:*"]).await;
    let Reply::List(keys) = keys else {
        panic!("KEYS without a list: {keys:?}");
    };
    keys.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_logins_with_one_code_ask_wechat_once_and_share_one_session() {
    let mut stack = Stack::start(Setup::new()).await;

    let skeys = fifty_logins(&stack.code("ann"), &[stack.address()]).await;

    assert_eq!(skeys.len(), 1);
    assert_eq!(stack.exchanges(), 1);
    assert_eq!(sessions(&mut stack).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_on_one_redis_ask_wechat_once_and_share_one_session() {
    let mut stack = Stack::start(Setup::new()).await;
    let gateways = [stack.address(), stack.one_more().await];

    let skeys = fifty_logins(&stack.code("ann"), &gateways).await;

    assert_eq!(skeys.len(), 1);
    assert_eq!(stack.exchanges(), 1);
    assert_eq!(sessions(&mut stack).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_logins_without_redis_ask_wechat_once() {
    let stack = Stack::start(Setup::new().memory()).await;

    let skeys = fifty_logins(&stack.code("ann"), &[stack.address()]).await;

    assert_eq!(skeys.len(), 1);
    assert_eq!(stack.exchanges(), 1);
}

#[tokio::test]
async fn a_repeated_code_gets_the_same_session_for_a_while() {
    let stack = Stack::start(Setup::new()).await;
    let login = login_request(&stack.code("ann"));

    let first = stack.send(login.clone()).await;
    let again = stack.send(login).await;

    assert_eq!(again.field("skey"), first.field("skey"));
    assert_eq!(stack.exchanges(), 1);
}

#[tokio::test]
async fn two_gateways_on_one_redis_share_sessions_logouts_and_user_ids() {
    let mut stack = Stack::start(Setup::new()).await;
    let other = stack.one_more().await;
    let here = stack.log_in(stack.address(), "ann").await;
    let there = stack.log_in(other, "ann").await;
    let request = Request::get("/x").header("skey", &here.field("skey"));
    assert_eq!(request.send(other).await.status, 200);

    let logout = Request::new("POST", "/_gateway/logout").header("skey", &here.field("skey"));
    logout.send(other).await;

    assert_eq!(here.field("user_id"), there.field("user_id"));
    assert_eq!(stack.send(request).await.status, 401);
    assert_eq!(stack.get("/x", &there.field("skey")).await.status, 200);
}
