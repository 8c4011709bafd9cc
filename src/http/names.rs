//! Header names as servers read them, and headers taken out by name.

use hyper::HeaderMap;
use hyper::header::HeaderName;

/// Whether some server reads the name as `folded`, which is in small letters, digits and `-`.
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

/// The whole name as some server reads it: in small letters, digits and `-`.
pub(crate) fn folded(name: &str) -> String {
    name.bytes().map(fold).map(char::from).collect()
}

/// Removes the headers that are doomed. A message mostly has none or one of them: a look at each
/// name that is there costs less than a search for each that could be.
pub(crate) fn remove_where(headers: &mut HeaderMap, is_doomed: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| is_doomed(name)) {
        let name = name.clone();
        headers.remove(name);
    }
}
