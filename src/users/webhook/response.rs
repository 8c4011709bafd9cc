//! Parses responses of `users.webhook`: either all of a response is valid, or none of it is used.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::LookupResponse;
use crate::config::is_claim_name;
use crate::users::MAX_ID_LENGTH;

/// Maximum number of claims of a user.
const MAX_CLAIMS: usize = 16;
/// Maximum size of a text claim in bytes: it goes into a header of every request.
const MAX_CLAIM_BYTES: usize = 256;
/// Characters of a reason that are logged.
const MAX_LOGGED_REASON: usize = 256;

/// The fields of an object. A duplicate name is refused, because readers that take the first and
/// the last would disagree.
#[derive(Deserialize)]
struct ResponseFields<'a> {
    #[serde(borrow, default, deserialize_with = "there")]
    deny: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "there")]
    user_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "there")]
    is_new: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "there")]
    claims: Option<&'a RawValue>,
}

/// Parses a response; the error names the fault.
pub(super) fn read(body: &[u8], request_id: &str) -> Result<LookupResponse, String> {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(_)) => {}
        Ok(_) => return Err("the response is not a JSON object".to_owned()),
        Err(_) => return Err("the response is not JSON".to_owned()),
    }
    // The JSON is valid, so a duplicate name is the only possible fault.
    let twice = |_| "the response has a duplicate field".to_owned();
    let answer: ResponseFields<'_> = serde_json::from_slice(body).map_err(twice)?;
    if denies(value(answer.deny), request_id)? {
        return Ok(LookupResponse::Denied);
    }
    let user_id = match value(answer.user_id) {
        None => {
            return Err("the response has no `user_id`; send null for an unknown user".to_owned());
        }
        Some(Value::Null) => return Ok(LookupResponse::Unknown),
        Some(value) => user_id(&value)?,
    };
    let is_new = match value(answer.is_new) {
        None | Some(Value::Null) => None,
        Some(Value::Bool(is_new)) => Some(is_new),
        Some(_) => return Err("`is_new` is neither true nor false".to_owned()),
    };
    let claims = match (value(answer.claims), answer.claims) {
        // PHP has no other value for an empty object.
        (Some(Value::Array(list)), _) if list.is_empty() => BTreeMap::new(),
        (Some(Value::Object(_)), Some(claims)) => read_claims(claims)?,
        (None | Some(Value::Null), _) => BTreeMap::new(),
        (Some(_), _) => return Err("`claims` is not a JSON object".to_owned()),
    };
    Ok(LookupResponse::User {
        user_id,
        is_new,
        claims,
    })
}

/// A field with the value null is present.
fn there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn value(raw: Option<&RawValue>) -> Option<Value> {
    serde_json::from_str(raw?.get()).ok()
}

fn denies(value: Option<Value>, request_id: &str) -> Result<bool, String> {
    let reason = match value {
        None | Some(Value::Null | Value::Bool(false)) => return Ok(false),
        Some(Value::Bool(true)) => None,
        Some(Value::String(reason)) => Some(reason),
        Some(_) => return Err("`deny` is neither true, false nor a text".to_owned()),
    };
    let reason: Option<String> = reason.map(|text| text.chars().take(MAX_LOGGED_REASON).collect());
    tracing::debug!(
        request.id = request_id,
        reason,
        "users.webhook denies a login"
    );
    Ok(true)
}

fn user_id(value: &Value) -> Result<String, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        // PHP turns a missing row into 0, which would then be the id of every user.
        Value::Number(number) if number.as_u64().is_some_and(|number| number > 0) => {
            number.to_string()
        }
        _ => return Err("`user_id` is neither a text, a whole number above 0 nor null".to_owned()),
    };
    let fits = (1..=MAX_ID_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        return Err(format!(
            "`user_id` is not 1 to {MAX_ID_LENGTH} visible ASCII characters"
        ));
    }
    Ok(text)
}

/// Name and value of each claim.
struct Claims(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ClaimsVisitor)
    }
}

struct ClaimsVisitor;

impl<'de> Visitor<'de> for ClaimsVisitor {
    type Value = Claims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claims, A::Error> {
        let mut claims = BTreeMap::new();
        while let Some((name, value)) = map.next_entry()? {
            if claims.insert(name, value).is_some() {
                return Err(A::Error::custom("twice"));
            }
        }
        Ok(Claims(claims))
    }
}

fn read_claims(claims: &RawValue) -> Result<BTreeMap<String, String>, String> {
    let Claims(claims) = serde_json::from_str(claims.get())
        .map_err(|_| "the response has a duplicate claim".to_owned())?;
    if claims.len() > MAX_CLAIMS {
        return Err(format!("there are more than {MAX_CLAIMS} claims"));
    }
    let mut read = BTreeMap::new();
    for (name, value) in claims {
        if !is_claim_name(&name) {
            let rule = "1 to 32 small letters, digits and `_`, a letter first";
            return Err(format!("the name of a claim is not {rule}"));
        }
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(is) => is.to_string(),
            Value::Array(_) | Value::Object(_) => {
                return Err(format!("claim `{name}` is no text, number, true or false"));
            }
        };
        if text.len() > MAX_CLAIM_BYTES {
            return Err(format!(
                "claim `{name}` is longer than {MAX_CLAIM_BYTES} bytes"
            ));
        }
        read.insert(name, text);
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(answer: &str) -> Result<LookupResponse, String> {
        read(answer.as_bytes(), "r1")
    }

    fn user(
        user_id: &str,
        is_new: Option<bool>,
        claims: &[(&str, &str)],
    ) -> Result<LookupResponse, String> {
        let claims = claims
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Ok(LookupResponse::User {
            user_id: user_id.to_owned(),
            is_new,
            claims: claims.collect(),
        })
    }

    #[test]
    fn agreed_responses_are_read() {
        assert_eq!(told(r#"{"user_id":42}"#), user("42", None, &[]));
        assert_eq!(
            told(r#"{"user_id":"u-7","is_new":true,"claims":null}"#),
            user("u-7", Some(true), &[])
        );
        assert_eq!(
            told(r#"{"user_id":18446744073709551615,"claims":[],"more":{"a":1}}"#),
            user("18446744073709551615", None, &[])
        );
        let claims = r#"{"role":"管理 员","level":3,"rate":1.5,"vip":true,"none":null,"empty":""}"#;
        assert_eq!(
            told(&format!(r#"{{"user_id":"1","claims":{claims}}}"#)),
            user(
                "1",
                None,
                &[
                    ("empty", ""),
                    ("level", "3"),
                    ("rate", "1.5"),
                    ("role", "管理 员"),
                    ("vip", "true")
                ]
            )
        );
        assert_eq!(told(r#"{"user_id":null}"#), Ok(LookupResponse::Unknown));
        for denial in [
            r#"{"deny":true}"#,
            r#"{"deny":"closed","user_id":1}"#,
            r#"{"deny":""}"#,
        ] {
            assert_eq!(told(denial), Ok(LookupResponse::Denied), "{denial}");
        }
        assert_eq!(told(r#"{"deny":false,"user_id":1}"#), user("1", None, &[]));
    }

    #[test]
    fn an_invalid_lookup_response_is_reported_by_key_without_values() {
        let many: Vec<String> = (0..17).map(|n| format!("\"c{n}\":1")).collect();
        let many = format!(r#"{{"user_id":1,"claims":{{{}}}}}"#, many.join(","));
        let long = format!(r#"{{"user_id":1,"claims":{{"a":"{}"}}}}"#, "é".repeat(129));
        let name = format!(r#"{{"user_id":1,"claims":{{"{}":1}}}}"#, "s".repeat(33));
        for (answer, what) in [
            ("", "the response is not JSON"),
            ("<b>s3cret</b>", "the response is not JSON"),
            ("\"s3cret\"", "the response is not a JSON object"),
            (
                "{}",
                "the response has no `user_id`; send null for an unknown user",
            ),
            (
                r#"{"user_id":4.2}"#,
                "`user_id` is neither a text, a whole number above 0 nor null",
            ),
            (
                r#"{"user_id":0}"#,
                "`user_id` is neither a text, a whole number above 0 nor null",
            ),
            (
                r#"{"user_id":-5}"#,
                "`user_id` is neither a text, a whole number above 0 nor null",
            ),
            (
                r#"{"deny":true,"deny":false,"user_id":3}"#,
                "the response has a duplicate field",
            ),
            (
                r#"{"user_id":3,"user_id":null}"#,
                "the response has a duplicate field",
            ),
            (
                r#"{"user_id":3,"claims":{"role":"user","role":"admin"}}"#,
                "the response has a duplicate claim",
            ),
            (
                r#"{"user_id":["s3cret"]}"#,
                "`user_id` is neither a text, a whole number above 0 nor null",
            ),
            (
                r#"{"user_id":""}"#,
                "`user_id` is not 1 to 64 visible ASCII characters",
            ),
            (
                r#"{"user_id":"s3 cret"}"#,
                "`user_id` is not 1 to 64 visible ASCII characters",
            ),
            (
                r#"{"user_id":"a\r\nX-Openid: s3cret"}"#,
                "`user_id` is not 1 to 64 visible ASCII characters",
            ),
            (
                r#"{"user_id":1,"is_new":"s3cret"}"#,
                "`is_new` is neither true nor false",
            ),
            (
                r#"{"deny":1,"user_id":1}"#,
                "`deny` is neither true, false nor a text",
            ),
            (
                r#"{"user_id":1,"claims":["s3cret"]}"#,
                "`claims` is not a JSON object",
            ),
            (
                r#"{"user_id":1,"claims":{"Role":"s3cret"}}"#,
                "the name of a claim is not 1 to 32 small letters, digits and `_`, a letter first",
            ),
            (
                &name,
                "the name of a claim is not 1 to 32 small letters, digits and `_`, a letter first",
            ),
            (
                r#"{"user_id":1,"claims":{"a":{"b":"s3cret"}}}"#,
                "claim `a` is no text, number, true or false",
            ),
            (&long, "claim `a` is longer than 256 bytes"),
            (&many, "there are more than 16 claims"),
        ] {
            assert_eq!(told(answer), Err(what.to_owned()), "{answer}");
        }
    }
}
