//! docs/ARCHITECTURE.md against the tree: its layers, its places, its tests, its keys.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::layers::LAYERS;
use super::{code_words, file, root, section, table};

const DOCUMENT: &str = "docs/ARCHITECTURE.md";

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
    let text = file(DOCUMENT);
    let places = code_words(&text).into_iter().filter(|word| {
        let path = Path::new(word);
        word.contains('/') && path.extension().is_some_and(|end| end == "rs")
    });
    let mut seen = 0;
    for place in places {
        let found = root().join(place).exists() || root().join("src").join(place).exists();
        assert!(found, "there is no {place}");
        seen += 1;
    }
    assert!(seen > 20, "only {seen} places");
}

#[test]
fn every_rule_names_tests_that_are_there_or_a_place() {
    let text = file(DOCUMENT);
    let rules = section(&text, "## What never happens");
    let code = all_code();
    let mut seen = 0;
    for rule in rules.split("\n\n").flat_map(numbered) {
        let words = code_words(&rule);
        let names: Vec<&str> = words
            .into_iter()
            .filter(|word| word.matches('_').count() > 1)
            .collect();
        assert!(
            !names.is_empty() || rule.contains("src/"),
            "nothing holds: {rule}"
        );
        for name in names {
            assert!(
                code.contains(&format!("fn {name}(")),
                "there is no test {name}"
            );
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} tests");
}

#[test]
fn the_keys_in_redis_are_those_of_the_code() {
    let text = file(DOCUMENT);
    let rows = table(
        section(&text, "## What is in Redis"),
        "| key | value | lives |",
    );
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

/// The numbered paragraphs of a text, each in one line.
fn numbered(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in text.lines() {
        let number = line.split('.').next().unwrap_or_default();
        if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
            found.push(line.to_owned());
        } else if let Some(last) = found.last_mut() {
            last.push(' ');
            last.push_str(line);
        }
    }
    found
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
