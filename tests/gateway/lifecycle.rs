//! The process: how it starts, how it refuses to, how it ends, and how it survives exhausted
//! descriptors.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::time::Instant;

use crate::support::client::{Client, Request};
use crate::support::process::{GatewayProcess, run_to_end};
use crate::support::setup::{APP, Setup};
use crate::support::stack::Stack;
use crate::support::steps::Answer;
use crate::support::within;

const OPEN: &str = "[[routes]]\npath = \"/*\"\nupstream = \"api\"\nauth = \"off\"\n";

#[tokio::test]
async fn sigterm_finishes_requests_in_flight_and_exits_0() {
    let mut parts = Setup::new().memory().routes(OPEN).start().await;
    let mut gateway = GatewayProcess::start(&parts.toml).await;
    let (gate, answer) = Answer::ok().held();
    parts.upstream.next(answer);
    let mut client = Client::connect(gateway.address).await;
    client.write(Request::get("/slow").bytes()).await;
    parts.upstream.head().await;

    gateway.program.signal("TERM");
    let refused = async {
        while Client::try_connect(gateway.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within("new connections to be refused", refused).await;
    gate.notify_one();

    let answer = client.response("GET").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let status = gateway.program.exit().await;
    assert_eq!(status.code(), Some(0), "{}", gateway.program.output().await);
}

#[tokio::test]
async fn sigterm_does_not_wait_for_idle_connections() {
    let parts = Setup::new().memory().routes(OPEN).start().await;
    let mut gateway = GatewayProcess::start(&parts.toml).await;
    let mut idle = Client::connect(gateway.address).await;
    assert_eq!(idle.exchange(&Request::get("/a")).await.status, 200);
    let silent = Client::connect(gateway.address).await;

    gateway.program.signal("TERM");

    assert!(idle.is_closed().await);
    assert_eq!(gateway.program.exit().await.code(), Some(0));
    drop(silent);
}

#[tokio::test]
async fn draining_ends_at_its_deadline() {
    let setup = Setup::new().memory().routes(OPEN);
    let setup = setup.table("server.shutdown", "drain = \"200ms\"");
    let mut parts = setup.start().await;
    let mut gateway = GatewayProcess::start(&parts.toml).await;
    let (_never, answer) = Answer::ok().held();
    parts.upstream.next(answer);
    let mut client = Client::connect(gateway.address).await;
    client.write(Request::get("/slow").bytes()).await;
    parts.upstream.head().await;

    let told = Instant::now();
    gateway.program.signal("TERM");
    let status = gateway.program.exit().await;
    let took = told.elapsed();

    // The default is 20 s; the request would never end.
    assert!(
        (Duration::from_millis(200)..Duration::from_secs(10)).contains(&took),
        "{took:?}"
    );
    let output = gateway.program.output().await;
    assert!(
        output.contains("open connections were cut after"),
        "{output}"
    );
    assert_eq!(status.code(), Some(0), "{output}");
}

#[tokio::test]
async fn a_bad_file_is_reported_in_full_and_exits_78() {
    let toml = "[sever]\n\n[[apps]]\nappid = \"wx00000000000000a1\"\nsecert = \"x\"\n";

    for command in ["run", "check"] {
        let (code, output) = run_to_end(command, toml).await;
        assert_eq!(code, Some(78), "{output}");
        for part in [
            "gateway.toml:1:",
            "sever",
            "server",
            "gateway.toml:5:",
            "secret",
        ] {
            assert!(output.contains(part), "no {part:?} in:\n{output}");
        }
    }
}

#[tokio::test]
async fn a_good_file_passes_the_check() {
    let parts = Setup::new().start().await;

    let (code, output) = run_to_end("check", &parts.toml).await;

    assert_eq!(code, Some(0), "{output}");
    assert!(!output.contains(APP.1), "{output}");
}

#[tokio::test]
async fn a_port_that_is_taken_exits_69() {
    let parts = Setup::new().memory().start().await;
    let taken = parts.upstream.address();
    let toml = parts.toml.replace("127.0.0.1:0", &taken.to_string());

    let (code, output) = run_to_end("run", &toml).await;

    assert_eq!(code, Some(69), "{output}");
    assert!(output.contains(&taken.to_string()), "{output}");
}

#[tokio::test]
async fn a_redis_that_is_away_at_start_exits_69() {
    let mut parts = Setup::new().start().await;
    parts.redis().kill().await;
    let address = parts.redis().address().to_string();

    let (code, output) = run_to_end("run", &parts.toml).await;

    assert_eq!(code, Some(69), "{output}");
    assert!(output.contains(&address), "{output}");
}

#[tokio::test]
async fn sessions_survive_a_restart_of_the_gateway() {
    let parts = Setup::new().start().await;
    let mut first = GatewayProcess::start(&parts.toml).await;
    let skey = parts.skey(first.address, "ann").await;
    first.program.signal("TERM");
    first.program.exit().await;

    let second = GatewayProcess::start(&parts.toml).await;

    let request = Request::get("/x").header("skey", &skey);
    assert_eq!(request.send(second.address).await.status, 200);
}

#[tokio::test]
async fn a_process_without_descriptors_recovers_when_it_has_some() {
    let parts = Setup::new().memory().routes(OPEN).start().await;
    let launcher = ["prlimit", "--nofile=64:64"];
    let mut gateway = GatewayProcess::start_with(&parts.toml, &launcher).await;
    let mut early = Client::connect(gateway.address).await;
    assert_eq!(early.exchange(&Request::get("/a")).await.status, 200);

    let mut crowd = Vec::new();
    // More connections than descriptors, fewer than the kernel's queue takes.
    for _ in 0..100 {
        crowd.push(Client::connect(gateway.address).await);
    }
    // The earlier connection is still served, over the upstream connection that is open already.
    assert_eq!(early.exchange(&Request::get("/a")).await.status, 200);
    drop(crowd);

    let recovered = async {
        loop {
            let answer = Request::get("/a").try_send(gateway.address).await;
            if answer.is_ok_and(|answer| answer.status == 200) {
                return;
            }
        }
    };
    within("the gateway to recover", recovered).await;
    gateway.program.signal("TERM");
    assert_eq!(gateway.program.exit().await.code(), Some(0));
    let output = gateway.program.output().await;
    let complaints = output
        .lines()
        .filter(|line| line.contains("accept"))
        .count();
    assert!(
        (1..100).contains(&complaints),
        "{complaints} lines about accepting: {output}"
    );
}

#[tokio::test]
async fn a_draining_gateway_releases_its_port() {
    let mut stack = Stack::start(Setup::new().memory()).await;
    let address = stack.address();

    stack.drain().await;

    let refused = Client::try_connect(address).await.expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}
