//! The most lenient reading of a path. It is neither forwarded nor used to choose a route: the
//! route table checks with it whether a lenient service would find a better protected path.

use std::borrow::Cow;

use super::hex;

/// The path as read by a service that ignores case, decodes repeatedly, treats `\` as `/`, merges
/// slashes, and cuts off path parameters (`;…`, as Java does) and dots and blanks at the end of a
/// name (as Windows does). Without a final slash; the root is empty.
#[must_use]
pub fn most_lenient(path: &str) -> Cow<'_, str> {
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

/// PHP's further readings of the most lenient reading `/a/x.php/b`: the script `/a/x.php`, and `/b`
/// for the script's router.
#[must_use]
pub fn script_readings(most_lenient: &str) -> Option<[&str; 2]> {
    let end = most_lenient.find(".php/")? + ".php".len();
    let (script, rest) = most_lenient.split_at_checked(end)?;
    Some([script, rest])
}

/// Whether repeated decoding reveals a dot segment or a control character, which are refused when
/// they are not encoded.
#[must_use]
pub(super) fn hides_something(path: &str) -> bool {
    let decoded = decoded(path);
    let is_slash = |byte: &u8| matches!(byte, b'/' | b'\\');
    let mut names = decoded
        .split(is_slash)
        .map(|segment| segment.split(|&byte| byte == b';').next());
    names.any(|name| matches!(name, Some(b"." | b".."))) || decoded.iter().any(u8::is_ascii_control)
}

/// Whether the path is its own reading, apart from a final slash; nearly always true.
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

/// Decodes until no escape is left: `%2561` is `%61` is `a`. One pass, since only the end of the
/// output can become a new escape.
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
            assert_eq!(most_lenient(path), "/admin/secret", "{path}");
        }
        assert_eq!(most_lenient("/caf%C3%89"), "/caf\u{e9}");
        assert_eq!(most_lenient("/"), "");
        assert_eq!(most_lenient("/../x"), "/x");
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
            prop_assert_eq!(most_lenient(&path), most_lenient(&spelled));
        }

        #[test]
        fn reading_twice_changes_nothing(path in "(/|%25|%2[0-9a-f]|[a-zA-Z0-9.;~]|\u{212a}){0,24}") {
            let once = most_lenient(&path).into_owned();
            prop_assert_eq!(most_lenient(&once), once.as_str());
        }
    }
}
