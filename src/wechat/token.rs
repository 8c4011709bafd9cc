//! stable_token: an app's access_token, the same for all who ask until five minutes before its end. The AppSecret goes in the body,
//! where no log of a proxy shows it.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::answer;
use super::client::Wechat;
use super::error::{Flaw, WechatError};
use crate::config::App;
use crate::secret::Secret;

/// WeChat's own longest; it asks to keep room for so much.
const LONGEST: usize = 512;
/// Longer than WeChat's two hours by far: what says more is not believed.
const MOST_SECONDS: u64 = 86_400;

/// How a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Gives the one that is good, or a new one where that is about to end.
    Usual,
    /// Ends the one that is good at once. WeChat allows it 20 times a day, 30 s apart.
    Forced,
}

/// A token as WeChat gave it.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The token.
    pub token: Secret,
    /// For how long it is good, from WeChat's answer on.
    pub expires_in: Duration,
}

impl Wechat {
    /// The app's access_token. Tried again, and with `secret_next`, by the rules of `exchange`.
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
    let token = answer::text(fields, "access_token").filter(|token| {
        (1..=LONGEST).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
    });
    let seconds = fields.get("expires_in").and_then(Value::as_u64);
    match (token, seconds) {
        (Some(token), Some(seconds @ 1..=MOST_SECONDS)) => Ok(NewToken {
            token: Secret::new(token),
            expires_in: Duration::from_secs(seconds),
        }),
        _ => Err(WechatError::BadAnswer {
            what: Flaw::AccessToken,
        }),
    }
}
