//! Parses the bodies of WeChat's responses. Nothing is assumed about the order of fields, about
//! unknown fields, or about the content type, which WeChat sets to text/plain.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::errcode::{self, Class};
use super::error::{Flaw, Refusal, WechatError};
use crate::secret::Secret;

/// Longest errmsg that is kept, in characters.
const MAX_ERRMSG: usize = 300;
/// Longest request id that is kept; WeChat's have 26 characters.
const MAX_RID: usize = 64;
/// Minimum length of a text to be hidden; removing shorter ones would garble the message.
const MIN_HIDDEN: usize = 8;
/// AES-128.
const SESSION_KEY_BYTES: usize = 16;

/// The result of a login code.
#[derive(Debug, Clone)]
pub struct Exchanged {
    /// WeChat's id of the user in this mini program, 1 to 128 visible ASCII characters.
    pub openid: String,
    /// The user's key, in base64 as it came: 16 bytes.
    pub session_key: Secret,
    /// WeChat's id of the user across all apps of one open-platform account, 1 to 128 visible ASCII
    /// characters; `None` when the mini program is bound to no account. It may be absent now and
    /// appear later.
    pub unionid: Option<String>,
}

/// Texts to be removed from an errmsg, should WeChat or an impostor repeat them.
pub(super) struct Hidden<'a>(pub(super) &'a [&'a str]);

/// Parses a response; the fields of a success.
///
/// # Errors
/// The errcode's variant; `BadAnswer` for a body that does not follow WeChat's documentation.
pub(super) fn fields(body: &[u8], hidden: &Hidden<'_>) -> Result<Map<String, Value>, WechatError> {
    let bad = |what| WechatError::BadAnswer { what };
    let value: Value = serde_json::from_slice(body).map_err(|_| bad(Flaw::NotJson))?;
    let Value::Object(fields) = value else {
        return Err(bad(Flaw::NotAnObject));
    };
    let errcode = errcode_of(&fields).ok_or(bad(Flaw::Errcode))?;
    if let Some(refused) = refusal(errcode, &fields, hidden) {
        return Err(refused);
    }
    Ok(fields)
}

/// Parses a response of jscode2session.
///
/// # Errors
/// `BadAnswer`.
pub(super) fn exchanged(fields: &Map<String, Value>) -> Result<Exchanged, WechatError> {
    let bad = |what| WechatError::BadAnswer { what };
    let openid = text(fields, "openid")
        .filter(|openid| is_id(openid))
        .ok_or(bad(Flaw::Openid))?;
    let session_key = text(fields, "session_key")
        .filter(|key| is_session_key(key))
        .ok_or(bad(Flaw::SessionKey))?;
    let unionid = match fields.get("unionid") {
        None | Some(Value::Null) => None,
        Some(Value::String(unionid)) if unionid.is_empty() => None,
        Some(Value::String(unionid)) if is_id(unionid) => Some(unionid.clone()),
        Some(_) => return Err(bad(Flaw::Unionid)),
    };
    Ok(Exchanged {
        openid: openid.to_owned(),
        session_key: Secret::new(session_key),
        unionid,
    })
}

/// The errcode; 0 if absent, which means success, and `None` if it is not a number.
fn errcode_of(fields: &Map<String, Value>) -> Option<i64> {
    match fields.get("errcode") {
        None | Some(Value::Null) => Some(0),
        Some(Value::Number(number)) => number.as_i64(),
        // One example in WeChat's documentation has it in quotes.
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
    }
}

/// `None` when the errcode is not an error.
fn refusal(errcode: i64, fields: &Map<String, Value>, hidden: &Hidden<'_>) -> Option<WechatError> {
    let class = errcode::lookup(errcode).map(|known| known.class);
    if class == Some(Class::Success) {
        return None;
    }
    let errmsg = text(fields, "errmsg").unwrap_or_default();
    let errmsg = hide(&one_line(errmsg), hidden);
    let refusal = Refusal {
        errcode,
        rid: rid_of(&errmsg),
        errmsg: errmsg.chars().take(MAX_ERRMSG).collect(),
    };
    Some(match class {
        Some(Class::Busy) => WechatError::Busy(refusal),
        Some(Class::CodeInvalid) => WechatError::CodeInvalid(refusal),
        Some(Class::CodeUsed) => WechatError::CodeUsed(refusal),
        Some(Class::UserBlocked) => WechatError::UserBlocked(refusal),
        Some(Class::UserRateLimited) => WechatError::UserRateLimited(refusal),
        Some(Class::QuotaExceeded) => WechatError::QuotaExceeded(refusal),
        Some(Class::Misconfigured) => WechatError::Misconfigured(refusal),
        Some(Class::GatewayBug) => WechatError::GatewayBug(refusal),
        // Only responses to calls with a token or a session_key are checked for its errcode.
        Some(Class::TokenStale | Class::SessionKeyStale | Class::Success) | None => {
            WechatError::Unknown(refusal)
        }
    })
}

pub(super) fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str)
}

/// Accepts only text that is safe as a header value and as a part of a Redis key.
fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_session_key(text: &str) -> bool {
    STANDARD
        .decode(text)
        .is_ok_and(|key| key.len() == SESSION_KEY_BYTES)
}

/// Removes control characters, which could forge a log line or colour a terminal.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn hide(errmsg: &str, hidden: &Hidden<'_>) -> String {
    let mut errmsg = errmsg.to_owned();
    for text in hidden.0 {
        if text.len() >= MIN_HIDDEN {
            errmsg = errmsg.replace(*text, "(..)");
        }
    }
    errmsg
}

/// `…, rid: 5f9f0b2e-1b2c3d4e-0a0b0c0d`, or the older `…, hints: [ req_id: aBcD.e ]`.
fn rid_of(errmsg: &str) -> Option<String> {
    let (_, rest) = errmsg
        .rsplit_once("rid: ")
        .or_else(|| errmsg.rsplit_once("req_id: "))?;
    let rid: String = rest
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .take(MAX_RID)
        .collect();
    (!rid.is_empty()).then_some(rid)
}
