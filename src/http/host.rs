//! Which host a request names: exactly one, well-formed, the same in every place that can name it.

use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Version};

/// Why a request's host cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostProblem {
    /// HTTP/1.1 and HTTP/2 requests must name one.
    Missing,
    /// More than one `Host` line.
    Several,
    /// Not `name[:port]`.
    Malformed,
    /// The request target names another host than `Host` does.
    Contradicts,
}

impl HostProblem {
    /// What to tell the client.
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

/// The authority a request names; `None` for HTTP/1.0 without one.
///
/// # Errors
/// What makes it unbelievable.
pub fn authority(parts: &Parts) -> Result<Option<Authority>, HostProblem> {
    let target = match parts.uri.authority() {
        Some(authority) if is_well_formed(authority) => Some(authority.clone()),
        Some(_) => return Err(HostProblem::Malformed),
        None => None,
    };
    match (target, header_authority(&parts.headers)?) {
        (Some(target), Some(header)) if !same_authority(&target, &header) => {
            Err(HostProblem::Contradicts)
        }
        // RFC 9112, 3.2: HTTP/1.1 names it in `Host`, whatever the target says.
        (_, None) if parts.version == Version::HTTP_11 => Err(HostProblem::Missing),
        (None, None) if parts.version > Version::HTTP_11 => Err(HostProblem::Missing),
        (target, header) => Ok(target.or(header)),
    }
}

/// The host for routing: lower case, without port and final dot.
#[must_use]
pub fn routing_name(authority: &Authority) -> String {
    let host = authority.host();
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
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
    if !is_well_formed(&authority) {
        return Err(HostProblem::Malformed);
    }
    Ok(Some(authority))
}

/// `Authority` is wider than `Host`: it takes user information, an empty port and ports above 65535.
fn is_well_formed(authority: &Authority) -> bool {
    let text = authority.as_str();
    let port_is_fine = match text.rsplit_once(':') {
        Some((_, port)) if !text.ends_with(']') => {
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
        }
        _ => true,
    };
    port_is_fine && !text.contains('@') && !authority.host().is_empty()
}

fn same_authority(left: &Authority, right: &Authority) -> bool {
    let port = |authority: &Authority| authority.port_u16().unwrap_or(80);
    left.host().eq_ignore_ascii_case(right.host()) && port(left) == port(right)
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
            ("/x", vec!["[::1]:80"], "[::1]"),
            ("http://a.example/x", vec!["A.example:80"], "a.example"),
        ] {
            let found = authority(&parts(uri, &hosts)).unwrap().unwrap();
            assert_eq!(routing_name(&found), name);
        }
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for (uri, hosts, problem) in [
            ("/x", vec![], HostProblem::Missing),
            ("/x", vec!["a", "a"], HostProblem::Several),
            ("/x", vec![""], HostProblem::Malformed),
            ("/x", vec!["a:b"], HostProblem::Malformed),
            ("/x", vec!["a:99999"], HostProblem::Malformed),
            ("/x", vec!["u@a"], HostProblem::Malformed),
            ("/x", vec!["a/b"], HostProblem::Malformed),
            ("http://a/x", vec!["b"], HostProblem::Contradicts),
            ("http://a/x", vec![], HostProblem::Missing),
            ("http://a:99999/x", vec!["a:99999"], HostProblem::Malformed),
        ] {
            assert_eq!(authority(&parts(uri, &hosts)), Err(problem), "{hosts:?}");
        }
    }
}
