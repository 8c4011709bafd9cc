//! The requests of a connection as the gateway's framing delimits them, against those that hyper
//! reads from the same bytes: the same requests, one for one, with the same bodies, and never one
//! more. Input: the bytes of a connection.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use skeygate::http::framing::{Chunks, Framing, HeadReader};
use tokio::runtime::{Builder, Runtime};

use super::framing::{MAX_HEAD, Message, Padding, decode};

/// More than a fuzzer packs into one input.
const MOST: usize = 16;

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// One request with its body.
#[derive(Debug, PartialEq, Eq)]
struct Whole {
    method: String,
    /// Of an origin-form target; the others are spelt anew.
    target: Option<Vec<u8>>,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// See the module.
pub fn check(data: &[u8]) {
    let (ours, passed) = cut(data);
    let theirs = read_by_hyper(&data[..passed]);
    // hyper stops where a request ends the connection, or where it is stricter still.
    assert!(
        theirs.len() <= ours.len(),
        "hyper sees {} requests, not {}",
        theirs.len(),
        ours.len()
    );
    for (theirs, ours) in theirs.iter().zip(&ours) {
        assert_eq!(theirs, ours);
    }
}

/// The requests of a connection that pass, and their length in bytes.
fn cut(data: &[u8]) -> (Vec<Whole>, usize) {
    let mut wholes = Vec::new();
    let mut at = 0;
    while wholes.len() < MOST {
        let rest = &data[at..];
        let Ok(Some((length, framing))) = HeadReader::default().read(rest, MAX_HEAD) else {
            break;
        };
        let (head, behind) = rest.split_at(length);
        let (body, taken) = match framing {
            Framing::Empty => (Vec::new(), 0),
            Framing::Length(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let Some(body) = behind.get(..length) else {
                    break;
                };
                (body.to_vec(), length)
            }
            Framing::Chunked => {
                let Ok((taken, true)) = Chunks::default().read(behind) else {
                    break;
                };
                let decoded = decode(&behind[..taken], Padding::None);
                let (body, end) = decoded.unwrap_or_else(|| panic!("no other reader ends here"));
                assert_eq!(end, taken);
                (body, taken)
            }
        };
        wholes.push(whole(&Message::of(head), body));
        at += length + taken;
    }
    (wholes, at)
}

fn whole(message: &Message<'_>, body: Vec<u8>) -> Whole {
    let mut headers = HeaderMap::new();
    for (name, value) in &message.fields {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(value);
        match (name, value) {
            (Ok(name), Ok(value)) => headers.append(name, value),
            odd => panic!("{odd:?} passed"),
        };
    }
    Whole {
        method: message.method.to_owned(),
        target: message
            .target
            .starts_with(b"/")
            .then(|| message.target.to_vec()),
        headers,
        body,
    }
}

fn read_by_hyper(bytes: &[u8]) -> Vec<Whole> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let wire = Wire(Bytes::copy_from_slice(bytes));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Rc::clone(&seen);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await;
            // A body that is not whole was not let through.
            let body = body.unwrap_or_else(|error| panic!("hyper cannot read the body: {error}"));
            let path = parts
                .uri
                .path_and_query()
                .map(|target| target.as_str().as_bytes().to_vec());
            seen.borrow_mut().push(Whole {
                method: parts.method.as_str().to_owned(),
                target: path
                    .filter(|_| parts.uri.authority().is_none())
                    .filter(|path| path.starts_with(b"/")),
                headers: parts.headers,
                body: body.to_bytes().to_vec(),
            });
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let connection = http1::Builder::new().serve_connection(wire, service);
    RUNTIME.with_borrow_mut(|runtime| {
        let runtime = runtime.get_or_insert_with(|| {
            let runtime = Builder::new_current_thread().build();
            runtime.unwrap_or_else(|error| panic!("starting a runtime: {error}"))
        });
        // It ends with an error where the bytes do.
        let _ = runtime.block_on(connection);
    });
    seen.take()
}

/// A socket that reads these bytes and then its end, and discards writes.
struct Wire(Bytes);

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let length = buffer.remaining().min(self.0.len());
        buffer.put_slice(&self.0.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
