//! The standard output of `run`: its form, and that a stalled reader delays nothing.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;

use crate::support::{APP, Folder, Running, ask, connect, json};

const OPEN: &str =
    "[[routes]]\npath = \"/*\"\nauth = \"off\"\nrespond = { status = 204, body = \"\" }\n";

fn folder(log: &str) -> Folder {
    Folder::with(&format!(
        "{APP}[server]\nlisten = [\"127.0.0.1:0\"]\n[admin]\nlisten = \"\"\n[session]\nstore = \"memory\"\n[log]\n{log}\n{OPEN}"
    ))
}

#[test]
fn into_a_pipe_every_line_is_one_json_object() {
    for format in ["", "format = \"json\""] {
        let (gateway, address) = folder(format).run();
        ask(address, "GET", "/a?skey=secret", "");
        gateway.signal("TERM");

        let (code, output) = gateway.end();

        assert_eq!(code, Some(0), "{output}");
        let lines: Vec<_> = output.lines().map(json).collect();
        for line in &lines {
            let timestamp = line["timestamp"].as_str().map(str::len);
            assert_eq!(timestamp, Some("2026-01-02T03:04:05.678Z".len()), "{line}");
        }
        let requests: Vec<_> = lines
            .iter()
            .filter(|line| line["message"] == "request")
            .collect();
        assert_eq!(requests.len(), 1, "{output}");
        assert_eq!(requests[0]["url.path"], "/a");
        assert_eq!(requests[0]["http.response.status_code"], 204);
    }
}

#[test]
fn as_text_a_line_is_for_reading() {
    let folder = folder("format = \"text\"");
    let mut gateway = Running::start(&mut folder.command(&["run"]));
    let line = gateway.line("listen=");
    let (_, address) = line.split_once("listen=").expect("an address");
    let address: SocketAddr = address.trim().parse().expect("an address and port");

    ask(address, "GET", "/a?skey=secret", "");

    let line = gateway.line(" request ");
    assert!(line.contains("INFO request GET /a 204 "), "{line}");
    assert!(!line.contains("secret"), "{line}");
    assert!(!line.starts_with('{'), "{line}");
}

#[test]
fn a_level_hides_lower_levels() {
    // An upstream that no route uses draws a warning.
    let unused = "[upstreams.unused]\nservers = [\"http://127.0.0.1:8000\"]";
    let folder = folder(&format!("level = \"warn\"\n{unused}"));
    let mut gateway = Running::start(&mut folder.command(&["run"]));

    let first = json(&gateway.line("{"));

    assert_eq!(first["level"], "WARN", "{first}");
}

#[test]
fn a_reader_that_stalls_costs_lines_and_no_request() {
    const REQUESTS: usize = 20_000;
    const AT_ONCE: usize = 200;
    let folder = folder("");
    let mut command = folder.command(&["run"]);
    // Nothing is read after this line: the pipe fills up, and then the buffer before it.
    let mut gateway = Running::start_held(&mut command, Some("\"listen\":"));
    let mut stream = connect(gateway.listening());
    let mut reader = BufReader::new(stream.try_clone().expect("a clone"));
    let batch = "GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n".repeat(AT_ONCE);

    let mut answered = 0;
    for _ in 0..REQUESTS / AT_ONCE {
        stream.write_all(batch.as_bytes()).expect("writing");
        let mut in_batch = 0;
        while in_batch < AT_ONCE {
            let mut line = String::new();
            reader.read_line(&mut line).expect("an answer");
            assert!(!line.is_empty(), "the end after {answered} answers");
            in_batch += usize::from(line.starts_with("HTTP/1.1 204 "));
        }
        answered += in_batch;
    }

    assert_eq!(answered, REQUESTS);
    gateway.release();
    let line = json(&gateway.line("lines were dropped"));
    assert!(line["lines"].as_u64() > Some(0), "{line}");
    gateway.signal("TERM");
    let (code, output) = gateway.end();
    assert_eq!(code, Some(0));
    assert!(output.contains("requests in flight were finished"));
}

#[test]
fn a_reader_that_never_reads_again_does_not_keep_the_process() {
    let folder = folder("");
    let mut command = folder.command(&["run"]);
    let mut gateway = Running::start_held(&mut command, Some("\"listen\":"));
    let mut stream = connect(gateway.listening());
    let batch = "GET /a HTTP/1.1\r\nHost: gateway.test\r\n\r\n".repeat(1000);
    stream.write_all(batch.as_bytes()).expect("writing");
    let answered = BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .filter(|line| line.starts_with("HTTP/1.1 204 "))
        .take(1000)
        .count();
    assert_eq!(answered, 1000);

    gateway.signal("TERM");

    assert_eq!(gateway.held_end(), Some(0));
}
