//! Compares the texts for people with the code: README, the documents, gateway.toml; and the source
//! tree with its layers.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of tests fail as the tests do"
)]

mod architecture;
mod backends;
mod circles;
mod configuration;
mod imports;
mod layers;
mod program;
mod readme;
mod reference;
mod request_log;
mod security;

use std::fs;
use std::path::PathBuf;

/// The fenced blocks of one kind, in order.
fn blocks(text: &str, kind: &str) -> Vec<String> {
    let fence = format!("```{kind}\n");
    text.split(&fence)
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("```")?.0.to_owned()))
        .collect()
}

/// The section under a heading, to the next heading of its level or above.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = text.find(&format!("\n{heading}\n")).map(|at| at + 1);
    let start = start.unwrap_or_else(|| panic!("there is no heading {heading:?}"));
    let rest = &text[start + heading.len()..];
    let level = heading.chars().take_while(|c| *c == '#').count();
    let mut fenced = false;
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        fenced ^= line.starts_with("```");
        let hashes = line.chars().take_while(|c| *c == '#').count();
        if !fenced && (1..=level).contains(&hashes) {
            break;
        }
        end += line.len();
    }
    &rest[..end]
}

/// The rows of the first table with this head, cut into cells.
fn table<'a>(text: &'a str, head: &str) -> Vec<Vec<&'a str>> {
    let lines = text.lines().skip_while(|line| *line != head).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    let cells = |line: &'a str| line.trim_matches('|').split('|').map(str::trim).collect();
    let rows: Vec<Vec<&str>> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "there is no table with the head {head:?}");
    rows
}

/// The texts between backticks.
fn code_words(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn file(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("reading {name}: {error}"))
}

/// The documents for people but CONFIGURATION.md, by their paths in the repository.
fn documents() -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["docs", "docs/design"] {
        let entries = fs::read_dir(root().join(folder)).expect("a folder can be read");
        for entry in entries {
            let name = entry.expect("a folder can be read").file_name();
            let name = name.to_string_lossy();
            if name.ends_with(".md") && name != "CONFIGURATION.md" {
                found.push(format!("{folder}/{name}"));
            }
        }
    }
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn no_environment(_: &str) -> Option<String> {
    None
}
