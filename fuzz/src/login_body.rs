//! A login's request: reading stops at the limit, and gives a code within WeChat's bounds or a
//! refusal that does not repeat it. Input: kind of body and sizes of its pieces, the query, the
//! `X-Wx-Code`, then the body.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::{Body, Frame};
use hyper::header::HeaderValue;
use serde_json::value::RawValue;
use skeygate::config::{Config, Login};
use skeygate::http::body::{self, BodyKind, BodyProblem};
use skeygate::login::{LOGIN_BODY_LIMIT, find_code, reads_body};
use tokio::runtime::{Builder, Runtime};

use super::fields::pair_values;
use super::text;

/// The one that is there when none is written.
static ENTRY: LazyLock<Login> = LazyLock::new(|| {
    const FILE: &str = "apps = [{ appid = \"wx0123456789abcdef\", secret = \"0123456789abcdef\" }]\n\
        routes = [{ path = \"/*\", respond = {} }]";
    let loaded = Config::parse("fuzz", FILE, &|_| None);
    let mut entries = loaded
        .unwrap_or_else(|error| panic!("{error}"))
        .config
        .login;
    entries.swap_remove(0)
});

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// See the module.
pub fn check(data: &[u8]) {
    let (first, rest) = text::first_line(data);
    let (query, rest) = text::first_line(rest);
    let (header, body) = text::first_line(rest);
    let (content_type, sizes) = match first.iter().position(|byte| *byte == b' ') {
        Some(at) => (&first[..at], &first[at + 1..]),
        None => (first, &[][..]),
    };
    let entry = &*ENTRY;
    assert!(reads_body(entry));
    let Some(text) = read(body, sizes) else {
        return;
    };
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(content_type) {
        headers.insert("content-type", value);
    }
    if let (false, Ok(value)) = (header.is_empty(), HeaderValue::from_bytes(header)) {
        headers.insert("x-wx-code", value);
    }
    let query = std::str::from_utf8(query).ok();
    let kind = body::kind(&headers);
    let body = kind.map(|kind| (kind, text.as_str()));
    let body = body.filter(|(_, text)| !text.is_empty());
    let expected = expected(&headers, query, body);
    match find_code(entry, &headers, query, body) {
        Ok(code) => {
            assert_eq!(Some(code.expose()), expected.as_deref());
            assert!(is_code(code.expose()));
            let shown = format!("{code} {code:?}");
            assert_eq!(shown, "(login code) LoginCode(..)");
        }
        Err(error) => {
            let name = error.response().name;
            assert_eq!(error.response().status.as_u16(), 400, "{error}");
            match expected {
                // Not an object, or one with a field twice.
                _ if name == "bad_request" => assert!(matches!(body, Some((BodyKind::Json, _)))),
                None => assert_eq!(name, "login_code_missing"),
                Some(text) => {
                    assert_eq!(name, "login_code_invalid");
                    assert!(!is_code(&text));
                    let said = format!("{error} {error:?}");
                    let is_long = text.len() > 128;
                    assert!(!is_long || !said.contains(&text), "it is repeated");
                }
            }
        }
    }
}

/// The first text that stands where a code may be, in the order of the sources, as other readers
/// find it.
fn expected(
    headers: &HeaderMap,
    query: Option<&str>,
    body: Option<(BodyKind, &str)>,
) -> Option<String> {
    let first = |text: &str| pair_values(text, "code").into_iter().next();
    let in_body = body.and_then(|(kind, text)| match kind {
        BodyKind::Form => first(text),
        BodyKind::Json => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
            let raw = members.get("code")?.get();
            Some(serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned()))
        }
    });
    let in_header = headers
        .get("x-wx-code")
        .and_then(|value| value.to_str().ok());
    let places = [in_body, in_header.map(str::to_owned), query.and_then(first)];
    places.into_iter().flatten().find(|text| !text.is_empty())
}

fn is_code(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// The body as the gateway reads it, from pieces of the given sizes: all of it, or not a byte when
/// it is longer than the limit.
fn read(body: &[u8], sizes: &[u8]) -> Option<String> {
    let mut pieces = Pieces::cut(body, sizes);
    let read = RUNTIME.with_borrow_mut(|runtime| {
        let runtime = runtime.get_or_insert_with(|| {
            let runtime = Builder::new_current_thread().enable_time().build();
            runtime.unwrap_or_else(|error| panic!("starting a runtime: {error}"))
        });
        let patience = Duration::from_secs(3600);
        runtime.block_on(body::read(&mut pieces, LOGIN_BODY_LIMIT, patience))
    });
    let fits = body.len() <= 8 * 1024;
    match read {
        Ok(bytes) => {
            assert!(fits, "{} bytes were read", bytes.len());
            assert_eq!(bytes, body, "other bytes were read than came");
            String::from_utf8(bytes.to_vec()).ok()
        }
        Err(problem) => {
            assert_eq!(problem, BodyProblem::TooLarge);
            assert!(!fits);
            None
        }
    }
}

/// A body of unknown length, in pieces; some of them empty, trailers at its end.
struct Pieces(VecDeque<Frame<Bytes>>);

impl Pieces {
    fn cut(body: &[u8], sizes: &[u8]) -> Self {
        let mut frames = VecDeque::new();
        let mut rest = Bytes::copy_from_slice(body);
        for size in sizes {
            let size = usize::from(*size) * 16;
            frames.push_back(Frame::data(rest.split_to(size.min(rest.len()))));
        }
        frames.push_back(Frame::data(rest));
        frames.push_back(Frame::trailers(HeaderMap::new()));
        Self(frames)
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}
