//! Disconnected clients and expired deadlines at every point where the gateway waits: late bytes
//! reach no other request, and the next requests get their own responses.

use std::time::Duration;

use crate::mixing::{User, identity_response, is_own_response, over_http1, over_http2, users};
use crate::support::client::{Client, Request};
use crate::support::h2::H2Client;
use crate::support::setup::Setup;
use crate::support::stack::Stack;
use crate::support::steps::Answer;
use crate::support::within;

/// Each user sends a request over a connection of their own and over a shared one, and gets their
/// own response.
async fn assert_own_responses(stack: &Stack, users: &[User], what: &str) {
    let shared = H2Client::connect(stack.address()).await;
    let asked = users.iter().enumerate().map(async |(number, user)| {
        let mut client = Client::connect(stack.address()).await;
        let mut shared = shared.clone();
        let target = format!("/own/{number}");
        let (one, two) = tokio::join!(
            over_http1(&mut client, user, &target, number % 2 == 0),
            over_http2(&mut shared, user, &target),
        );
        assert_eq!((one, two), (Some(true), Some(true)), "{what}");
    });
    futures_util::future::join_all(asked).await;
}

#[tokio::test]
async fn requests_after_one_aborted_at_any_point_get_their_own_responses() {
    let mut stack = Stack::start(Setup::new().far_redis(Duration::ZERO)).await;
    let users = users(&stack, 6).await;
    let leaver = &users[0];
    stack.upstream.always(identity_response);
    let head = format!("/left HTTP/1.1\r\nHost: g\r\nskey: {}\r\n", leaver.skey);
    let get = format!("GET {head}\r\n");
    for round in 0..3 {
        // In the middle of the head.
        let mut client = Client::connect(stack.address()).await;
        client.write(format!("GET {head}")).await;
        drop(client);
        assert_own_responses(&stack, &users, "half a head").await;

        // While Redis waits; its reply comes after the client has left.
        let carried = stack.network().carried();
        stack.redis().pause();
        let mut client = Client::connect(stack.address()).await;
        client.write(&get).await;
        within("the question to Redis", async {
            // More than a ping of the supervisor.
            while stack.network().carried() < carried + 60 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        drop(client);
        let asking = assert_own_responses(&stack, &users, "Redis waited");
        let mut asking = Box::pin(asking);
        assert!(
            tokio::time::timeout(Duration::from_millis(20), &mut asking)
                .await
                .is_err()
        );
        stack.redis.as_ref().expect("Redis").resume();
        asking.await;

        // In the middle of the body.
        stack.upstream.next(Answer::text(200, "no one's"));
        let mut client = Client::connect(stack.address()).await;
        client
            .write(format!("POST {head}Content-Length: 9\r\n\r\nhalf"))
            .await;
        abandoned_request_arrives(&mut stack).await;
        drop(client);
        stack.upstream.closed().await;
        assert_own_responses(&stack, &users, "half a body").await;

        // While the upstream waits.
        let (gate, answer) = Answer::text(200, "no one's").held();
        stack.upstream.next(answer);
        let mut client = Client::connect(stack.address()).await;
        client.write(&get).await;
        abandoned_request_arrives(&mut stack).await;
        drop(client);
        if round > 0 {
            // It may respond before or after the gateway has noticed.
            gate.notify_one();
        }
        assert_own_responses(&stack, &users, "the upstream waited").await;
        gate.notify_one();
        assert_own_responses(&stack, &users, "the upstream answered").await;

        // While the response streams.
        let (pieces, answer) = Answer::stream("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
        stack.upstream.next(answer);
        pieces
            .send(b"no one's".to_vec())
            .expect("a running upstream");
        let mut client = Client::connect(stack.address()).await;
        client.write(&get).await;
        abandoned_request_arrives(&mut stack).await;
        client.until("no one's").await;
        drop(client);
        assert_own_responses(&stack, &users, "half an answer").await;
        let _ = pieces.send(vec![b'x'; 92]);
        drop(pieces);
        assert_own_responses(&stack, &users, "the rest of the answer").await;
    }
}

/// Waits until the upstream has the head of the request that will be abandoned.
async fn abandoned_request_arrives(stack: &mut Stack) {
    while stack.upstream.head().await.target() != "/left" {}
}

#[tokio::test]
async fn a_response_after_its_deadline_reaches_no_other_request() {
    let setup = Setup::new()
        .table("redis", "timeout = \"100ms\"")
        .table("upstreams.api", "response_timeout = \"100ms\"");
    let mut stack = Stack::start(setup).await;
    let users = users(&stack, 6).await;
    stack.upstream.always(identity_response);
    let (mut late, mut served) = (0, 0);
    for _ in 0..3 {
        stack.redis().pause();
        for user in &users {
            let answer = stack.get("/late", &user.skey).await;
            assert!(!is_own_response(
                user,
                "/late",
                answer.status,
                &answer.text()
            ));
        }
        stack.redis().resume();
        // As soon as the first is served again, with Redis's late replies on the same connections.
        for (number, user) in users.iter().enumerate() {
            let target = format!("/again/{number}");
            let again = async {
                loop {
                    let answer = stack.get(&target, &user.skey).await;
                    if is_own_response(user, &target, answer.status, &answer.text()) {
                        break;
                    }
                }
            };
            within("Redis to be back", again).await;
        }
        let (gate, answer) = Answer::text(200, "no one's").held();
        stack.upstream.next(answer);
        let post = Request::new("POST", "/late")
            .body("b")
            .header("skey", &users[0].skey);
        let answer = stack.send(post).await;
        late += usize::from(answer.error() == Some("upstream_timeout"));
        gate.notify_one();
        for (number, user) in users.iter().enumerate() {
            let target = format!("/after/{number}");
            let answer = stack.get(&target, &user.skey).await;
            served += usize::from(is_own_response(
                user,
                &target,
                answer.status,
                &answer.text(),
            ));
        }
    }
    assert!(late > 0 && served > 0, "{late} late, {served} served");
}
