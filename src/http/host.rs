//! The host of a request: exactly one, well-formed, the same in every place that can name it.

use std::net::Ipv6Addr;

use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Version};

/// A host with or without a port, as in `Host`, a request target or an upstream's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostPort<'a> {
    /// A name, or an IP address; IPv6 with its brackets.
    pub host: &'a str,
    /// 1 to 65535.
    pub port: Option<u16>,
}

impl<'a> HostPort<'a> {
    /// Parses `name`, `name:port`, `[::1]` or `[::1]:port`. `None` for anything else, including
    /// user names and escapes.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let end = match text.strip_prefix('[') {
            Some(inside) => inside.find(']')? + 2,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (host, rest) = text.split_at_checked(end)?;
        let port = match rest {
            "" => None,
            rest => Some(port(rest.strip_prefix(':')?)?),
        };
        let well_formed = is_name(host) || ipv6(host).is_some();
        well_formed.then_some(Self { host, port })
    }

    /// The host without the brackets of an IPv6 address.
    #[must_use]
    pub fn bare_host(&self) -> &'a str {
        let inside = |host: &'a str| host.strip_prefix('[')?.strip_suffix(']');
        inside(self.host).unwrap_or(self.host)
    }
}

/// Why the host of a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostProblem {
    /// HTTP/1.1 and HTTP/2 requests must name one.
    Missing,
    /// More than one `Host` line.
    Several,
    /// Not `name[:port]` with a well-formed name or address.
    Malformed,
    /// The request target names another host than `Host` does.
    Contradicts,
}

impl HostProblem {
    /// The text for the client.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Missing => "the request names no host",
            Self::Several => "the request names more than one host",
            Self::Malformed => "the host is malformed",
            Self::Contradicts => "the request target and the host header disagree",
        }
    }
}

/// The authority of a request; `None` for HTTP/1.0 without one.
///
/// # Errors
/// The reason for refusal.
pub fn authority(parts: &Parts) -> Result<Option<Authority>, HostProblem> {
    let target = match parts.uri.authority() {
        Some(authority) if HostPort::parse(authority.as_str()).is_some() => Some(authority.clone()),
        Some(_) => return Err(HostProblem::Malformed),
        None => None,
    };
    match (target, header_authority(&parts.headers)?) {
        (Some(target), Some(header))
            if !same_authority(&target, &header, parts.uri.scheme_str()) =>
        {
            Err(HostProblem::Contradicts)
        }
        // RFC 9112, 3.2: HTTP/1.1 requires `Host`, whatever the target says.
        (_, None) if parts.version == Version::HTTP_11 => Err(HostProblem::Missing),
        (None, None) if parts.version > Version::HTTP_11 => Err(HostProblem::Missing),
        (target, header) => Ok(target.or(header)),
    }
}

/// The host for routing: lower case, without port and final dot, an IPv6 address in its canonical
/// form.
#[must_use]
pub fn routing_name(authority: &Authority) -> String {
    compared(authority.host())
}

/// As `routing_name`, for a host alone; `None` for a host that no request can have.
#[must_use]
pub fn routing_name_of(host: &str) -> Option<String> {
    let HostPort { host, port: None } = HostPort::parse(host)? else {
        return None;
    };
    Some(compared(host))
}

fn compared(host: &str) -> String {
    match ipv6(host) {
        Some(address) => format!("[{address}]"),
        None => host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(),
    }
}

fn header_authority(headers: &HeaderMap) -> Result<Option<Authority>, HostProblem> {
    let mut lines = headers.get_all(HOST).iter();
    let Some(first) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err(HostProblem::Several);
    }
    let authority = Authority::try_from(first.as_bytes()).map_err(|_| HostProblem::Malformed)?;
    if HostPort::parse(authority.as_str()).is_none() {
        return Err(HostProblem::Malformed);
    }
    Ok(Some(authority))
}

/// Parses 1 to 65535 without leading zeros: `080` is 80 to one server and 64 to another.
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok()?;
    (digits && !text.starts_with('0')).then_some(number)
}

/// Whether the text is labels of letters, digits, `-` and `_`, as in DNS and in service names, with
/// at most one final dot.
fn is_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label = |label: &[u8]| matches!(label.len(), 1..=63) && label.iter().all(|&b| fine(b));
    name.len() <= 253 && name.as_bytes().split(|&byte| byte == b'.').all(is_label)
}

/// Parses the address of `[::1]`. A zone (`%25eth0`) is refused: it has a meaning on one machine
/// only.
fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// Whether both have the same host and port; a missing port is the scheme's default.
fn same_authority(target: &Authority, header: &Authority, scheme: Option<&str>) -> bool {
    let default = if scheme == Some("https") { 443 } else { 80 };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    routing_name(target) == routing_name(header) && port(target) == port(header)
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn parts(uri: &str, hosts: &[&str]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn one_well_formed_host_is_taken() {
        for (uri, hosts, name) in [
            ("/x", vec!["Api.Example.com"], "api.example.com"),
            ("/x", vec!["api.example.com.:8080"], "api.example.com"),
            ("/x", vec!["svc_a.local"], "svc_a.local"),
            (
                "/x",
                vec!["xn--fsqu00a.xn--0zwm56d"],
                "xn--fsqu00a.xn--0zwm56d",
            ),
            ("/x", vec!["127.0.0.1:65535"], "127.0.0.1"),
            ("/x", vec!["[::1]:80"], "[::1]"),
            ("/x", vec!["[0:0::0:0001]"], "[::1]"),
            ("http://a.example/x", vec!["A.example:80"], "a.example"),
            ("http://a.example./x", vec!["a.example"], "a.example"),
            ("https://a.example/x", vec!["a.example:443"], "a.example"),
            ("http://[::1]:8080/x", vec!["[0::1]:8080"], "[::1]"),
        ] {
            let found = authority(&parts(uri, &hosts)).unwrap().unwrap();
            assert_eq!(routing_name(&found), name);
        }
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        let long = "a.".repeat(127) + "a";
        let label = "a".repeat(64);
        for (uri, hosts, problem) in [
            ("/x", vec![], HostProblem::Missing),
            ("/x", vec!["a", "a"], HostProblem::Several),
            ("http://a/x", vec!["b"], HostProblem::Contradicts),
            ("http://a/x", vec!["a:81"], HostProblem::Contradicts),
            ("https://a/x", vec!["a:80"], HostProblem::Contradicts),
            ("http://a/x", vec![], HostProblem::Missing),
            ("http://a:99999/x", vec!["a:99999"], HostProblem::Malformed),
            ("http://u@a/x", vec!["a"], HostProblem::Malformed),
            ("http://u:p@a:80/x", vec!["a"], HostProblem::Malformed),
        ] {
            assert_eq!(authority(&parts(uri, &hosts)), Err(problem), "{hosts:?}");
        }
        for host in [
            "",
            ":80",
            "a:",
            "a:b",
            "a:0",
            "a:080",
            "a:+80",
            "a:99999",
            "a:80:80",
            "u@a",
            "u:p@a:80",
            "a/b",
            "a?b",
            "a#b",
            "a b",
            "a,b",
            "a%2eb",
            "a%00",
            "a\\b",
            "a..b",
            ".a",
            ".",
            "a..",
            "*",
            "*.a",
            "a;b",
            "a'b",
            "a\u{e4}",
            "[::1",
            "::1",
            "[::1]a",
            "[::1]:",
            "[1::2::3]",
            "[fe80::1%25eth0]",
            "[fe80::1%eth0]",
            "[v1.a]",
            "[]",
            "[127.0.0.1]",
            &long,
            &label,
        ] {
            let found = authority(&parts("/x", &[host]));
            assert_eq!(found, Err(HostProblem::Malformed), "{host:?}");
        }
    }
}
