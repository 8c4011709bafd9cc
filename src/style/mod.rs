//! The formats of login responses and refusals, compatible with old mini programs.

mod wafer;

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use crate::config::Style;
use crate::error::ErrorResponse;
use crate::login::LoginResult;

/// The body of a login response; `expires_in` is in seconds, `profile` is decrypted data from the
/// client.
#[must_use]
pub fn login(
    style: &Style,
    result: &LoginResult,
    expires_in: u64,
    profile: Option<&Map<String, Value>>,
) -> String {
    let LoginResult {
        skey,
        user_id,
        openid,
        is_new,
        ..
    } = result;
    let body = match style {
        Style::Plain => json!({
            "skey": skey, "expires_in": expires_in, "user_id": user_id, "is_new": is_new,
        }),
        Style::Token => json!({ "token": skey, "expires_in": expires_in, "user_id": user_id }),
        Style::Sessionid => json!({ "sessionid": skey, "expires_in": expires_in }),
        Style::Wafer1 => wafer::login1(result),
        Style::Wafer2 => wafer::login2(result, profile),
        Style::Errcode200 => json!({
            "errcode": 0, "errmsg": "ok", "skey": skey, "expires_in": expires_in,
            "user_id": user_id, "is_new": is_new,
        }),
        Style::Custom(custom) => {
            let user_id = user_id.as_deref().unwrap_or_default();
            return fill(
                &custom.login,
                &[
                    ("{skey}", skey),
                    ("{expires_in}", &expires_in.to_string()),
                    ("{user_id}", user_id),
                    ("{openid}", openid),
                    ("{is_new}", if *is_new { "true" } else { "false" }),
                ],
            );
        }
    };
    body.to_string()
}

/// Status and body of a refusal.
#[must_use]
pub fn refusal(style: &Style, answer: &ErrorResponse, request_id: &str) -> (StatusCode, String) {
    let ErrorResponse {
        status,
        name,
        errcode,
        errmsg,
        ..
    } = *answer;
    let plain = || {
        json!({ "error": name, "errcode": errcode, "errmsg": errmsg, "request_id": request_id })
            .to_string()
    };
    match style {
        Style::Plain => (status, plain()),
        Style::Token | Style::Sessionid => {
            let body = json!({ "errcode": errcode, "errmsg": errmsg, "request_id": request_id });
            (status, body.to_string())
        }
        Style::Wafer1 => (status, wafer::refusal1(answer, request_id).to_string()),
        Style::Wafer2 => (status, wafer::refusal2(answer, request_id).to_string()),
        Style::Errcode200 => (StatusCode::OK, plain()),
        Style::Custom(custom) => {
            let body = match &custom.refusal {
                None => plain(),
                Some(template) => fill(
                    template,
                    &[
                        ("{error}", name),
                        ("{errcode}", &errcode.to_string()),
                        ("{errmsg}", errmsg),
                        ("{request_id}", request_id),
                    ],
                ),
            };
            (custom.refusal_status.unwrap_or(status), body)
        }
    }
}

/// The body of a plain success.
#[must_use]
pub fn done(style: &Style) -> String {
    match style {
        Style::Wafer2 => json!({ "code": 0, "data": {} }).to_string(),
        Style::Plain
        | Style::Token
        | Style::Sessionid
        | Style::Wafer1
        | Style::Errcode200
        | Style::Custom(_) => json!({ "errcode": 0, "errmsg": "ok" }).to_string(),
    }
}

/// The body of a response with data from WeChat.
#[must_use]
pub fn decrypted(style: &Style, data: &Map<String, Value>) -> String {
    match style {
        Style::Wafer2 => json!({ "code": 0, "data": data }).to_string(),
        Style::Plain
        | Style::Token
        | Style::Sessionid
        | Style::Wafer1
        | Style::Errcode200
        | Style::Custom(_) => json!({ "errcode": 0, "errmsg": "ok", "data": data }).to_string(),
    }
}

/// Replaces each placeholder by its value, escaped for a JSON string, in one pass: values are not
/// searched for placeholders.
fn fill(template: &str, fields: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len() + 128);
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let field = fields.iter().find(|(name, _)| from.starts_with(name));
        let (value, length) = match field {
            Some((name, value)) => (escaped(value), name.len()),
            None => ("{".to_owned(), 1),
        };
        out.push_str(&value);
        rest = from.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
