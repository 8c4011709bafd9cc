//! The wire shapes of login answers and refusals, so that old mini programs find the answers they were written for.

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::Style;
use crate::error::ErrorAnswer;

/// What a login earned. Not printable: it holds an skey.
#[derive(Clone, Serialize, Deserialize)]
pub struct LoginAnswer {
    /// The skey.
    pub skey: String,
    /// When it ends if it is not used; seconds since 1970.
    pub expires_at: u64,
    /// The user's id; `None` without a user directory.
    pub user_id: Option<String>,
    /// The user's openid.
    pub openid: String,
    /// The mini program.
    pub appid: String,
    /// Whether the user was seen for the first time.
    pub is_new: bool,
}

impl std::fmt::Debug for LoginAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LoginAnswer(..)")
    }
}

/// The body of a login answer; `expires_in` is in seconds.
#[must_use]
pub fn login(style: &Style, answer: &LoginAnswer, expires_in: u64) -> String {
    let LoginAnswer {
        skey,
        user_id,
        openid,
        is_new,
        ..
    } = answer;
    let body = match style {
        Style::Plain => json!({
            "skey": skey, "expires_in": expires_in, "user_id": user_id, "is_new": is_new,
        }),
        Style::Token => json!({ "token": skey, "expires_in": expires_in, "user_id": user_id }),
        Style::Sessionid => json!({ "sessionid": skey, "expires_in": expires_in }),
        // The SDK wants `userinfo` to be truthy and hands it to the page.
        Style::Wafer2 => json!({
            "code": 0,
            "data": { "skey": skey, "userinfo": { "openId": openid, "userId": user_id } },
        }),
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
pub fn refusal(style: &Style, answer: &ErrorAnswer, request_id: &str) -> (StatusCode, String) {
    let ErrorAnswer {
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
        Style::Wafer2 => {
            // The SDK throws its session away and logs in again on -1, so nothing else may carry it.
            let code = if answer.is_not_logged_in() {
                -1
            } else {
                errcode
            };
            let body = json!({
                "code": code, "error": name, "message": errmsg,
                "errcode": errcode, "errmsg": errmsg, "request_id": request_id,
            });
            (status, body.to_string())
        }
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

/// The body of an answer that only says yes.
#[must_use]
pub fn done(style: &Style) -> String {
    match style {
        Style::Wafer2 => json!({ "code": 0, "data": {} }).to_string(),
        Style::Plain | Style::Token | Style::Sessionid | Style::Errcode200 | Style::Custom(_) => {
            json!({ "errcode": 0, "errmsg": "ok" }).to_string()
        }
    }
}

/// The body of an answer that gives data from WeChat.
#[must_use]
pub fn decrypted(style: &Style, data: &Map<String, Value>) -> String {
    match style {
        Style::Wafer2 => json!({ "code": 0, "data": data }).to_string(),
        Style::Plain | Style::Token | Style::Sessionid | Style::Errcode200 | Style::Custom(_) => {
            json!({ "errcode": 0, "errmsg": "ok", "data": data }).to_string()
        }
    }
}

/// Replaces each field by its value, escaped for a JSON string, in one pass: a value is never searched for fields.
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
mod tests {
    use super::*;
    use crate::config::CustomStyle;
    use crate::error::{Error, SkeyState};

    fn styles() -> Vec<Style> {
        let custom = CustomStyle {
            login: r#"{"code":0,"data":{"token":"{skey}","id":"{user_id}","left":{expires_in}}}"#
                .to_owned(),
            refusal_status: Some(StatusCode::OK),
            refusal: Some(
                r#"{"code":{errcode},"msg":"{errmsg}","request_id":"{request_id}"}"#.to_owned(),
            ),
        };
        vec![
            Style::Plain,
            Style::Token,
            Style::Sessionid,
            Style::Wafer2,
            Style::Errcode200,
            Style::Custom(custom),
        ]
    }

    #[test]
    fn every_style_answers_json_and_gives_the_skey() {
        let answer = LoginAnswer {
            skey: "KEY".to_owned(),
            expires_at: 0,
            user_id: Some("4\"{openid}".to_owned()),
            openid: "oX".to_owned(),
            appid: "wx1".to_owned(),
            is_new: true,
        };
        for style in styles() {
            let body = login(&style, &answer, 60);
            serde_json::from_str::<Value>(&body).unwrap();
            assert!(body.contains("\"KEY\""), "{body}");
            assert!(
                !body.contains("4\\\"oX"),
                "a value was searched for fields: {body}"
            );
        }
    }

    #[test]
    fn without_a_user_id_every_style_still_answers_json() {
        let answer = LoginAnswer {
            skey: "KEY".to_owned(),
            expires_at: 0,
            user_id: None,
            openid: "oX".to_owned(),
            appid: "wx1".to_owned(),
            is_new: false,
        };
        for style in styles() {
            let body = login(&style, &answer, 60);
            assert!(serde_json::from_str::<Value>(&body).is_ok(), "{body}");
        }
    }

    #[test]
    fn a_refusal_is_json_whatever_the_request_is_called() {
        let answer = Error::NoRoute.answer();
        for style in styles() {
            for id in [
                "\"},{\"a\":\"",
                "\\",
                "\r\n\u{0}\u{1b}",
                "\u{2028}\u{540d}",
                "{errmsg}{",
            ] {
                let (_, body) = refusal(&style, &answer, id);
                let body: Value = serde_json::from_str(&body).unwrap();
                let shown = body.get("request_id").and_then(Value::as_str);
                assert!(shown.is_none_or(|shown| shown == id), "{body}");
            }
        }
    }

    #[test]
    fn only_not_logged_in_carries_minus_one() {
        let code = |error: &Error| {
            let (_, body) = refusal(&Style::Wafer2, &error.answer(), "id");
            serde_json::from_str::<Value>(&body).unwrap()["code"]
                .as_i64()
                .unwrap()
        };
        assert_eq!(code(&Error::NotLoggedIn(SkeyState::Missing)), -1);
        for error in [
            Error::NoRoute,
            Error::Overloaded,
            Error::LoginCodeMissing { body: "" },
        ] {
            assert!(code(&error) > 0);
        }
    }

    #[test]
    fn the_status_is_the_errors_unless_the_style_says_200() {
        let error = Error::NotLoggedIn(SkeyState::Unknown).answer();
        let statuses: Vec<u16> = styles()
            .iter()
            .map(|style| refusal(style, &error, "id").0.as_u16())
            .collect();
        assert_eq!(statuses, [401, 401, 401, 401, 200, 200]);
    }
}
