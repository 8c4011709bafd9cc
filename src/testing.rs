//! Helpers for unit tests: a private Redis, a server with a fixed reply, and settings.

use std::net::TcpListener as StdListener;
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::config;
use crate::redis::RedisLink;
use crate::secret::Secret;

/// `[redis]` with its defaults.
pub(crate) fn redis_config(url: &str) -> config::Redis {
    config::Redis {
        url: Secret::new(url),
        username: None,
        password: None,
        key_prefix: "skeygate:".to_owned(),
        connections: 2,
        connect_timeout: Duration::from_millis(500),
        timeout: Duration::from_millis(300),
    }
}

/// An app with a secret derived from its appid.
pub(crate) fn app(appid: &str) -> config::App {
    config::App {
        name: appid.to_owned(),
        appid: appid.to_owned(),
        secret: Secret::new(format!("secret of {appid}")),
        secret_next: None,
        secret_previous: None,
        default: false,
        hosts: Vec::new(),
    }
}

/// A redis-server on a free loopback port, without persistence; killed when dropped.
pub(crate) struct RedisServer {
    port: u16,
    arguments: Vec<String>,
    process: Child,
}

impl RedisServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts the server with further command-line arguments.
    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
        // Another program may take the port before Redis binds it.
        for _ in 0..5 {
            let port = free_port();
            if let Some(process) = launch(port, &arguments).await {
                return Self {
                    port,
                    arguments,
                    process,
                };
            }
        }
        panic!("redis-server did not become ready on five ports");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub(crate) fn link(&self) -> RedisLink {
        RedisLink::connect(&redis_config(&self.url())).unwrap()
    }

    /// Stops the process without closing its sockets.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    /// `kill -9`.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// A new, empty server on the same port.
    pub(crate) async fn restart(&mut self) {
        self.process = launch(self.port, &self.arguments)
            .await
            .expect("redis-server starts again on its port");
    }

    fn signal(&self, name: &str) {
        let pid = self.process.id().expect("redis-server runs").to_string();
        let status = std::process::Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .unwrap();
        assert!(status.success(), "kill -s {name} {pid}");
    }
}

/// A loopback port without a listener, which no other test of this process gets. It is below the
/// range from which the kernel takes ports, so it stays free while its owner is away.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 97).unwrap() * 100;
    loop {
        let port = 12_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if StdListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// `None` when the server ended before it was ready.
async fn launch(port: u16, arguments: &[String]) -> Option<Child> {
    let mut process = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir", "/tmp"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("this test needs redis-server on the PATH: install the package `redis-server`");
    let output = process.stdout.take().expect("stdout is piped");
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.contains("eady to accept connections") {
            // Keep reading, so that the server never blocks on a full pipe.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Some(process);
        }
    }
    None
}

/// Starts a server that replies `reply` to every command. Returns its URL.
pub(crate) async fn answering(reply: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/0", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0_u8; 4096];
                while let Ok(count) = stream.read(&mut buffer).await {
                    // Each command is one array, so it has one `*` at the start of a line.
                    let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                    let commands = text.split("\r\n").filter(|l| l.starts_with('*')).count();
                    if count == 0
                        || stream
                            .write_all(reply.repeat(commands).as_bytes())
                            .await
                            .is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
    url
}

/// Polls until `ready` returns true; panics with `what` after ten seconds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut ready: impl FnMut() -> F) {
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..2000 {
        if ready().await {
            return;
        }
        ticks.tick().await;
    }
    panic!("waited in vain until {what}");
}
