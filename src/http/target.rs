//! The form of a request target (RFC 9112, 3.2): a path, alone or in a whole URL. The other forms
//! name no resource of an upstream.

use hyper::Version;
use hyper::http::request::Parts;

/// Why a target is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetProblem {
    /// `*`, or only a host.
    NoPath,
    /// A URL with a scheme other than `http` and `https`.
    Scheme,
}

impl TargetProblem {
    /// The text for the client.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NoPath => "the request target is not a path",
            Self::Scheme => "the request target is of another scheme than http",
        }
    }
}

/// Accepts `/path?query` and `http://host/path?query`, also with `https`: HTTP/2 always sends a
/// scheme, and behind a proxy that terminates TLS it is `https`.
///
/// # Errors
/// The reason for refusal.
pub fn check(parts: &Parts) -> Result<(), TargetProblem> {
    let uri = &parts.uri;
    // HTTP/1 allows a URL without a path before its query; in `:path` of HTTP/2 the path is
    // required.
    let begins = |target: &str| target.starts_with('/');
    let whole = uri.path_and_query().map_or("", |target| target.as_str());
    if !begins(uri.path()) || (parts.version == Version::HTTP_2 && !begins(whole)) {
        return Err(TargetProblem::NoPath);
    }
    match uri.scheme_str() {
        None | Some("http" | "https") => Ok(()),
        Some(_) => Err(TargetProblem::Scheme),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_alone_or_in_a_url_is_taken_and_nothing_else() {
        for (target, expected) in [
            ("/", Ok(())),
            ("/a?b", Ok(())),
            ("http://a", Ok(())),
            ("HTTP://a/b", Ok(())),
            ("https://a/b", Ok(())),
            ("http://a?b", Ok(())),
            ("*", Err(TargetProblem::NoPath)),
            ("a.example:80", Err(TargetProblem::NoPath)),
            ("a", Err(TargetProblem::NoPath)),
            ("ftp://a/b", Err(TargetProblem::Scheme)),
            ("ws://a/b", Err(TargetProblem::Scheme)),
        ] {
            let request = hyper::Request::get(target).body(()).unwrap();
            assert_eq!(check(&request.into_parts().0), expected, "{target}");
        }
    }

    #[test]
    fn a_path_of_http2_begins_with_a_slash() {
        let request = hyper::Request::get("http://a?b").version(Version::HTTP_2);
        let parts = request.body(()).unwrap().into_parts().0;
        assert_eq!(check(&parts), Err(TargetProblem::NoPath));
    }
}
