//! Bodies that are read whole, within a limit and a deadline: of logins and of routes with body
//! tokens. All other bodies are streamed.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::body::Body;
use hyper::header::CONTENT_TYPE;
use tokio::time::Instant;

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyProblem {
    /// Larger than the limit.
    TooLarge,
    /// Not complete within the timeout.
    TimedOut,
    /// Truncated, or with invalid framing.
    Damaged,
}

/// Reads a body of at most `limit` bytes within `timeout`.
///
/// # Errors
/// By cause; the bytes read are dropped.
pub async fn read<B>(body: &mut B, limit: u64, timeout: Duration) -> Result<Bytes, BodyProblem>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > limit {
        return Err(BodyProblem::TooLarge);
    }
    let deadline = Instant::now() + timeout;
    let mut whole = BytesMut::new();
    loop {
        let frame = tokio::time::timeout_at(deadline, body.frame())
            .await
            .map_err(|_| BodyProblem::TimedOut)?;
        let Some(frame) = frame else {
            return Ok(whole.freeze());
        };
        let frame = frame.map_err(|_| BodyProblem::Damaged)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let size = whole.len().saturating_add(data.len());
        if u64::try_from(size).unwrap_or(u64::MAX) > limit {
            return Err(BodyProblem::TooLarge);
        }
        whole.extend_from_slice(&data);
    }
}

/// The kinds of body with readable fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// `application/json` or `…+json`.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
}

/// The kind by `Content-Type`; `None` for another type or several headers.
#[must_use]
pub fn kind(headers: &HeaderMap) -> Option<BodyKind> {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return None;
    };
    let essence = line
        .to_str()
        .ok()?
        .split(';')
        .next()?
        .trim()
        .to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Some(BodyKind::Json),
        "application/x-www-form-urlencoded" => Some(BodyKind::Form),
        other if other.starts_with("application/") && other.ends_with("+json") => {
            Some(BodyKind::Json)
        }
        _ => None,
    }
}
