//! Which headers are about one connection and never pass.

use hyper::HeaderMap;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName};

use super::names::remove_where;

/// Removes the headers about the connection they came over: the fixed ones, and those that any
/// `Connection` line names. `Host` and
/// `Content-Length` stay though named: without them the message would mean something else.
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

/// Headers about one connection (RFC 9110, 7.6.1), which never pass. `Upgrade` comes back where an
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
            // No header of anybody's: CGI makes the variable HTTP_PROXY of it, by which programs
            // choose their proxy (httpoxy).
            | "proxy"
    )
}

/// Whether any `Connection` line holds the token.
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
