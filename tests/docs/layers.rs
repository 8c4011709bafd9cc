//! The source tree against its layers: who imports whom, who reads files, who prints.

use std::fs;
use std::path::{Path, PathBuf};

use super::root;

/// From the top down: a module imports only from lines below its own. What stands in one line does not know the others.
pub(super) const LAYERS: [&[&str]; 14] = [
    &["main"],
    &["cli"],
    &["server", "fake_wechat"],
    &["admin"],
    &["gateway"],
    &["request_log"],
    &["auth", "login", "forward", "control", "access_token"],
    &["style"],
    &["error"],
    &["session", "users", "wechat", "route", "limit", "lease"],
    &["webhook", "seal"],
    &["redis", "http", "http_client", "logging"],
    &["config"],
    &["identity", "clock", "ttl_map"],
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
fn imports_are_seen_in_every_form() {
    let gateway = ["gateway".to_owned()];
    let text = "use crate::{config::Config, http::{headers, path}, route};\nuse super::auth::Outcome;\nlet x = crate::clock::now();";
    assert_eq!(
        imports(text, &gateway),
        ["config", "http", "route", "clock", "auth"]
    );
    let inside = ["login".to_owned(), "exchange".to_owned()];
    assert_eq!(
        imports(
            "use super::answer;\nuse super::super::users::Users;",
            &inside
        ),
        ["login", "users"]
    );
    assert_eq!(
        imports(
            "pub(in crate::config) fn x() {}\n// use crate::server;",
            &inside
        ),
        [] as [String; 0]
    );
}

#[test]
fn only_config_reads_files_and_environment() {
    let words = [
        "std::env",
        "env::var",
        "fs::read",
        "File::open",
        "tokio::fs",
    ];
    assert_eq!(
        users_of(&words, |module| module == "config"),
        [] as [String; 0]
    );
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

/// The modules at the top of the crate that a file names by `crate::` or `super::`.
fn imports(text: &str, module: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    // `pub(in crate::config)` imports nothing.
    for (at, _) in code
        .match_indices("crate::")
        .filter(|(at, _)| !code[..*at].ends_with("in "))
    {
        found.extend(names(&code[at + "crate::".len()..]));
    }
    for line in code
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("use super::"))
    {
        // `module` is the file's own path, so its parent is one shorter.
        let (mut depth, mut rest) = (module.len().saturating_sub(1), line);
        while let Some(shorter) = rest.strip_prefix("super::") {
            (depth, rest) = (depth.saturating_sub(1), shorter);
        }
        if depth == 0 {
            found.extend(names(rest));
        } else {
            found.push(module[0].clone());
        }
    }
    found
}

/// The first names of what follows `crate::`, also of `{a::b, c::{d, e}}`.
fn names(text: &str) -> Vec<String> {
    let word = |text: &str| {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let Some(list) = text.strip_prefix('{') else {
        return vec![word(text)];
    };
    let (mut names, mut depth, mut at_start) = (Vec::new(), 0, true);
    for (offset, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            c if c.is_whitespace() => {}
            _ if at_start => {
                names.push(word(&list[offset..]));
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

/// `src/config/reader/mod.rs` is `config, reader`.
fn module_path(path: &Path) -> Vec<String> {
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
