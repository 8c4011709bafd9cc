//! The lines of a head or of trailers, and the two headers that say where a message ends.

use memchr::memchr;

use super::Damage;

/// Name and value of a header or trailer line, the value without the blanks around it.
///
/// # Errors
/// What is wrong with it.
pub fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Damage> {
    if line
        .first()
        .is_some_and(|&byte| matches!(byte, b' ' | b'\t'))
    {
        return Err("a header line is folded");
    }
    let colon = memchr(b':', line).ok_or("a header line has no colon")?;
    let (name, value) = line.split_at_checked(colon).unwrap_or((line, b""));
    if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
        return Err("a header name is malformed");
    }
    let value = value.get(1..).unwrap_or_default();
    // Without an early end the compiler looks at many bytes at once.
    if value
        .iter()
        .fold(false, |found, &byte| found | !is_text(byte))
    {
        return Err("a header value holds a control character");
    }
    Ok((name, trim(value)))
}

/// Optional whitespace is blanks and tabs, no more (RFC 9110, 5.6.3).
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// A header that says where a message ends or whom it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FramingName {
    Host,
    ContentLength,
    TransferEncoding,
}

/// Which framing header a name is. One that only some servers take for it, such as `Content_Length`, is refused: nobody sends
/// that by accident.
pub(super) fn framing_name(name: &[u8]) -> Result<Option<FramingName>, Damage> {
    let (known, found) = match name.len() {
        4 => (&b"host"[..], FramingName::Host),
        14 => (&b"content-length"[..], FramingName::ContentLength),
        17 => (&b"transfer-encoding"[..], FramingName::TransferEncoding),
        _ => return Ok(None),
    };
    if name.eq_ignore_ascii_case(known) {
        return Ok(Some(found));
    }
    let folded = |byte: u8| match byte {
        letter if letter.is_ascii_alphanumeric() => letter.to_ascii_lowercase(),
        _ => b'-',
    };
    if name
        .iter()
        .zip(known)
        .all(|(&byte, &expected)| folded(byte) == expected)
    {
        return Err("a header name imitates a framing header");
    }
    Ok(None)
}

/// Digits alone: `+5` is 5 to some, and `05` is octal to others. Above 2^63 - 1 the arithmetic of some ends.
#[must_use]
pub fn content_length(value: &[u8]) -> Option<u64> {
    let plain = !value.is_empty()
        && value.len() <= 19
        && value.iter().all(u8::is_ascii_digit)
        && (value.len() == 1 || value.first() != Some(&b'0'));
    let digits = plain.then(|| std::str::from_utf8(value).ok()).flatten()?;
    digits.parse::<i64>().ok()?.try_into().ok()
}

/// Whether a byte may stand in a name (RFC 9110, 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    const TOKENS: [bool; 256] = tokens();
    TOKENS[usize::from(byte)]
}

/// What may stand in a line: all but control characters, a tab excepted.
#[must_use]
pub fn is_text(byte: u8) -> bool {
    (byte >= 0x20 || byte == b'\t') && byte != 0x7f
}

const fn tokens() -> [bool; 256] {
    let mut tokens = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        let delimiter = matches!(
            byte,
            b'"' | b'(' | b')' | b',' | b'/' | b':'..=b'@' | b'[' | b'\\' | b']' | b'{' | b'}'
        );
        tokens[byte as usize] = !delimiter;
        byte += 1;
    }
    tokens
}
