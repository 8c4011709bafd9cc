//! What a source file imports, read from its text: `use` trees in full, and paths in the code that
//! begin at the crate.

/// Every path that the code names: each leaf of a `use` tree and each inline path that begins with
/// one of `roots`. A leaf `self` is its parent; an alias is left out; a glob ends with `*`.
pub(super) fn paths(code: &str, roots: &[&str]) -> Vec<String> {
    let code: String = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut found: Vec<String> = uses(&code).into_iter().map(|(_, path)| path).collect();
    for root in roots {
        let start = format!("{root}::");
        for (at, _) in code.match_indices(&start) {
            let head = code[..at].strip_suffix("::").unwrap_or(&code[..at]);
            let before = head.chars().next_back();
            let inside_a_path = head.ends_with("in ")
                || before.is_some_and(|c| c.is_alphanumeric() || "_:".contains(c));
            let end = code[at..].find(|c: char| !c.is_alphanumeric() && !"_:".contains(c));
            let path = code[at..end.map_or(code.len(), |end| at + end)].trim_end_matches(':');
            if !inside_a_path && path != *root {
                found.push(path.to_owned());
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// What each `pub use` gives another place: the name, and the path it stands for.
pub(super) fn exports(code: &str) -> Vec<(String, String)> {
    uses(code)
        .into_iter()
        .filter(|(name, _)| name != "*")
        .collect()
}

/// Name in this file and full path, of each leaf of a `use` tree.
fn uses(code: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let line = code[..at].rsplit('\n').next().unwrap_or_default().trim();
        let begins =
            line.is_empty() || line == "pub" || line.starts_with("pub(") && line.ends_with(')');
        if begins && let Some(end) = code[at..].find(';') {
            let tree: String = code[at + "use ".len()..at + end]
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            leaves("", &tree, &mut found);
        }
    }
    found
}

fn leaves(prefix: &str, tree: &str, found: &mut Vec<(String, String)>) {
    let tree = tree.trim().trim_start_matches("::");
    if let Some((head, list)) = tree.split_once('{') {
        let list = list.trim_end().strip_suffix('}').unwrap_or(list);
        for part in split(list) {
            leaves(&format!("{prefix}{head}"), part, found);
        }
        return;
    }
    if tree.is_empty() {
        return;
    }
    let (path, alias) = tree.split_once(" as ").unwrap_or((tree, ""));
    let full = format!("{prefix}{path}");
    let full = full.strip_suffix("::self").unwrap_or(&full);
    let last = full.rsplit("::").next().unwrap_or_default();
    let name = if alias.is_empty() { last } else { alias };
    found.push((name.to_owned(), full.to_owned()));
}

/// The parts between the commas that are in no inner braces.
fn split(list: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[start..]);
    parts
}

/// The path from the root of the crate, of a path that a module names; `None` for one of another
/// crate.
pub(super) fn absolute(path: &str, module: &[String]) -> Option<Vec<String>> {
    let mut names = path.split("::");
    let mut base: Vec<String> = match names.next()? {
        "crate" => Vec::new(),
        "self" => module.to_vec(),
        "super" => parent(module),
        _ => return None,
    };
    for name in names {
        match name {
            "super" => base = parent(&base),
            name => base.push(name.to_owned()),
        }
    }
    Some(base)
}

fn parent(module: &[String]) -> Vec<String> {
    module
        .split_last()
        .map_or(Vec::new(), |(_, parent)| parent.to_vec())
}

#[test]
fn paths_are_seen_in_every_form() {
    let code = "use crate::{config::Config, http::{headers, path as p}};\npub(crate) use super::auth::Outcome;\n// use crate::server;\nuse std::{fs, io::{self, Read}};\npub(in crate::config) fn x() { crate::clock::now(); }";
    assert_eq!(
        paths(code, &["crate", "super", "std"]),
        [
            "crate::clock::now",
            "crate::config::Config",
            "crate::http::headers",
            "crate::http::path",
            "std::fs",
            "std::io",
            "std::io::Read",
            "super::auth::Outcome",
        ]
    );
    let module = ["login".to_owned(), "exchange".to_owned()];
    let names = |path| absolute(path, &module).map(|names| names.join("::"));
    assert_eq!(names("super::answer").as_deref(), Some("login::answer"));
    assert_eq!(
        names("super::super::users::Users").as_deref(),
        Some("users::Users")
    );
    assert_eq!(names("self::x").as_deref(), Some("login::exchange::x"));
    assert_eq!(names("std::fs"), None);
}
