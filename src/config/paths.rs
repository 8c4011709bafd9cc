//! Paths, hosts and methods as they are written in the file. A path is canonical or refused: the
//! request's path is made canonical before it is compared, so another spelling would never match.

use std::fmt;
use std::net::Ipv6Addr;

use http::Method;

use super::reader::Fault;
use crate::http::host::routing_name_of;
use crate::http::method::{self, MethodProblem};
use crate::http::path::{CanonicalPath, PathProblem};

/// `path` of a route, canonical.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathPattern {
    /// `"/api"`: that path only.
    Exact(String),
    /// `"/api/*"`: holds `/api`: that path and all below it. `"/*"` holds the empty text.
    Prefix(String),
}

impl fmt::Display for PathPattern {
    /// As it is written in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::Prefix(prefix) => write!(f, "{prefix}/*"),
        }
    }
}

/// A path of one place, e.g. `/login`.
pub(super) fn exact_path(text: &str) -> Result<String, Fault> {
    if text.contains('*') {
        return Err(Fault::new("has a `*`, where one exact path is needed"));
    }
    canonical(text)?;
    Ok(text.to_owned())
}

/// The path of a route: exact, or with `/*` at its end.
pub(super) fn pattern(text: &str) -> Result<PathPattern, Fault> {
    let Some(prefix) = text.strip_suffix("/*") else {
        if let Some(start) = text.strip_suffix('*').filter(|start| !start.contains('*')) {
            return Err(
                Fault::new("has a `*` inside a segment").respelled(format!("write `{start}/*`"))
            );
        }
        if text.contains('*') {
            return Err(Fault::new("has a `*` before its end")
                .help("`*` is allowed only as the last segment, `/*`"));
        }
        return exact_path(text).map(PathPattern::Exact);
    };
    if prefix.contains('*') {
        return Err(Fault::new("has a `*` before its end")
            .help("`*` is allowed only as the last segment, `/*`"));
    }
    if !prefix.is_empty() {
        canonical(text)?;
    }
    Ok(PathPattern::Prefix(prefix.to_owned()))
}

/// What is cut from or put before a path: canonical, without a slash at its end.
pub(super) fn prefix(text: &str) -> Result<String, Fault> {
    let path = exact_path(text)?;
    match path.strip_suffix('/') {
        Some("") => Err(Fault::new("changes nothing").help("leave it out")),
        Some(shorter) => {
            Err(Fault::new("ends with a slash").respelled(format!("write `{shorter}`")))
        }
        None => Ok(path),
    }
}

/// A path that requests are answered at by the gateway, or below which they are.
pub(super) fn is_reserved(path: &str) -> bool {
    path == "/_gateway" || path.starts_with("/_gateway/")
}

/// Refuses a path that is not in the one spelling that requests are compared in.
fn canonical(text: &str) -> Result<(), Fault> {
    match CanonicalPath::parse(text) {
        Ok(path) if path.check_encoded(&[]).is_err() => Err(encoded_delimiter()),
        Ok(path) if path.as_str() == text => Ok(()),
        Ok(path) => Err(other_spelling(path.as_str())),
        Err(PathProblem::RawByte(b' ')) => {
            let respelled = text.replace(' ', "%20");
            canonical(&respelled).and(Err(other_spelling(&respelled)))
        }
        Err(problem) => Err(fault(text, &problem)),
    }
}

fn other_spelling(canonical: &str) -> Fault {
    Fault::new("is not in its canonical spelling").respelled(format!("write `{canonical}`"))
}

fn encoded_delimiter() -> Fault {
    Fault::new("has an encoded byte that servers read differently").help(
        "requests with %2F, %5C, %3B, %25, %3F, %23 or control characters are not routed by them",
    )
}

/// What to write instead of a path that no request can have.
fn fault(text: &str, problem: &PathProblem) -> Fault {
    match problem {
        PathProblem::NotAbsolute => {
            Fault::new("does not start with `/`").respelled(format!("write `/{text}`"))
        }
        PathProblem::RawByte(byte @ (b'?' | b'#')) => {
            Fault::new(format!("has a `{}`", char::from(*byte)))
                .help("write the path alone; queries take no part in routing")
        }
        PathProblem::RawByte(b'\\') => Fault::new("has a `\\`").help("write `/`"),
        PathProblem::RawByte(b';') => Fault::new("has a `;`")
            .help("servers that know path parameters cut them off, so such requests are refused"),
        PathProblem::RawByte(_) => Fault::new("has a control character").help("remove it"),
        PathProblem::DotSegment => {
            let plain = text.split('/').find(|part| matches!(*part, "." | ".."));
            let what = match plain {
                Some(segment) => format!("has the segment `{segment}`"),
                None => "has the segment `..`, encoded".to_owned(),
            };
            Fault::new(what).help("write the path that it leads to")
        }
        PathProblem::EncodedDelimiter(_) | PathProblem::EncodedTwice => encoded_delimiter(),
        PathProblem::InvalidEscape => {
            Fault::new("has a `%` that encodes nothing").help("write `%25` for a percent sign")
        }
        PathProblem::InvalidUtf8 => Fault::new("is not UTF-8 once it is decoded")
            .help("such requests are refused, so no route would guard them"),
        PathProblem::Resembles(route) => {
            Fault::new(format!("resembles the route `{route}`")).with_pieces()
        }
    }
}

/// A host name in lower case, no port; with `*.` in front every name below it.
pub(super) fn host_pattern(text: &str) -> Result<String, Fault> {
    let Some(parent) = text.strip_prefix("*.") else {
        return host(text);
    };
    if parent.starts_with('[') {
        return Err(Fault::new("is not a host name").help("an address has no names below it"));
    }
    let parent = host(parent).map_err(|fault| fault.in_front("*."))?;
    // The shortest name below it has one letter and a dot more.
    match routing_name_of(&format!("a.{parent}")) {
        Some(_) => Ok(format!("*.{parent}")),
        None => Err(not_a_name()),
    }
}

/// A host name in lower case, no port.
pub(super) fn host(text: &str) -> Result<String, Fault> {
    if text.contains("://") || text.contains('/') {
        return Err(Fault::new("is not a host name")
            .help("write the name alone, as in \"api.example.com\""));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(
            Fault::new("is an address without brackets").respelled(format!("write \"[{text}]\""))
        );
    }
    if let Some((name, port)) = text.rsplit_once(':')
        && !port.contains(']')
        && routing_name_of(name).is_some()
    {
        return Err(Fault::new("has a port; hosts are compared without")
            .respelled(format!("write \"{name}\"")));
    }
    if text.starts_with('[') {
        return routing_name_of(text).ok_or_else(|| {
            Fault::new("is not an IPv6 address")
                .help("write it without a zone, as in \"[2001:db8::1]\"")
        });
    }
    if text.contains('*') {
        return Err(Fault::new("has a `*`")
            .help("a route may write `*.example.com` for every name below it"));
    }
    if !text.is_ascii() {
        let wire = reqwest::Url::parse(&format!("http://{text}/"))
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned))
            .filter(|name| name.contains("xn--"));
        let help = match wire {
            Some(name) => format!("write \"{name}\", which is this name on the wire"),
            None => "write the name as it is on the wire, starting with `xn--`".to_owned(),
        };
        return Err(Fault::new("is not ASCII").respelled(help));
    }
    if let Some(name) = text.strip_suffix('.').filter(|name| !name.is_empty()) {
        return Err(Fault::new("ends with a dot; hosts are compared without")
            .respelled(format!("write \"{name}\"")));
    }
    routing_name_of(text).ok_or_else(not_a_name)
}

fn not_a_name() -> Fault {
    Fault::new("is not a host name").help(
        "parts of 1 to 63 letters, digits, `-` and `_` with dots between them, 253 characters in all",
    )
}

/// A method, in capitals as on the wire.
pub(super) fn method(text: &str) -> Result<Method, Fault> {
    let malformed = || Fault::new("is not a method");
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(malformed().respelled(format!("write \"{}\"", text.to_ascii_uppercase())));
    }
    let method = Method::from_bytes(text.as_bytes()).map_err(|_| malformed())?;
    match method::check(&method) {
        Ok(()) => Ok(method),
        Err(MethodProblem::Malformed) => Err(malformed()),
        Err(MethodProblem::Never) if method == Method::CONNECT => {
            Err(Fault::new("makes a tunnel, which is never forwarded"))
        }
        Err(MethodProblem::Never) => Err(Fault::new("is refused everywhere")
            .help("a response to it would show clients the headers that the upstream gets")),
    }
}
