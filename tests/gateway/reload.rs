//! Hot reload: a running gateway follows changes of its file and of the files that it names.

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::client::{Client, Request};
use crate::support::free_port;
use crate::support::process::{GatewayProcess, run_to_end};
use crate::support::setup::{APP, Parts, Setup, login_request};
use crate::support::steps::Answer;
use crate::support::upstream::RecordingUpstream;
use crate::support::{within, within_limit};

const OPEN: &str = "[[routes]]\npath = \"/*\"\nupstream = \"api\"\nauth = \"off\"\n";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A setup whose gateway looks for changes every 100 ms, with an admin listener; and its port.
async fn start(setup: Setup) -> (Parts, GatewayProcess, SocketAddr) {
    let setup = setup
        .table("server", "reload = \"100ms\"")
        .table("admin", &format!("token = \"{TOKEN}\""))
        .table("log", "format = \"json\"");
    let mut parts = setup.start().await;
    let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let listen = format!("[admin]\nlisten = \"{admin}\"");
    parts.toml = parts.toml.replacen("[admin]\n", &format!("{listen}\n"), 1);
    parts.toml = parts.toml.replacen("listen = \"\"\n", "", 1);
    let gateway = GatewayProcess::start(&parts.toml).await;
    (parts, gateway, admin)
}

fn post_reload() -> Request {
    let request = Request::post_json("/reload", &json!({}));
    request.header("authorization", &format!("Bearer {TOKEN}"))
}

/// Reloads by request; gives the status and the body.
async fn reload(admin: SocketAddr) -> (u16, Value) {
    let response = post_reload().send(admin).await;
    (response.status, response.json())
}

async fn status(address: SocketAddr, target: &str) -> u16 {
    Request::get(target).send(address).await.status
}

#[tokio::test]
async fn a_changed_file_is_used_without_a_restart() {
    let (parts, mut gateway, _) = start(Setup::new().memory().routes(OPEN)).await;
    assert_eq!(status(gateway.address, "/old").await, 200);
    let mut open = Client::connect(gateway.address).await;
    assert_eq!(open.exchange(&Request::get("/a")).await.status, 200);

    let closed = "[[routes]]\npath = \"/old\"\nauth = \"off\"\nrespond = { status = 410 }\n";
    gateway.rewrite(&format!("{}{closed}", parts.toml));

    let line = gateway.program.line("configuration reloaded").await;
    assert!(line.contains("\"cause\":\"files\""), "{line}");
    assert_eq!(status(gateway.address, "/old").await, 410);
    // A connection that was open before goes on, by the new file.
    assert_eq!(open.exchange(&Request::get("/old")).await.status, 410);
    assert_eq!(open.exchange(&Request::get("/a")).await.status, 200);
}

#[tokio::test]
async fn a_bad_file_keeps_the_former_configuration_and_all_its_problems_are_reported() {
    let (parts, mut gateway, admin) = start(Setup::new().memory().routes(OPEN)).await;
    let bad = parts.toml.replace("path = \"/*\"", "path = \"*\"");
    gateway.rewrite(&format!("{bad}\n[sever]\n"));

    let line = gateway.program.line("configuration refused").await;

    assert!(
        line.contains("\"level\":\"ERROR\"") && line.contains("\"problems\":2"),
        "{line}"
    );
    assert_eq!(status(gateway.address, "/a").await, 200);
    let verbose = Request::get("/readyz?verbose").send(admin).await;
    assert_eq!(verbose.status, 200);
    let text = verbose.text();
    assert!(
        text.contains("[-] configuration: a reload was refused"),
        "{text}"
    );
    assert!(
        text.contains("for 2 problems") && text.ends_with("ready\n"),
        "{text}"
    );
    let (code, body) = reload(admin).await;
    let problems = body["problems"].as_array().expect("problems").clone();
    assert_eq!((code, problems.len()), (422, 2), "{body}");
    let (_, check) = run_to_end("check", &format!("{bad}\n[sever]\n")).await;
    for problem in problems {
        let what = problem
            .as_str()
            .expect("a text")
            .lines()
            .next()
            .expect("a line")
            .to_owned();
        let (_, what) = what.split_once(": ").expect("a place");
        assert!(check.contains(what), "{what:?} is not in:\n{check}");
    }

    gateway.rewrite(&parts.toml);
    gateway.program.line("configuration reloaded").await;
    let verbose = Request::get("/readyz?verbose").send(admin).await.text();
    assert!(verbose.contains("[+] configuration: loaded "), "{verbose}");
    let output = {
        gateway.program.signal("TERM");
        gateway.program.exit().await;
        gateway.program.output().await
    };
    for part in ["there is no key `sever`", "route `*`: path: "] {
        assert!(output.contains(part), "{part:?} is not in:\n{output}");
    }
}

#[tokio::test]
async fn a_request_for_a_reload_needs_the_admin_token() {
    let (parts, gateway, admin) = start(Setup::new().memory().routes(OPEN)).await;
    assert_eq!(
        reload(admin).await,
        (200, json!({ "reloaded": true, "needs_restart": [] }))
    );

    let get = Request::get("/reload").send(admin).await;
    assert_eq!((get.status, get.headers.get("allow")), (405, Some("POST")));
    for token in ["", "Bearer ", "Bearer 0123456789abcdef0123456789abcdeF"] {
        let request = Request::post_json("/reload", &json!({})).header("authorization", token);
        assert_eq!(request.send(admin).await.status, 401, "{token:?}");
    }
    // Not on the listener for requests.
    assert_eq!(post_reload().send(gateway.address).await.text(), "ok");

    gateway.rewrite(&parts.toml.replace(&format!("token = \"{TOKEN}\""), ""));
    assert_eq!(reload(admin).await.0, 200);
    let (code, body) = reload(admin).await;
    assert_eq!((code, &body["error"]), (403, &json!("no_admin_token")));
}

#[tokio::test]
async fn requests_in_flight_and_sessions_in_memory_outlive_a_reload() {
    let routes = "[[routes]]\npath = \"/*\"\nupstream = \"api\"\n";
    let (mut parts, gateway, admin) = start(Setup::new().memory().routes(routes)).await;
    let skey = parts.skey(gateway.address, "ann").await;
    let (gate, answer) = Answer::ok().held();
    parts.upstream.next(answer);
    let mut client = Client::connect(gateway.address).await;
    let slow = Request::get("/slow").header("skey", &skey);
    client.write(slow.bytes()).await;
    parts.upstream.head().await;

    // The route's upstream is another one now, and the first is gone.
    let other = RecordingUpstream::start().await;
    gateway.rewrite(&parts.toml.replace(&parts.upstream.url(), &other.url()));
    assert_eq!(reload(admin).await.0, 200);

    let after = Request::get("/after").header("skey", &skey);
    assert_eq!(after.send(gateway.address).await.status, 200);
    gate.notify_one();
    let response = client.response("GET").await;
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
    let me = Request::get("/_gateway/me").header("skey", &skey);
    assert_eq!(me.send(gateway.address).await.status, 200);
}

#[tokio::test]
async fn a_websocket_outlives_a_reload_that_drops_its_route() {
    let (parts, gateway, admin) = start(Setup::new().memory().routes(OPEN)).await;
    parts.upstream.next(Answer::echo_upgrade());
    let mut client = Client::connect(gateway.address).await;
    let upgrade = Request::get("/ws")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-version", "13");
    client.write(upgrade.bytes()).await;
    assert_eq!(client.head().await.status(), 101);

    let gone = parts.toml.replace("path = \"/*\"", "path = \"/other\"");
    gateway.rewrite(&gone);
    assert_eq!(reload(admin).await.0, 200);
    assert_eq!(status(gateway.address, "/ws").await, 404);

    client.write("ping").await;
    client.until("ping").await;
}

#[tokio::test]
async fn rate_limits_keep_their_counts_over_a_reload() {
    let limited = OPEN.to_owned() + "rate_limit = { per_address = \"3/h\", burst = 3 }\n";
    let (parts, gateway, admin) = start(Setup::new().memory().routes(&limited)).await;
    for _ in 0..2 {
        assert_eq!(status(gateway.address, "/a").await, 200);
    }
    let more = "[[routes]]\npath = \"/new\"\nauth = \"off\"\nrespond = { status = 204 }\n";
    gateway.rewrite(&format!("{}{more}", parts.toml));
    assert_eq!(reload(admin).await.0, 200);

    assert_eq!(status(gateway.address, "/new").await, 204);
    assert_eq!(status(gateway.address, "/a").await, 200);
    assert_eq!(status(gateway.address, "/a").await, 429);
}

#[tokio::test]
async fn listeners_open_and_drain_at_a_reload_and_the_others_stay() {
    let (mut parts, mut gateway, admin) = start(Setup::new().memory().routes(OPEN)).await;
    let more = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let both = parts.toml.replace(
        "listen = [\"127.0.0.1:0\"]",
        &format!("listen = [\"127.0.0.1:0\", \"{more}\"]"),
    );
    let mut kept = Client::connect(gateway.address).await;
    assert_eq!(kept.exchange(&Request::get("/a")).await.status, 200);
    gateway.rewrite(&both);
    assert_eq!(reload(admin).await.0, 200);
    assert_eq!(status(more, "/b").await, 200);

    // A request in flight on the listener that goes.
    let (gate, answer) = Answer::ok().held();
    parts.upstream.next(answer);
    let mut leaving = Client::connect(more).await;
    leaving.write(Request::get("/slow").bytes()).await;
    while parts.upstream.head().await.target() != "/slow" {}
    gateway.rewrite(&parts.toml);
    assert_eq!(reload(admin).await.0, 200);

    assert!(
        Client::try_connect(more).await.is_err(),
        "the dropped listener is closed"
    );
    gate.notify_one();
    assert_eq!(leaving.response("GET").await.status, 200);
    assert!(leaving.is_closed().await);
    assert_eq!(kept.exchange(&Request::get("/c")).await.status, 200);

    // An address that cannot be had changes nothing.
    let taken = std::net::TcpListener::bind(more).expect("the address is free again");
    gateway.rewrite(&both);
    let (code, body) = reload(admin).await;
    assert_eq!(code, 422, "{body}");
    let problem = body["problems"][0].as_str().expect("a problem");
    assert!(
        problem.starts_with(&format!("listening on {more}: ")),
        "{problem}"
    );
    gateway.program.line("configuration refused").await;
    assert_eq!(status(gateway.address, "/d").await, 200);
    drop(taken);

    // All addresses of a port that the gateway itself has open at one.
    gateway.rewrite(&both);
    assert_eq!(reload(admin).await.0, 200);
    let port = more.port();
    gateway.rewrite(&both.replace(&more.to_string(), &format!("0.0.0.0:{port}")));
    let (code, body) = reload(admin).await;
    assert_eq!(code, 422, "{body}");
    let problem = body["problems"][0].as_str().expect("a problem");
    for part in [&more.to_string(), "the gateway itself", "needs a restart"] {
        assert!(problem.contains(part), "{problem}");
    }
}

#[tokio::test]
async fn a_secret_that_became_a_pipe_holds_up_no_request_and_no_later_reload() {
    let (parts, mut gateway, _) = start(Setup::new().memory().routes(OPEN)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef").expect("a file");
    let line = format!("token_file = \"{}\"", secret.display());
    let token = format!("token = \"{TOKEN}\"");
    assert!(parts.toml.contains(&token), "{}", parts.toml);
    gateway.rewrite(&parts.toml.replace(&token, &line));
    gateway.program.line("configuration reloaded").await;

    std::fs::remove_file(&secret).expect("it was there");
    let made = std::process::Command::new("mkfifo").arg(&secret).status();
    assert!(made.expect("mkfifo").success());
    let refused = gateway.program.line("config.refused").await;
    assert!(refused.contains("\"cause\":\"files\""), "{refused}");
    assert_eq!(status(gateway.address, "/a").await, 200);

    std::fs::remove_file(&secret).expect("it was there");
    std::fs::write(&secret, "fedcba9876543210fedcba9876543210").expect("a file");
    gateway.program.line("configuration reloaded").await;
}

#[tokio::test]
async fn keys_that_need_a_restart_are_named_and_keep_their_values() {
    let (parts, mut gateway, admin) = start(Setup::new().memory().routes(OPEN)).await;
    let changed = parts
        .toml
        .replace("store = \"memory\"", "store = \"redis\"");
    let changed = changed.replace("[log]\n", "[log]\nlevel = \"debug\"\n");
    gateway.rewrite(&changed);

    let (code, body) = reload(admin).await;

    assert_eq!(code, 200, "{body}");
    let keys = body["needs_restart"].as_array().expect("keys");
    assert!(keys.contains(&json!("session.store")), "{keys:?}");
    let line = gateway
        .program
        .line("but for changed keys that need a restart")
        .await;
    assert!(line.contains("session.store"), "{line}");
    // There is no Redis: sessions are in memory as before.
    assert_eq!(parts.log_in(gateway.address, "ann").await.status, 200);

    let folder = tempfile::tempdir().expect("a folder");
    let old = folder.path().join("old.toml");
    std::fs::write(&old, &parts.toml).expect("writing");
    let (code, output) = run_to_end(&format!("check --since {}", old.display()), &changed).await;
    assert_eq!(code, Some(0), "{output}");
    assert!(
        output.contains("used only after a restart: ") && output.contains("session.store"),
        "{output}"
    );
}

#[tokio::test]
async fn the_level_and_the_sampling_of_the_log_follow_a_reload() {
    let (parts, mut gateway, admin) = start(Setup::new().memory().routes(OPEN)).await;
    assert_eq!(status(gateway.address, "/first").await, 200);
    gateway.program.line("/first").await;

    let quiet = parts.toml.replace("[log]\n", "[log]\nlevel = \"error\"\n");
    gateway.rewrite(&quiet);
    assert_eq!(reload(admin).await.0, 200);
    assert_eq!(status(gateway.address, "/second").await, 200);
    let skipping = parts
        .toml
        .replace("[log]\n", "[log]\naccess = { skip = [\"/third\"] }\n");
    gateway.rewrite(&skipping);
    assert_eq!(reload(admin).await.0, 200);
    for target in ["/third", "/fourth"] {
        assert_eq!(status(gateway.address, target).await, 200);
    }

    gateway.program.line("/fourth").await;
    gateway.program.signal("TERM");
    gateway.program.exit().await;
    let output = gateway.program.output().await;
    assert!(
        !output.contains("/second") && !output.contains("/third"),
        "{output}"
    );
}

#[tokio::test]
async fn a_swapped_config_map_is_live_within_five_seconds() {
    let parts = Setup::new().memory().routes(OPEN).start().await;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let toml = parts.toml.replace("127.0.0.1:0\"", &format!("{address}\""));
    // The AppSecret is a file of the same volume; `server.reload` is the default.
    let with_file = toml.replace(
        &format!("secret = \"{}\"", APP.1),
        "secret_file = \"app-secret\"",
    );
    assert_ne!(toml, with_file);
    let folder = tempfile::tempdir().expect("a folder");
    let volume = folder.path().to_owned();
    let release = |name: &str, toml: &str, secret: &str| {
        let release = volume.join(name);
        std::fs::create_dir(&release).expect("a folder");
        std::fs::write(release.join("gateway.toml"), toml).expect("writing");
        std::fs::write(release.join("app-secret"), secret).expect("writing");
        symlink(name, volume.join("..data_tmp")).expect("a link");
        std::fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("the swap");
    };
    release("..1", &with_file, "not-the-secret-of-the-app-at-all");
    for name in ["gateway.toml", "app-secret"] {
        symlink(Path::new("..data").join(name), volume.join(name)).expect("a link");
    }
    let file = volume.join("gateway.toml");
    let gateway = GatewayProcess::start_file(file, address, folder, &[]).await;
    assert_eq!(
        parts.log_in(address, "ann").await.status,
        502,
        "the secret is wrong"
    );

    let swapped = Instant::now();
    let closed = "[[routes]]\npath = \"/old\"\nauth = \"off\"\nrespond = { status = 410 }\n";
    release("..2", &format!("{with_file}{closed}"), APP.1);
    let live = async {
        while status(address, "/old").await != 410 {
            tokio::task::yield_now().await;
        }
    };
    within_limit(Duration::from_secs(5), "the new file", live).await;
    assert_eq!(
        login_request(&parts.code("ann")).send(address).await.status,
        200
    );

    // Only the secret changes.
    let secret = volume.join("..2").join("app-secret");
    std::fs::write(&secret, "rotated-to-a-wrong-one").expect("writing");
    let live = async {
        while parts.log_in(address, "bob").await.status != 502 {
            tokio::task::yield_now().await;
        }
    };
    within("the changed secret", live).await;
    assert!(swapped.elapsed() < Duration::from_secs(30));
    drop(gateway);
}

#[tokio::test]
async fn a_file_that_is_still_being_written_is_not_used() {
    let (parts, mut gateway, _) = start(Setup::new().memory().routes(OPEN)).await;
    let closed = "[[routes]]\npath = \"/admin/*\"\nauth = \"off\"\nrespond = { status = 403 }\n";
    let whole = format!("{}{closed}", parts.toml);
    gateway.rewrite(&whole);
    gateway.program.line("configuration reloaded").await;
    assert_eq!(status(gateway.address, "/admin/x").await, 403);

    // Longer than several polls, the file grows; without its last lines it is a good file that opens /admin.
    let grows = Instant::now();
    let mut comment = String::new();
    while grows.elapsed() < Duration::from_secs(1) {
        comment += "#\n";
        gateway.rewrite(&format!("{}{comment}", parts.toml));
        assert_eq!(status(gateway.address, "/admin/x").await, 403);
        tokio::task::yield_now().await;
    }
    gateway.rewrite(&whole);
    assert_eq!(status(gateway.address, "/admin/x").await, 403);
}

#[tokio::test]
async fn hundreds_of_reloads_under_load_fail_no_request_and_keep_nothing() {
    let (parts, gateway, admin) = start(Setup::new().memory().routes(OPEN)).await;
    let others = [
        RecordingUpstream::start().await,
        RecordingUpstream::start().await,
    ];
    let version = |number: usize| {
        let upstream = others[number % 2].url();
        let apps = format!(
            "[[apps]]\nappid = \"wxff{number:014x}\"\nsecret = \"0123456789abcdef0123456789abcdef\"\ndefault = false\n"
        );
        let routes = format!(
            "[upstreams.u{number}]\nservers = [\"{upstream}\"]\nmax_in_flight = {}\n\
             [[routes]]\npath = \"/v{number}/*\"\nupstream = \"u{number}\"\nauth = \"off\"\n\
             rate_limit = {{ per_address = \"9000/s\", burst = 9000 }}\n",
            100 + number
        );
        format!("{}{apps}{routes}", parts.toml)
    };
    let address = gateway.address;
    let load: Vec<_> = (0..4)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                let mut served = 0_u64;
                loop {
                    match client.try_exchange(&Request::get("/load")).await {
                        Ok(response) if response.status == 200 => served += 1,
                        Ok(response) => panic!("status {}", response.status),
                        Err(error) => panic!("{error} after {served} requests"),
                    }
                }
            })
        })
        .collect();
    let run = async |from: usize, to: usize| {
        for number in from..to {
            gateway.rewrite(&version(number));
            let (code, body) = reload(admin).await;
            assert_eq!(code, 200, "{body}");
            let path = format!("/v{number}/x");
            assert_eq!(status(address, &path).await, 200);
        }
    };
    run(0, 50).await;
    let (memory, files) = (gateway.program.rss_kib(), gateway.program.open_files());
    run(50, 300).await;
    let (memory_after, files_after) = (gateway.program.rss_kib(), gateway.program.open_files());

    for load in &load {
        assert!(!load.is_finished(), "a request failed");
        load.abort();
    }
    assert!(
        memory_after < memory + 8 * 1024,
        "{memory} KiB, then {memory_after} KiB"
    );
    assert!(
        files_after < files + 16,
        "{files} descriptors, then {files_after}"
    );
}
