//! docs/SECURITY.md against the code: its tests, its keys, its place in README.

use super::architecture::all_code;
use super::{code_words, file, section, table};

const DOCUMENT: &str = "docs/SECURITY.md";

#[test]
fn every_threat_and_every_attack_names_tests_that_are_there() {
    let text = file(DOCUMENT);
    let code = all_code();
    let mut seen = 0;
    for (heading, head, elsewhere) in [
        (
            "## Threats and defences",
            "| actor | tries | defence | held by |",
            "the table below",
        ),
        (
            "## Attacks, byte for byte",
            "| attack | answer | held by |",
            "",
        ),
    ] {
        for row in table(section(&text, heading), head) {
            let held_by = *row.last().expect("a last column");
            let names = code_words(held_by);
            assert!(
                !names.is_empty() || held_by == elsewhere,
                "nothing holds: {row:?}"
            );
            for name in names {
                let found = code.contains(&format!("fn {name}()"));
                assert!(found, "there is no test {name}");
                seen += 1;
            }
        }
    }
    assert!(seen > 40, "only {seen} tests");
}

#[test]
fn every_invariant_names_tests_that_are_there_or_a_place() {
    let text = file(DOCUMENT);
    let rules = section(&text, "## Invariants");
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
fn every_group_of_attacks_has_a_row() {
    let text = file(DOCUMENT);
    let rows = table(
        section(&text, "## Attacks, byte for byte"),
        "| attack | answer | held by |",
    );
    let named: Vec<&str> = rows.iter().flat_map(|row| code_words(row[2])).collect();
    let groups = file("tests/gateway/attacks/mod.rs") + &file("tests/gateway/attacks/http2/mod.rs");
    let mut seen = 0;
    for group in groups.split("#[tokio::test]\nasync fn ").skip(1) {
        let name = group.split('(').next().unwrap_or_default();
        assert!(named.contains(&name), "no row names {name}");
        seen += 1;
    }
    assert!(seen > 10, "only {seen} groups");
}

#[test]
fn every_key_that_is_named_is_in_the_reference() {
    let text = file(DOCUMENT);
    let reference = file("docs/CONFIGURATION.md");
    let mut seen = 0;
    for word in code_words(&text) {
        let Some((table, key)) = word.split_once('.') else {
            continue;
        };
        if !["server", "redis", "session", "admin"].contains(&table) {
            continue;
        }
        let key = key.split(' ').next().unwrap_or_default();
        let row = format!("\n#### {table}.{key}\n");
        assert!(reference.contains(&row), "there is no key {word}");
        seen += 1;
    }
    assert!(seen > 5, "only {seen} keys");
}

#[test]
fn the_document_is_linked_and_names_how_to_report() {
    assert!(file("README.md").contains("(docs/SECURITY.md)"));
    assert!(file("docs/ARCHITECTURE.md").contains("(SECURITY.md)"));
    let text = file(DOCUMENT);
    let reporting = section(&text, "## Reporting a vulnerability");
    let version = env!("CARGO_PKG_VERSION");
    let (series, _) = version.rsplit_once('.').expect("a version of three parts");
    assert!(reporting.contains(&format!("| the newest {series}.x | yes |")));
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
