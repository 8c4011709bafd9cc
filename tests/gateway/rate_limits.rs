//! Limits of routes, by address and by user: the counting keys, the reported status, and the cost
//! of a refusal.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::support::client::{Client, Request, Response};
use crate::support::process::GatewayProcess;
use crate::support::setup::Setup;
use crate::support::stack::Stack;
use crate::support::steps::Answer;

/// One route for everything, with these keys.
fn route(keys: &str) -> Setup {
    let route = format!("[[routes]]\npath = \"/*\"\nupstream = \"api\"\n{keys}\n");
    Setup::new().memory().routes(&route)
}

/// A route without auth, three requests at once for each address.
fn open() -> Setup {
    route("auth = \"off\"\nrate_limit = { per_address = \"3/h\" }")
}

/// Behind a proxy that is known.
pub(crate) fn trusting(setup: Setup) -> Setup {
    setup.table("server", "trusted_proxies = [\"127.0.0.0/8\"]")
}

/// A GET that a proxy says is of this client.
fn of(client: &str) -> Request {
    Request::get("/a").header("X-Forwarded-For", client)
}

/// The statuses of the same request, sent so often.
async fn statuses(stack: &Stack, request: &Request, times: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..times {
        statuses.push(stack.send(request.clone()).await.status);
    }
    statuses
}

/// The values of `RateLimit-Limit` and `-Remaining`, if there is a `-Reset` too.
pub(crate) fn limit_status(answer: &Response) -> Option<[u64; 2]> {
    let [limit, remaining, _] = ["limit", "remaining", "reset"].map(|name| {
        let [value] = answer.headers.all(&format!("ratelimit-{name}"))[..] else {
            return None;
        };
        Some(value.parse().expect("a number"))
    });
    reset(answer).and(Some([limit?, remaining?]))
}

/// The value of `RateLimit-Reset` in minutes: a busy machine may lose seconds.
fn reset(answer: &Response) -> Option<u64> {
    let value = answer.headers.get("ratelimit-reset")?;
    let seconds: u64 = value.parse().expect("whole seconds");
    Some(seconds.div_ceil(60))
}

/// The value of `Retry-After` in minutes.
fn retry_after(answer: &Response) -> u64 {
    let value = answer.headers.get("retry-after").expect("Retry-After");
    let seconds: u64 = value.parse().expect("whole seconds");
    seconds.div_ceil(60)
}

#[tokio::test]
async fn each_address_is_limited_by_itself() {
    let stack = Stack::start(trusting(open())).await;

    let first = statuses(&stack, &of("192.0.2.1"), 5).await;
    let second = statuses(&stack, &of("192.0.2.2"), 1).await;

    assert_eq!(first, [200, 200, 200, 429, 429]);
    assert_eq!(second, [200]);
    assert_eq!(stack.upstream.requests(), 4);
}

#[tokio::test]
async fn ipv6_addresses_of_one_network_share_a_limit() {
    let stack = Stack::start(trusting(open())).await;

    for host in ["::1", "::2", ":dead:beef:1:2"] {
        let client = format!("2001:db8:1:2{host}");
        assert_eq!(stack.send(of(&client)).await.status, 200, "{client}");
    }

    assert_eq!(stack.send(of("2001:db8:1:2:a:b:c:d")).await.status, 429);
    assert_eq!(stack.send(of("2001:db8:1:3::1")).await.status, 200);
}

#[tokio::test]
async fn an_address_that_the_client_made_up_is_not_counted_instead_of_its_own() {
    let stack = Stack::start(open()).await;

    for client in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        assert_eq!(stack.send(of(client)).await.status, 200);
    }

    assert_eq!(stack.send(of("192.0.2.4")).await.status, 429);
}

#[tokio::test]
async fn forwarded_entries_before_the_trusted_proxys_own_are_not_counted() {
    let stack = Stack::start(trusting(open())).await;

    for claimed in ["192.0.2.1", "192.0.2.2", "nonsense"] {
        let client = format!("{claimed}, 203.0.113.9");
        assert_eq!(stack.send(of(&client)).await.status, 200);
    }

    assert_eq!(stack.send(of("192.0.2.4, 203.0.113.9")).await.status, 429);
}

#[tokio::test]
async fn each_user_has_one_limit_over_all_sessions() {
    let stack = Stack::start(route("rate_limit = { per_user = \"2/h\" }")).await;
    let (ann, again) = (stack.login("ann").await, stack.login("ann").await);
    let bob = stack.login("bob").await;

    assert_eq!(stack.get("/a", &ann).await.status, 200);
    assert_eq!(stack.get("/a", &again).await.status, 200);
    let refused = stack.get("/a", &ann).await;

    assert_eq!(
        (refused.status, refused.error()),
        (429, Some("rate_limited"))
    );
    assert_eq!(stack.get("/a", &again).await.status, 429);
    assert_eq!(stack.get("/a", &bob).await.status, 200);
}

#[tokio::test]
async fn users_without_an_id_are_limited_by_openid() {
    let setup = route("rate_limit = { per_user = \"1/h\" }").table("users", "store = \"off\"");
    let stack = Stack::start(setup).await;
    let (ann, bob) = (stack.login("ann").await, stack.login("bob").await);

    assert_eq!(stack.get("/a", &ann).await.status, 200);
    assert_eq!(stack.get("/a", &ann).await.status, 429);
    assert_eq!(stack.get("/a", &bob).await.status, 200);
}

#[tokio::test]
async fn anonymous_callers_are_counted_by_address_alone() {
    let limit = "rate_limit = { per_user = \"1/h\", per_address = \"4/h\", burst = 4 }";
    let stack = Stack::start(route(&format!("auth = \"optional\"\n{limit}"))).await;

    let statuses = statuses(&stack, &Request::get("/a"), 5).await;

    assert_eq!(statuses, [200, 200, 200, 200, 429]);
}

#[tokio::test]
async fn each_route_counts_for_itself_and_one_without_a_limit_not_at_all() {
    let limited = "upstream = \"api\"\nauth = \"off\"\nrate_limit = { per_address = \"1/h\" }";
    let routes = format!(
        "[[routes]]\npath = \"/a\"\n{limited}\n[[routes]]\npath = \"/b\"\n{limited}\n\
         [[routes]]\npath = \"/c\"\nupstream = \"api\"\nauth = \"off\"\n"
    );
    let stack = Stack::start(Setup::new().memory().routes(&routes)).await;

    assert_eq!(statuses(&stack, &Request::get("/a"), 2).await, [200, 429]);
    assert_eq!(statuses(&stack, &Request::get("/b"), 2).await, [200, 429]);
    assert_eq!(statuses(&stack, &Request::get("/c"), 9).await, [200; 9]);
    assert_eq!(limit_status(&stack.send(Request::get("/c")).await), None);
}

#[tokio::test]
async fn an_address_is_refused_before_the_store_is_asked() {
    let limit =
        "[[routes]]\npath = \"/*\"\nupstream = \"api\"\nrate_limit = { per_address = \"2/h\" }\n";
    let setup = Setup::new().default_deadlines().routes(limit);
    let mut stack = Stack::start(setup).await;
    let skey = stack.login("ann").await;
    stack.redis().kill().await;

    let request = Request::get("/a").header("skey", &skey);

    assert_eq!(statuses(&stack, &request, 3).await, [503, 503, 429]);
}

#[tokio::test]
async fn a_refusal_costs_no_body_and_no_connection() {
    let stack = Stack::start(open()).await;
    statuses(&stack, &Request::get("/a"), 3).await;
    let mut client = Client::connect(stack.address()).await;

    // The body never comes.
    client
        .write("POST /a HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 9\r\n\r\n")
        .await;

    assert_eq!(client.response("POST").await.status, 429);
    assert_eq!(stack.upstream.requests(), 3);
}

#[tokio::test]
async fn responses_report_the_limit_status() {
    let mut stack = Stack::start(route("rate_limit = { per_address = \"3/h\" }")).await;
    let skey = stack.login("ann").await;

    let good = stack.get("/a", &skey).await;
    let not_logged_in = stack.send(Request::get("/a")).await;
    stack.upstream.refuse().await;
    let broken = stack.get("/b", &skey).await;
    let refused = stack.get("/a", &skey).await;

    assert_eq!((good.status, limit_status(&good)), (200, Some([3, 2])));
    assert_eq!(not_logged_in.status, 401);
    assert_eq!(limit_status(&not_logged_in), Some([3, 1]));
    assert_eq!((broken.status, limit_status(&broken)), (502, Some([3, 0])));
    assert_eq!(
        (refused.status, limit_status(&refused)),
        (429, Some([3, 0]))
    );
    let resets = [&good, &not_logged_in, &broken, &refused].map(reset);
    assert_eq!(resets, [Some(20), Some(40), Some(60), Some(60)]);
    assert_eq!(retry_after(&refused), 20);
}

#[tokio::test]
async fn the_nearer_of_two_limits_is_reported() {
    let limit = "rate_limit = { per_user = \"2/h\", per_address = \"4/h\" }";
    let stack = Stack::start(route(limit)).await;
    let (ann, bob) = (stack.login("ann").await, stack.login("bob").await);

    assert_eq!(limit_status(&stack.get("/a", &ann).await), Some([2, 1]));
    assert_eq!(limit_status(&stack.get("/a", &ann).await), Some([2, 0]));
    assert_eq!(limit_status(&stack.get("/a", &ann).await), Some([2, 0]));
    assert_eq!(limit_status(&stack.get("/a", &bob).await), Some([4, 0]));
}

#[tokio::test]
async fn a_service_that_limits_by_itself_is_not_contradicted() {
    let stack = Stack::start(open()).await;
    stack.upstream.next(Answer::raw(
        "HTTP/1.1 429 Too Many Requests\r\nRateLimit-Remaining: 0\r\nContent-Length: 0\r\n\r\n",
    ));

    let answer = stack.send(Request::get("/a")).await;

    assert_eq!(answer.headers.all("ratelimit-remaining"), ["0"]);
    assert_eq!(answer.headers.get("ratelimit-limit"), None);
    assert_eq!((answer.status, answer.error()), (429, None));
}

#[tokio::test]
async fn a_refusal_has_the_style_of_its_route() {
    let error = "rate_limited";
    let message = "too many requests";
    let plain = json!({ "error": error, "errcode": 45011, "errmsg": message });
    let short = json!({ "errcode": 45011, "errmsg": message });
    let wafer2 = json!({
        "error": error, "errcode": 45011, "errmsg": message, "code": 45011, "message": message,
    });
    let own = r#"{ login = '{"t":"{skey}"}', refusal_status = 200, refusal = '{"e":"{error}"}' }"#;
    for (style, status, body) in [
        ("\"plain\"", 429, &plain),
        ("\"token\"", 429, &short),
        ("\"sessionid\"", 429, &short),
        ("\"wafer2\"", 429, &wafer2),
        ("\"errcode200\"", 200, &plain),
        (own, 200, &json!({ "e": error })),
    ] {
        let keys = "auth = \"off\"\nrate_limit = { per_address = \"1/h\" }";
        let stack = Stack::start(route(&format!("style = {style}\n{keys}"))).await;
        statuses(&stack, &Request::get("/a"), 1).await;

        let refused = stack.send(Request::get("/a")).await;

        let mut told_body = refused.json();
        told_body.as_object_mut().unwrap().remove("request_id");
        assert_eq!((refused.status, &told_body), (status, body), "{style}");
        assert_eq!(refused.error(), Some(error), "{style}");
        assert_eq!(retry_after(&refused), 60, "{style}");
        assert_eq!(limit_status(&refused), Some([1, 0]), "{style}");
    }
}

const SHARED: &str = "[[routes]]\npath = \"/*\"\nupstream = \"api\"\nauth = \"off\"\n\
    rate_limit = { per_address = \"4/h\" }\n";

fn shared() -> Setup {
    let setup = Setup::new().default_deadlines().routes(SHARED);
    setup.table("rate_limit", "shared = true")
}

#[tokio::test]
async fn two_gateways_on_one_redis_count_together() {
    let mut stack = Stack::start(shared()).await;
    let other = stack.one_more().await;
    let mut statuses = Vec::new();
    for at in [stack.address(), other].into_iter().cycle().take(6) {
        statuses.push(Request::get("/a").send(at).await.status);
    }

    assert_eq!(statuses, [200, 200, 200, 200, 429, 429]);
}

#[tokio::test]
async fn two_gateways_that_do_not_share_count_each_for_itself() {
    let mut stack = Stack::start(Setup::new().routes(SHARED)).await;
    let other = stack.one_more().await;
    for at in [stack.address(), other] {
        for expected in [200, 200, 200, 200, 429] {
            assert_eq!(Request::get("/a").send(at).await.status, expected);
        }
    }
}

#[tokio::test]
async fn a_killed_redis_lifts_no_limit_and_refuses_no_caller() {
    let mut stack = Stack::start(shared()).await;
    assert_eq!(statuses(&stack, &Request::get("/a"), 1).await, [200]);

    stack.redis().kill().await;
    let without = statuses(&stack, &Request::get("/a"), 6).await;

    assert_eq!(without, [200, 200, 200, 429, 429, 429]);
}

#[tokio::test]
async fn a_frozen_redis_lifts_no_limit_and_costs_its_timeout_a_few_times() {
    let mut stack = Stack::start(shared()).await;
    assert_eq!(statuses(&stack, &Request::get("/a"), 1).await, [200]);

    stack.redis().pause();
    let start = Instant::now();
    let without = statuses(&stack, &Request::get("/a"), 20).await;
    let took = start.elapsed();
    stack.redis().resume();

    assert_eq!(without[..3], [200; 3]);
    assert_eq!(without[3..], [429; 17]);
    // Three commands of 300 ms, and a busy machine.
    let possible = Duration::from_millis(300)..Duration::from_secs(4);
    assert!(possible.contains(&took), "{took:?}");
}

#[tokio::test]
async fn requests_over_a_unix_socket_are_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("gateway.sock");
    let behind = Stack::start(open().socket(&socket)).await;
    let url = format!("unix:{}", socket.display());
    let before = Stack::start(route("auth = \"off\"").upstream(&url)).await;

    let over_socket = statuses(&before, &Request::get("/a"), 5).await;
    let over_tcp = statuses(&behind, &Request::get("/a"), 4).await;

    assert_eq!(over_socket, [200; 5]);
    assert_eq!(over_tcp, [200, 200, 200, 429]);
}

#[tokio::test]
async fn the_log_says_which_limit_it_was() {
    let limit = "rate_limit = { per_user = \"1/h\", per_address = \"3/h\", burst = 3 }";
    let parts = route(limit).start().await;
    let mut gateway = GatewayProcess::start(&parts.toml).await;
    let skey = parts.skey(gateway.address, "ann").await;

    for _ in 0..4 {
        let request = Request::get("/a").header("skey", &skey);
        request.send(gateway.address).await;
    }

    let line = gateway.program.line("\"error\":\"rate_limited\"").await;
    let cause = "\"cause\":\"the route's per_address (3/h, 3 at once) is used up\"";
    assert!(line.contains(cause), "{line}");
    assert!(line.contains("\"level\":\"INFO\""), "{line}");
}
