//! A few calls that want a token, as samples of all the others: one of JSON, an upload, a download.

use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::fault::Fault;
use super::render::{Answer, Fields, HangUp, Refused, api_answer};
use super::state::State;
use super::tokens;

/// Bytes of what can be downloaded.
const MEDIA: usize = 3 << 20;

/// `POST /wxa/msg_sec_check`.
pub(super) fn msg_sec_check(
    state: &mut State,
    query: &str,
    body: &[u8],
) -> Result<Fields, Refused> {
    let appid = tokens::check_token(state, query)?;
    if body.is_empty() {
        return Err(Refused(44002, "empty post data"));
    }
    let order: Value =
        serde_json::from_slice(body).map_err(|_| Refused(47001, "data format error"))?;
    Ok(vec![
        ("errcode".to_owned(), Value::from(0)),
        ("errmsg".to_owned(), Value::from("ok")),
        // Not WeChat's: what arrived.
        (
            "arrived".to_owned(),
            json!({ "appid": appid, "body": order, "query": without_token(query) }),
        ),
    ])
}

/// `POST /cgi-bin/media/upload`, once its token was looked at: the bytes are counted as they come.
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

/// `GET /cgi-bin/media/get`, once its token was looked at.
pub(super) fn media_get(mut fault: Fault) -> Result<Response<Answer>, HangUp> {
    fault.body = Some("m".repeat(MEDIA));
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
