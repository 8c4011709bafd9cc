//! stable_token: an app's access_token, the same for all callers until five minutes before its end.
//! The AppSecret is sent in the body, which proxies do not log.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::client::Wechat;
use super::error::{Flaw, WechatError};
use super::response;
use crate::config::App;
use crate::secret::Secret;

/// WeChat's documented maximum.
const MAX_TOKEN_LENGTH: usize = 512;
/// Much longer than WeChat's two hours; a longer lifetime is not accepted.
const MAX_LIFETIME_SECONDS: u64 = 86_400;

/// The kind of a token request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Returns the current token, or a new one if that is about to expire.
    Usual,
    /// Invalidates the current token at once. WeChat allows it 20 times a day, 30 s apart.
    Forced,
}

/// A token from WeChat.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The token.
    pub token: Secret,
    /// Its lifetime, from WeChat's response on.
    pub expires_in: Duration,
}

impl Wechat {
    /// The app's access_token. Repeated, also with `secret_next`, by the rules of `exchange`.
    ///
    /// # Errors
    /// As `exchange`.
    pub async fn stable_token(
        &self,
        app: &App,
        renewal: Renewal,
        deadline: Instant,
    ) -> Result<NewToken, WechatError> {
        let url = self.url("/cgi-bin/stable_token", &[]);
        let request = |secret: &Secret| {
            let body = json!({
                "grant_type": "client_credential",
                "appid": app.appid,
                "secret": secret.expose(),
                "force_refresh": renewal == Renewal::Forced,
            });
            let request = self.http.post(url.clone());
            let request = request.header(CONTENT_TYPE, "application/json");
            request.body(body.to_string())
        };
        let fields = self.ask(app, None, deadline, &request).await?;
        new_token(&fields)
    }
}

fn new_token(fields: &Map<String, Value>) -> Result<NewToken, WechatError> {
    let token = response::text(fields, "access_token").filter(|token| {
        (1..=MAX_TOKEN_LENGTH).contains(&token.len())
            && token.bytes().all(|byte| byte.is_ascii_graphic())
    });
    let seconds = fields.get("expires_in").and_then(Value::as_u64);
    match (token, seconds) {
        (Some(token), Some(seconds @ 1..=MAX_LIFETIME_SECONDS)) => Ok(NewToken {
            token: Secret::new(token),
            expires_in: Duration::from_secs(seconds),
        }),
        _ => Err(WechatError::BadAnswer {
            what: Flaw::AccessToken,
        }),
    }
}
