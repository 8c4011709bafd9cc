//! The canonical form of a request path, which is used for routing and forwarding. A path that two
//! servers could read differently is refused.

use std::borrow::Cow;
use std::fmt;

use super::{hex, lenient_path};

/// A canonical path: unreserved characters decoded, hexadecimal digits in capitals, `//` merged, no
/// dot segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalPath<'a> {
    text: Cow<'a, str>,
    encoded_slash: bool,
    encoded_percent: bool,
}

/// A percent-encoded byte that a route may allow in its paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodedByte {
    /// `%2F`.
    Slash,
    /// `%25`.
    Percent,
}

/// Why a path has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathProblem {
    /// It does not begin with `/`.
    NotAbsolute,
    /// A segment is `.` or `..` in some encoding.
    DotSegment,
    /// A delimiter that servers decode at different times is percent-encoded.
    EncodedDelimiter(u8),
    /// A service that decodes twice would find a dot segment or a control character behind `%25`.
    EncodedTwice,
    /// `%` without two hexadecimal digits.
    InvalidEscape,
    /// The decoded bytes are not UTF-8.
    InvalidUtf8,
    /// A raw `\`, `;`, `?`, `#`, blank or control character. Java servers cut off `;parameters`
    /// before they route.
    RawByte(u8),
    /// A lenient service may take the path for one of this stricter route.
    Resembles(String),
}

impl fmt::Display for PathProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute => f.write_str("the path does not begin with a slash"),
            Self::DotSegment => f.write_str("the path holds a dot segment"),
            Self::EncodedDelimiter(byte) => write!(f, "the path holds an encoded %{byte:02X}"),
            Self::EncodedTwice => {
                f.write_str("the path holds a dot segment or control character, encoded twice")
            }
            Self::InvalidEscape => f.write_str("the path holds an incomplete percent escape"),
            Self::InvalidUtf8 => f.write_str("the path is not UTF-8"),
            Self::RawByte(byte) => write!(f, "the path holds the raw byte 0x{byte:02x}"),
            Self::Resembles(route) => write!(
                f,
                "but for letter case, encoding or the end of a name it is a path of the stricter route `{route}`"
            ),
        }
    }
}

impl<'a> CanonicalPath<'a> {
    /// Parses a path into its canonical form. An encoded slash or percent sign stays encoded;
    /// `check_encoded` checks it later, because only the route knows whether its upstream wants it.
    ///
    /// # Errors
    /// The reason why the path is ambiguous.
    pub fn parse(raw: &'a str) -> Result<Self, PathProblem> {
        if !raw.starts_with('/') {
            return Err(PathProblem::NotAbsolute);
        }
        if is_plain(raw.as_bytes()) {
            return Ok(Self {
                text: Cow::Borrowed(raw),
                encoded_slash: false,
                encoded_percent: false,
            });
        }
        Self::rewrite(raw)
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Checks encoded slashes and percent signs against the route's list.
    ///
    /// # Errors
    /// `PathProblem::EncodedDelimiter` for one that is not allowed.
    pub fn check_encoded(&self, allowed: &[EncodedByte]) -> Result<(), PathProblem> {
        if self.encoded_slash && !allowed.contains(&EncodedByte::Slash) {
            return Err(PathProblem::EncodedDelimiter(b'/'));
        }
        if self.encoded_percent && !allowed.contains(&EncodedByte::Percent) {
            return Err(PathProblem::EncodedDelimiter(b'%'));
        }
        Ok(())
    }

    fn rewrite(raw: &str) -> Result<Self, PathProblem> {
        let mut out = String::with_capacity(raw.len() + 8);
        let mut decoded = Vec::with_capacity(raw.len());
        let (mut encoded_slash, mut encoded_percent) = (false, false);
        let mut bytes = raw.bytes();
        while let Some(byte) = bytes.next() {
            let (value, escaped) = if byte == b'%' {
                let mut next_digit = || bytes.next().and_then(hex::digit);
                let (Some(high), Some(low)) = (next_digit(), next_digit()) else {
                    return Err(PathProblem::InvalidEscape);
                };
                (high << 4 | low, true)
            } else {
                (byte, false)
            };
            decoded.push(value);
            match (value, escaped) {
                (b'/', false) => {
                    if !out.ends_with('/') {
                        out.push('/');
                    }
                }
                (b'/', true) => {
                    encoded_slash = true;
                    out.push_str("%2F");
                }
                (b'%', _) => {
                    encoded_percent = true;
                    out.push_str("%25");
                }
                (b'\\' | b';' | b'?' | b'#' | 0..=0x1f | 0x7f, true) => {
                    return Err(PathProblem::EncodedDelimiter(value));
                }
                (b'\\' | b'#' | b'?' | b';' | 0..=0x20 | 0x7f, false) => {
                    return Err(PathProblem::RawByte(value));
                }
                _ if is_unreserved(value) || (!escaped && is_delimiter(value)) => {
                    out.push(char::from(value));
                }
                _ => push_escape(&mut out, value),
            }
        }
        if std::str::from_utf8(&decoded).is_err() {
            return Err(PathProblem::InvalidUtf8);
        }
        // An allowed encoded slash still separates segments for a server that decodes it.
        let mut segments = out.split('/').flat_map(|segment| segment.split("%2F"));
        let dots = segments.any(|segment| segment == "." || segment == "..");
        if dots {
            return Err(PathProblem::DotSegment);
        }
        if encoded_percent && lenient_path::hides_something(&out) {
            return Err(PathProblem::EncodedTwice);
        }
        Ok(Self {
            text: Cow::Owned(out),
            encoded_slash,
            encoded_percent,
        })
    }
}

/// Whether the bytes are canonical already; the common case, decided in one pass without an
/// allocation.
fn is_plain(path: &[u8]) -> bool {
    let mut previous = 0;
    for &byte in path {
        let fine = match byte {
            b'/' | b'.' => previous != b'/',
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => true,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' => {
                true
            }
            _ => false,
        };
        if !fine {
            return false;
        }
        previous = byte;
    }
    true
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Other characters that are allowed raw in a path segment (RFC 3986, 3.3).
fn is_delimiter(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@'
    )
}

fn push_escape(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, proptest};
    use proptest::{prop_assert, prop_assert_eq};

    use super::*;

    fn canonical(raw: &str) -> Result<String, PathProblem> {
        CanonicalPath::parse(raw).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn equal_paths_get_one_spelling() {
        for (raw, expected) in [
            ("/", "/"),
            ("/api/x", "/api/x"),
            ("//api///x//", "/api/x/"),
            ("/%61pi/%7euser", "/api/~user"),
            ("/a%2cb", "/a%2Cb"),
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a\"b|c", "/a%22b%7Cc"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "/..."),
        ] {
            assert_eq!(canonical(raw).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        for (raw, problem) in [
            ("api", PathProblem::NotAbsolute),
            ("/a/../b", PathProblem::DotSegment),
            ("/a/%2e%2E/b", PathProblem::DotSegment),
            ("/a/.%2e", PathProblem::DotSegment),
            ("/./b", PathProblem::DotSegment),
            ("/a/..;x=1/b", PathProblem::RawByte(b';')),
            ("/admin;x/b", PathProblem::RawByte(b';')),
            ("/a%2F..%2Fb", PathProblem::DotSegment),
            ("/a\\b", PathProblem::RawByte(b'\\')),
            ("/a%5cb", PathProblem::EncodedDelimiter(b'\\')),
            ("/a%00", PathProblem::EncodedDelimiter(0)),
            ("/a%3bb", PathProblem::EncodedDelimiter(b';')),
            ("/a%3fb", PathProblem::EncodedDelimiter(b'?')),
            ("/a%23b", PathProblem::EncodedDelimiter(b'#')),
            ("/a%0ab", PathProblem::EncodedDelimiter(b'\n')),
            ("/a#b", PathProblem::RawByte(b'#')),
            ("/a b", PathProblem::RawByte(b' ')),
            ("/a%", PathProblem::InvalidEscape),
            ("/a%2", PathProblem::InvalidEscape),
            ("/a%zz", PathProblem::InvalidEscape),
            ("/a%u002e", PathProblem::InvalidEscape),
            ("/a%ff", PathProblem::InvalidUtf8),
            ("/%c0%ae%c0%ae/", PathProblem::InvalidUtf8),
            ("/a/%252e%252e/b", PathProblem::EncodedTwice),
            ("/a/%25252e./b", PathProblem::EncodedTwice),
            ("/a%2500", PathProblem::EncodedTwice),
        ] {
            assert_eq!(canonical(raw), Err(problem), "{raw}");
        }
    }

    #[test]
    fn encoded_slash_and_percent_wait_for_the_route() {
        let path = CanonicalPath::parse("/a%2fb").unwrap();
        assert_eq!(path.as_str(), "/a%2Fb");
        assert_eq!(
            path.check_encoded(&[]),
            Err(PathProblem::EncodedDelimiter(b'/'))
        );
        assert_eq!(path.check_encoded(&[EncodedByte::Slash]), Ok(()));
        let path = CanonicalPath::parse("/100%25").unwrap();
        assert_eq!(
            path.check_encoded(&[EncodedByte::Slash]),
            Err(PathProblem::EncodedDelimiter(b'%'))
        );
        assert_eq!(path.check_encoded(&[EncodedByte::Percent]), Ok(()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn canonical_is_a_fixed_point(raw in "(/|%2[0-9a-fA-F]|%[0-9a-f]{2}|[a-zA-Z0-9.;~%\\\\]|.){0,24}") {
            let raw = format!("/{raw}");
            if let Ok(once) = canonical(&raw) {
                prop_assert_eq!(canonical(&once), Ok(once.clone()));
                prop_assert!(!once.contains("//"));
                prop_assert!(once.is_ascii());
            }
        }

        #[test]
        fn the_fast_pass_agrees_with_the_slow_one(raw in any::<String>()) {
            let raw = format!("/{raw}");
            if is_plain(raw.as_bytes()) {
                prop_assert_eq!(CanonicalPath::rewrite(&raw).map(|path| path.as_str().to_owned()), Ok(raw));
            }
        }
    }
}
