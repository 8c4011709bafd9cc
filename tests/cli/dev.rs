//! `skeygate dev`, by way of what it prints.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use serde_json::Value;

use crate::support::{CommandOutput, Folder, Running, ask, json, node, output_of};

/// A running `dev`, its address and the three curl lines.
struct Dev {
    running: Running,
    address: SocketAddr,
    curls: Vec<String>,
}

fn dev(arguments: &[&str]) -> Dev {
    let folder = Folder::new();
    let mut command = folder.command(&["dev", "--port", "0"]);
    let mut running = Running::start(command.args(arguments));
    let welcome = running.line("skeygate dev: http://");
    let address = welcome
        .split("http://")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let address = address.expect("an address").parse().expect("an address");
    let curls = (0..3).map(|_| running.line("  curl ")).collect();
    Dev {
        running,
        address,
        curls,
    }
}

impl Dev {
    /// Pastes the line of this number into a shell.
    fn paste(&self, number: usize) -> CommandOutput {
        let mut shell = Command::new("sh");
        // A proxy of the environment is not to be asked for 127.0.0.1.
        shell.args(["-c", &self.curls[number]]).env("no_proxy", "*");
        output_of(&mut shell)
    }
}

#[test]
fn the_three_lines_log_in_call_as_alice_and_are_refused_without_an_skey() {
    let dev = dev(&[]);

    let login = json(&dev.paste(0).stdout);
    assert_eq!(login["skey"].as_str().map(str::len), Some(43), "{login}");

    let echoed = json(&dev.paste(1).stdout);
    assert_eq!(echoed["target"], "/hello");
    assert!(echoed["headers"]["x-openid"].is_string(), "{echoed}");
    assert_eq!(echoed["headers"]["x-user-id"], login["user_id"]);
    assert_eq!(echoed["headers"]["skey"], Value::Null);

    let anonymous = dev.paste(2).stdout;
    assert!(anonymous.starts_with("HTTP/1.1 401 "), "{anonymous}");
    assert!(anonymous.contains("not_logged_in"), "{anonymous}");
}

#[test]
fn public_paths_give_no_identity_and_every_request_is_logged() {
    let mut dev = dev(&[]);

    let answer = ask(dev.address, "GET", "/public/x", "X-Openid: forged\r\n");

    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.contains("forged"), "{answer}");
    let line = dev.running.line("/public/x");
    assert!(line.contains(" GET /public/x 200 "), "{line}");
    assert!(line.contains("auth=anonymous"), "{line}");
}

#[test]
fn it_is_loud_about_production_and_only_this_machine_can_reach_it() {
    let dev = dev(&[]);

    assert!(dev.address.ip().is_loopback(), "{}", dev.address);
    dev.running.signal("INT");
    let (code, output) = dev.running.end();
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("NOT FOR PRODUCTION"), "{output}");
}

#[test]
fn it_proxies_to_a_given_service() {
    let (_node, url) = node();
    let dev = dev(&["--to", &url]);

    let told = json(&dev.paste(1).stdout);

    assert_eq!(told["url"], "/hello");
    let fields = told["rawHeaders"].as_array().expect("a list");
    let names: Vec<String> = fields
        .chunks(2)
        .filter_map(|field| field[0].as_str().map(str::to_lowercase))
        .collect();
    for name in ["x-openid", "x-user-id"] {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
    assert!(!names.iter().any(|name| name == "skey"), "{names:?}");
}

#[test]
fn an_invalid_service_address_is_explained() {
    for (to, what, help) in [
        (
            "127.0.0.1:3000",
            "has no scheme",
            "write `http://127.0.0.1:3000`",
        ),
        (
            "https://a.example",
            "not available in this version",
            "write http://host:port",
        ),
        ("http://127.0.0.1:3000/api", "has a path", "add_prefix"),
        (
            "http://a\"b",
            "has no valid host and port",
            "write http://host:port",
        ),
    ] {
        let said = Folder::new().skeygate(&["dev", "--port", "0", "--to", to]);

        assert_eq!((said.code, said.stdout.as_str()), (Some(78), ""), "{to}");
        let (first, second) = said.stderr.trim_end().split_once('\n').expect("two lines");
        assert!(
            first.starts_with(&format!("--to: `{to}` ")),
            "{}",
            said.stderr
        );
        assert!(first.contains(what), "{}", said.stderr);
        assert!(second.starts_with("help: "), "{}", said.stderr);
        assert!(second.contains(help), "{}", said.stderr);
    }
}

#[test]
fn a_port_in_use_is_reported_with_the_cure() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = taken.local_addr().expect("an address");

    let said = Folder::new().skeygate(&["dev", "--port", &address.port().to_string()]);

    assert_eq!((said.code, said.stdout.as_str()), (Some(69), ""));
    assert!(
        said.stderr.contains(&address.to_string()),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("--port 0"), "{}", said.stderr);
}
