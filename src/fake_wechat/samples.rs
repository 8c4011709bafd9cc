//! Samples of calls that need a token: one of JSON, an upload, a download.

use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::fault::Fault;
use super::render::{ApiRefusal, FakeBody, Fields, HangUp, api_answer};
use super::state::FakeState;
use super::token_calls;

/// Size of the download in bytes.
const MEDIA_BYTES: usize = 3 << 20;

/// `POST /wxa/msg_sec_check`.
pub(super) fn msg_sec_check(
    state: &mut FakeState,
    query: &str,
    body: &[u8],
) -> Result<Fields, ApiRefusal> {
    let appid = token_calls::check_token(state, query)?;
    if body.is_empty() {
        return Err(ApiRefusal(44002, "empty post data"));
    }
    let order: Value =
        serde_json::from_slice(body).map_err(|_| ApiRefusal(47001, "data format error"))?;
    Ok(vec![
        ("errcode".to_owned(), Value::from(0)),
        ("errmsg".to_owned(), Value::from("ok")),
        // Not a field of WeChat: echoes the received text.
        (
            "arrived".to_owned(),
            json!({ "appid": appid, "body": order, "query": without_token(query) }),
        ),
    ])
}

/// `POST /cgi-bin/media/upload`, after the token was checked: counts the bytes as they arrive.
pub(super) async fn media_upload(request: Request<Incoming>) -> Result<Fields, HangUp> {
    let mut body = request.into_body();
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| HangUp)?;
        size += frame.data_ref().map_or(0, bytes::Bytes::len);
    }
    Ok(vec![
        ("media_id".to_owned(), Value::from("media-1")),
        ("size".to_owned(), Value::from(size)),
    ])
}

/// `GET /cgi-bin/media/get`, after the token was checked.
pub(super) fn media_get(mut fault: Fault) -> Result<Response<FakeBody>, HangUp> {
    fault.body = Some("m".repeat(MEDIA_BYTES));
    fault.content_type = Some("image/jpeg".to_owned());
    api_answer(Vec::new(), &fault)
}

fn without_token(query: &str) -> String {
    let pairs = query.split('&');
    let others: Vec<&str> = pairs
        .filter(|pair| !pair.starts_with("access_token="))
        .collect();
    others.join("&")
}
