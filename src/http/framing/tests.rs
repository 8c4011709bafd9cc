use proptest::prelude::{ProptestConfig, any, prop, proptest};
use proptest::{prop_assert, prop_assert_eq};

use hyper::Uri;

use super::*;

const MAX: usize = 32 * 1024;

fn read(head: &str) -> Result<Option<(usize, Framing)>, HeadError> {
    HeadReader::default().read(head.as_bytes(), MAX)
}

fn read_fields(fields: &str) -> Result<Framing, HeadError> {
    let head = format!("POST /a HTTP/1.1\r\nHost: g\r\n{fields}\r\n");
    let (length, framing) = read(&head)?.expect("a whole head");
    assert_eq!(length, head.len());
    Ok(framing)
}

fn is_malformed<T>(result: &Result<T, HeadError>) -> bool {
    matches!(result, Err(HeadError::Malformed(_)))
}

#[test]
fn the_head_decides_the_framing() {
    for (fields, framing) in [
        ("", Framing::Empty),
        ("Content-Length: 0\r\n", Framing::Empty),
        ("content-length:\t12 \r\n", Framing::Length(12)),
        ("Transfer-Encoding: Chunked\r\n", Framing::Chunked),
        (
            "Content-Length: 9223372036854775807\r\n",
            Framing::Length(i64::MAX as u64),
        ),
    ] {
        assert_eq!(read_fields(fields), Ok(framing), "{fields:?}");
    }
}

#[test]
fn two_ways_to_frame_are_refused() {
    for fields in [
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: 01\r\n",
        "Content-Length: \r\n",
        "Content-Length: 1 1\r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Content_Length: 1\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding: x\u{b}chunked\r\n",
        "Transfer.Encoding: chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Host: g\r\n",
        " folded: 1\r\n",
        "a: b\r\n\tc\r\n",
        "no colon\r\n",
        ": b\r\n",
        "a: b\rc\r\n",
        "a: \0\r\n",
        "a: b\n",
    ] {
        let read = read_fields(fields);
        assert!(is_malformed(&read), "{read:?} for {fields:?}");
    }
    let old = read("POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(is_malformed(&old), "{old:?}");
}

#[test]
fn a_request_line_has_three_parts_and_two_spaces() {
    for line in [
        "GET /a",
        "GET  /a HTTP/1.1",
        "GET /a  HTTP/1.1",
        "GET /a HTTP/1.1 ",
        " GET /a HTTP/1.1",
        "GET\t/a HTTP/1.1",
        "GET /a HTTP/1.2",
        "GET /a http/1.1",
        "GET /a HTTP/2.0",
        "G(T /a HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /a#b HTTP/1.1",
        "GET /a\u{7f} HTTP/1.1",
        "GET a HTTP/1.1 HTTP/1.1",
    ] {
        let read = read(&format!("{line}\r\nHost: g\r\n\r\n"));
        assert!(is_malformed(&read), "{read:?} for {line:?}");
    }
}

#[test]
fn bytes_of_another_protocol_are_refused_before_a_line_ends() {
    let mut reader = HeadReader::default();
    let hello = b"\x16\x03\x01\x02\x00\x01\x00";
    assert!(is_malformed(&reader.read(hello, MAX)));
    assert_eq!(read("GET /a HTT"), Ok(None));
    assert_eq!(read("GET /a HTTP/1.1\r"), Ok(None));
}

#[test]
fn each_limit_has_its_own_error() {
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(MAX_TARGET));
    assert_eq!(read(&long), Err(HeadError::TargetTooLong));
    assert_eq!(
        read(&format!("GET /{}", "a".repeat(MAX))),
        Err(HeadError::TargetTooLong)
    );
    let wide = format!("GET / HTTP/1.1\r\na: {}", "a".repeat(MAX));
    assert_eq!(read(&wide), Err(HeadError::HeadTooLarge));
    let many = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
    let most = many(MAX_FIELDS);
    assert_eq!(read(&most), Ok(Some((most.len(), Framing::Empty))));
    assert_eq!(read(&many(MAX_FIELDS + 1)), Err(HeadError::HeadTooLarge));
}

#[test]
fn a_refused_request_is_logged_by_its_line() {
    let head = b"\r\nPOST /a/b?secret HTTP/1.1\r\nHost : g\r\n";
    let mut reader = HeadReader::default();
    assert!(is_malformed(&reader.read(head, MAX)));
    assert_eq!(reader.line(head), Some((Method::POST, "/a/b".to_owned())));
}

fn chunks(body: &str) -> Result<(usize, bool), (usize, Damage)> {
    Chunks::default().read(body.as_bytes())
}

#[test]
fn chunks_end_where_their_sizes_say() {
    for (body, rest) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "GET /"),
        ("A;x=\"1\"\r\n0123456789\r\n00;y\r\nT: 1\r\n\r\n", "x"),
    ] {
        assert_eq!(
            chunks(&format!("{body}{rest}")),
            Ok((body.len(), true)),
            "{body:?}"
        );
    }
    assert_eq!(chunks("5\r\nhel"), Ok((6, false)));
}

#[test]
fn damaged_chunks_are_refused() {
    for body in [
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "0x5\r\nhello\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5\nhello\r\n",
        "5;a\nhello\r\n",
        "5;\0\r\nhello\r\n",
        "5\r\nhelloo\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "0000000000000005\r\n",
        "ffffffffffffffff\r\n",
        "0\r\nT: 1\n\r\n",
        "0\r\nT : 1\r\n\r\n",
        "0\r\n folded\r\n\r\n",
        "0\r\nContent-Length: 1\r\n\r\n",
        "0\r\nTransfer_Encoding: chunked\r\n\r\n",
        "0\r\n\n",
    ] {
        assert!(chunks(body).is_err(), "{body:?}");
        let response = Chunks::of_answer().read(body.as_bytes());
        let padded = body.starts_with("5 ") || body.contains("Length") || body.contains("Encoding");
        assert_eq!(response.is_ok(), padded, "{response:?} for {body:?}");
    }
    // Found by fuzzing: these passed in responses, as 5 to one reader and 86 to one that skips
    // blanks.
    for body in ["5 6\r\nhello\r\n0\r\n\r\n", "5 \t x\r\nhello\r\n0\r\n\r\n"] {
        assert!(
            Chunks::of_answer().read(body.as_bytes()).is_err(),
            "{body:?}"
        );
    }
    let padded = "5 \t;x\r\nhello\r\n0  \r\n\r\n";
    assert_eq!(
        Chunks::of_answer().read(padded.as_bytes()),
        Ok((padded.len(), true))
    );
    let extension = format!("1;{}\r\n", "x".repeat(300));
    assert!(chunks(&extension).is_err());
    let trailers = format!("0\r\n{}\r\n", "T: 1\r\n".repeat(MAX_FIELDS + 1));
    assert!(chunks(&trailers).is_err());
}

/// Heads that are almost well-formed.
const HEADS: &str = "(\r\n)?(GET|POST|get) (/[a-c%?]{0,4}|\\*|http://g/x) HTTP/1\\.[01]\r\n\
    (Host: g\r\n|Content-Length: [0-9+]{1,2}\r\n|Transfer-Encoding: ?(chunked|gzip)\r\n|A[ _]?: [a\t\u{e9}\r]{0,3}\r\n){0,4}\r\n.{0,3}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_head_read_in_pieces_gives_the_same_result(head in HEADS, steps in prop::collection::vec(1_usize..9, 1..40)) {
        let bytes = head.as_bytes();
        let whole = HeadReader::default().read(bytes, MAX);
        let mut reader = HeadReader::default();
        let (mut end, mut pieces) = (0, Ok(None));
        for step in steps.iter().cycle() {
            end = (end + step).min(bytes.len());
            pieces = reader.read(&bytes[..end], MAX);
            if end == bytes.len() || pieces != Ok(None) {
                break;
            }
        }
        prop_assert_eq!(pieces, whole);
    }

    /// hyper reads with httparse: an accepted head must be the same message there.
    #[test]
    fn an_accepted_head_is_read_the_same_by_httparse(head in HEADS) {
        if let Ok(Some((length, framing))) = HeadReader::default().read(head.as_bytes(), MAX) {
            let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
            let mut request = httparse::Request::new(&mut fields);
            let read = request.parse(head.as_bytes());
            prop_assert_eq!(read, Ok(httparse::Status::Complete(length)));
            prop_assert!(Uri::try_from(request.path.unwrap_or_default()).is_ok());
            let value = |name: &str| {
                let found = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
                found.map(|field| String::from_utf8_lossy(field.value).into_owned())
            };
            let expected = match (value("transfer-encoding"), value("content-length").as_deref()) {
                (Some(_), _) => Framing::Chunked,
                (None, None | Some("0")) => Framing::Empty,
                (None, Some(length)) => Framing::Length(length.parse().unwrap()),
            };
            prop_assert_eq!(framing, expected);
        }
    }

    #[test]
    fn chunks_read_in_pieces_end_at_the_same_place(
        body in "([0-3](;[a=]{0,2})?\r\n[a-c]{0,3}\r\n){0,4}0\r\n(T: 1\r\n)?\r\n.{0,4}",
        size in 1_usize..7,
    ) {
        let whole = chunks(&body);
        let mut reader = Chunks::default();
        let mut read = 0;
        let mut pieces = Ok((0, false));
        for piece in body.as_bytes().chunks(size) {
            pieces = reader.read(piece).map_err(|(good, damage)| (read + good, damage));
            if let Ok((taken, _)) = &mut pieces {
                read += *taken;
                *taken = read;
            }
            if !matches!(pieces, Ok((_, false))) {
                break;
            }
        }
        prop_assert_eq!(pieces, whole);
    }

    #[test]
    fn arbitrary_bytes_never_panic_the_readers(bytes in any::<Vec<u8>>()) {
        let _ = HeadReader::default().read(&bytes, MAX);
        let _ = Chunks::default().read(&bytes);
    }
}
