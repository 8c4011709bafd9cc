//! Pairs, cookies and members as other readers find them, for the comparisons of the token targets.

use hyper::HeaderMap;

/// The values of `name` in a query or form text, as a reader of the whole text finds them.
pub(crate) fn pair_values(text: &str, name: &str) -> Vec<String> {
    form_urlencoded::parse(text.as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .collect()
}

/// The pieces of a query or form text that are not about `name`, as they stand.
pub(crate) fn other_pairs<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let about = |pair: &str| form_urlencoded::parse(pair.as_bytes()).any(|(key, _)| key == name);
    text.split('&').filter(|pair| !about(pair)).collect()
}

/// Name and value of each cookie, without the blanks around; a pair without `=` has no name.
pub(crate) fn cookie_pairs(headers: &HeaderMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs = Vec::new();
    for line in headers.get_all("cookie") {
        for pair in line.as_bytes().split(|byte| *byte == b';') {
            let pair = pair.trim_ascii();
            match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => {
                    let name = pair[..at].trim_ascii_end().to_vec();
                    pairs.push((name, pair[at + 1..].trim_ascii().to_vec()));
                }
                None if pair.is_empty() => {}
                None => pairs.push((Vec::new(), pair.to_vec())),
            }
        }
    }
    pairs
}

/// A cookie's value without the quotes that some clients write.
pub(crate) fn unquoted(value: &[u8]) -> &[u8] {
    let start = value.iter().take_while(|byte| **byte == b'"').count();
    let end = value.iter().rev().take_while(|byte| **byte == b'"').count();
    value
        .get(start..value.len().saturating_sub(end))
        .unwrap_or_default()
}
