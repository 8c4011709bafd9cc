//! What the service of `[users.webhook]` answers: all of it as agreed, or nothing of it counts.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Told;
use crate::config::is_claim_name;
use crate::users::LONGEST_ID;

/// Claims that one user may have.
const MOST_CLAIMS: usize = 16;
/// Bytes of a claim that is a text: it goes into a header of every request.
const LONGEST_CLAIM: usize = 256;
/// Characters of a reason that go to the log.
const SHOWN_REASON: usize = 256;

/// The answer, or what is wrong with it.
pub(super) fn read(body: &[u8], request_id: &str) -> Result<Told, String> {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return Err("the answer is not JSON".to_owned());
    };
    let Value::Object(mut fields) = value else {
        return Err("the answer is no JSON object".to_owned());
    };
    if denies(fields.remove("deny"), request_id)? {
        return Ok(Told::Denied);
    }
    let user_id = match fields.remove("user_id") {
        None => return Err("the answer has no `user_id`; null is for nobody".to_owned()),
        Some(Value::Null) => return Ok(Told::Unknown),
        Some(value) => user_id(&value)?,
    };
    let is_new = match fields.remove("is_new") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(is_new)) => Some(is_new),
        Some(_) => return Err("`is_new` is neither true nor false".to_owned()),
    };
    let claims = match fields.remove("claims") {
        None | Some(Value::Null) => BTreeMap::new(),
        // PHP has no other word for none.
        Some(Value::Array(list)) if list.is_empty() => BTreeMap::new(),
        Some(Value::Object(claims)) => read_claims(claims)?,
        Some(_) => return Err("`claims` is no JSON object".to_owned()),
    };
    Ok(Told::User {
        user_id,
        is_new,
        claims,
    })
}

fn denies(value: Option<Value>, request_id: &str) -> Result<bool, String> {
    let reason = match value {
        None | Some(Value::Null | Value::Bool(false)) => return Ok(false),
        Some(Value::Bool(true)) => None,
        Some(Value::String(reason)) => Some(reason),
        Some(_) => return Err("`deny` is neither true, false nor a text".to_owned()),
    };
    let reason: Option<String> = reason.map(|text| text.chars().take(SHOWN_REASON).collect());
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
        Value::Number(number) if number.is_u64() || number.is_i64() => number.to_string(),
        _ => return Err("`user_id` is neither a text, a whole number nor null".to_owned()),
    };
    let fits =
        (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        return Err(format!(
            "`user_id` is not 1 to {LONGEST_ID} visible ASCII characters"
        ));
    }
    Ok(text)
}

fn read_claims(claims: Map<String, Value>) -> Result<BTreeMap<String, String>, String> {
    if claims.len() > MOST_CLAIMS {
        return Err(format!("there are more than {MOST_CLAIMS} claims"));
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
        if text.len() > LONGEST_CLAIM {
            return Err(format!(
                "claim `{name}` is longer than {LONGEST_CLAIM} bytes"
            ));
        }
        read.insert(name, text);
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(answer: &str) -> Result<Told, String> {
        read(answer.as_bytes(), "r1")
    }

    fn user(user_id: &str, is_new: Option<bool>, claims: &[(&str, &str)]) -> Result<Told, String> {
        let claims = claims
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Ok(Told::User {
            user_id: user_id.to_owned(),
            is_new,
            claims: claims.collect(),
        })
    }

    #[test]
    fn what_was_agreed_is_read() {
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
        assert_eq!(told(r#"{"user_id":null}"#), Ok(Told::Unknown));
        for denial in [
            r#"{"deny":true}"#,
            r#"{"deny":"closed","user_id":1}"#,
            r#"{"deny":""}"#,
        ] {
            assert_eq!(told(denial), Ok(Told::Denied), "{denial}");
        }
        assert_eq!(told(r#"{"deny":false,"user_id":1}"#), user("1", None, &[]));
    }

    #[test]
    fn whatever_else_is_told_by_what_is_wrong_and_no_value() {
        let many: Vec<String> = (0..17).map(|n| format!("\"c{n}\":1")).collect();
        let many = format!(r#"{{"user_id":1,"claims":{{{}}}}}"#, many.join(","));
        let long = format!(r#"{{"user_id":1,"claims":{{"a":"{}"}}}}"#, "é".repeat(129));
        let name = format!(r#"{{"user_id":1,"claims":{{"{}":1}}}}"#, "s".repeat(33));
        for (answer, what) in [
            ("", "the answer is not JSON"),
            ("<b>s3cret</b>", "the answer is not JSON"),
            ("\"s3cret\"", "the answer is no JSON object"),
            ("{}", "the answer has no `user_id`; null is for nobody"),
            (
                r#"{"user_id":4.2}"#,
                "`user_id` is neither a text, a whole number nor null",
            ),
            (
                r#"{"user_id":["s3cret"]}"#,
                "`user_id` is neither a text, a whole number nor null",
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
                "`claims` is no JSON object",
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
