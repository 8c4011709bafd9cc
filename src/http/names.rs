//! Header names as servers read them, and removal of headers by name.

use hyper::HeaderMap;
use hyper::header::HeaderName;

/// Whether some server reads the name as `folded`, which has lower-case letters, digits and `-`.
pub(crate) fn same_folded(name: impl AsRef<[u8]>, folded: &str) -> bool {
    let name = name.as_ref();
    folded.len() == name.len()
        && folded
            .bytes()
            .zip(name)
            .all(|(expected, &byte)| expected == fold(byte))
}

pub(crate) fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() {
        byte.to_ascii_lowercase()
    } else {
        b'-'
    }
}

/// The name as the most lenient server reads it: lower-case letters, digits and `-`.
pub(crate) fn folded(name: &str) -> String {
    name.bytes().map(fold).map(char::from).collect()
}

/// Removes the headers that `is_doomed` selects. Most messages have none or one of them, so testing
/// each present name is cheaper than searching for each possible one.
pub(crate) fn remove_where(headers: &mut HeaderMap, is_doomed: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| is_doomed(name)) {
        let name = name.clone();
        headers.remove(name);
    }
}
