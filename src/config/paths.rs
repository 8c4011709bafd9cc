//! Paths, hosts and methods as they are written in the file. A path is canonical or refused: the request's path is made
//! canonical before it is compared, so another spelling would never match.

use std::fmt;
use std::net::Ipv6Addr;

use http::Method;

use super::reader::Fault;

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
    if !text.starts_with('/') {
        return Err(Fault::new("does not start with `/`").respelled(format!("write `/{text}`")));
    }
    if let Some(mark) = text.chars().find(|c| matches!(c, '?' | '#')) {
        return Err(Fault::new(format!("has a `{mark}`"))
            .help("write the path alone; queries take no part in routing"));
    }
    if text.contains('\\') {
        return Err(Fault::new("has a `\\`").help("write `/`"));
    }
    if text.contains(';') {
        return Err(Fault::new("has a `;`")
            .help("servers that know path parameters cut them off, so such requests are refused"));
    }
    let respelled = respell(text)?;
    for segment in respelled.split('/') {
        if matches!(segment, "." | "..") {
            return Err(Fault::new(format!("has the segment `{segment}`"))
                .help("write the path that it leads to"));
        }
    }
    if respelled != text {
        return Err(Fault::new("is not in its canonical spelling")
            .respelled(format!("write `{respelled}`")));
    }
    Ok(())
}

/// The canonical spelling: unreserved characters plain, the rest encoded with capitals, slashes single.
fn respell(text: &str) -> Result<String, Fault> {
    let mut out = String::with_capacity(text.len());
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
        }
        match byte {
            b'%' => {
                let digits = bytes.next().zip(bytes.next());
                let value = digits.and_then(|(high, low)| Some(hex(high)? * 16 + hex(low)?));
                match value {
                    None => {
                        return Err(Fault::new("has a `%` that encodes nothing")
                            .help("write `%25` for a percent sign"));
                    }
                    Some(b'/' | b'\\' | b';' | b'%' | b'?' | b'#' | 0..=0x1f | 0x7f) => {
                        return Err(Fault::new("has an encoded byte that servers read differently")
                            .help("requests with %2F, %5C, %3B, %25, %3F, %23 or control characters are not routed by them"));
                    }
                    Some(byte) => {
                        decoded.push(byte);
                        match is_unreserved(byte) {
                            true => out.push(char::from(byte)),
                            false => out.push_str(&format!("%{byte:02X}")),
                        }
                    }
                }
            }
            b'/' if out.ends_with('/') => {}
            byte if is_unreserved(byte) || b"/!$&'()*+,=:@".contains(&byte) => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    if std::str::from_utf8(&decoded).is_err() {
        return Err(Fault::new("is not UTF-8 once it is decoded")
            .help("such requests are refused, so no route would guard them"));
    }
    Ok(out)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// A host name in lower case, no port; with `*.` in front every name below it.
pub(super) fn host_pattern(text: &str) -> Result<String, Fault> {
    match text.strip_prefix("*.") {
        Some(rest) => host(rest).map(|rest| format!("*.{rest}")),
        None => host(text),
    }
}

/// A host name in lower case, no port.
pub(super) fn host(text: &str) -> Result<String, Fault> {
    if text.contains("://") || text.contains('/') {
        return Err(Fault::new("is not a host name")
            .help("write the name alone, as in \"api.example.com\""));
    }
    if let Some(address) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        && let Ok(address) = address.parse::<Ipv6Addr>()
    {
        return Ok(format!("[{address}]"));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(
            Fault::new("is an address without brackets").respelled(format!("write \"[{text}]\""))
        );
    }
    if let Some((name, _)) = text.rsplit_once(':') {
        return Err(Fault::new("has a port; hosts are compared without")
            .respelled(format!("write \"{name}\"")));
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
    let well_formed = text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        });
    if !well_formed {
        return Err(Fault::new("is not a host name"));
    }
    Ok(text.to_ascii_lowercase())
}

/// A method, in capitals as on the wire.
pub(super) fn method(text: &str) -> Result<Method, Fault> {
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(Fault::new("is not a method")
            .respelled(format!("write \"{}\"", text.to_ascii_uppercase())));
    }
    match Method::from_bytes(text.as_bytes()) {
        Ok(Method::CONNECT) => Err(Fault::new("makes a tunnel, which is never forwarded")),
        // As `http/method.rs` has it, which is above this layer.
        Ok(method) if matches!(method.as_str(), "TRACE" | "TRACK" | "PRI") => {
            Err(Fault::new("is refused everywhere")
                .help("an answer to it would show callers what the upstream is told of them"))
        }
        Ok(method)
            if text.len() <= 32
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) =>
        {
            Ok(method)
        }
        Ok(_) | Err(_) => Err(Fault::new("is not a method")),
    }
}
