//! Allowed methods, and the methods that override headers name.

use hyper::{HeaderMap, Method};

use super::names::same_folded;

/// Headers from which services take another method than that of the request line, in any spelling
/// that some service reads as this name.
const OVERRIDES: [&str; 3] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

/// Maximum length of a method; the longest registered one has 17 characters.
const MAX_LENGTH: usize = 32;

/// Why a method is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodProblem {
    /// CONNECT and TRACE are refused everywhere: a tunnel would bypass every check, and a trace
    /// shows the client the headers for the upstream. So are TRACK, which old servers read as
    /// TRACE, and PRI, which begins HTTP/2.
    Never,
    /// Other than capitals, digits, `-` and `_`, or too long. Some services take `get` for GET and
    /// others do not.
    Malformed,
}

impl MethodProblem {
    /// The `Allow` header for a method that is refused everywhere.
    pub const ALLOW: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT";
}

/// Refuses methods that no route may allow. Others are forwarded, registered or not.
///
/// # Errors
/// The reason for refusal.
pub fn check(method: &Method) -> Result<(), MethodProblem> {
    let name = method.as_str();
    if matches!(name, "CONNECT" | "TRACE" | "TRACK" | "PRI") {
        return Err(MethodProblem::Never);
    }
    let fine =
        |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    if name.len() > MAX_LENGTH || !name.bytes().all(fine) {
        return Err(MethodProblem::Malformed);
    }
    Ok(())
}

/// Whether some service takes another method from a header of this name.
#[must_use]
pub fn is_override(name: &str) -> bool {
    OVERRIDES.iter().any(|known| same_folded(name, known))
}

/// The methods that override headers name, in capitals, as services read them. All entries of a
/// list count, since some services take the first and some the last.
///
/// # Errors
/// A header names a method that is refused.
pub fn overrides(headers: &HeaderMap) -> Result<Vec<Method>, MethodProblem> {
    let mut methods = Vec::new();
    for (name, value) in headers {
        if !is_override(name.as_str()) {
            continue;
        }
        for piece in value.as_bytes().split(|&byte| byte == b',') {
            let piece = piece.trim_ascii().to_ascii_uppercase();
            if piece.is_empty() {
                continue;
            }
            let method = Method::from_bytes(&piece).map_err(|_| MethodProblem::Malformed)?;
            check(&method)?;
            methods.push(method);
        }
    }
    Ok(methods)
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn known_and_unknown_methods_are_taken_in_capitals_only() {
        let long = "A".repeat(33);
        for (name, expected) in [
            ("GET", Ok(())),
            ("M-SEARCH", Ok(())),
            ("PROPFIND", Ok(())),
            ("X_2", Ok(())),
            ("get", Err(MethodProblem::Malformed)),
            ("Get", Err(MethodProblem::Malformed)),
            ("G!T", Err(MethodProblem::Malformed)),
            (&long, Err(MethodProblem::Malformed)),
            ("CONNECT", Err(MethodProblem::Never)),
            ("TRACE", Err(MethodProblem::Never)),
            ("TRACK", Err(MethodProblem::Never)),
            ("PRI", Err(MethodProblem::Never)),
        ] {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            assert_eq!(check(&method), expected, "{name}");
        }
    }

    #[test]
    fn every_method_that_a_header_names_is_found() {
        let headers = |lines: &[(&str, &str)]| -> HeaderMap {
            let field = |&(name, value): &(&str, &str)| {
                let name = HeaderName::try_from(name).unwrap();
                (name, HeaderValue::try_from(value).unwrap())
            };
            lines.iter().map(field).collect()
        };
        assert_eq!(overrides(&headers(&[("accept", "x")])), Ok(vec![]));
        let all = headers(&[
            ("x-http-method-override", " delete ,PUT,"),
            ("x.http_method", "patch"),
            ("x-method-override", ""),
        ]);
        assert_eq!(
            overrides(&all),
            Ok(vec![Method::DELETE, Method::PUT, Method::PATCH])
        );
        let trace = headers(&[("x-http-method", "trace")]);
        assert_eq!(overrides(&trace), Err(MethodProblem::Never));
        let blank = headers(&[("x-http-method", "a b")]);
        assert_eq!(overrides(&blank), Err(MethodProblem::Malformed));
    }
}
