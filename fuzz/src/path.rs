//! The path canonicaliser: an accepted path has one spelling, keeps its meaning, and holds no dot
//! segment however often a server behind decodes it. Input: a path.

use hyper::http::uri::PathAndQuery;
use skeygate::http::path::CanonicalPath;
use skeygate::http::path::EncodedByte;

use super::text::decoded;

/// See the module.
pub fn check(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else {
        return;
    };
    let path = match CanonicalPath::parse(raw) {
        Ok(path) => path,
        Err(problem) => {
            // The error text repeats no byte of the request.
            let said = problem.to_string();
            assert!(said.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            return;
        }
    };
    let text = path.as_str();
    is_well_formed(text);
    assert_eq!(
        CanonicalPath::parse(text).as_ref(),
        Ok(&path),
        "not a fixed point"
    );
    assert_eq!(
        decoded(text),
        decoded(&merged(raw)),
        "it leads elsewhere than what came"
    );
    assert_eq!(
        CanonicalPath::parse(&respelled(text)).as_ref(),
        Ok(&path),
        "another spelling has another canonical one"
    );
    let target = PathAndQuery::try_from(text);
    assert!(target.is_ok_and(|target| target.path() == text && target.query().is_none()));
    if path.check_encoded(&[]).is_ok() {
        is_plain_however_decoded(text);
    }
    if path.check_encoded(&[EncodedByte::Slash]).is_ok() {
        let once = decoded(text);
        assert!(!once.contains(&b'%'), "decoding twice would find more");
        has_no_dots(&once);
    }
    // A route that lets `%25` in answers for an upstream that decodes twice, not for one that
    // decodes once.
    has_no_dots(&decoded(text));
    let both = [EncodedByte::Slash, EncodedByte::Percent];
    assert_eq!(path.check_encoded(&both), Ok(()));
}

fn is_well_formed(text: &str) {
    assert!(text.starts_with('/'));
    assert!(!text.contains("//"));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@/%".contains(&byte);
    assert!(text.bytes().all(allowed));
    for (at, _) in text.match_indices('%') {
        let digits = text.as_bytes().get(at + 1..at + 3).unwrap_or_default();
        let capital = |byte: &u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte);
        assert!(digits.len() == 2 && digits.iter().all(capital));
    }
}

/// Without an opted-in escape a path is the same path to a server that decodes not at all, once, or
/// over and over.
fn is_plain_however_decoded(text: &str) {
    let once = decoded(text);
    assert!(
        !once
            .iter()
            .any(|byte| b"%\\;?#".contains(byte) || byte.is_ascii_control())
    );
    let slashes = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'/').count();
    assert_eq!(slashes(&once), slashes(text.as_bytes()));
    assert!(std::str::from_utf8(&once).is_ok());
    has_no_dots(&once);
}

fn has_no_dots(path: &[u8]) {
    let mut segments = path.split(|byte| matches!(byte, b'/' | b'\\'));
    assert!(
        !segments.any(|segment| matches!(segment, b"." | b"..")),
        "a dot segment"
    );
}

/// Raw slashes merged; encoded ones are no slashes yet.
fn merged(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for character in raw.chars() {
        if character != '/' || !out.ends_with('/') {
            out.push(character);
        }
    }
    out
}

/// The same path with slashes doubled, unreserved characters escaped and escapes in small letters.
pub(crate) fn respelled(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    let mut escape = 0;
    for byte in text.bytes() {
        match byte {
            b'%' => {
                escape = 2;
                out.push('%');
            }
            _ if escape > 0 => {
                escape -= 1;
                out.push(char::from(byte.to_ascii_lowercase()));
            }
            b'/' => out.push_str("//"),
            b'-' | b'.' | b'_' | b'~' => out.push_str(&format!("%{byte:02x}")),
            _ if byte.is_ascii_alphanumeric() => out.push_str(&format!("%{byte:02x}")),
            _ => out.push(char::from(byte)),
        }
    }
    out
}
