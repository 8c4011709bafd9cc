//! A response as the gateway's reader delimits it, against the response that hyper's client reads
//! from the same bytes: the same status, headers and body, whole or not at all. Input: the method,
//! sizes of the pieces in which the bytes arrive, then the bytes.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{HeaderMap, Method, Request};
use skeygate::upstream::transport::http1::framer::{Framer, Verdict};
use tokio::runtime::{Builder, Runtime};

use super::framing::{Padding, decode};
use super::text;

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// Outcome of a connection's bytes.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// How many were let through.
    passed: usize,
    /// The answer is over, and the connection may be used again.
    complete: bool,
    refused: bool,
}

/// A response that a reader took for whole.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// See the module.
pub fn check(data: &[u8]) {
    let (method, rest) = text::first_line(data);
    let (sizes, bytes) = text::first_line(rest);
    let method = if method == b"HEAD" {
        Method::HEAD
    } else {
        Method::GET
    };
    let whole = cut(&method, bytes, &[]);
    let pieces = cut(&method, bytes, sizes);
    assert_eq!(pieces, whole, "the pieces make a difference");
    assert!(whole.refused || !whole.complete || whole.passed == bytes.len());
    let passed = &bytes[..whole.passed];
    let ours = plainly(&method, passed);
    let switches = matches!(&ours, Some(Reading::Switched));
    if switches {
        return;
    }
    let theirs = read_by_hyper(&method, passed);
    match ours {
        Some(Reading::Whole(ours, end)) => {
            assert_eq!(theirs, Some(ours));
            let is_over = end == Some(whole.passed) && !whole.refused;
            assert_eq!(whole.complete, is_over, "whole, and not known as such");
        }
        Some(Reading::Switched) | None => {
            assert!(!whole.complete, "half an answer counts as a whole one");
            assert_eq!(theirs, None, "half an answer is passed on as a whole one");
        }
    }
}

fn cut(method: &Method, bytes: &[u8], sizes: &[u8]) -> Outcome {
    let mut framer = Framer::new();
    framer.expect_response(method);
    let (mut passed, mut end, mut refused) = (0, 0, false);
    let sizes = sizes.iter().map(|size| usize::from(*size) % 64);
    for size in sizes.chain([bytes.len()]) {
        end = (end + size).min(bytes.len());
        let verdict = framer.read(&bytes[passed..end]);
        match verdict {
            Verdict::Pass => passed = end,
            Verdict::HoldFrom(at) => passed += at,
            Verdict::RefuseFrom(at) => {
                passed += at;
                refused = true;
                break;
            }
        }
    }
    assert_eq!(framer.fault().is_some(), refused);
    Outcome {
        passed,
        complete: framer.is_between_responses(),
        refused,
    }
}

/// The bytes as a plain reader interprets them.
enum Reading {
    /// With its end, where it has one before the connection's, and nothing was announced that is
    /// not there.
    Whole(Answer, Option<usize>),
    Switched,
}

/// The answer by a plain reading of RFC 9112, 6.3; `None` where it is not whole.
fn plainly(method: &Method, bytes: &[u8]) -> Option<Reading> {
    let mut at = 0;
    loop {
        let mut fields = [httparse::EMPTY_HEADER; 128];
        let mut head = httparse::Response::new(&mut fields);
        let read = head.parse(&bytes[at..]);
        let length = match read {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return None,
            Err(error) => panic!("no other reader takes what passed: {error}"),
        };
        at += length;
        let status = head.code?;
        match status {
            101 => return Some(Reading::Switched),
            100..=199 => continue,
            _ => {}
        }
        let mut headers = HeaderMap::new();
        for field in head.headers.iter() {
            let name = hyper::header::HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            let value = hyper::header::HeaderValue::from_bytes(field.value).ok()?;
            headers.append(name, value);
        }
        let rest = &bytes[at..];
        let lengths: Vec<_> = headers.get_all("content-length").iter().collect();
        assert!(lengths.len() <= 1, "two lengths passed");
        let chunked = headers.contains_key("transfer-encoding");
        assert!(!chunked || lengths.is_empty(), "two framings passed");
        let nothing = lengths.iter().all(|length| length.as_bytes() == b"0") && !chunked;
        let (body, end) = if *method == Method::HEAD && !matches!(status, 204 | 304) {
            (Vec::new(), Some(at))
        } else if matches!(status, 204 | 304) {
            (Vec::new(), Some(at).filter(|_| nothing))
        } else if chunked {
            let (body, length) = decode(rest, Padding::Blanks)?;
            (body, Some(at + length))
        } else if let [length] = lengths[..] {
            let length: usize = length.to_str().ok()?.parse().unwrap_or(usize::MAX);
            (rest.get(..length)?.to_vec(), Some(at + length))
        } else {
            (rest.to_vec(), None)
        };
        let answer = Answer {
            status,
            headers,
            body,
        };
        return Some(Reading::Whole(answer, end));
    }
}

fn read_by_hyper(method: &Method, bytes: &[u8]) -> Option<Answer> {
    let wire = Wire {
        bytes: Bytes::copy_from_slice(bytes),
        asked: false,
        waiting: None,
    };
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = method.clone();
    let exchange = async {
        let (mut sender, connection) = http1::handshake(wire).await.ok()?;
        let answer = async move {
            let answer = sender.send_request(request).await.ok()?;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.ok()?;
            Some(Answer {
                status: parts.status.as_u16(),
                headers: parts.headers,
                body: body.to_bytes().to_vec(),
            })
        };
        let (_, answer) = tokio::join!(connection, answer);
        answer
    };
    RUNTIME.with_borrow_mut(|runtime| {
        let runtime = runtime.get_or_insert_with(|| {
            let runtime = Builder::new_current_thread().build();
            runtime.unwrap_or_else(|error| panic!("starting a runtime: {error}"))
        });
        runtime.block_on(exchange)
    })
}

/// A socket from which these bytes come once something was asked, and then its end.
struct Wire {
    bytes: Bytes,
    asked: bool,
    waiting: Option<Waker>,
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.asked {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let length = buffer.remaining().min(self.bytes.len());
        buffer.put_slice(&self.bytes.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
