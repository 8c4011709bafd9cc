//! Escaping of foreign text in key names.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// Escapes `text` as one part of a key name. Everything but letters, digits, `-` and `_` is
/// percent-encoded, so that different lists of parts joined by `:` have different names, and a
/// brace never moves a key to another cluster slot.
pub(crate) fn key_part(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, ESCAPED).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_and_braces_in_a_part_are_escaped() {
        assert_eq!(key_part("oGZ_a-1"), "oGZ_a-1");
        assert_eq!(key_part("a:b}%"), "a%3Ab%7D%25");
    }
}
