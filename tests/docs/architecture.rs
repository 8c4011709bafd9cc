//! docs/ARCHITECTURE.md, docs/REDIS.md and docs/design/ against the tree: layers, places, keys.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::layers::{LAYERS, sources};
use super::{code_words, documents, file, root, section, table};

const DOCUMENT: &str = "docs/ARCHITECTURE.md";
/// It is read in one sitting, or not at all.
const MAX_LINES: usize = 250;

#[test]
fn the_document_is_short() {
    let lines = file(DOCUMENT).lines().count();
    assert!(lines <= MAX_LINES, "{lines} lines");
}

#[test]
fn the_layers_are_those_that_are_tested() {
    let text = file(DOCUMENT);
    let rows = table(section(&text, "## Layers"), "| | modules |");
    let listed: Vec<Vec<&str>> = rows.iter().map(|row| code_words(row[1])).collect();
    assert_eq!(listed, LAYERS);
}

#[test]
fn every_module_has_a_line_in_the_codemap() {
    let text = file(DOCUMENT);
    let rows = table(section(&text, "## Codemap"), "| where | what it is |");
    let listed: BTreeSet<&str> = rows.iter().flat_map(|row| code_words(row[0])).collect();
    for place in &listed {
        assert!(root().join(place).exists(), "there is no {place}");
    }
    let entries = fs::read_dir(root().join("src")).expect("src can be read");
    let mut seen = 0;
    for entry in entries {
        let entry = entry.expect("src can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        let folder = entry.path().is_dir();
        let place = format!("src/{name}{}", if folder { "/" } else { "" });
        if name != "lib.rs" {
            seen += 1;
            assert!(listed.contains(place.as_str()), "the codemap lacks {place}");
        }
    }
    assert!(seen > 10, "only {seen} modules");
}

#[test]
fn every_place_that_is_named_is_there() {
    let mut seen = 0;
    let files = sources();
    let named = |(path, _): &(PathBuf, String), name: &str| path.ends_with(name);
    for name in documents() {
        let text = prose(&file(&name));
        let places = code_words(&text).into_iter().filter(|word| {
            let path = Path::new(word);
            path.extension().is_some_and(|end| end == "rs")
        });
        for place in places {
            let found = match place.contains('/') {
                true => root().join(place).exists() || root().join("src").join(place).exists(),
                // A name of the tree's own rule, which many folders have.
                false if place == "tests.rs" => true,
                false => files.iter().any(|file| named(file, place)),
            };
            assert!(found, "{name}: there is no {place}");
            seen += 1;
        }
    }
    assert!(seen > 60, "only {seen} places");
}

#[test]
fn every_design_note_is_linked_and_says_problem_rule_and_alternatives() {
    let text = file(DOCUMENT);
    let mut seen = 0;
    for name in documents() {
        let Some(note) = name.strip_prefix("docs/design/") else {
            continue;
        };
        assert!(
            text.contains(&format!("(design/{note})")),
            "no link: {note}"
        );
        for heading in ["## Problem", "## Rule", "## Why not otherwise"] {
            assert!(!section(&file(&name), heading).trim().is_empty(), "{name}");
        }
        seen += 1;
    }
    assert!(seen > 10, "only {seen} notes");
}

#[test]
fn every_test_that_a_note_names_is_there() {
    let code = all_code();
    for name in documents() {
        let text = prose(&file(&name));
        // Fewer underscores are keys, fields and functions.
        let tests = code_words(&text).into_iter().filter(|word| {
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            word.bytes().all(plain) && word.matches('_').count() > 3
        });
        for test in tests {
            assert!(
                code.contains(&format!("fn {test}(")),
                "{name}: no test {test}"
            );
        }
    }
}

#[test]
fn the_keys_in_redis_are_those_of_the_code() {
    let text = file("docs/REDIS.md");
    let rows = table(section(&text, "## Keys"), "| key | value | TTL |");
    let listed: Vec<String> = rows
        .iter()
        .map(|row| format!("| {} |", row.join(" | ")))
        .collect();
    let files = [
        "src/session/redis/mod.rs",
        "src/users/redis/mod.rs",
        "src/limit/shared.rs",
        "src/lease/redis.rs",
        "src/access_token/mod.rs",
    ];
    let code: String = files.into_iter().map(file).collect();
    let known: Vec<&str> = code
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .filter(|line| line.starts_with("| `"))
        .collect();
    assert_eq!(listed, known);
}

/// The text without fenced blocks, whose fences are backticks too.
fn prose(text: &str) -> String {
    let parts = text.split("```").step_by(2);
    parts.collect()
}

/// Everything under src and tests in one text.
pub(super) fn all_code() -> String {
    let mut code = String::new();
    let mut folders = vec![root().join("src"), root().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder can be read") {
            let path = entry.expect("a folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                code += &fs::read_to_string(&path).expect("source files can be read");
            }
        }
    }
    code
}
