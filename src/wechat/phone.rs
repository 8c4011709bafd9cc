//! getuserphonenumber: exchanges the code of a mini program's phone button.

use std::fmt;

use reqwest::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::client::Wechat;
use super::error::{Flaw, WechatError};
use super::login_code::LoginCode;
use super::response::{self, Hidden};
use crate::config::App;
use crate::secret::Secret;

/// Longest text that is accepted as a phone number.
const MAX_PHONE_LENGTH: usize = 40;

/// A user's phone number.
#[derive(Clone, PartialEq, Eq)]
pub struct Phone {
    /// With the country code unless it is China's.
    pub number: String,
    /// Without the country code.
    pub pure_number: String,
    /// The country code, without `+`.
    pub country_code: String,
}

/// Debug shows no number: it is personal data.
impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(..)")
    }
}

impl Wechat {
    /// The phone number of `code`, which WeChat returns only if the code belongs to `openid`. One
    /// attempt: calls are paid for, and the code may be spent.
    ///
    /// # Errors
    /// One variant of `WechatError` per cause; `token_is_refused` tells whether another token may
    /// help.
    pub async fn phone_number(
        &self,
        app: &App,
        token: &Secret,
        code: &LoginCode,
        openid: &str,
        deadline: Instant,
    ) -> Result<Phone, WechatError> {
        let query = [("access_token", token.expose())];
        let url = self.url("/wxa/business/getuserphonenumber", &query);
        let body = json!({ "code": code.expose(), "openid": openid });
        let request = self.http.post(url);
        let request = request.header(CONTENT_TYPE, "application/json");
        let texts = [token.expose(), code.expose()];
        let hidden = Hidden(&texts);
        let asked = self.ask_with_token(app, request.body(body.to_string()), &hidden, deadline);
        let fields = asked.await.map_err(of_the_code)?;
        phone(app, &fields).ok_or(WechatError::BadAnswer { what: Flaw::Phone })
    }
}

/// For another user's code WeChat reports a wrong openid, for another app's a wrong appid.
fn of_the_code(error: WechatError) -> WechatError {
    match error {
        WechatError::GatewayBug(refusal) if refusal.errcode == 40003 => {
            WechatError::CodeInvalid(refusal)
        }
        WechatError::Misconfigured(refusal) if refusal.errcode == 40013 => {
            WechatError::CodeInvalid(refusal)
        }
        other => other,
    }
}

fn phone(app: &App, fields: &Map<String, Value>) -> Option<Phone> {
    let info = fields.get("phone_info")?.as_object()?;
    let named = info.get("watermark").and_then(|mark| mark.get("appid"));
    if named.is_some_and(|named| named.as_str() != Some(&app.appid)) {
        return None;
    }
    let number = |name| response::text(info, name).filter(|text| is_number(text));
    let country_code = match info.get("countryCode")? {
        // A number in WeChat's example, a text in its responses.
        Value::Number(number) => number.as_u64()?.to_string(),
        Value::String(text) if is_number(text) => text.clone(),
        _ => return None,
    };
    Some(Phone {
        number: number("phoneNumber")?.to_owned(),
        pure_number: number("purePhoneNumber")?.to_owned(),
        country_code,
    })
}

fn is_number(text: &str) -> bool {
    (1..=MAX_PHONE_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
