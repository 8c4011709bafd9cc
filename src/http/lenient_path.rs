//! What the least exact of services takes a path for. Never forwarded and never what a route is chosen by: the route table asks
//! whether a service that is less exact than the table would find something better protected.

use std::borrow::Cow;

use super::hex;

/// The path as a service reads it that folds letter case, decodes as long as there is something to decode, takes `\` for `/`,
/// leaves out slashes that are one too many, and cuts off what Java (`;…`) and Windows (dots and blanks at the end of a name) cut
/// off. Without a slash at its end; the root is empty.
#[must_use]
pub fn loosest(path: &str) -> Cow<'_, str> {
    if is_exact(path.as_bytes()) {
        return Cow::Borrowed(path.strip_suffix('/').unwrap_or(path));
    }
    let decoded = decoded(path);
    let folded: String = String::from_utf8_lossy(&decoded)
        .chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect();
    let mut out = String::with_capacity(folded.len());
    for segment in folded.split(['/', '\\']) {
        let name = segment.split(';').next().unwrap_or_default();
        if name.trim_end() == ".." {
            out.truncate(out.rfind('/').unwrap_or(0));
            continue;
        }
        let name = name.trim_end_matches(['.', ' ']);
        if !name.is_empty() {
            out.push('/');
            out.push_str(name);
        }
    }
    Cow::Owned(out)
}

/// What PHP takes the loosest reading `/a/x.php/b` for besides: a call of `/a/x.php`, and `/b` for its router to find.
#[must_use]
pub fn script_readings(loosest: &str) -> Option<[&str; 2]> {
    let end = loosest.find(".php/")? + ".php".len();
    let (script, rest) = loosest.split_at_checked(end)?;
    Some([script, rest])
}

/// Whether a service that decodes more than once finds what is refused in the open: a dot segment or a control character.
#[must_use]
pub(super) fn hides_something(path: &str) -> bool {
    let decoded = decoded(path);
    let is_slash = |byte: &u8| matches!(byte, b'/' | b'\\');
    let mut names = decoded
        .split(is_slash)
        .map(|segment| segment.split(|&byte| byte == b';').next());
    names.any(|name| matches!(name, Some(b"." | b".."))) || decoded.iter().any(u8::is_ascii_control)
}

/// Whether the reading is the path itself, but for a slash at its end: nearly always.
fn is_exact(path: &[u8]) -> bool {
    let mut previous = 0;
    for &byte in path {
        let fine = match byte {
            b'/' => !matches!(previous, b'/' | b'.'),
            b'%' | b'\\' | b';' | b' ' | b'A'..=b'Z' => false,
            _ => byte.is_ascii(),
        };
        if !fine {
            return false;
        }
        previous = byte;
    }
    previous != b'.' && path.first() == Some(&b'/')
}

/// Decodes until no escape is left: `%2561` is `%61` is `a`. One pass, since only the end of what is done can become an escape.
fn decoded(path: &str) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    for byte in path.bytes() {
        out.push(byte);
        while let [.., b'%', high, low] = *out.as_slice()
            && let (Some(high), Some(low)) = (hex::digit(high), hex::digit(low))
        {
            out.truncate(out.len() - 3);
            out.push(high << 4 | low);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, proptest};
    use proptest::prop_assert_eq;

    use super::*;

    #[test]
    fn all_lenient_readings_of_a_path_are_one_path() {
        for path in [
            "/admin/secret",
            "/admin/secret/",
            "/Admin/SECRET",
            "/admin%2Fsecret",
            "/admin%252fsecret",
            "/%2561dmin/secret",
            "/%6%31dmin/secret",
            "/admin%255Csecret",
            "/admin./secret.",
            "/admin%20/secret",
            "/admin;x=1/secret%253By",
            "/public/%252e%252e/admin/secret",
            "//admin/./secret",
            "/public/..%20/admin/secret",
            "/adm\u{131}n/\u{17f}ecret",
        ] {
            assert_eq!(loosest(path), "/admin/secret", "{path}");
        }
        assert_eq!(loosest("/caf%C3%89"), "/caf\u{e9}");
        assert_eq!(loosest("/"), "");
        assert_eq!(loosest("/../x"), "/x");
    }

    #[test]
    fn a_script_and_its_path_info_are_separated() {
        assert_eq!(script_readings("/a/b.php"), None);
        assert_eq!(
            script_readings("/a/index.php/b/c.php/d"),
            Some(["/a/index.php", "/b/c.php/d"])
        );
    }

    #[test]
    fn a_segment_hidden_by_double_encoding_is_found() {
        for path in [
            "/a/%252e%252E/b",
            "/a/.%252e",
            "/a%252F..%255Cb",
            "/a%250Ab",
            "/%25252e/",
        ] {
            assert!(hides_something(path), "{path}");
        }
        for path in ["/100%25", "/a%252Fb", "/a%25.b", "/..a%25"] {
            assert!(!hides_something(path), "{path}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_short_way_agrees_with_the_long_one(path in "/[a-z./~-]{0,12}") {
            let spelled: String = path.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(loosest(&path), loosest(&spelled));
        }

        #[test]
        fn reading_twice_changes_nothing(path in "(/|%25|%2[0-9a-f]|[a-zA-Z0-9.;~]|\u{212a}){0,24}") {
            let once = loosest(&path).into_owned();
            prop_assert_eq!(loosest(&once), once.as_str());
        }
    }
}
