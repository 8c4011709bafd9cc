//! Responses in WeChat's form, JSON under `text/plain`, errors under status 200, an errmsg that
//! ends in a rid, and the same modified by a fault.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{Response, StatusCode};
use hyper::body::{Body, Frame, SizeHint};
use serde_json::Value;

use super::fault::Fault;

/// A JSON object with ordered fields.
pub(super) type Fields = Vec<(String, Value)>;

/// An errcode with its errmsg, without a rid.
#[derive(Debug)]
pub(super) struct ApiRefusal(pub(super) i64, pub(super) &'static str);

/// Closes the connection without a response, or in the middle of one.
#[derive(Debug)]
pub(super) struct HangUp;

impl std::fmt::Display for HangUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed by a fault")
    }
}

impl std::error::Error for HangUp {}

pub(super) fn refused_fields(errcode: i64, errmsg: String) -> Fields {
    vec![
        ("errcode".to_owned(), Value::from(errcode)),
        ("errmsg".to_owned(), Value::String(errmsg)),
    ]
}

/// The response, modified by the fault.
pub(super) fn api_answer(fields: Fields, fault: &Fault) -> Result<Response<FakeBody>, HangUp> {
    let text = match &fault.body {
        Some(body) => body.clone(),
        None => object(&bent(fields, fault)),
    };
    let mut builder = Response::builder()
        .status(fault.status.unwrap_or(StatusCode::OK.as_u16()))
        .header(
            CONTENT_TYPE,
            fault.content_type.as_deref().unwrap_or("text/plain"),
        );
    if let Some(location) = &fault.location {
        builder = builder.header(LOCATION, location);
    }
    // An invalid status or header of a fault: no response can be built.
    builder
        .body(FakeBody::new(text, fault.truncate))
        .map_err(|_| HangUp)
}

fn bent(mut fields: Fields, fault: &Fault) -> Fields {
    if fault.errcode0 && !fields.iter().any(|(name, _)| name == "errcode") {
        fields.extend(refused_fields(0, "ok".to_owned()));
    }
    for (name, value) in &fault.extra {
        fields.retain(|(known, _)| known != name);
        fields.push((name.clone(), value.clone()));
    }
    fields.retain(|(name, _)| !fault.omit.contains(name));
    if fault.string_errcode {
        for (_, value) in fields.iter_mut().filter(|(name, _)| name == "errcode") {
            if let Value::Number(number) = value {
                *value = Value::String(number.to_string());
            }
        }
    }
    if fault.reorder {
        fields.reverse();
    }
    fields
}

fn object(fields: &Fields) -> String {
    let members: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}:{value}", Value::String(name.clone())))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// A body that may break off.
#[derive(Debug)]
pub(super) struct FakeBody {
    left: Bytes,
    promised: u64,
    ending: Ending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Whole,
    BreaksOff,
    BreaksOffNow,
}

impl FakeBody {
    /// `kept`: break off after this many bytes.
    pub(super) fn new(text: String, kept: Option<usize>) -> Self {
        let mut left = Bytes::from(text);
        let promised = u64::try_from(left.len()).unwrap_or(u64::MAX);
        if let Some(kept) = kept {
            left.truncate(kept);
        }
        Self {
            left,
            promised,
            ending: if kept.is_some() {
                Ending::BreaksOff
            } else {
                Ending::Whole
            },
        }
    }
}

impl Body for FakeBody {
    type Data = Bytes;
    type Error = HangUp;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HangUp>>> {
        let this = self.get_mut();
        if !this.left.is_empty() {
            let left = std::mem::take(&mut this.left);
            return Poll::Ready(Some(Ok(Frame::data(left))));
        }
        match this.ending {
            Ending::Whole => Poll::Ready(None),
            Ending::BreaksOff => {
                // One poll without data makes hyper send its buffer; with the error at once it
                // would send nothing.
                this.ending = Ending::BreaksOffNow;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Ending::BreaksOffNow => Poll::Ready(Some(Err(HangUp))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.ending == Ending::Whole
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}
