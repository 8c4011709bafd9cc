//! The binary, what it needs around it, and plain HTTP. No async runtime: the tests wait for a
//! process by reading its output.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// Time limit for an event that is going to happen, on a busy machine.
pub(crate) const EVENT_TIMEOUT: Duration = Duration::from_secs(30);

/// A well-formed skey.
pub(crate) const SKEY: &str = "Zk3vT9-qLw_8RbYc2NfXhJ5mGs7DpAe4UoKi1tVyEa0";

/// The start of every file that the tests write; keys of `[server]` or other tables may follow.
pub(crate) const APP: &str =
    "[[apps]]\nappid = \"wx00000000000000a1\"\nsecret = \"the-appsecret-4Zq8\"\n";

/// A folder for one test, which is the current one of the commands that run in it.
pub(crate) struct Folder(TempDir);

/// Output and exit status of a command.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    /// Exit status; `None` after a signal.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

/// A process whose lines are events. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    /// Dropped to resume reading standard output.
    held: Option<Sender<()>>,
    /// Disconnected at the end of standard error.
    complaining: Receiver<()>,
}

impl Folder {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// One with this gateway.toml.
    pub(crate) fn with(toml: &str) -> Self {
        let folder = Self::new();
        folder.write("gateway.toml", toml);
        folder
    }

    /// The path of a file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("writing a file");
    }

    /// Reads a file.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("reading a file")
    }

    /// `skeygate` with these arguments, and nothing of our own environment that could configure it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skeygate"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env_remove("SKEYGATE_CONFIG")
            .env_remove("RUST_LOG")
            .env_remove("COLUMNS")
            .stdin(Stdio::null());
        command
    }

    /// Runs `skeygate` to its end.
    pub(crate) fn skeygate(&self, arguments: &[&str]) -> CommandOutput {
        output_of(&mut self.command(arguments))
    }

    /// Starts `skeygate run` and waits until it listens.
    pub(crate) fn run(&self) -> (Running, SocketAddr) {
        let mut running = Running::start(&mut self.command(&["run"]));
        let address = running.listening();
        (running, address)
    }
}

/// Runs a command to its end.
pub(crate) fn output_of(command: &mut Command) -> CommandOutput {
    let output = command.output().expect("running a command");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    CommandOutput {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

impl Running {
    /// Starts it; both of its outputs are read as they come.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_held(command, None)
    }

    /// As `start`, but standard output is read only up to the first line that holds `held_at`,
    /// until `release`: a log collector that stalls.
    pub(crate) fn start_held(command: &mut Command, held_at: Option<&'static str>) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starting a process; tests/run installs what the tests need");
        let (sender, lines) = channel();
        let (held, gate) = channel();
        let (complains, complaining) = channel();
        let stderr = child.stderr.take().expect("piped");
        let stdout = child.stdout.take().expect("piped");
        let to = sender.clone();
        thread::spawn(move || {
            forward(stderr, &to, None);
            drop(complains);
        });
        thread::spawn(move || forward(stdout, &sender, held_at.map(|text| (text, gate))));
        Self {
            child,
            lines,
            seen: Vec::new(),
            held: Some(held),
            complaining,
        }
    }

    /// Waits for the next line that holds `text`.
    pub(crate) fn line(&mut self, text: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(EVENT_TIMEOUT) else {
                panic!("no {text:?} in:\n{}", self.seen.join("\n"));
            };
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Where a `run` with JSON lines listens.
    pub(crate) fn listening(&mut self) -> SocketAddr {
        let line = json(&self.line("\"listen\":"));
        let address = line["listen"].as_str().expect("an address");
        address.parse().expect("an address and port")
    }

    /// Reads on.
    pub(crate) fn release(&mut self) {
        self.held = None;
    }

    /// Sends a signal, e.g. `TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        // The shell's own `kill`: the program of that name is not on every machine.
        let status = Command::new("sh")
            .args(["-c", "kill -$0 $1", signal, &self.child.id().to_string()])
            .status()
            .expect("running sh");
        assert!(status.success(), "kill -{signal}: {status}");
    }

    /// Waits for its end while standard output stays held.
    pub(crate) fn held_end(mut self) -> Option<i32> {
        // Disconnected at the end of standard error, which is always read.
        let end = self.complaining.recv_timeout(EVENT_TIMEOUT);
        assert_eq!(end, Err(RecvTimeoutError::Disconnected), "it did not end");
        self.child.wait().expect("waiting").code()
    }

    /// Waits for its end; gives its exit status and its whole output.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        self.release();
        loop {
            match self.lines.recv_timeout(EVENT_TIMEOUT) {
                Ok(line) => self.seen.push(line),
                // Both of its outputs are closed.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("it did not end:\n{}", self.seen.join("\n"))
                }
            }
        }
        let status = self.child.wait().expect("waiting");
        (status.code(), self.seen.join("\n"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends on every line of `stream`.
fn forward(stream: impl Read, to: &Sender<String>, held: Option<(&str, Receiver<()>)>) {
    let mut held = held;
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        let gate = held.take_if(|(text, _)| line.contains(*text));
        // The receiver may be gone, but the pipe must not fill up.
        let _ = to.send(line);
        if let Some((_, gate)) = gate {
            // Ends when the sender is dropped.
            let _ = gate.recv();
        }
    }
}

/// A log line as JSON.
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

/// Sends one request; gives the whole answer.
pub(crate) fn ask(address: SocketAddr, method: &str, target: &str, headers: &str) -> String {
    let mut stream = connect(address);
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).expect("writing");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// A connection on which nothing is waited for longer than `EVENT_TIMEOUT`.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connecting");
    stream
        .set_read_timeout(Some(EVENT_TIMEOUT))
        .expect("a deadline");
    stream
}

/// A port without a listener, below those that the kernel hands out by itself.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 2_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % u32::from(COUNT)).expect("less than 2000");
    (0..COUNT)
        .map(|_| FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        .expect("a free port")
}

/// A redis-server on this port that keeps nothing.
pub(crate) fn redis(port: u16) -> Running {
    redis_with(port, &[])
}

/// A redis-server on this port, with further options.
pub(crate) fn redis_with(port: u16, options: &[&str]) -> Running {
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", ""])
        .args(options)
        .current_dir(std::env::temp_dir());
    let mut running = Running::start(&mut command);
    running.line("Ready to accept connections");
    running
}

/// A Node service that returns the received request, and its URL.
pub(crate) fn node() -> (Running, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/backends/server.js");
    let mut running = Running::start(Command::new("node").arg(script));
    let line = running.line("listening on ");
    let (_, address) = line.split_at("listening on ".len());
    let url = format!("http://{address}");
    (running, url)
}
