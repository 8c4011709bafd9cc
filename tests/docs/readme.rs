//! README against the code: its files parse, its commands print what it says, its table of refusals
//! is the code's.

use std::fs;
use std::net::SocketAddr;

use serde_json::Value;
use skeygate::config::{Config, Style};
use skeygate::error::ErrorResponse;
use skeygate::style;

use super::program::{Program, ask, skeygate};
use super::{blocks, code_words, documents, file, layers, root, section, table};

#[test]
fn the_first_file_has_eleven_lines_and_is_good() {
    let smallest = smallest();
    assert!(smallest.lines().count() <= 11, "{smallest}");
    parse(&smallest);
    let reference = blocks(&file("docs/CONFIGURATION.md"), "toml");
    assert_eq!(reference.first(), Some(&smallest), "the reference's file");
}

#[test]
fn every_recipe_is_good_in_place_of_the_first_files_route() {
    let smallest = smallest();
    let (head, _) = smallest.split_once("[[routes]]").expect("a route");
    let (readme, reference) = (file("README.md"), file("docs/CONFIGURATION.md"));
    let mut recipes = blocks(section(&readme, "## Old clients"), "toml");
    let unparsed = blocks(&readme, "toml").len() - recipes.len() - 1;
    assert_eq!(unparsed, 0, "a file that no test parses");
    recipes.extend(blocks(section(&reference, "### style"), "toml"));
    assert_eq!(recipes.len(), 4);
    for recipe in recipes {
        parse(&format!("{head}{recipe}"));
    }
}

/// The third one is a line of its own: an skey in every place.
#[test]
fn the_recipe_in_a_sentence_is_good_in_the_first_files_route() {
    let readme = file("README.md");
    let words = code_words(section(&readme, "## Old clients"));
    let line = words.iter().find(|word| word.starts_with("token_from = "));
    parse(&format!("{}{}\n", smallest(), line.expect("a line")));
}

#[test]
fn the_commands_print_the_shown_output() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("gateway.toml"), smallest()).expect("a file");
    let shown = blocks(&file("README.md"), "console");
    assert_eq!(shown.len(), 1);
    for block in shown {
        let (command, expected) = block.split_once('\n').expect("a command and its output");
        let words = words(command.strip_prefix("$ skeygate ").expect("a command"));
        let output = skeygate(folder.path()).args(words).output();
        let output = output.expect("the binary runs");
        assert!(output.status.success(), "{command}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }
}

#[test]
fn the_three_lines_of_dev_match_its_output_and_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut dev = Program::start(skeygate(folder.path()).args(["dev", "--port", "0"]));
    let mut printed = Vec::new();
    while printed.len() < 3 {
        let line = dev.line();
        if let Some(line) = line.strip_prefix("  curl ") {
            printed.push(format!("curl {line}"));
        }
    }
    let url = printed[0].split_whitespace().find_map(|word| {
        let rest = word.strip_prefix("http://")?;
        rest.strip_suffix("/login")?.parse::<SocketAddr>().ok()
    });
    let address = url.expect("an address");
    let on_8080 = |line: &String| line.replace(&address.to_string(), "127.0.0.1:8080");
    let printed: Vec<String> = printed.iter().map(on_8080).collect();
    let shown = blocks(&file("README.md"), "sh");
    let shown: Vec<&str> = shown
        .iter()
        .map(|block| block.trim_end())
        .filter(|block| block.starts_with("curl"))
        .collect();
    assert_eq!(shown, printed);

    let json = "Content-Type: application/json\r\n";
    let login = ask(address, "POST /login", json, r#"{"code":"dev-alice"}"#);
    let (_, rest) = login.split_once(r#""skey":""#).expect("an skey");
    let (skey, _) = rest.split_once('"').expect("its end");
    let hello = ask(address, "GET /hello", &format!("skey: {skey}\r\n"), "");
    assert!(hello.starts_with("HTTP/1.1 200 "), "{hello}");
    assert!(
        hello.contains("\"x-openid\"") && !hello.contains(skey),
        "{hello}"
    );
    let anonymous = ask(address, "GET /hello", "", "");
    assert!(anonymous.starts_with("HTTP/1.1 401 "), "{anonymous}");
}

#[test]
fn the_table_of_refusals_is_that_of_the_code() {
    let text = file("README.md");
    let section = section(&text, "## What is refused, and how");
    let rows = table(
        section,
        "| status | name | errcode | meaning | the client should |",
    );
    let mut listed: Vec<(String, String, String)> = rows
        .iter()
        .map(|row| {
            assert_eq!(row.len(), 5, "{row:?}");
            let name = code_words(row[1]);
            (row[0].to_owned(), name[0].to_owned(), row[2].to_owned())
        })
        .collect();
    let mut known = refusals();
    listed.sort();
    known.sort();
    assert_eq!(listed, known);
}

/// Of the code's own table, so that no outcome is forgotten.
#[test]
fn one_refusal_alone_makes_an_sdk_log_in_again() {
    let refusals = refusals();
    assert!(refusals.len() > 25, "{}", refusals.len());
    for (status, name, errcode) in refusals {
        let answer = ErrorResponse {
            status: status.parse().expect("a status"),
            name: name.leak(),
            errcode: errcode.parse().expect("a number"),
            errmsg: "",
            retry_after: None,
        };
        let body = |style: &Style| {
            let (_, body) = style::refusal(style, &answer, "");
            serde_json::from_str::<Value>(&body).expect("JSON")
        };
        let ended = answer.name == "not_logged_in";
        let (wafer1, wafer2) = (body(&Style::Wafer1), body(&Style::Wafer2));
        assert_eq!(wafer2["code"] == -1, ended, "{wafer2}");
        assert_ne!(wafer2["code"], 0, "{wafer2}");
        assert_eq!(wafer1["error"] == "ERR_INVALID_SESSION", ended, "{wafer1}");
    }
}

#[test]
fn the_line_of_the_log_is_one_of_the_contract() {
    let contract = blocks(&file("docs/REQUEST-LOG.md"), "text");
    let shown = blocks(&file("README.md"), "text");
    assert_eq!((shown.len(), contract.len()), (1, 1));
    assert!(contract[0].starts_with(&shown[0]), "{}", shown[0]);
}

#[test]
fn every_link_leads_somewhere() {
    let mut names = documents();
    names.extend(["README.md", "CHANGELOG.md", "docs/CONFIGURATION.md"].map(str::to_owned));
    let mut seen = 0;
    for name in names {
        let text = file(&name);
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'));
        for (target, _) in targets.filter(|(target, _)| !target.starts_with("https://")) {
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let place = match path {
                "" => name.clone(),
                path => resolve(&name, path),
            };
            assert!(root().join(&place).exists(), "{name}: {target}");
            let leads = heading.is_empty() || anchors(&file(&place)).contains(&heading.to_owned());
            assert!(leads, "{name}: {target}");
            seen += 1;
        }
    }
    assert!(seen > 60, "only {seen} links");
}

/// The place of a link in a document, seen from the repository.
fn resolve(document: &str, link: &str) -> String {
    let mut place: Vec<&str> = document.split('/').collect();
    place.pop();
    for part in link.split('/').filter(|part| !part.is_empty()) {
        match part {
            ".." => drop(place.pop()),
            part => place.push(part),
        }
    }
    place.join("/")
}

/// Anchors of headings: lower case, blanks as `-`, no punctuation.
fn anchors(text: &str) -> Vec<String> {
    let titles = text.lines().filter(|line| line.starts_with('#'));
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ');
    titles
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|title| title.chars().filter(kept).collect::<String>())
        .map(|title| title.replace(' ', "-"))
        .collect()
}

#[test]
fn the_rust_it_asks_for_is_the_packages() {
    let package: toml::Table = file("Cargo.toml").parse().expect("Cargo.toml is TOML");
    let version = package["package"]["rust-version"]
        .as_str()
        .expect("a version");
    let readme = file("README.md");
    assert!(readme.contains(&format!("Rust {version} or newer")));
}

/// Status, name and errcode of each arm of the table in src/error/mod.rs.
fn refusals() -> Vec<(String, String, String)> {
    let code = layers::sources()
        .into_iter()
        .find(|(path, _)| path.ends_with("src/error/mod.rs"));
    let (_, code) = code.expect("src/error/mod.rs");
    let (_, table) = code.split_once("match self {").expect("the table");
    let (table, _) = table.split_once("\n        };").expect("its end");
    let flat: String = table.split_whitespace().collect::<Vec<_>>().join(" ");
    let found: Vec<(String, String, String)> = flat
        .split("=>")
        .skip(1)
        .map(|arm| {
            let arm = arm.trim_start_matches([' ', '{', '(']);
            let mut cells = arm.split(',').map(|cell| cell.trim().to_owned());
            let mut next = || {
                cells
                    .next()
                    .unwrap_or_else(|| panic!("an arm like {arm:?}"))
            };
            let (status, name) = (next(), next());
            (status, name.trim_matches('"').to_owned(), next())
        })
        .collect();
    assert!(found.len() > 20, "only {} errors", found.len());
    found
}

fn smallest() -> String {
    let files = blocks(&file("README.md"), "toml");
    files.first().expect("a file").clone()
}

fn parse(text: &str) {
    let secret = |name: &str| (name == "WX_SECRET").then(|| "0123456789abcdef".to_owned());
    match Config::parse("gateway.toml", text, &secret) {
        Ok(loaded) => assert_eq!(loaded.warnings, [], "{text}"),
        Err(error) => panic!("{error}\n{text}"),
    }
}

/// The words of a command, with single quotes taken off.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in command.split('\'').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}
