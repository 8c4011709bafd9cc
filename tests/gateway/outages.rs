//! Redis dies, freezes, comes back, moves far away: clients get 503 with Retry-After, never a
//! logout.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::client::{Client, Request, Response};
use crate::support::redis::LoadingRedis;
use crate::support::setup::{APP, Setup, login_request};
use crate::support::stack::Stack;
use crate::support::steps::Answer;
use crate::support::traffic::{Sample, Traffic, tally};
use crate::support::within;

/// The delay that a busy machine may add to any promised time.
const LOAD: Duration = Duration::from_secs(1);

/// `redis.timeout` as it is by default, and the time a refusal may add to it.
const REFUSED_WITHIN: Duration = Duration::from_millis(350);

/// A second after Redis is back, so is the service.
const BACK_WITHIN: Duration = Duration::from_secs(1);

const ROUTES: &str = r#"
    [[routes]]
    path = "/*"
    upstream = "api"

    [[routes]]
    path = "/optional/*"
    upstream = "api"
    auth = "optional"

    [[routes]]
    path = "/off/*"
    upstream = "api"
    auth = "off"
"#;

/// 200 requests a second by five users.
async fn traffic(stack: &Stack) -> Traffic {
    let mut requests = Vec::new();
    for user in ["ann", "bob", "cat", "dan", "eve"] {
        let skey = stack.login(user).await;
        requests.push(Request::get("/x").header("skey", &skey));
    }
    let mut traffic = Traffic::start(stack.address(), requests, 200);
    traffic
        .until("the first answers", |sample| sample.status == Some(200))
        .await;
    traffic
}

fn refused(sample: &Sample) -> bool {
    sample.status == Some(503)
}

fn served(sample: &Sample) -> bool {
    sample.status == Some(200)
}

/// Asserts that all responses are 200 or 503, with some of both; gives the times of the 503s,
/// sorted.
fn only_200_and_503(samples: &[Sample]) -> Vec<Duration> {
    let tally = tally(samples);
    let statuses: Vec<u16> = tally.keys().copied().collect();
    assert_eq!(statuses, [200, 503], "{tally:?}");
    let mut took: Vec<Duration> = samples
        .iter()
        .filter(|sample| refused(sample))
        .map(|sample| sample.took)
        .collect();
    took.sort();
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_redis_ends_no_session_and_is_used_again_within_a_second() {
    let mut stack = Stack::start(Setup::new().default_deadlines()).await;
    let mut traffic = traffic(&stack).await;

    stack.redis().kill().await;
    traffic.until("the first refusal", refused).await;
    stack.redis().restart().await;
    let back = Instant::now();
    let first = traffic.until("service to return", served).await;

    let took = (first.sent + first.took).duration_since(back);
    assert!(took < BACK_WITHIN + LOAD, "{took:?}");
    let refusals = only_200_and_503(&traffic.stop().await);
    let slowest = refusals.last().expect("refusals");
    assert!(*slowest < REFUSED_WITHIN + LOAD, "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_redis_costs_its_timeout_and_then_fails_at_once() {
    let mut stack = Stack::start(Setup::new().default_deadlines()).await;
    let mut traffic = traffic(&stack).await;

    stack.redis().pause();
    traffic.until("the first refusal", refused).await;
    let quick = |sample: &Sample| refused(sample) && sample.took < Duration::from_millis(100);
    traffic.until("refusals at once", quick).await;
    stack.redis().resume();
    let back = Instant::now();
    let first = traffic.until("service to return", served).await;

    let took = (first.sent + first.took).duration_since(back);
    assert!(took < BACK_WITHIN + LOAD, "{took:?}");
    let refusals = only_200_and_503(&traffic.stop().await);
    let slowest = refusals.last().expect("refusals");
    assert!(*slowest < REFUSED_WITHIN + LOAD, "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_restarted_in_between_costs_at_most_a_second() {
    let mut stack = Stack::start(Setup::new().default_deadlines()).await;
    let mut traffic = traffic(&stack).await;

    for _ in 0..3 {
        stack.redis().restart().await;
        let back = Instant::now();
        let first = traffic.until("service after a restart", served).await;
        let took = (first.sent + first.took).duration_since(back);
        assert!(took < BACK_WITHIN + LOAD, "{took:?}");
    }

    let tally = tally(&traffic.stop().await);
    assert!(
        tally.keys().all(|status| matches!(status, 200 | 503)),
        "{tally:?}"
    );
}

#[tokio::test]
async fn a_refusal_in_an_outage_has_retry_after() {
    let mut stack = Stack::start(Setup::new().default_deadlines().routes(ROUTES)).await;
    let skey = stack.login("ann").await;
    stack.redis().kill().await;

    let answer = stack.get("/x", &skey).await;

    assert_eq!(
        (answer.status, answer.error()),
        (503, Some("store_unavailable"))
    );
    let wait: u32 = answer
        .headers
        .get("retry-after")
        .expect("a time")
        .parse()
        .expect("seconds");
    assert!(wait >= 1);
    assert_eq!(answer.field("error"), "store_unavailable");
}

#[tokio::test]
async fn in_an_outage_open_routes_work_and_only_those_without_an_skey_are_anonymous() {
    let mut stack = Stack::start(Setup::new().default_deadlines().routes(ROUTES)).await;
    let skey = stack.login("ann").await;
    stack.redis().pause();

    let off = stack.get("/off/a", &skey).await;
    let anonymous = stack.send(Request::get("/optional/a")).await;
    let known = stack.get("/optional/a", &skey).await;
    let stranger = stack.send(Request::get("/x")).await;

    assert_eq!(off.status, 200);
    assert_eq!(anonymous.status, 200);
    assert_eq!(
        (known.status, known.error()),
        (503, Some("store_unavailable"))
    );
    // Without an skey there is nothing to look up.
    assert_eq!(
        (stranger.status, stranger.error()),
        (401, Some("not_logged_in"))
    );
    assert_eq!(stack.upstream.requests(), 2);
}

#[tokio::test]
async fn a_redis_that_wants_another_password_is_an_outage() {
    let mut stack = Stack::start(Setup::new().default_deadlines()).await;
    let skey = stack.login("ann").await;

    stack
        .redis()
        .restart_with(&["--appendonly", "yes", "--requirepass", "new"])
        .await;

    let answer = stack.get("/x", &skey).await;
    assert_eq!(
        (answer.status, answer.error()),
        (503, Some("store_unavailable"))
    );
}

#[tokio::test]
async fn a_redis_that_is_loading_its_data_is_an_outage() {
    let mut stack = Stack::start(Setup::new().default_deadlines()).await;
    let skey = stack.login("ann").await;
    stack.redis().kill().await;
    let loading = LoadingRedis::start(stack.redis().address()).await;

    let answer = stack.get("/x", &skey).await;
    let login = stack.log_in(stack.address(), "bob").await;
    drop(loading);
    stack.redis().restart().await;
    wait_for_service(&stack).await;

    assert_eq!(
        (answer.status, answer.error()),
        (503, Some("store_unavailable"))
    );
    assert_eq!(login.status, 503, "{}", login.text());
    assert_eq!(stack.get("/x", &skey).await.status, 200);
}

#[tokio::test]
async fn a_redis_that_forgot_everything_is_an_honest_401() {
    let mut stack = Stack::start(Setup::new().default_deadlines()).await;
    let skey = stack.login("ann").await;
    let mut traffic = Traffic::start(
        stack.address(),
        vec![Request::get("/x").header("skey", &skey)],
        50,
    );

    stack.redis().command(&[b"FLUSHALL"]).await;

    traffic
        .until("the refusal", |sample| sample.status == Some(401))
        .await;
    let tally = tally(&traffic.stop().await);
    assert!(
        tally.keys().all(|status| matches!(status, 200 | 401)),
        "{tally:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_never_hands_out_an_skey_that_was_not_stored() {
    let mut stack = Stack::start(Setup::new().default_deadlines()).await;
    let to = stack.address();
    let mut logins = JoinSet::new();
    let mut log_in = |stack: &Stack, round: usize| {
        for number in 0..20 {
            let request = login_request(&stack.code(&format!("user-{round}-{number}")));
            logins.spawn(async move { request.send(to).await });
        }
    };

    let before = stack.log_in(to, "early").await;
    for round in 0..3 {
        log_in(&stack, round);
        stack.redis().restart().await;
    }
    stack.redis().kill().await;
    log_in(&stack, 3);
    let mut answers = logins.join_all().await;
    answers.push(before);
    stack.redis().restart().await;
    wait_for_service(&stack).await;

    assert_eq!(answers.len(), 81);
    let stored = answers.iter().filter(|answer| answer.status == 200);
    let stored = stored.count();
    // The one before the first restart, and none of the 20 without Redis.
    assert!((1..=61).contains(&stored), "{stored}");
    for answer in &answers {
        if answer.status == 200 {
            let checked = stack.get("/x", &answer.field("skey")).await;
            assert_eq!(checked.status, 200, "{}", checked.text());
        } else {
            assert!(matches!(answer.status, 503), "{}", answer.text());
            assert!(answer.json().get("skey").is_none(), "{}", answer.text());
        }
    }
}

/// Waits until a login works again.
async fn wait_for_service(stack: &Stack) {
    let codes = (0..).map(|number| stack.code(&format!("probe-{number}")));
    let attempts = async {
        for code in codes {
            if login_request(&code).send(stack.address()).await.status == 200 {
                return;
            }
        }
    };
    within("logins to work again", attempts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_redis_a_tenth_of_a_second_away_200_requests_share_the_way() {
    let setup = Setup::new().far_redis(Duration::from_millis(50));
    let stack = Stack::start(setup).await;
    let skey = stack.login("ann").await;
    let request = Request::get("/x").header("skey", &skey);
    let mut clients = Vec::new();
    for _ in 0..200 {
        clients.push(Client::connect(stack.address()).await);
    }
    let started = Instant::now();

    let mut running = JoinSet::new();
    for mut client in clients {
        let request = request.clone();
        running.spawn(async move { client.exchange(&request).await.status });
    }
    let statuses = running.join_all().await;

    let took = started.elapsed();
    assert!(statuses.iter().all(|&status| status == 200), "{statuses:?}");
    // Eight connections with one command under way on each would take 200 / 8 * 100 ms; alone on a
    // machine this takes 0.2 s.
    let possible = Duration::from_millis(100)..Duration::from_millis(2500);
    assert!(possible.contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_noticed_and_survived() {
    let mut stack = Stack::start(Setup::new().default_deadlines().far_redis(Duration::ZERO)).await;
    let skey = stack.login("ann").await;

    stack.network().swallow();
    let started = Instant::now();
    let swallowed = stack.get("/x", &skey).await;
    let took = started.elapsed();
    stack.network().break_all();
    let broken = stack.get("/x", &skey).await;
    stack.network().heal();
    wait_for_service(&stack).await;
    let healed = stack.get("/x", &skey).await;

    assert_eq!(swallowed.status, 503);
    assert!(took < REFUSED_WITHIN + LOAD, "{took:?}");
    assert_eq!(broken.status, 503);
    assert_eq!(healed.status, 200);
    assert_eq!(stack.upstream.requests(), 1);
    stack.upstream.request().await;
}

#[tokio::test]
async fn aborted_requests_and_a_slow_redis_never_mix_two_users() {
    let setup = Setup::new()
        .far_redis(Duration::from_millis(10))
        .table("redis", "timeout = \"5s\"");
    let stack = Stack::start(setup).await;
    // The upstream returns the forwarded openid.
    stack.upstream.always(|head| {
        let openid = head.headers.get("x-openid").unwrap_or("anonymous");
        Answer::text(200, openid)
    });
    let mut users = Vec::new();
    for number in 0..10 {
        let user = format!("user-{number}");
        let openid = stack.wechat.openid(APP.0, &user);
        users.push((openid, stack.login(&user).await));
    }
    let mut running = JoinSet::new();
    for round in 0..30_u64 {
        for (number, (openid, skey)) in users.iter().enumerate() {
            let request = Request::get("/x").header("skey", skey);
            let (to, openid) = (stack.address(), openid.clone());
            let number = u64::try_from(number).expect("small");
            let leaves = (round + number) % 3 == 0;
            // Some go before, some while, some after Redis answers.
            let patience = Duration::from_millis((round * 7 + number * 3) % 40);
            running.spawn(async move {
                if leaves {
                    let _ = tokio::time::timeout(patience, request.try_send(to)).await;
                    return;
                }
                let answer: Response = request.send(to).await;
                assert_eq!((answer.status, answer.text()), (200, openid));
            });
        }
    }

    running.join_all().await;
}
