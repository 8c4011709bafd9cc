//! The services in README work as it says: they run by its commands and read the user from the
//! gateway's headers.

use std::net::SocketAddr;
use std::process::Command;

use super::program::{Program, ask, free_port};
use super::{blocks, code_words, file, root, section};

const TOLD: &str = "X-Openid: oX\r\nX-User-Id: 42\r\nX-Wx-Appid: wx1\r\n";

#[test]
fn the_php_service_runs_and_reads_the_caller() {
    let port = free_port();
    let _service = start(&command("php -S"), port);
    check(port, "php");
}

#[test]
fn the_node_service_runs_and_reads_the_caller() {
    let port = free_port();
    let _service = start(&command("PORT="), port);
    check(port, "node");
}

#[test]
fn code_quoted_in_the_readmes_of_backends_is_in_their_source() {
    let readme = file("README.md");
    let said: Vec<&str> = code_words(section(&readme, "## The real thing"))
        .into_iter()
        .filter(|word| word.contains("['"))
        .collect();
    let code = file("deploy/compose/php/index.php") + &file("deploy/compose/node/server.js");
    assert_eq!(said.len(), 4, "{said:?}");
    for word in said {
        assert!(code.contains(word), "{word}");
    }
}

/// README's command that begins like this.
fn command(start: &str) -> String {
    let commands = blocks(&file("README.md"), "sh");
    let found = commands.into_iter().find(|block| block.starts_with(start));
    found.unwrap_or_else(|| panic!("README has no command {start:?}"))
}

fn start(command: &str, port: u16) -> Program {
    assert!(command.contains("8000"), "{command}");
    let port = port.to_string();
    let command = format!("exec env {} 2>&1", command.trim().replace("8000", &port));
    let mut program = Program::start(
        Command::new("sh")
            .args(["-c", &command])
            .current_dir(root()),
    );
    // Each logs the port that it listens on, in its own words.
    while !program.line().contains(&port) {}
    program
}

fn check(port: u16, name: &str) {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let answer = ask(address, "GET /orders/7?page=2", TOLD, "");
    let told = json(&answer);
    assert_eq!(told["backend"], name);
    assert_eq!(told["path"], "/orders/7");
    assert_eq!(told["openid"], "oX");
    assert_eq!(told["user_id"], "42");
    assert_eq!(told["appid"], "wx1");
    let anonymous = json(&ask(address, "GET /", "", ""));
    assert!(anonymous["openid"].is_null(), "{anonymous}");
}

/// The object in an answer, whatever its framing.
fn json(answer: &str) -> serde_json::Value {
    let object = answer.find('{').zip(answer.rfind('}'));
    let (start, end) = object.unwrap_or_else(|| panic!("no object in {answer}"));
    serde_json::from_str(&answer[start..=end]).expect("JSON")
}
