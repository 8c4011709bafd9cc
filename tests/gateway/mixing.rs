//! Two users are never mixed: many share few connections on both sides, some disconnect, Redis is
//! slow and at times too slow, upstreams respond in every framing, and each response is compared
//! with its own request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::support::client::{Client, Request};
use crate::support::fields::Head;
use crate::support::h2::H2Client;
use crate::support::setup::{APP, Setup};
use crate::support::stack::Stack;
use crate::support::steps::{Answer, Step, chunk};
use crate::support::within;

const USERS: usize = 8;
const CLIENTS: u64 = 12;
const REQUESTS: u64 = 40;

/// The forwarded openid and the target, in one framing or another.
pub(crate) fn identity_response(head: &Head) -> Answer {
    let openid = head.headers.get("x-openid").unwrap_or("anonymous");
    let text = format!("{openid} {}", head.target());
    match text.len() % 3 + usize::from(head.start.starts_with("POST")) {
        0 => Answer::text(200, &text),
        1 => Answer::raw(
            [
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice(),
                &chunk(&text),
                b"0\r\n\r\n",
            ]
            .concat(),
        ),
        // Before the body was read.
        _ => {
            let length = text.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}");
            Answer(vec![Step::Write(answer.into_bytes()), Step::ReadBody])
        }
    }
}

/// The skey of a user; a machine busy with something else makes Redis too slow at times.
async fn log_in(stack: &Stack, user: &str) -> String {
    let logging_in = async {
        loop {
            let answer = stack.log_in(stack.address(), user).await;
            if answer.status == 200 {
                return answer.field("skey");
            }
            assert_eq!(answer.status, 503, "{}", answer.text());
        }
    };
    within("a login", logging_in).await
}

#[tokio::test]
async fn responses_match_their_users_on_shared_connections_with_aborted_requests() {
    let setup = Setup::new()
        .far_redis(Duration::from_millis(5))
        .table("redis", "timeout = \"40ms\"")
        .table("upstreams.api", "max_in_flight = 4");
    let stack = Stack::start(setup).await;
    stack.upstream.always(identity_response);
    let mut users = Vec::new();
    for number in 0..USERS {
        let user = format!("user-{number}");
        users.push((
            stack.wechat.openid(APP.0, &user),
            log_in(&stack, &user).await,
        ));
    }
    let mut running = JoinSet::new();
    for client in 0..CLIENTS {
        let (users, to) = (users.clone(), stack.address());
        running.spawn(async move {
            let mut connection = Client::connect(to).await;
            let mut answered = 0;
            for number in 0..REQUESTS {
                let pick = client * 5 + number * 3;
                let (openid, skey) = &users[usize::try_from(pick).expect("small") % USERS];
                let target = format!("/{client}/{number}/{}", "x".repeat((number % 5) as usize));
                let request = match pick % 4 {
                    0 => Request::new("POST", &target).body("b".repeat(500)),
                    _ => Request::get(&target),
                };
                let request = request.header("skey", skey);
                if pick % 7 == 0 {
                    // Leaves before, while or after Redis or the upstream answer.
                    let patience = Duration::from_millis(pick % 25);
                    let _ = tokio::time::timeout(patience, connection.try_exchange(&request)).await;
                    connection = Client::connect(to).await;
                    continue;
                }
                let answer = connection.exchange(&request).await;
                // Too slow a Redis is an outage, never another user's session and never a logout.
                assert!(matches!(answer.status, 200 | 503), "{answer:?}");
                if answer.status == 200 {
                    assert_eq!(answer.text(), format!("{openid} {target}"));
                    answered += 1;
                }
            }
            answered
        });
    }

    let answered: u64 = running.join_all().await.into_iter().sum();

    // Even a Redis that is often too slow serves some.
    assert!(answered > 0);
}

/// As `identity_response`, by an upstream that fails in every way in turn.
fn failing_response(head: &Head, number: usize) -> Answer {
    let Answer(mut steps) = identity_response(head);
    match number % 16 {
        0 => return Answer(vec![Step::ReadBody, Step::Reset]),
        1 => {
            let half = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nno one's";
            return Answer::raw(half).then(Step::Close);
        }
        2 => return Answer::raw("HTTP/1.1 200 OK\r\nConten").then(Step::Close),
        3 => return Answer::raw("HTTP/1.1 200 OK\nContent-Length: 8\n\nno one's"),
        // In one piece: bytes that come after the next request was sent are its response to every
        // HTTP/1 client.
        4 => {
            if let Some(Step::Write(last)) = steps.last_mut() {
                last.extend(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nno one's");
            }
        }
        5 => steps.push(Step::Close),
        6 => steps.insert(0, Step::Slow(Duration::from_millis(5))),
        7 => return Answer(vec![Step::ReadBody, Step::Close]),
        _ => {}
    }
    Answer(steps)
}

/// A user with a session.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) openid: String,
    pub(crate) skey: String,
}

pub(crate) async fn users(stack: &Stack, count: usize) -> Vec<User> {
    let names: Vec<String> = (0..count).map(|number| format!("user-{number}")).collect();
    let mut users = Vec::new();
    for some in names.chunks(20) {
        let some = some.iter().map(async |name| User {
            openid: stack.wechat.openid(APP.0, name),
            skey: log_in(stack, name).await,
        });
        users.extend(futures_util::future::join_all(some).await);
    }
    users
}

/// Compares a response with its own request; true for one of the upstream, false for a refusal.
pub(crate) fn is_own_response(user: &User, target: &str, status: u16, text: &str) -> bool {
    if status == 200 {
        assert_eq!(text, format!("{} {target}", user.openid));
        return true;
    }
    // Too slow a Redis and a broken upstream are outages; never another user's session, never a
    // logout.
    assert!(matches!(status, 502..=504), "{status} {text} to {target}");
    false
}

pub(crate) async fn over_http2(client: &mut H2Client, user: &User, target: &str) -> Option<bool> {
    let request = http::Request::get(format!("http://gateway.test{target}"))
        .header("skey", &user.skey)
        .body(Bytes::new())
        .expect("a request");
    let answer = within("an answer", client.try_send(request)).await.ok()?;
    let text = String::from_utf8_lossy(answer.body()).into_owned();
    Some(is_own_response(
        user,
        target,
        answer.status().as_u16(),
        &text,
    ))
}

pub(crate) async fn over_http1(
    client: &mut Client,
    user: &User,
    target: &str,
    post: bool,
) -> Option<bool> {
    let request = match post {
        true => Request::new("POST", target).body("b".repeat(700)),
        false => Request::get(target),
    };
    let request = request.header("skey", &user.skey);
    let answer = within("an answer", client.try_exchange(&request))
        .await
        .ok()?;
    Some(is_own_response(user, target, answer.status, &answer.text()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_users_on_shared_connections_get_their_own_responses_from_a_failing_upstream() {
    const USERS: usize = 240;
    let setup = Setup::new().far_redis(Duration::from_millis(1)).table(
        "upstreams.api",
        "max_in_flight = 40\nresponse_timeout = \"5s\"",
    );
    let stack = Stack::start(setup).await;
    let users: Arc<Vec<User>> = Arc::new(users(&stack, USERS).await);
    let counter = AtomicUsize::new(0);
    stack
        .upstream
        .always(move |head| failing_response(head, counter.fetch_add(1, Ordering::Relaxed)));
    stack.upstream.close_idle_after(Duration::from_millis(10));
    let to = stack.address();
    let mut running = JoinSet::new();
    for lane in 0..16 {
        let users = Arc::clone(&users);
        running.spawn(async move {
            let mut client = Client::connect(to).await;
            let mut served = 0;
            for number in 0..32 {
                let user = &users[(lane * 40 + number * 7) % USERS];
                let target = format!("/1/{lane}/{number}/{}", "x".repeat(number % 3));
                if number % 11 == 10 {
                    let patience = Duration::from_millis(u64::try_from(number % 7).expect("small"));
                    let leaving = over_http1(&mut client, user, &target, number % 2 == 0);
                    let _ = tokio::time::timeout(patience, leaving).await;
                    client = Client::connect(to).await;
                    continue;
                }
                match over_http1(&mut client, user, &target, number % 4 == 0).await {
                    Some(whole) => served += usize::from(whole),
                    None => client = Client::connect(to).await,
                }
            }
            served
        });
    }
    for connection in 0..4 {
        let client = H2Client::connect(to).await;
        for lane in 0..16 {
            let (users, mut client) = (Arc::clone(&users), client.clone());
            running.spawn(async move {
                let mut served = 0;
                for number in 0..7 {
                    let user = &users[(connection * 70 + lane * 17 + number * 5) % USERS];
                    let target = format!("/2/{connection}/{lane}/{number}");
                    let asking = over_http2(&mut client, user, &target);
                    if number % 6 == 5 {
                        // The stream is reset; its neighbours go on.
                        let patience =
                            Duration::from_millis(u64::try_from(lane % 8).expect("small"));
                        let _ = tokio::time::timeout(patience, asking).await;
                        continue;
                    }
                    served += usize::from(asking.await == Some(true));
                }
                served
            });
        }
    }

    let served: usize = running.join_all().await.into_iter().sum();

    assert!(served > 300, "{served}");
}
