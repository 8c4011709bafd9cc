//! gateway.toml and docs/CONFIGURATION.md against the keys that the code reads.

use std::collections::BTreeSet;

use skeygate::config::{Config, KeyInfo, Style, keys};
use skeygate::error::{Error, SkeyState};
use skeygate::login::LoginResult;
use skeygate::style;

use super::{blocks, code_words, file, no_environment, section};

#[test]
fn gateway_toml_runs_once_its_marked_values_are_set() {
    let text = file("gateway.toml");
    assert_eq!(text.matches("<== SET THIS:").count(), 3);
    let loaded =
        Config::parse("gateway.toml", &text, &no_environment).expect("gateway.toml is good");
    let warnings: Vec<&str> = loaded
        .warnings
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    assert_eq!(
        warnings,
        [
            "app `wx0000000000000000`: appid: still the one of the example",
            "app `wx0000000000000000`: secret: still the placeholder"
        ]
    );
    let set = text
        .replace("change-me", "0123456789abcdef0123456789abcdef")
        .replace("wx0000000000000000", "wx0123456789abcdef");
    let loaded =
        Config::parse("gateway.toml", &set, &no_environment).expect("gateway.toml is good");
    assert_eq!(loaded.warnings, []);
}

#[test]
fn gateway_toml_holds_every_key_that_works_with_its_default() {
    let text = uncommented(&file("gateway.toml"));
    if let Err(error) = Config::parse("gateway.toml", &text, &no_environment) {
        panic!("with every comment taken off:\n{error}");
    }
    let document: toml::Table = text.parse().expect("gateway.toml is TOML");
    let mut found = Vec::new();
    collect(&document, "", &keys(), &mut found);
    let working: Vec<KeyInfo> = keys().into_iter().filter(KeyInfo::is_available).collect();
    assert!(working.len() > 80, "only {} keys", working.len());
    for key in &working {
        let name = format!("{}.{}", key.table, key.key);
        let first = found.iter().find(|(found, _)| *found == name);
        let (_, value) = first.unwrap_or_else(|| panic!("gateway.toml does not have {name}"));
        // One of the three marked values: its default is none.
        if let Some(default) = key.default.filter(|_| name != "apps.secret") {
            assert_eq!(
                *value,
                value_of(default),
                "{name} in gateway.toml is not the default"
            );
        }
    }
    let known: BTreeSet<String> = working
        .iter()
        .map(|key| format!("{}.{}", key.table, key.key))
        .collect();
    let extra: Vec<&String> = found
        .iter()
        .map(|(name, _)| name)
        .filter(|name| !known.contains(*name))
        .collect();
    assert!(
        extra.is_empty(),
        "gateway.toml has keys that do not work: {extra:?}"
    );
}

#[test]
fn the_examples_in_the_reference_are_what_the_code_says() {
    let text = file("docs/CONFIGURATION.md");
    let (files, reports) = (blocks(&text, "toml"), blocks(&text, "text"));
    // The other two are recipes, tried with those of README.
    assert_eq!((files.len(), reports.len()), (4, 1));
    let secret = |name: &str| (name == "WX_SECRET").then(|| "0123456789abcdef".to_owned());
    let smallest =
        Config::parse("gateway.toml", &files[0], &secret).expect("the smallest file is good");
    assert_eq!(smallest.warnings, []);
    let error =
        Config::parse("gateway.toml", &files[1], &no_environment).expect_err("the bad file is bad");
    assert_eq!(error.to_string(), reports[0].trim_end());
}

#[test]
fn the_answers_in_the_reference_are_those_of_the_styles() {
    let text = file("docs/CONFIGURATION.md");
    let section = section(&text, "### style");
    let lines: Vec<&str> = section.lines().collect();
    let starts = ["- `", "  - login: `", "  - refusal: `"];
    let rows: Vec<&[&str]> = lines
        .windows(3)
        .filter(|lines| {
            lines
                .iter()
                .zip(starts)
                .all(|(line, start)| line.starts_with(start))
        })
        .collect();
    let styles = [
        ("plain", Style::Plain),
        ("token", Style::Token),
        ("sessionid", Style::Sessionid),
        ("wafer1", Style::Wafer1),
        ("wafer2", Style::Wafer2),
        ("errcode200", Style::Errcode200),
    ];
    let login = LoginResult {
        skey: "…".to_owned(),
        expires_at: 0,
        user_id: Some("373593486520117".to_owned()),
        openid: "o…".to_owned(),
        appid: "wx1".to_owned(),
        is_new: true,
    };
    let refused = Error::NotLoggedIn(SkeyState::Missing).response();
    assert_eq!(rows.len(), styles.len());
    for (row, (name, style)) in rows.iter().zip(&styles) {
        let (status, refusal) = style::refusal(style, &refused, "…");
        let answer = style::login(style, &login, 604_800, None);
        let words: Vec<&str> = row.iter().flat_map(|line| code_words(line)).collect();
        assert_eq!(words, [*name, &answer, &refusal]);
        let expected = if *name == "errcode200" { 200 } else { 401 };
        assert_eq!(status, expected, "{name}");
        let done = format!("`{}`", style::done(style));
        assert!(section.contains(&done), "{name}: {done}");
    }
}

/// The keys of a table and of those in it, by their names in the list of keys, in the order of
/// the list's entries.
fn collect(
    table: &toml::Table,
    path: &str,
    keys: &[KeyInfo],
    found: &mut Vec<(String, toml::Value)>,
) {
    for (name, value) in table {
        let inner = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        if keys.iter().any(|key| {
            key.table == path && key.key == name && (!value.is_table() || key.key != "style")
        }) {
            found.push((format!("{path}.{name}"), value.clone()));
        }
        let is_table = |path: &str| {
            keys.iter()
                .any(|key| key.table == path || key.table.starts_with(&format!("{path}.")))
        };
        match value {
            toml::Value::Table(inside) if name == "upstreams" => {
                for upstream in inside.values().filter_map(toml::Value::as_table) {
                    collect(upstream, "upstreams.NAME", keys, found);
                }
            }
            toml::Value::Table(inside) if is_table(&inner) => collect(inside, &inner, keys, found),
            toml::Value::Array(entries) if is_table(&inner) => {
                for entry in entries.iter().filter_map(toml::Value::as_table) {
                    collect(entry, &inner, keys, found);
                }
            }
            _ => {}
        }
    }
}

/// The file with the `#` in front of keys and tables taken off; prose has a blank after its `#`.
fn uncommented(text: &str) -> String {
    let is_key = |rest: &&str| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
    let lines = text
        .lines()
        .map(|line| line.strip_prefix('#').filter(is_key).unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

fn value_of(text: &str) -> toml::Value {
    let table: toml::Table = format!("value = {text}")
        .parse()
        .expect("a default is TOML");
    table["value"].clone()
}
