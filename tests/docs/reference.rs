//! What is generated from the declarations of the keys: gateway.toml, and the keys in
//! docs/CONFIGURATION.md. Prose around them is written by hand.

use std::collections::BTreeSet;
use std::fs;

use skeygate::config::{KeyInfo, Reload, example, keys};

use super::{file, root};

const DOCUMENT: &str = "docs/CONFIGURATION.md";
const END: &str = "<!-- end of keys -->";
/// Set to write the files anew instead of comparing them.
const UPDATE: &str = "UPDATE_REFERENCE";

#[test]
fn gateway_toml_is_the_example_that_init_writes() {
    compare("gateway.toml", &example());
}

#[test]
fn the_reference_describes_every_key_as_it_is_declared() {
    let text = file(DOCUMENT);
    let mut generated = String::new();
    let mut described = BTreeSet::new();
    let mut rest = text.as_str();
    while let Some((head, tail)) = rest.split_once("<!-- keys of ") {
        let (title, tail) = tail.split_once(" -->\n").expect("a marker ends its line");
        let (_, tail) = tail.split_once(END).expect("a marker has an end");
        let described_once = described.insert(title.to_owned());
        assert!(described_once, "{title} is described twice");
        generated += &format!("{head}<!-- keys of {title} -->\n{}{END}", keys_of(title));
        rest = tail;
    }
    compare(DOCUMENT, &(generated + rest));
    let declared = keys().into_iter().filter(KeyInfo::is_available);
    let mut tables: BTreeSet<String> = declared.map(|key| key.table).collect();
    tables.insert("later versions".to_owned());
    assert_eq!(
        described, tables,
        "tables with a marker, and those that have keys"
    );
}

#[test]
fn no_cell_of_a_table_is_longer_than_120_characters() {
    let text = file(DOCUMENT);
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 5, "only {} rows", rows.len());
    for cell in rows.iter().flat_map(|row| row.split('|')) {
        assert!(cell.trim().chars().count() <= 120, "{cell}");
    }
}

/// Compares a committed file with what it is generated as, or writes it.
fn compare(name: &str, generated: &str) {
    if std::env::var_os(UPDATE).is_some() {
        fs::write(root().join(name), generated).expect("the file can be written");
        return;
    }
    let committed = file(name);
    let mut lines = committed.lines().zip(generated.lines()).enumerate();
    let first = lines.find(|(_, (committed, generated))| committed != generated);
    assert!(
        committed == generated,
        "{name} is not what the declarations in src/config/keys/ say; first difference (line, committed and generated): \
         {first:?}\nregenerate it: {UPDATE}=1 cargo test --test docs reference"
    );
}

/// The entries of one table: for each key a heading, kind, default and description.
fn keys_of(title: &str) -> String {
    if title == "later versions" {
        let keys = keys().into_iter().filter(|key| !key.is_available());
        let row = |key: KeyInfo| {
            let name = full_name(&key);
            format!("| `{name}` | `{}` |\n", key.default.unwrap_or_default())
        };
        let rows: String = keys.map(row).collect();
        return format!("| key | accepted |\n|---|---|\n{rows}");
    }
    let keys = keys().into_iter().filter(|key| key.table == title);
    let entries: Vec<String> = keys.filter_map(|key| entry(&key)).collect();
    assert!(!entries.is_empty(), "there are no keys of {title}");
    format!("{}\n", entries.concat())
}

fn entry(info: &KeyInfo) -> Option<String> {
    let key = info.declared?;
    let default = match key.default {
        _ if info.required => "required".to_owned(),
        Some(default) => format!("default `{default}`"),
        None => "no default".to_owned(),
    };
    let reload = match key.reload {
        Reload::Live => "",
        Reload::Restart => "\n- a change needs a restart",
    };
    Some(format!(
        "\n#### {}\n\n- {}\n- {default}{reload}\n\n{}\n",
        full_name(info),
        key.kind,
        wrapped(key.about)
    ))
}

fn full_name(info: &KeyInfo) -> String {
    format!("{}.{}", info.table, info.key)
        .trim_start_matches('.')
        .to_owned()
}

/// Lines of at most 120 characters, broken at blanks outside of code.
fn wrapped(text: &str) -> String {
    let (mut out, mut length, mut in_code) = (String::new(), 0, false);
    for word in text.split(' ') {
        let count = word.chars().count();
        if length > 0 && length + 1 + count > 120 && !in_code {
            out.push('\n');
            length = 0;
        } else if length > 0 {
            out.push(' ');
            length += 1;
        }
        out.push_str(word);
        length += count;
        in_code ^= word.matches('`').count() % 2 == 1;
    }
    out
}
