//! Reading an input: lines of a head, and the comparisons of the properties, written apart from the
//! code under test.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

/// As many lines as a head may have.
const MOST_LINES: usize = 100;

/// The input's first line and the rest after it. Lines end with `\n`: a `\r` before it belongs to
/// the line.
pub(crate) fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[]),
    }
}

/// The headers of an input, one `name: value` a line, up to an empty line; and what comes after
/// that. Lines that are no header are passed over.
pub(crate) fn headers(data: &[u8]) -> (HeaderMap, &[u8]) {
    let mut map = HeaderMap::new();
    let mut rest = data;
    for _ in 0..MOST_LINES {
        if rest.is_empty() {
            break;
        }
        let (line, after) = first_line(rest);
        rest = after;
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        // A head's parser cuts the blanks around a value.
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    (map, rest)
}

/// A name as PHP, CGI and WSGI see it.
pub(crate) fn folded(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            'A'..='Z' => c.to_ascii_lowercase(),
            'a'..='z' | '0'..='9' => c,
            _ => '-',
        })
        .collect()
}

/// Whether a text has the shape of the skeys that are given out.
pub(crate) fn is_own_skey(text: &[u8]) -> bool {
    text.len() == 43 && is_skey(text)
}

/// Whether a text may be looked up as an skey.
pub(crate) fn is_skey(text: &[u8]) -> bool {
    (20..=128).contains(&text.len())
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The headers that `kept` says yes to, in the order of `before`, are all that `after` holds. The
/// order across names is no property of a header map.
pub(crate) fn assert_only_removed(
    before: &HeaderMap,
    after: &HeaderMap,
    kept: impl Fn(&HeaderName) -> bool,
) {
    for name in before.keys() {
        let came: Vec<&HeaderValue> = before.get_all(name).iter().collect();
        let goes: Vec<&HeaderValue> = after.get_all(name).iter().collect();
        if kept(name) {
            assert_eq!(came, goes, "`{name}` was to stay as it came");
        } else {
            assert!(goes.is_empty(), "`{name}` was to go");
        }
    }
    for name in after.keys() {
        assert!(before.contains_key(name), "`{name}` came from nowhere");
    }
}

/// `%XX` decoded, once; a `%` without two digits stays.
pub(crate) fn decoded(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}
