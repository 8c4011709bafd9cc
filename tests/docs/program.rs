//! A program under test: its output line by line, and its end with the test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Time limit for an event that is going to happen, on a busy machine.
const EVENT_TIMEOUT: Duration = Duration::from_secs(30);

/// A running program; killed when dropped.
pub(crate) struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Program {
    /// Starts it, with its standard output to be read here.
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stdin(Stdio::null());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("starting {command:?}: {error}"));
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, output }
    }

    /// The next line; ends the test when there is none.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).expect("output is text");
        assert!(read > 0, "the program ended");
        line.trim_end().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The built binary, in a folder, without the environment's own configuration.
pub(crate) fn skeygate(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skeygate"));
    command
        .current_dir(folder)
        .env_remove("SKEYGATE_CONFIG")
        .env("WX_SECRET", "0123456789abcdef0123456789abcdef");
    command
}

/// Sends a request as it stands, with what every request needs, and gives the whole answer.
pub(crate) fn ask(address: SocketAddr, line: &str, headers: &str, body: &str) -> String {
    let mut stream =
        TcpStream::connect_timeout(&address, EVENT_TIMEOUT).expect("it takes connections");
    stream
        .set_read_timeout(Some(EVENT_TIMEOUT))
        .expect("a timeout");
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream
        .write_all(request.as_bytes())
        .expect("the request goes out");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("its address").port()
}
