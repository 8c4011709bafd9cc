//! The commented gateway.toml of `skeygate init`: a template, with the keys of each table filled in
//! from their declarations.

use std::fmt::Write as _;

use super::keys;
use super::reader::{Key, KeyInfo};

/// Headings, values that have to be set, and examples. A line `@keys TABLE` stands for the other
/// keys of that table, `@key TABLE NAME` for one.
const TEMPLATE: &str = include_str!("gateway.template.toml");
/// The keys that the template sets, or has in an example, by table.
const SET: [(&str, &str); 6] = [
    ("apps", "appid"),
    ("apps", "secret"),
    ("upstreams.NAME", "servers"),
    ("routes", "path"),
    ("routes", "upstream"),
    ("routes", "on_bad_token"),
];
/// The longest line of a comment, in characters.
const WIDTH: usize = 100;

/// The whole file: every key that works in this version, with its default.
#[must_use]
pub fn example() -> String {
    let keys = keys();
    let mut file = String::with_capacity(16 * 1024);
    for line in TEMPLATE.lines() {
        let name = line.split(" = ").next().unwrap_or_default();
        if let Some(table) = line.strip_prefix("@keys ") {
            let is_set = |key: &&Key| SET.contains(&(table, key.name));
            for key in declared(&keys, table).filter(|key| !is_set(key)) {
                with_default(&mut file, key);
            }
            continue;
        }
        if let Some((table, name)) = line
            .strip_prefix("@key ")
            .and_then(|key| key.split_once(' '))
        {
            declared(&keys, table)
                .filter(|key| key.name == name)
                .for_each(|key| with_default(&mut file, key));
            continue;
        }
        let table = SET.iter().find(|(_, key)| *key == name);
        let key =
            table.and_then(|(table, name)| declared(&keys, table).find(|key| key.name == *name));
        if let Some(key) = key {
            comment(&mut file, key);
        }
        let _ = writeln!(file, "{line}");
    }
    file
}

fn declared<'k>(keys: &'k [KeyInfo], table: &'k str) -> impl Iterator<Item = &'static Key> {
    let keys = keys.iter().filter(move |info| info.table == table);
    keys.filter_map(|info| info.declared)
}

fn with_default(file: &mut String, key: &Key) {
    if let Some(default) = key.default {
        comment(file, key);
        let _ = writeln!(file, "#{} = {default}", key.name);
    }
}

/// The first sentence about a key, without Markdown, broken into lines.
fn comment(file: &mut String, key: &Key) {
    let mut length = 1;
    file.push('#');
    for word in plain(first_sentence(key.about)).split(' ') {
        let more = 1 + word.chars().count();
        if length + more > WIDTH {
            file.push_str("\n#");
            length = 1;
        }
        file.push(' ');
        file.push_str(word);
        length += more;
    }
    file.push('\n');
}

/// Up to the first full stop that ends a sentence.
fn first_sentence(text: &str) -> &str {
    text.split_once(". ")
        .map_or(text, |(first, _)| first)
        .trim_end_matches('.')
}

/// Markdown as text: no backticks, links without their targets.
fn plain(text: &str) -> String {
    let mut out = text.replace('`', "");
    while let Some((head, rest)) = out.split_once("](") {
        let (name_start, end) = (head.rfind('['), rest.find(')'));
        let (Some(start), Some(end)) = (name_start, end) else {
            break;
        };
        let (before, name) = head.split_at(start);
        let after = rest.split_at(end + 1).1;
        out = format!("{before}{}{after}", name.trim_start_matches('['));
    }
    out
}
