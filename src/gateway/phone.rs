//! `POST /_gateway/phone`: the phone number of a logged-in user, for the code of the mini program's
//! phone button. Sent to the client only; no log has the number.

use hyper::StatusCode;
use serde_json::json;
use tokio::time::Instant;

use super::RequestContext;
use super::response::GatewayResponse;
use super::snapshot::Snapshot;
use crate::access_token::{AccessTokens, TokenError};
use crate::config::ProfileField;
use crate::error::{Error, LoginRefusal};
use crate::http::body::{self, BodyKind};
use crate::http::field;
use crate::identity::Identity;
use crate::login::LOGIN_BODY_LIMIT;
use crate::login::LOGIN_DEADLINE;
use crate::users::Change;
use crate::wechat::{LoginCode, WechatError};

/// The field that holds the code, in JSON or a form.
const CODE: &str = "code";

impl Snapshot {
    pub(super) async fn serve_phone(
        &self,
        tokens: &std::sync::Arc<AccessTokens>,
        mut context: RequestContext<'_, '_>,
    ) -> Result<GatewayResponse, Error> {
        let (session, _, read) = self.own_session(&mut context).await?;
        let identity = session.identity;
        let app = self.apps.iter().find(|app| app.appid == identity.appid);
        let app = app.ok_or(Error::WechatMisconfigured(LoginRefusal::NotAsked(
            "the session's app is not in gateway.toml any more",
        )))?;
        let bytes = match read {
            Some(bytes) => bytes,
            None => self.read(&mut context, LOGIN_BODY_LIMIT).await?,
        };
        let code = code(body::kind(&context.head.parts.headers), &bytes)?;
        let asked = Instant::now();
        let phone = tokens
            .phone_number(app, &code, &identity.openid, asked + LOGIN_DEADLINE)
            .await;
        context.outcome.record.wechat_time = Some(asked.elapsed());
        let phone = phone.map_err(refused)?;
        self.keep(&identity, &phone.number).await;
        let body = json!({
            "phoneNumber": phone.number,
            "purePhoneNumber": phone.pure_number,
            "countryCode": phone.country_code,
        });
        Ok(GatewayResponse::json(StatusCode::OK, body.to_string()))
    }
}

impl Snapshot {
    /// Stores the number, if `users.profile` says so. WeChat charges for it and the code is spent,
    /// so the client gets it even if storing fails.
    async fn keep(&self, identity: &Identity, number: &str) {
        if !self.logins.kept().contains(&ProfileField::Phone) {
            return;
        }
        let changes = vec![Change::phone(number)];
        if let Err(error) = self.logins.change_profile(identity, changes).await {
            tracing::warn!(
                user.id = identity.user_id,
                %error,
                "a phone number was given to the client and not kept"
            );
        }
    }
}

fn code(kind: Option<BodyKind>, bytes: &[u8]) -> Result<LoginCode, Error> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| Error::BadRequest("the body is not UTF-8"))?;
    let json = kind == Some(BodyKind::Json) || kind.is_none() && text.trim_start().starts_with('{');
    let found = if json {
        field::take_json(text, CODE)
            .map_err(|_| Error::BadRequest("the body is not a JSON object"))?
            .and_then(|taken| taken.values.into_iter().next())
    } else if kind == Some(BodyKind::Form) {
        field::take_pair(text, CODE).and_then(|taken| taken.values.into_iter().next())
    } else {
        None
    };
    let code = found
        .filter(|code| !code.is_empty())
        .ok_or(Error::BadRequest("no phone code in the body"))?;
    let malformed = || Error::PhoneCodeInvalid(LoginRefusal::NotAsked("malformed code"));
    LoginCode::parse(&code).ok_or_else(malformed)
}

/// The error for the client. The code of another user or app looks like an expired one, and no
/// error is named like a refused login, for which an SDK would drop its session.
fn refused(error: TokenError) -> Error {
    match error {
        TokenError::Wechat(
            error @ (WechatError::CodeInvalid(_)
            | WechatError::CodeUsed(_)
            | WechatError::UserBlocked(_)),
        ) => Error::PhoneCodeInvalid(LoginRefusal::Wechat(error)),
        other => other.into(),
    }
}
