//! docs/REQUEST-LOG.md against the source and against the log of a running gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use serde_json::Value;
use skeygate::fake_wechat::{FakeApp, FakeWechat};

use super::program::{Program, ask, skeygate};
use super::{blocks, code_words, file, section, table};

const DOCUMENT: &str = "docs/REQUEST-LOG.md";
const APPID: &str = "wx1234567890abcdef";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn the_fields_are_those_that_the_source_writes_in_its_order() {
    let source = file("src/request_log/line.rs");
    let (_, json) = source.split_once("fn json(").expect("the JSON layout");
    let (json, _) = json.split_once("fn text(").expect("the text layout");
    let mut written: Vec<&str> = Vec::new();
    for part in json.split("\\\":").map(|part| part.rsplit("\\\"").next()) {
        let name = part.unwrap_or_default();
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
        if !name.is_empty() && name.chars().all(is_name) {
            written.push(name);
        }
    }
    let listed: Vec<String> = fields().into_iter().map(|(name, _)| name).collect();
    assert!(written.len() > 20, "{written:?}");
    assert_eq!(listed, written);
}

#[test]
fn the_outcomes_of_auth_are_those_of_the_code() {
    let text = file(DOCUMENT);
    let rows = table(section(&text, "## Fields"), HEAD);
    let row = rows.iter().find(|row| row[0] == "`auth`").expect("auth");
    let listed: BTreeSet<&str> = code_words(row[3])
        .into_iter()
        .filter(|word| *word != "optional")
        .collect();
    let source = file("src/request_log/mod.rs");
    let (_, outcomes) = source
        .split_once("impl AuthOutcome {")
        .expect("the outcomes");
    let (outcomes, _) = outcomes.split_once("\n}").expect("their end");
    let known: BTreeSet<&str> = outcomes.split('"').skip(1).step_by(2).collect();
    assert_eq!(listed, known);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_runs_writes_the_fields_of_the_document_and_no_others() {
    let lines = lines("json").await;
    let objects: Vec<BTreeMap<String, Value>> = lines
        .iter()
        .map(|line| serde_json::from_str(line).expect("a line is one JSON object"))
        .collect();
    let fields = fields();
    let mut seen = BTreeSet::new();
    for (name, value) in objects.iter().flatten() {
        let known = fields.iter().find(|(known, _)| known == name);
        let (_, kind) = known.unwrap_or_else(|| panic!("{name} is not in the document"));
        let is = if value.is_number() { "number" } else { "text" };
        assert_eq!(is, kind, "{name}");
        seen.insert(name.clone());
    }
    let all: BTreeSet<String> = fields.into_iter().map(|(name, _)| name).collect();
    assert_eq!(seen, all);

    // The examples show the lines of the same two requests.
    let names = |object: &BTreeMap<String, Value>| object.keys().cloned().collect::<Vec<_>>();
    let shown: Vec<_> = examples("json")
        .iter()
        .map(|line| names(&serde_json::from_str(line).expect("JSON")))
        .collect();
    assert_eq!(shown, [names(&objects[1]), names(&objects[2])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_lines_look_like_those_of_the_document() {
    let lines = lines("text").await;
    let shape = |line: &String| -> Vec<String> {
        let words = line.split_whitespace();
        let name = |word: &str| word.split_once('=').map(|(name, _)| format!("{name}="));
        words
            .map(|word| {
                let digits = word.starts_with(|c: char| c.is_ascii_digit());
                name(word).unwrap_or_else(|| if digits { "1" } else { word }.to_owned())
            })
            .collect()
    };
    let shown: Vec<_> = examples("text").iter().map(shape).collect();
    assert_eq!(shown, [shape(&lines[1]), shape(&lines[2])]);
}

const HEAD: &str = "| field | type | when | meaning |";

/// Name and type of each field, in the document's order.
fn fields() -> Vec<(String, String)> {
    let text = file(DOCUMENT);
    let rows = table(section(&text, "## Fields"), HEAD);
    let field = |row: &Vec<&str>| {
        assert_eq!(row.len(), 4, "{row:?}");
        (row[0].trim_matches('`').to_owned(), row[1].to_owned())
    };
    rows.iter().map(field).collect()
}

fn examples(kind: &str) -> Vec<String> {
    let found = blocks(&file(DOCUMENT), kind);
    assert_eq!(found.len(), 1);
    let lines: Vec<String> = found[0].lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 2);
    lines
}

/// The lines of a login, a request with its skey, and one with an unknown skey.
async fn lines(format: &str) -> Vec<String> {
    let wechat = FakeWechat::start(
        (Ipv4Addr::LOCALHOST, 0).into(),
        vec![FakeApp::new(APPID, SECRET)],
    );
    let wechat = wechat.await.expect("a fake WeChat");
    let code = wechat.new_code(APPID, "ann");
    let url = wechat.url();
    let format = format.to_owned();
    let run = tokio::task::spawn_blocking(move || requests(&url, &code, &format));
    run.await.expect("the requests are made")
}

fn requests(wechat: &str, code: &str, format: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    // Another gateway that answers by itself is upstream enough.
    let behind = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[admin]\nlisten = \"\"\n[session]\nstore = \"memory\"\n\
         [[apps]]\nappid = \"{APPID}\"\nsecret = \"{SECRET}\"\n\
         [[routes]]\npath = \"/*\"\nauth = \"off\"\nrespond = {{ body = \"behind\" }}\n"
    );
    let (_behind, upstream) = gateway(folder.path(), "behind.toml", &behind);
    let front = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[admin]\nlisten = \"\"\n[session]\nstore = \"memory\"\n\
         [[apps]]\nappid = \"{APPID}\"\nsecret = \"{SECRET}\"\n\
         [wechat]\napi_base = \"{wechat}\"\n[log]\nformat = \"{format}\"\n\
         [upstreams.api]\nservers = [\"http://{upstream}\"]\n\
         [[routes]]\npath = \"/*\"\nupstream = \"api\"\n"
    );
    let (mut front, address) = gateway(folder.path(), "front.toml", &front);

    let json = "Content-Type: application/json\r\n";
    let body = format!("{{\"code\":\"{code}\"}}");
    let login = ask(address, "POST /login", json, &body);
    let (_, rest) = login
        .split_once(r#""skey":""#)
        .unwrap_or_else(|| panic!("{login}"));
    let (skey, _) = rest.split_once('"').expect("its end");
    let mut lines = vec![request_line(&mut front)];
    for skey in [skey, "unknown-unknown-unknown"] {
        ask(
            address,
            "GET /orders/7?page=2",
            &format!("skey: {skey}\r\n"),
            "",
        );
        lines.push(request_line(&mut front));
    }
    let all = lines.concat();
    assert!(
        !all.contains(skey) && !all.contains(code) && !all.contains("page"),
        "{all}"
    );
    lines
}

/// Starts a gateway with this file and finds out where it listens.
fn gateway(folder: &Path, name: &str, text: &str) -> (Program, SocketAddr) {
    fs::write(folder.join(name), text).expect("a file");
    let mut program = Program::start(skeygate(folder).args(["run", "--config", name]));
    loop {
        let line = program.line();
        let address = line.split_once("127.0.0.1:").map(|(_, rest)| rest);
        if let Some(rest) = address.filter(|_| line.contains("listening")) {
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let port = port.parse().expect("a port");
            return (program, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        }
    }
}

fn request_line(program: &mut Program) -> String {
    loop {
        let line = program.line();
        if line.contains(" request ") || line.contains("\"message\":\"request\"") {
            return line;
        }
    }
}
