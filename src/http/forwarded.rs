//! The headers with which a proxy reports the client.

use hyper::HeaderMap;

use super::names::{fold, remove_where, same_folded};

/// Removes the headers that only a proxy may set: the `X-Forwarded-*` family, `Forwarded`, other
/// headers with the client's address, and those that some frameworks route by (`X-Original-Url`,
/// `X-Rewrite-Url` …) instead of the checked path.
pub fn remove_forwarded(headers: &mut HeaderMap) {
    remove_where(headers, |name| is_forwarded(name.as_str()));
}

/// Removes these headers in spellings that no proxy writes: a client sent them past the proxy, and
/// PHP and similar servers would read them as the proxy's own.
pub fn remove_imitated_forwarded(headers: &mut HeaderMap) {
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    remove_where(headers, |name| {
        let name = name.as_str();
        !name.bytes().all(usual) && is_forwarded(name)
    });
}

fn is_forwarded(name: &str) -> bool {
    // In every spelling: PHP reads `X.Original.Url` as the same variable.
    let alone = [
        "forwarded",
        "x-real-ip",
        "x-original-url",
        "x-rewrite-url",
        "x-original-uri",
        "x-host",
        "client-ip",
        "x-client-ip",
        "true-client-ip",
        "x-cluster-client-ip",
        "cf-connecting-ip",
    ];
    let family = b"x-forwarded-";
    let in_family = |name: &[u8]| {
        let start = name.get(..family.len());
        start.is_some_and(|start| {
            start
                .iter()
                .zip(family)
                .all(|(&byte, &due)| fold(byte) == due)
        })
    };
    alone.iter().any(|known| same_folded(name, known)) || in_family(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let name = |line: &&str| HeaderName::try_from(*line).unwrap();
        let value = HeaderValue::from_static("1");
        lines
            .iter()
            .map(|line| (name(line), value.clone()))
            .collect()
    }

    fn names(map: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn the_family_goes_as_a_whole() {
        let mut map = headers(&[
            "x-forwarded-for",
            "x-forwarded-prefix",
            "x_forwarded.proto",
            "forwarded",
            "x-real-ip",
            "x-original-url",
            "x-rewrite-url",
            "x.original_url",
            "client-ip",
            "cf-connecting-ip",
            "x~real.ip",
            "x-forwarded",
        ]);
        remove_forwarded(&mut map);
        assert_eq!(names(&map), ["x-forwarded"]);
    }

    #[test]
    fn a_proxys_word_stays_and_its_imitations_go() {
        let mut map = headers(&[
            "x-forwarded-for",
            "x.forwarded-for",
            "x-real-ip",
            "x_real_ip",
            "x.other",
        ]);
        remove_imitated_forwarded(&mut map);
        assert_eq!(names(&map), ["x-forwarded-for", "x-real-ip", "x.other"]);
    }
}
