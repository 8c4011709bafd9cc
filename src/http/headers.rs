//! Hop-by-hop headers, which are never forwarded.

use hyper::HeaderMap;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName};

use super::names::remove_where;

/// Removes hop-by-hop headers: the fixed ones, and those that any `Connection` line names. `Host`
/// and `Content-Length` stay even if named: without them the message would have another meaning.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        for name in connection_names(headers) {
            if name != HOST && name != CONTENT_LENGTH {
                headers.remove(name);
            }
        }
    }
    remove_where(headers, |name| is_hop_by_hop(name.as_str()));
}

/// Whether a header belongs to one connection (RFC 9110, 7.6.1). `Upgrade` is added again where an
/// upgrade is forwarded.
#[must_use]
pub fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            // Not a standard header: CGI turns it into the variable HTTP_PROXY, which selects a
            // program's proxy (httpoxy).
            | "proxy"
    )
}

/// Whether any `Connection` line contains the token.
#[must_use]
pub fn connection_holds(headers: &HeaderMap, token: &str) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|entry| entry.trim().eq_ignore_ascii_case(token))
}

fn connection_names(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(CONNECTION).iter();
    let entries = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    entries
        .map(<[u8]>::trim_ascii)
        // The value of nearly all requests, and removed anyway.
        .filter(|entry| !entry.eq_ignore_ascii_case(b"keep-alive"))
        .filter_map(|entry| HeaderName::from_bytes(entry).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        map
    }

    fn names(map: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn every_connection_line_counts_and_framing_stays() {
        let mut map = headers(&[
            ("connection", "keep-alive, X-A"),
            ("connection", "x-b,host , content-length"),
            ("x-a", "1"),
            ("x-b", "1"),
            ("host", "h"),
            ("content-length", "3"),
            ("te", "trailers"),
            ("keep-alive", "5"),
            ("upgrade", "h2c"),
            ("proxy-connection", "x"),
            ("proxy", "http://a"),
        ]);
        remove_hop_by_hop(&mut map);
        assert_eq!(names(&map), ["content-length", "host"]);
    }
}
