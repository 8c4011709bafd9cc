//! The form of a request target (RFC 9112, 3.2): a path, alone or in an absolute URL. The other
//! forms name no resource of a service.

use hyper::Version;
use hyper::http::request::Parts;

/// Why a target is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetProblem {
    /// `*`, or a host alone.
    NoPath,
    /// The URL is of another scheme than `http` and `https`.
    Scheme,
}

impl TargetProblem {
    /// What to tell the client.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NoPath => "the request target is not a path",
            Self::Scheme => "the request target is of another scheme than http",
        }
    }
}

/// Takes `/path?query` and `http://host/path?query`, with `https` too: HTTP/2 always names a
/// scheme, and behind a proxy that ends TLS it is that one.
///
/// # Errors
/// Why not.
pub fn check(parts: &Parts) -> Result<(), TargetProblem> {
    let uri = &parts.uri;
    // In a URL of HTTP/1 the path may be missing before a query, in a `:path` of HTTP/2 not.
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
