//! The host rule: at most one host is believed, it is the one that every place names, and routing
//! sees it in one spelling. Input: version and target, then headers, one a line.

use std::net::Ipv6Addr;

use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Request, Uri, Version};
use skeygate::http::host::{self, HostProblem};

use super::text;

/// See the module.
pub fn check(data: &[u8]) {
    let (first, rest) = text::first_line(data);
    let (version, target) = match first {
        [b'0', target @ ..] => (Version::HTTP_10, target),
        [b'2', target @ ..] => (Version::HTTP_2, target),
        [_, target @ ..] => (Version::HTTP_11, target),
        [] => return,
    };
    let Ok(uri) = Uri::try_from(target) else {
        return;
    };
    let (headers, _) = text::headers(rest);
    let lines = headers.get_all("host").iter().count();
    let mut parts = parts(version, uri);
    parts.headers = headers;
    let authority = match host::authority(&parts) {
        Ok(Some(authority)) => authority,
        Ok(None) => {
            assert!(version == Version::HTTP_10 && lines == 0);
            assert!(parts.uri.authority().is_none());
            return;
        }
        Err(problem) => {
            let several = problem == HostProblem::Several;
            assert!(!several || lines > 1);
            assert!(problem.text().is_ascii());
            return;
        }
    };
    assert!(lines <= 1, "{lines} hosts are one");
    assert!(version != Version::HTTP_11 || lines == 1);
    let text = authority.as_str();
    let fine = |byte: u8| byte > b' ' && byte < 0x7f && !b"@/\\?#\"<>^`{|}".contains(&byte);
    assert!(text.bytes().all(fine), "{text}");
    let name = host::routing_name(&authority);
    assert!(!name.is_empty(), "a host without a name");
    assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase()));
    let bracketed = name.starts_with('[') && name.ends_with(']');
    assert!(bracketed || !name.contains([':', '[', ']']), "{name}");
    names_agree(&parts, &name);
    // The one spelling is a spelling of itself.
    let mut again = self::parts(Version::HTTP_11, Uri::from_static("/"));
    if let Ok(value) = name.parse() {
        again.headers.insert("host", value);
    }
    let found = host::authority(&again).ok().flatten();
    let found = found.map(|authority| host::routing_name(&authority));
    assert_eq!(found.as_deref(), Some(name.as_str()));
}

/// A server behind finds the same host in every place.
fn names_agree(parts: &Parts, name: &str) {
    let header = parts
        .headers
        .get("host")
        .and_then(|value| value.to_str().ok());
    let target = parts.uri.authority().map(Authority::as_str);
    for place in [header, target].into_iter().flatten() {
        let lower = place.to_ascii_lowercase();
        let host = match lower.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                assert!(port.parse::<u16>().is_ok(), "the port of {place}");
                host
            }
            _ => lower.as_str(),
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        let same = host == name || address(host).is_some() && address(host) == address(name);
        assert!(same, "{place} is not {name}");
    }
}

/// Of an IPv6 literal, which has many spellings.
fn address(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn parts(version: Version, uri: Uri) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.version = version;
    parts.uri = uri;
    parts
}
