//! The source tree against its layers: imports, reading of files, printing.

use std::fs;
use std::path::{Path, PathBuf};

use super::imports::{absolute, paths};
use super::root;

/// From the top down: a module imports only from lines below its own; modules of one line do not
/// import each other.
pub(super) const LAYERS: [&[&str]; 16] = [
    &["main"],
    &["cli"],
    &["app"],
    &["server", "fake_wechat"],
    &["admin"],
    &["gateway"],
    &["request_log"],
    &["style"],
    &["auth", "login", "upstream", "operations", "access_token"],
    &["error"],
    &[
        "session",
        "users",
        "wechat",
        "route",
        "limit",
        "lease",
        "identity_headers",
    ],
    &["webhook", "seal"],
    &["redis", "http_client", "logging"],
    &["config"],
    &["http"],
    &[
        "identity",
        "clock",
        "secret",
        "store_error",
        "log_throttle",
        "delegate_io",
        "ttl_map",
    ],
];

#[test]
fn imports_point_down_only() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let module = module_path(&path);
        let from = module.first().cloned().unwrap_or_default();
        // lib.rs only names the modules; `testing` is for unit tests alone.
        if matches!(from.as_str(), "lib" | "testing") {
            continue;
        }
        for to in imports(&text, &module) {
            seen += 1;
            let (above, below) = (rank(&from), rank(&to));
            let faked =
                from == "fake_wechat" && !may_fake(&to) || to == "fake_wechat" && from != "cli";
            if from != to && (above >= below || faked) {
                wrong.push(format!("{}: {from} imports {to}", path.display()));
            }
        }
    }
    assert!(seen > 20, "only {seen} imports were seen");
    assert!(
        wrong.is_empty(),
        "imports that do not point down:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn only_config_reads_files_and_environment() {
    // What is done without reading: a stale socket is removed, `init` creates a file.
    let allowed = [
        ("server/listener", "std::fs::remove_file"),
        ("cli/init", "std::fs::OpenOptions"),
    ];
    let mut found = Vec::new();
    for (path, code) in sources() {
        let module = module_path(&path);
        let place = module.join("/");
        let may = |path: &String| allowed.contains(&(place.as_str(), path.as_str()));
        if module[0] != "config" {
            let outside = file_access(&code).into_iter().filter(|path| !may(path));
            found.extend(outside.map(|path| format!("{place}: {path}")));
        }
    }
    assert_eq!(found, [] as [String; 0]);
}

#[test]
fn the_reader_kit_of_config_knows_no_tables() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (path, code) in sources() {
        let module = module_path(&path);
        if !module.starts_with(&["config".to_owned(), "reader".to_owned()]) {
            continue;
        }
        seen += 1;
        let paths = paths(&code, &["crate", "super"]).into_iter();
        let names = paths.filter_map(|path| absolute(&path, &module));
        let tables = names.filter(|names| names[0] == "config" && names[1..] != ["*"]);
        wrong.extend(tables.filter(|names| names.get(1).is_none_or(|name| name != "reader")));
    }
    assert!(seen > 10, "only {seen} files");
    assert_eq!(wrong, [] as [Vec<String>; 0]);
}

#[test]
fn file_access_is_seen_by_every_path() {
    for code in [
        "use std::fs;",
        "use std::{fs, io};",
        "use std::{io, fs as files};",
        "use std::fs::File;",
        "use std::*;",
        "use std as s;",
        "use tokio::{net, fs::File};",
        "fn f() { std::fs::read(path) }",
        "fn f() { ::std::env::var(name) }",
        "use std::env::{self, var as v};",
    ] {
        assert_ne!(file_access(code), [] as [String; 0], "{code}");
    }
    let other = "use std::{io, fmt};\nuse tokio::net;\nuse crate::fs;\nuse super::env::x;";
    assert_eq!(file_access(other), [] as [String; 0]);
}

#[test]
fn only_main_and_cli_print_and_exit() {
    let words = [
        "println!",
        "eprintln!",
        "print!(",
        "eprint!(",
        "dbg!",
        "process::exit",
    ];
    assert_eq!(
        users_of(&words, |module| matches!(module, "main" | "cli")),
        [] as [String; 0]
    );
}

#[test]
fn stores_and_wechat_know_no_requests_of_the_server() {
    let outside = |module: &str| !matches!(module, "session" | "users" | "wechat" | "redis");
    assert_eq!(
        users_of(&["hyper::", "http::Request", "http::Response"], outside),
        [] as [String; 0]
    );
}

fn may_fake(module: &str) -> bool {
    matches!(
        module,
        "fake_wechat" | "http" | "config" | "clock" | "wechat"
    )
}

fn rank(module: &str) -> usize {
    let rank = LAYERS.iter().position(|layer| layer.contains(&module));
    rank.unwrap_or_else(|| panic!("the module `{module}` has no layer; give it one in LAYERS"))
}

/// Places in the source where one of the words is used outside of the modules that may.
fn users_of(words: &[&str], may: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources() {
        if module_path(&path).first().is_some_and(|module| may(module)) {
            continue;
        }
        for (index, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", path.display(), index + 1, line.trim()));
            }
        }
    }
    found
}

/// The paths in the code that lead to files or the environment, or to a whole crate that holds
/// them.
fn file_access(code: &str) -> Vec<String> {
    let reaches = |path: &String| {
        let mut names = path.split("::");
        matches!(
            (names.next(), names.next()),
            (Some("std"), Some("fs" | "env" | "*") | None)
                | (Some("tokio"), Some("fs" | "*") | None)
        )
    };
    let paths = paths(code, &["std", "tokio"]);
    paths.into_iter().filter(reaches).collect()
}

/// The modules at the top of the crate that a file names.
fn imports(code: &str, module: &[String]) -> Vec<String> {
    let paths = paths(code, &["crate", "super"]).into_iter();
    let mut found: Vec<String> = paths
        .filter_map(|path| absolute(&path, module)?.into_iter().next())
        .collect();
    found.dedup();
    found
}

/// `src/config/reader/mod.rs` is `config, reader`.
pub(super) fn module_path(path: &Path) -> Vec<String> {
    let inside = path
        .strip_prefix(root().join("src"))
        .expect("a path below src");
    let names = inside.with_extension("");
    let names = names.iter().map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name != "mod").collect()
}

/// Every source file, without its tests.
pub(super) fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src can be read") {
            let path = entry.expect("src can be read").path();
            let is_tests = path.file_stem().is_some_and(|name| name == "tests");
            if path.is_dir() && !is_tests {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_tests {
                let text = fs::read_to_string(&path).expect("source files can be read");
                let code = text
                    .split("#[cfg(test)]\nmod tests {")
                    .next()
                    .unwrap_or_default();
                found.push((path, code.to_owned()));
            }
        }
    }
    assert!(found.len() > 10, "only {} source files", found.len());
    found
}
