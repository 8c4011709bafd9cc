//! Header names and values as they are written in the file, and the names that are reserved.

use http::{HeaderName, HeaderValue};

use super::reader::{Fault, did_you_mean};
use crate::http::headers::is_hop_by_hop;
use crate::http::method;
use crate::http::names::folded;
use crate::identity::MERGED_FROM_HEADER;

/// A header's name.
pub(super) fn name(text: &str) -> Result<HeaderName, Fault> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
        Fault::new("is not a header name").help("letters, digits and `-`, as in `X-Openid`")
    })
}

/// A header's value: visible ASCII and blanks.
pub(super) fn value(text: &str) -> Result<HeaderValue, Fault> {
    if text.trim() != text {
        return Err(Fault::new(
            "starts or ends with a blank, which a header cannot",
        ));
    }
    HeaderValue::from_str(text)
        .map_err(|_| Fault::new("is not a header value").help("use visible ASCII characters only"))
}

/// Whether a header decides over framing, or lasts for one hop only, in any spelling that some
/// server reads so.
pub(super) fn is_framing(name: &HeaderName) -> bool {
    is_framing_name(&folded(name.as_str()))
}

fn is_framing_name(folded: &str) -> bool {
    is_hop_by_hop(folded) || matches!(folded, "host" | "content-length" | "trailer" | "expect")
}

/// Refuses a name that is not free for an identity header.
pub(super) fn free_for_identity(name: &HeaderName) -> Result<(), Fault> {
    let folded = folded(name.as_str());
    let taken = is_framing_name(&folded)
        || folded.starts_with("x-forwarded-")
        || matches!(
            folded.as_str(),
            "forwarded"
                | "x-request-id"
                | "traceparent"
                | "authorization"
                | "cookie"
                | MERGED_FROM_HEADER
        );
    if taken {
        return Err(
            Fault::new("has a meaning of its own and cannot carry an identity")
                .help("take a name like `X-Openid`"),
        );
    }
    Ok(())
}

/// A place where a token or a code may be found, `KIND:NAME` or a word alone.
pub(super) struct Place<'t> {
    pub(super) kind: &'t str,
    pub(super) name: &'t str,
}

/// Splits `header:skey`, and refuses a kind that is not among `kinds`.
pub(super) fn place<'t>(text: &'t str, kinds: &[&'static str]) -> Result<Place<'t>, Fault> {
    let (kind, name) = text.split_once(':').unwrap_or((text, ""));
    if !kinds.contains(&kind) {
        let written: Vec<String> = kinds
            .iter()
            .map(|kind| {
                if *kind == "bearer" {
                    "bearer".to_owned()
                } else {
                    format!("{kind}:NAME")
                }
            })
            .collect();
        let near = did_you_mean(kind, kinds.iter().copied());
        return Err(Fault::new("is not a place in a request")
            .help(near.unwrap_or_else(|| format!("write one of {}", written.join(", ")))));
    }
    if kind == "bearer" {
        if text != "bearer" {
            return Err(Fault::new("has a name")
                .help("write \"bearer\": it is always the Authorization header"));
        }
        return Ok(Place { kind, name });
    }
    if name.is_empty() {
        return Err(Fault::new("has no name").help(format!("write \"{kind}:NAME\"")));
    }
    if name.len() > 64 || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Fault::new(
            "has a name with blanks, or one of more than 64 bytes",
        ));
    }
    Ok(Place { kind, name })
}

/// A header that a client may carry a token or code in.
pub(super) fn carrier(text: &str) -> Result<HeaderName, Fault> {
    let name = name(text)?;
    if is_framing(&name) || method::is_override(name.as_str()) {
        return Err(Fault::new("names a header with a meaning of its own"));
    }
    if name == http::header::COOKIE {
        return Err(Fault::new("names the whole Cookie header").help("write \"cookie:NAME\""));
    }
    Ok(name)
}

/// A cookie's name.
pub(super) fn cookie(text: &str) -> Result<String, Fault> {
    // Cookie names and header names are made of the same characters.
    name(text).map_err(|_| {
        Fault::new("names a cookie with characters that a cookie's name cannot have")
    })?;
    Ok(text.to_owned())
}
