//! `skeygate run`: its first log lines, its refusals to start, and its signals.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde_json::Value;

use crate::support::{
    APP, EVENT_TIMEOUT, Folder, Running, ask, connect, free_port, json, redis, redis_with,
};

const RESPOND: &str = "[[routes]]\npath = \"/*\"\nrespond = {}\n";

/// A file whose sessions are in this Redis.
fn with_redis(port: u16, routes: &str) -> String {
    format!(
        "{APP}[server]\nlisten = [\"127.0.0.1:0\"]\n[admin]\nlisten = \"127.0.0.1:0\"\n[redis]\nurl = \"redis://127.0.0.1:{port}/0\"\n{routes}"
    )
}

/// A file that needs no Redis and forwards to this upstream without auth.
fn open(listen: &str, upstream: &str) -> String {
    format!(
        "{APP}[server]\nlisten = [\"{listen}\"]\n[admin]\nlisten = \"\"\n[session]\nstore = \"memory\"\n[upstreams.api]\nservers = [\"http://{upstream}\"]\n[[routes]]\npath = \"/*\"\nupstream = \"api\"\nauth = \"off\"\n"
    )
}

/// An upstream that reports the arrival of a request and responds on demand.
struct Slow {
    address: SocketAddr,
    came: Receiver<()>,
    go: Sender<()>,
}

impl Slow {
    fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (tell, came) = channel();
        let (go, gate) = channel();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a request");
                head.extend(byte);
            }
            tell.send(()).expect("a test that waits");
            // The test may end without an answer.
            if gate.recv().is_ok() {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow";
                stream.write_all(answer).expect("writing");
            }
        });
        Self { address, came, go }
    }

    /// Waits until the request is there.
    fn wait(&self) {
        self.came.recv_timeout(EVENT_TIMEOUT).expect("a request");
    }
}

/// Starts a request that hangs in the upstream.
fn hang(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    let request = b"GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("writing");
    stream
}

#[test]
fn the_first_lines_tell_routes_redis_listeners_and_warnings() {
    let port = free_port();
    let _store = redis(port);
    let routes = "[upstreams.api]\nservers = [\"http://127.0.0.1:8000\"]\n[[routes]]\npath = \"/api/*\"\nhosts = [\"a.example\"]\nmethods = [\"GET\", \"POST\"]\nupstream = \"api\"\n[[routes]]\npath = \"/*\"\nupstream = \"api\"\nauth = \"off\"\n";
    let folder = Folder::with(&with_redis(port, routes));

    let (gateway, address) = folder.run();

    assert!(ask(address, "GET", "/api/x", "Host: a.example\r\n").starts_with("HTTP/1.1 400 "));
    gateway.signal("TERM");
    let (code, output) = gateway.end();
    assert_eq!(code, Some(0), "{output}");
    let lines: Vec<Value> = output.lines().map(json).collect();
    let with =
        |key: &str| -> Vec<&Value> { lines.iter().filter(|line| !line[key].is_null()).collect() };
    assert_eq!(lines[0]["message"], "starting");
    assert_eq!(lines[0]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(lines[0]["config"], "gateway.toml");

    let routes = with("auth");
    let routes: Vec<_> = routes
        .iter()
        .filter(|line| line["message"] == "route")
        .collect();
    assert_eq!(routes.len(), 2, "{output}");
    assert_eq!(
        [
            &routes[0]["route"],
            &routes[0]["auth"],
            &routes[0]["upstream"],
            &routes[0]["hosts"],
            &routes[0]["methods"]
        ],
        ["/api/*", "required", "api", "a.example", "GET POST"]
    );
    assert_eq!(
        [&routes[1]["route"], &routes[1]["auth"], &routes[1]["hosts"]],
        [&Value::from("/*"), &Value::from("off"), &Value::Null]
    );

    let warnings = with("warning");
    assert_eq!(warnings.len(), 1, "{output}");
    assert_eq!(warnings[0]["place"], "gateway.toml:20:8");
    assert!(
        warnings[0]["help"]
            .as_str()
            .is_some_and(|help| help.starts_with("write auth"))
    );

    let answers = with("elapsed_ms");
    assert_eq!(answers[0]["message"], "redis answers");
    assert_eq!(answers[0]["redis.address"], format!("127.0.0.1:{port}"));
    let forgetful = |line: &&Value| {
        line["message"]
            .as_str()
            .is_some_and(|text| text.contains("appendonly yes"))
    };
    let forgetful = lines
        .iter()
        .find(forgetful)
        .expect("a warning about persistence");
    assert_eq!(forgetful["level"], "WARN");
    assert_eq!(with("listen").len(), 1);
    assert_eq!(with("admin.listen").len(), 1);
}

#[test]
fn a_redis_with_persistence_draws_no_warning() {
    let port = free_port();
    let folder = Folder::with(&with_redis(port, RESPOND));
    let path = folder.path("");
    let path = path.to_str().expect("UTF-8");
    let _store = redis_with(port, &["--appendonly", "yes", "--dir", path]);

    let (gateway, _) = folder.run();

    gateway.signal("TERM");
    let (_, output) = gateway.end();
    assert!(!output.contains("appendonly"), "{output}");
}

#[test]
fn a_port_in_use_exits_69_and_the_last_line_names_the_cure() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = taken.local_addr().expect("an address").to_string();

    let said = Folder::with(&open(&address, "127.0.0.1:8000")).skeygate(&["run"]);

    assert_eq!(said.code, Some(69), "{said:?}");
    let last = json(said.stdout.lines().last().expect("a line"));
    assert_eq!(last["level"], "ERROR");
    assert!(
        last["error"]
            .as_str()
            .is_some_and(|error| error.contains(&address)),
        "{last}"
    );
    assert!(
        last["help"]
            .as_str()
            .is_some_and(|help| help.contains("server.listen")),
        "{last}"
    );
}

#[test]
fn a_redis_that_is_away_ends_it_with_69_and_the_last_line_names_it_and_the_cure() {
    let port = free_port();
    let folder = Folder::with(&with_redis(port, RESPOND));

    let said = folder.skeygate(&["run"]);

    assert_eq!(said.code, Some(69), "{said:?}");
    let last = json(said.stdout.lines().last().expect("a line"));
    let address = format!("127.0.0.1:{port}");
    assert_eq!(last["level"], "ERROR");
    assert_eq!(last["message"], "cannot start: redis cannot be used");
    assert_eq!(last["redis.address"], address);
    assert_eq!(
        last["cause"],
        format!("redis at {address}: connection refused")
    );
    assert!(
        last["help"]
            .as_str()
            .is_some_and(|help| help.contains("redis.url")),
        "{last}"
    );
}

#[test]
fn a_redis_that_requires_a_password_is_not_reported_as_silent() {
    let port = free_port();
    let _store = redis_with(port, &["--requirepass", "the-password-of-redis"]);
    let folder = Folder::with(&with_redis(port, RESPOND));

    let said = folder.skeygate(&["run"]);

    assert_eq!(said.code, Some(69), "{said:?}");
    let last = json(said.stdout.lines().last().expect("a line"));
    assert!(
        last["cause"]
            .as_str()
            .is_some_and(|cause| cause.contains("NOAUTH")),
        "{last}"
    );
    assert!(
        last["help"]
            .as_str()
            .is_some_and(|help| help.contains("redis.password")),
        "{last}"
    );
}

#[test]
fn a_redis_that_comes_a_little_later_is_waited_for() {
    let port = free_port();
    let folder = Folder::with(&with_redis(port, RESPOND));
    let mut gateway = Running::start(&mut folder.command(&["run"]));
    gateway.line("redis cannot be reached");

    let _store = redis(port);

    gateway.line("redis answers");
    gateway.listening();
}

#[test]
fn sigterm_while_redis_is_waited_for_ends_it() {
    let folder = Folder::with(&with_redis(free_port(), RESPOND));
    let mut gateway = Running::start(&mut folder.command(&["run"]));
    gateway.line("redis cannot be reached");

    gateway.signal("TERM");

    let (code, output) = gateway.end();
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("stopped before serving"), "{output}");
}

#[test]
fn sigterm_lets_a_request_in_flight_finish() {
    let upstream = Slow::start();
    let folder = Folder::with(&open("127.0.0.1:0", &upstream.address.to_string()));
    let (mut gateway, address) = folder.run();
    let mut client = hang(address);
    upstream.wait();

    gateway.signal("TERM");
    gateway.line("draining");
    upstream.go.send(()).expect("an upstream that waits");

    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("slow"), "{answer}");
    let (code, output) = gateway.end();
    assert_eq!(code, Some(0), "{output}");
    assert!(
        output.contains("requests in flight were finished"),
        "{output}"
    );
}

#[test]
fn the_log_names_the_upstream_of_a_request_that_was_cancelled_or_failed() {
    let upstream = Slow::start();
    let slow = upstream.address.to_string();
    let folder = Folder::with(&open("127.0.0.1:0", &slow));
    let (mut gateway, address) = folder.run();
    let client = hang(address);
    upstream.wait();
    drop(client);
    let cancelled = json(&gateway.line("client_left"));

    let folder = Folder::with(&open("127.0.0.1:0", "127.0.0.1:1"));
    let (mut gateway, address) = folder.run();
    ask(address, "GET", "/x", "");
    let failed = json(&gateway.line("upstream_refused"));

    for (line, server, tries) in [(cancelled, slow.as_str(), 1), (failed, "127.0.0.1:1", 2)] {
        assert_eq!(line["upstream"], "api", "{line}");
        assert_eq!(line["upstream.address"], server, "{line}");
        assert_eq!(line["upstream.tries"], tries, "{line}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let upstream = Slow::start();
    let folder = Folder::with(&open("127.0.0.1:0", &upstream.address.to_string()));
    let (mut gateway, address) = folder.run();
    let _client = hang(address);
    upstream.wait();

    gateway.signal("TERM");
    gateway.line("draining");
    gateway.signal("INT");

    // The request would hang for the 20 s of server.shutdown.drain, and this says that it was not
    // waited for.
    let (code, output) = gateway.end();
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("second signal: ending at once"), "{output}");
}

#[test]
fn sighup_reloads_and_does_not_end_the_process() {
    let folder = Folder::with(&open("127.0.0.1:0", "127.0.0.1:1"));
    let (mut gateway, address) = folder.run();

    gateway.signal("HUP");

    let line = json(&gateway.line("configuration reloaded"));
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["cause"], "signal");
    assert!(ask(address, "GET", "/x", "").starts_with("HTTP/1.1 502 "));
}
