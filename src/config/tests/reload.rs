//! Changes that need a restart, and the declarations of keys.

use super::{GOOD, parse};
use crate::config::{Kind, Loaded, Reload, keys};

fn loaded(more: &str) -> Loaded {
    parse(&format!("{GOOD}{more}\n")).unwrap()
}

#[test]
fn changes_of_what_is_used_at_start_alone_need_a_restart() {
    let before = loaded("");
    for (more, expected) in [
        ("", vec![]),
        (
            "[server]\nlisten = [\"127.0.0.1:81\"]\nmax_body = \"1MiB\"",
            vec![],
        ),
        ("[server]\nworkers = 3", vec!["server.workers"]),
        ("[server]\nworkers = \"auto\"", vec![]),
        (
            "[redis]\ntimeout = \"1s\"\npassword = \"p\"",
            vec!["redis.password", "redis.timeout"],
        ),
        (
            "[session]\nstore = \"memory\"\nttl = \"1h\"",
            vec!["session.store"],
        ),
        ("[users]\nstore = \"off\"", vec!["users.store"]),
        (
            "[admin]\nlisten = \"\"\n[log]\nformat = \"json\"",
            vec!["log.format"],
        ),
        ("[rate_limit]\nshared = true", vec!["rate_limit.shared"]),
    ] {
        assert_eq!(before.restart_keys(&loaded(more)), expected, "{more}");
        assert_eq!(loaded(more).restart_keys(&before), expected, "{more}");
    }
}

#[test]
fn a_secret_counts_by_its_text_and_is_never_shown() {
    let folder = std::env::temp_dir().join(format!("skeygate-reload-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("password");
    let from_file = format!("[redis]\npassword_file = \"{}\"", file.display());
    std::fs::write(&file, "one\n").unwrap();
    let first = loaded(&from_file);
    assert_eq!(
        first.restart_keys(&loaded("[redis]\npassword = \"one\"")),
        [""; 0]
    );
    std::fs::write(&file, "two\n").unwrap();
    let second = loaded(&from_file);
    assert_eq!(first.restart_keys(&second), ["redis.password"]);
    let shown = format!("{first:?}{second:?}");
    assert!(
        !shown.contains("\"one\"") && !shown.contains("\"two\""),
        "{shown}"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_words_of_a_declaration_are_those_that_are_read() {
    let mut seen = 0;
    for info in keys() {
        let Some(key) = info.declared else { continue };
        let (Kind::Word(words) | Kind::List(&Kind::Word(words))) = key.kind else {
            continue;
        };
        let is_list = matches!(key.kind, Kind::List(_));
        let unknown = |word: &str| {
            let value = if is_list {
                format!("[\"{word}\"]")
            } else {
                format!("\"{word}\"")
            };
            let line = format!("{} = {value}", key.name);
            let text = match info.table.as_str() {
                "routes" => format!("{GOOD}{line}\n"),
                "login" => format!("{GOOD}[[login]]\n{line}\n"),
                table => format!("{GOOD}[{table}]\n{line}\n"),
            };
            let problems = super::reports(&text).concat();
            ["is not known here", "cannot be a login", "is not a method"]
                .iter()
                .any(|what| problems.contains(what))
        };
        for word in words {
            assert!(!unknown(word), "{}.{} = {word}", info.table, key.name);
            seen += 1;
        }
        assert!(unknown("nonsense"), "{}.{}", info.table, key.name);
    }
    assert!(seen > 20, "only {seen} words");
}

#[test]
fn every_declaration_says_what_its_key_does() {
    let keys = keys();
    for key in keys.iter().filter_map(|info| info.declared) {
        let sentence =
            key.about.ends_with('.') && key.about.starts_with(|c: char| !c.is_lowercase());
        assert!(sentence, "{}: {}", key.name, key.about);
    }
    let restart = keys
        .iter()
        .filter_map(|info| info.declared)
        .filter(|key| key.reload == Reload::Restart);
    assert!(restart.count() > 10);
}
