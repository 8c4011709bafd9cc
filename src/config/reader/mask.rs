//! Which parts of a gateway.toml may hold a secret. Works on the text alone, since a file that is
//! not TOML (a quote forgotten in a password) has to be shown masked too. In doubt it hides too
//! much.

use std::ops::Range;

/// Names that look like a secret's to `is_secret` and are not.
const PLAIN: [&str; 4] = ["token_from", "on_bad_token", "key_prefix", "secrets"];

/// Names of keys that hold a secret, or a URL that may hold one.
const SECRET: [&str; 7] = [
    "secret",
    "secret_next",
    "secret_previous",
    "password",
    "token",
    "seal_keys",
    "url",
];

/// Bytes before a sign that are searched for a secret's name.
const MAX_NAME_BYTES: usize = 256;

/// Bytes of likely values that are examined; the rest is hidden whole.
const MAX_SCANNED_BYTES: usize = 4 << 20;

/// Whether the value of a key of this name is hidden: a secret's name, one that is two letters away
/// from it, or one that speaks of secrets.
pub(in crate::config) fn is_secret(name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase();
    if PLAIN.contains(&name.as_str()) || name.ends_with("_file") {
        return false;
    }
    let speaks = ["secret", "passw", "pwd", "token", "seal", "key"]
        .iter()
        .any(|word| name.contains(word));
    speaks
        || SECRET.iter().any(|secret| {
            let far = if secret.len() < 5 { 0 } else { 2 };
            strsim::osa_distance(secret, &name) <= far
        })
}

/// Whether what stands before a `=` is, or ends in, a secret's name, whatever marks are around it
/// or in it.
fn is_secret_key(head: &str) -> bool {
    let last = head.rsplit(|c| !is_word(c)).find(|part| !part.is_empty());
    let all: String = head.chars().filter(|c| is_word(*c)).collect();
    last.is_some_and(is_secret) || all.len() < 32 && is_secret(&all)
}

/// Byte ranges to hide, in order: the values of secret keys, to the end of their line and over
/// every line they span, and what stands between `://` and `@` in a line.
pub(in crate::config) fn secret_ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    let mut key_may_start = true;
    while let Some(lexeme) = lexeme(text, at) {
        at = lexeme.range.end;
        match lexeme.kind {
            Kind::Word | Kind::Text => {
                let bare = lexeme.kind == Kind::Word;
                let name = text.get(lexeme.range.clone()).unwrap_or_default();
                let name = name.trim_matches(['"', '\'']);
                let assigned = text
                    .get(at..)
                    .unwrap_or_default()
                    .trim_start_matches([' ', '\t']);
                let assigned = assigned.starts_with(['=', ':', '.']);
                if key_may_start && (bare || assigned) && is_secret(name) {
                    let value = value_range(text, at);
                    at = value.end;
                    ranges.push(value);
                }
                key_may_start = false;
            }
            Kind::Newline => key_may_start = true,
            Kind::Mark => {
                let mark = text.get(lexeme.range.clone()).unwrap_or_default();
                key_may_start = matches!(mark, "{" | "," | "." | "[");
            }
            Kind::Blank => {}
        }
    }
    ranges
        .extend(lines(text).filter_map(|(start, line)| user_info(text, start..start + line.len())));
    ranges
}

/// Further ranges, for a text that is not TOML: where a quote is missing or too many, the pieces
/// are not what they look like, but what stands before a `=` tells.
pub(in crate::config) fn likely_ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut looked_at = 0;
    for (start, line) in lines(text) {
        let signs = line.match_indices(['=', ':']).map(|(at, _)| at);
        for at in signs.filter(|at| is_secret_key(end_of(line, *at))) {
            // Values that lie in each other are read again and again: a log, taken for a
            // gateway.toml, would take hours.
            if looked_at > MAX_SCANNED_BYTES {
                ranges.push(start + at..text.len());
                return ranges;
            }
            let range = value_range(text, start + at);
            looked_at += range.end - (start + at);
            ranges.push(range);
        }
    }
    ranges
}

/// What stands before the sign at `at`, the last of it: a name is short.
fn end_of(line: &str, at: usize) -> &str {
    let from = line.floor_char_boundary(at.saturating_sub(MAX_NAME_BYTES));
    line.get(from..at).unwrap_or_default()
}

/// The lines with their places.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |start, line| {
        let at = *start;
        *start += line.len();
        Some((at, line))
    })
}

/// Hides the name and password of a URL in a text that is quoted in a message.
pub(in crate::config) fn without_user_info(text: &str) -> String {
    match user_info(text, 0..text.len()) {
        Some(range) => {
            let (head, tail) = (text.get(..range.start), text.get(range.end..));
            format!("{}…{}", head.unwrap_or_default(), tail.unwrap_or_default())
        }
        None => text.to_owned(),
    }
}

/// What stands between `://` and the last `@` of a text.
fn user_info(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let part = text.get(range.clone())?;
    let start = part.find("://")? + 3;
    let length = part.get(start..)?.rfind('@')?;
    (length > 0).then(|| range.start + start..range.start + start + length)
}

/// The value after a secret key: to the end of the line, on over brackets and long strings, and the
/// next line when nothing stands on this one, and lines that start nothing of their own.
fn value_range(text: &str, from: usize) -> Range<usize> {
    let (mut at, mut depth, mut start) = (from, 0_usize, None);
    while let Some(lexeme) = lexeme(text, at) {
        let part = text.get(lexeme.range.clone()).unwrap_or_default();
        match lexeme.kind {
            Kind::Newline
                if depth == 0 && start.is_some() && begins_anew(text, lexeme.range.end) =>
            {
                break;
            }
            Kind::Newline | Kind::Blank => {}
            // The sign after the name is shown, so that a reader sees where the value was.
            Kind::Mark if start.is_none() && matches!(part, "=" | ":" | ".") => {}
            Kind::Mark | Kind::Word | Kind::Text => {
                start.get_or_insert(lexeme.range.start);
                match part {
                    "[" => depth += 1,
                    "]" => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
        }
        at = lexeme.range.end;
    }
    start.unwrap_or(at)..at
}

/// Whether the line at `at` starts something of its own: blank, a comment, a table, or a key with a
/// value. Any other may be the rest of a secret with a line break in it.
fn begins_anew(text: &str, at: usize) -> bool {
    let line = text
        .get(at..)
        .and_then(|rest| rest.lines().next())
        .unwrap_or_default()
        .trim();
    if line.is_empty() || line.starts_with(['#', '[']) {
        return true;
    }
    // Base64 ends with `=`, and with `==`.
    line.split_once('=').is_some_and(|(name, value)| {
        let name = name.trim();
        let key = !name.is_empty()
            && name
                .chars()
                .all(|c| is_word(c) || matches!(c, '.' | '"' | '\'' | ' '));
        key && !value.is_empty() && !value.starts_with('=')
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Letters, digits, `_`, `-`.
    Word,
    /// A string of any of the four kinds; one without an end goes to the end of the line, or of the
    /// file.
    Text,
    Newline,
    /// Blanks and comments.
    Blank,
    /// Any other character.
    Mark,
}

struct Lexeme {
    kind: Kind,
    range: Range<usize>,
}

/// The next piece of the text from `at` on; `None` at its end.
fn lexeme(text: &str, at: usize) -> Option<Lexeme> {
    let rest = text.get(at..)?;
    let first = rest.chars().next()?;
    let run = |wanted: fn(char) -> bool| rest.find(|c| !wanted(c)).unwrap_or(rest.len());
    let (kind, length) = match first {
        '\n' => (Kind::Newline, 1),
        ' ' | '\t' | '\r' => (Kind::Blank, 1),
        '#' => (Kind::Blank, run(|c| c != '\n')),
        '"' | '\'' => (Kind::Text, string_length(rest, first)),
        c if is_word(c) => (Kind::Word, run(is_word)),
        c => (Kind::Mark, c.len_utf8()),
    };
    Some(Lexeme {
        kind,
        range: at..at + length,
    })
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-')
}

fn string_length(rest: &str, quote: char) -> usize {
    let long = if quote == '"' { "\"\"\"" } else { "'''" };
    let is_long = rest.starts_with(long);
    let opening = if is_long { 3 } else { 1 };
    let mut escaped = false;
    for (offset, character) in rest.char_indices().skip(opening) {
        if escaped {
            escaped = false;
        } else if character == '\\' && quote == '"' {
            escaped = true;
        } else if character == '\n' && !is_long {
            return offset;
        } else if is_long
            && rest
                .get(offset..)
                .is_some_and(|tail| tail.starts_with(long))
        {
            return offset + 3;
        } else if character == quote && !is_long {
            return offset + 1;
        }
    }
    rest.len()
}
