//! Connection limits, in total and per address, and exhausted file descriptors.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::support::client::{Client, Request, Response};
use crate::support::h2_frames::{GOAWAY, HEADERS, RawH2, get};
use crate::support::process::GatewayProcess;
use crate::support::setup::Setup;
use crate::support::stack::Stack;
use crate::support::steps::{Answer, Step};
use crate::support::within;

const OPEN: &str = "[[routes]]\npath = \"/*\"\nupstream = \"api\"\nauth = \"off\"\n";

async fn stack(server: &str) -> Stack {
    let stack = Stack::start(Setup::new().memory().routes(OPEN).table("server", server)).await;
    stack.upstream.always(|head| match head.target() {
        "/hang" => Answer(vec![Step::ReadBody, Step::Hang]),
        "/socket" => Answer::echo_upgrade(),
        _ => Answer::ok(),
    });
    stack
}

/// A connection whose request the upstream never answers.
async fn busy(stack: &mut Stack, from: [u8; 4]) -> Client {
    let mut client = Client::connect_from(from, stack.address()).await;
    client.write(Request::get("/hang").bytes()).await;
    while stack.upstream.head().await.target() != "/hang" {}
    client
}

async fn used(stack: &Stack) -> Client {
    let mut client = Client::connect(stack.address()).await;
    assert_eq!(client.exchange(&Request::get("/a")).await.status, 200);
    client
}

async fn refusal(client: &mut Client) -> Response {
    let answer = client.response("GET").await;
    assert!(client.is_closed().await);
    answer
}

#[tokio::test]
async fn a_new_connection_replaces_the_longest_idle_one() {
    let stack = stack("max_connections = 3\nmax_connections_per_address = 3").await;
    let mut first = used(&stack).await;
    let mut second = used(&stack).await;
    let mut third = used(&stack).await;
    assert_eq!(first.exchange(&Request::get("/a")).await.status, 200);

    let mut newcomer = used(&stack).await;

    assert!(second.is_closed().await);
    for client in [&mut first, &mut third, &mut newcomer] {
        assert_eq!(client.exchange(&Request::get("/a")).await.status, 200);
    }
}

#[tokio::test]
async fn a_connection_that_never_spoke_makes_room_too() {
    let stack = stack("max_connections = 1").await;
    let mut silent = Client::connect(stack.address()).await;

    let _newcomer = used(&stack).await;

    assert!(silent.is_closed().await);
}

#[tokio::test]
async fn requests_in_flight_or_half_sent_keep_their_connections_and_new_ones_get_503() {
    let mut stack = stack("max_connections = 3\nmax_connections_per_address = 4").await;
    let mut socket = Client::connect(stack.address()).await;
    let upgrade = Request::get("/socket")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket");
    assert_eq!(socket.exchange(&upgrade).await.status, 101);
    let mut half = used(&stack).await;
    half.write("GET /a HTTP/1.1\r\nHo").await;
    let _busy = busy(&mut stack, [127, 0, 0, 1]).await;

    let mut newcomer = Client::connect(stack.address()).await;
    newcomer.write(Request::get("/a").bytes()).await;
    let answer = refusal(&mut newcomer).await;

    assert_eq!((answer.status, answer.error()), (503, Some("overloaded")));
    assert_eq!(answer.headers.get("retry-after"), Some("1"));
    assert_eq!(answer.headers.get("connection"), Some("close"));
    assert_eq!(answer.json()["error"], "overloaded");
    half.write("st: g\r\n\r\n").await;
    assert_eq!(half.response("GET").await.status, 200);
    socket.write("still here").await;
    socket.until("still here").await;
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed_with_goaway_at_the_limit() {
    let stack = stack("max_connections = 1").await;
    let mut idle = RawH2::connect(stack.address()).await;
    idle.write(get(1, "/a")).await;
    idle.next_of(HEADERS).await;

    let _newcomer = used(&stack).await;

    let frames = idle.rest().await;
    assert!(
        frames.iter().any(|frame| frame.kind == GOAWAY),
        "{frames:?}"
    );
}

#[tokio::test]
async fn requests_after_goaway_are_closed() {
    let stack = stack("max_connections = 1").await;
    let mut stays = RawH2::connect(stack.address()).await;
    stays.write(get(1, "/a")).await;
    stays.next_of(HEADERS).await;

    let _newcomer = used(&stack).await;
    let asking = async {
        // Never acknowledges the GOAWAY, and always has a request in flight.
        let mut pause = tokio::time::interval(Duration::from_millis(200));
        let mut stream = 3;
        while stays.write(get(stream, "/a")).await {
            pause.tick().await;
            stream += 2;
        }
    };
    within("the end of the connection", asking).await;
}

#[tokio::test]
async fn an_address_at_its_limit_is_refused_and_others_are_served() {
    let mut stack = stack("max_connections_per_address = 2").await;
    let _first = busy(&mut stack, [127, 0, 0, 1]).await;
    let _second = busy(&mut stack, [127, 0, 0, 1]).await;

    let mut third = Client::connect_from([127, 0, 0, 1], stack.address()).await;
    let answer = refusal(&mut third).await;
    let mut other = Client::connect_from([127, 0, 0, 2], stack.address()).await;

    let told = (answer.status, answer.error());
    assert_eq!(told, (503, Some("too_many_connections")));
    assert_eq!(answer.headers.get("retry-after"), Some("1"));
    assert_eq!(other.exchange(&Request::get("/a")).await.status, 200);
}

#[tokio::test]
async fn no_address_takes_all_places_by_default() {
    let mut stack = stack("max_connections = 4").await;
    let _first = busy(&mut stack, [127, 0, 0, 1]).await;
    let _second = busy(&mut stack, [127, 0, 0, 1]).await;

    let mut third = Client::connect_from([127, 0, 0, 1], stack.address()).await;
    assert_eq!(refusal(&mut third).await.status, 503);
    let mut other = Client::connect_from([127, 0, 0, 2], stack.address()).await;
    assert_eq!(other.exchange(&Request::get("/a")).await.status, 200);
}

#[tokio::test]
async fn an_address_makes_room_for_itself_among_its_own_idle_connections() {
    let stack = stack("max_connections_per_address = 1").await;
    let mut others = Client::connect_from([127, 0, 0, 2], stack.address()).await;
    assert_eq!(others.exchange(&Request::get("/a")).await.status, 200);
    let mut own = used(&stack).await;

    let _newcomer = used(&stack).await;

    assert!(own.is_closed().await);
    assert_eq!(others.exchange(&Request::get("/a")).await.status, 200);
}

#[tokio::test]
async fn a_trusted_proxy_may_hold_more_than_one_address_may() {
    let mut stack =
        stack("max_connections_per_address = 1\ntrusted_proxies = [\"127.0.0.1/32\"]").await;
    let mut connections = Vec::new();
    for _ in 0..5 {
        connections.push(busy(&mut stack, [127, 0, 0, 1]).await);
    }

    assert_eq!(stack.send(Request::get("/a")).await.status, 200);
}

#[tokio::test]
async fn requests_over_the_upstream_queue_limit_are_refused_at_once() {
    let setup = Setup::new().memory().routes(OPEN);
    let mut stack = Stack::start(setup.table("upstreams.api", "max_in_flight = 1")).await;
    let (gate, held) = Answer::ok().held();
    stack.upstream.next(held);
    let mut under_way = Client::connect(stack.address()).await;
    under_way.write(Request::get("/a").bytes()).await;
    stack.upstream.head().await;

    // One of both waits in the queue, the other is refused at once.
    let mut both = [
        Client::connect(stack.address()).await,
        Client::connect(stack.address()).await,
    ];
    for client in &mut both {
        client.write(Request::get("/b").bytes()).await;
    }
    let [first, second] = &mut both;
    let (refused, waits) = tokio::select! {
        answer = first.response("GET") => (answer, second),
        answer = second.response("GET") => (answer, first),
    };

    assert_eq!((refused.status, refused.error()), (503, Some("overloaded")));
    assert_eq!(refused.headers.get("retry-after"), Some("1"));
    gate.notify_one();
    assert_eq!(under_way.response("GET").await.status, 200);
    assert_eq!(waits.response("GET").await.status, 200);
}

#[tokio::test]
async fn refusals_are_bounded_and_logged_once() {
    let setup = Setup::new().memory().routes(OPEN);
    let mut parts = setup.table("server", "max_connections = 1").start().await;
    parts
        .upstream
        .always(|_| Answer(vec![Step::ReadBody, Step::Hang]));
    let mut gateway = GatewayProcess::start(&parts.toml).await;
    let mut busy = Client::connect(gateway.address).await;
    busy.write(Request::get("/hang").bytes()).await;
    parts.upstream.head().await;

    // No client closes by itself.
    let mut refused = Vec::new();
    for _ in 0..200 {
        refused.push(Client::connect(gateway.address).await);
    }
    let mut told = 0;
    for client in &mut refused {
        let answer = client.some().await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 503 "),
            "{answer}"
        );
        told += usize::from(!answer.is_empty());
    }
    gateway.program.signal("TERM");
    drop(busy);
    gateway.program.exit().await;
    let log = gateway.program.output().await;

    // 64 refusals at a time; further connections are closed without one.
    assert!((64..200).contains(&told), "{told}");
    assert_eq!(log.matches("connections are refused").count(), 1, "{log}");
}

#[tokio::test]
async fn without_descriptors_open_connections_are_served_and_nothing_spins() {
    let routes = format!(
        "{OPEN}\n[[routes]]\npath = \"/here\"\nauth = \"off\"\nrespond = {{ status = 200 }}\n"
    );
    let setup = Setup::new().memory().routes(&routes);
    let parts = setup
        .table("server", "header_timeout = \"60s\"")
        .start()
        .await;
    let mut gateway = GatewayProcess::start_with(&parts.toml, &["prlimit", "--nofile=64:64"]).await;
    gateway.program.line("few file descriptors").await;
    let mut open = Client::connect(gateway.address).await;
    assert_eq!(open.exchange(&Request::get("/here")).await.status, 200);

    // A partial head each, so that none of them is idle.
    let mut flood = Vec::new();
    for _ in 0..150 {
        let stream = TcpStream::connect(gateway.address)
            .await
            .expect("connecting");
        stream.try_write(b"GET /a HT").expect("writing");
        flood.push(stream);
    }
    gateway.program.line("accepting connections fails").await;

    let before = gateway.program.cpu_ticks();
    let second = tokio::time::Instant::now() + Duration::from_secs(1);
    while tokio::time::Instant::now() < second {
        assert_eq!(open.exchange(&Request::get("/here")).await.status, 200);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let used = gateway.program.cpu_ticks() - before;
    assert!(used < 20, "{used} of 100 ticks");

    drop(flood);
    let again = async {
        let request = Request::get("/a");
        while request
            .try_send(gateway.address)
            .await
            .map(|it| it.status)
            .ok()
            != Some(200)
        {}
    };
    within("connections to be taken again", again).await;
}
