//! Hexadecimal digits.

/// The value of a hexadecimal digit in either case; `None` for another byte.
#[must_use]
pub fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(lower(byte >> 4));
        text.push(lower(byte & 15));
    }
    text
}

fn lower(half: u8) -> char {
    char::from(match half {
        0..10 => b'0' + half,
        _ => b'a' + (half - 10),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_have_the_value_that_the_standard_library_gives_them() {
        for byte in 0..=u8::MAX {
            let expected = char::from(byte).to_digit(16);
            assert_eq!(digit(byte).map(u32::from), expected, "{byte}");
        }
    }

    #[test]
    fn encoded_bytes_are_two_lower_case_digits_each() {
        assert_eq!(encode(&[]), "");
        for byte in 0..=u8::MAX {
            assert_eq!(encode(&[0, byte]), format!("00{byte:02x}"));
        }
    }
}
