//! Response formats of Tencent's wafer client SDKs, 1 and 2. Each SDK discards its session on one
//! specific value, which must not be sent for any other reason.

use serde_json::{Map, Value, json};

use crate::error::ErrorResponse;
use crate::login::LoginResult;

/// Marks a response as one for the SDK of wafer 1, and not for the page.
const MAGIC: &str = "F2C224D4-2BCE-4C64-AF9F-A6D872000D1A";

/// A login response for the SDK of wafer 1, which expects both parts of its session and sends both
/// back; only the skey matters.
pub(super) fn login1(result: &LoginResult) -> Value {
    let id = result.user_id.as_ref().unwrap_or(&result.openid);
    json!({ MAGIC: 1, "session": { "id": id, "skey": result.skey } })
}

/// A login response for the SDK of wafer 2, which expects a `userinfo` and passes it to the page.
pub(super) fn login2(result: &LoginResult, profile: Option<&Map<String, Value>>) -> Value {
    let mut userinfo = profile.cloned().unwrap_or_default();
    userinfo.insert("openId".to_owned(), Value::from(result.openid.as_str()));
    userinfo.insert("userId".to_owned(), Value::from(result.user_id.as_deref()));
    json!({ "code": 0, "data": { "skey": result.skey, "userinfo": userinfo } })
}

/// A refusal for the SDK of wafer 1. With the magic key the SDK discards its session, and one error
/// makes it log in again. So only that error and refused logins carry the key, and an outage does
/// not log users out.
pub(super) fn refusal1(answer: &ErrorResponse, request_id: &str) -> Value {
    let error = match answer.name {
        _ if answer.is_not_logged_in() => Some("ERR_INVALID_SESSION"),
        "unknown_user" => Some("ERR_LOGIN_FAILED"),
        name if name.starts_with("login_") => Some("ERR_LOGIN_FAILED"),
        _ => None,
    };
    let mut body = common(answer, request_id);
    body.insert(
        "error".to_owned(),
        Value::from(error.unwrap_or(answer.name)),
    );
    if error.is_some() {
        body.insert(MAGIC.to_owned(), Value::from(1));
    }
    Value::Object(body)
}

/// A refusal for the SDK of wafer 2, which discards its session and logs in again on -1, so only
/// one error carries it. `error` is the value of Tencent's own servers, which the SDK passes to
/// pages.
pub(super) fn refusal2(answer: &ErrorResponse, request_id: &str) -> Value {
    let (code, error) = match answer.name {
        _ if answer.is_not_logged_in() => (-1, "ERR_SKEY_INVALID"),
        "login_code_missing" => (answer.errcode, "ERR_HEADER_MISSED"),
        "undecryptable" | "session_key_expired" => (answer.errcode, "ERR_IN_DECRYPT_DATA"),
        name if name.starts_with("login_") || name.starts_with("wechat_") => {
            (answer.errcode, "ERR_GET_SESSION_KEY")
        }
        name => (answer.errcode, name),
    };
    let mut body = common(answer, request_id);
    body.insert("code".to_owned(), Value::from(code));
    body.insert("error".to_owned(), Value::from(error));
    Value::Object(body)
}

fn common(answer: &ErrorResponse, request_id: &str) -> Map<String, Value> {
    let texts = [
        ("message", answer.errmsg),
        ("errmsg", answer.errmsg),
        ("request_id", request_id),
    ];
    let texts = texts.map(|(key, text)| (key.to_owned(), Value::from(text)));
    let mut body: Map<String, Value> = texts.into_iter().collect();
    body.insert("errcode".to_owned(), Value::from(answer.errcode));
    body
}
