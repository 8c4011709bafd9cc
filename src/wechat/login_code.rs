//! The login code: wx.login's one-time code, checked once and never shown.

use std::fmt;

/// Longest login code that is sent to WeChat. WeChat's own have 32 characters today.
const MAX_LENGTH: usize = 128;

/// A login code: 1 to 128 printable ASCII characters. It allows a login as its user for five
/// minutes, so neither Debug nor Display shows it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LoginCode(String);

impl LoginCode {
    /// `None` for an empty or overlong text, or one with a character outside 0x20 to 0x7e. The
    /// blank is allowed because the developer tools send `the code is a mock one` with a test
    /// appid.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let printable = text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
        let fits = (1..=MAX_LENGTH).contains(&text.len());
        (printable && fits).then(|| Self(text.to_owned()))
    }

    /// The code itself; each call deserves a review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LoginCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginCode(..)")
    }
}

impl fmt::Display for LoginCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(login code)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_1_to_128_printable_characters() {
        assert!(LoginCode::parse("").is_none());
        assert!(LoginCode::parse(&"c".repeat(128)).is_some());
        assert!(LoginCode::parse(&"c".repeat(129)).is_none());
        assert!(LoginCode::parse("the code is a mock one").is_some());
        for bad in ["a\nb", "a\0", "a\u{7f}", "é", "\t"] {
            assert!(LoginCode::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_code_is_never_printed() {
        let code = LoginCode::parse("0a1B2c3D").unwrap();
        assert_eq!(format!("{code:?} {code}"), "LoginCode(..) (login code)");
    }
}
