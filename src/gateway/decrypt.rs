//! `POST /_gateway/decrypt`: decrypts data that WeChat encrypted for a user, so that no service
//! needs a session_key. All failures are one refusal; only the log has the cause. Also the profile
//! of a wafer2 login.

use std::sync::Arc;

use hyper::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::RequestContext;
use super::endpoint::Endpoint;
use super::key_checks::KeyChecks;
use super::response::GatewayResponse;
use super::snapshot::Snapshot;
use super::upstream_request::ReadBody;
use crate::auth::BODY_TOKEN_LIMIT;
use crate::config::{Login, Style};
use crate::error::Error;
use crate::http::body::{self, BodyKind};
use crate::identity::Identity;
use crate::login::LoginResult;
use crate::request_log::Record;
use crate::secret::Secret;
use crate::style;
use crate::wechat::open_data::{self, Encrypted, Undecryptable};

/// Headers of the wafer 2 SDK.
const WX_ENCRYPTED_DATA: &str = "x-wx-encrypted-data";
const WX_IV: &str = "x-wx-iv";

const INCOMPLETE: Error = Error::BadRequest("encryptedData and iv are needed");
const NO_OBJECT: Error = Error::BadRequest("the body is not a JSON object of texts");
const DOUBLED: Error = Error::BadRequest("the body holds a field twice");

/// The encrypted data as the client gets it from WeChat: `e.detail` of a button, or the result of
/// wx.getUserInfo and similar calls. Not printable.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    encrypted_data: Option<String>,
    iv: Option<String>,
    raw_data: Option<String>,
    signature: Option<String>,
}

impl Snapshot {
    pub(super) async fn serve_decrypt(
        &self,
        mut context: RequestContext<'_, '_>,
    ) -> Result<GatewayResponse, Error> {
        let (session, _, read) = self.own_session(&mut context).await?;
        let order = self.order(&mut context, read).await?;
        let data = self
            .open(&session.identity, &order, &mut context.outcome.record)
            .await?;
        let style = Endpoint::Decrypt.style(self);
        Ok(GatewayResponse::json(
            StatusCode::OK,
            style::decrypted(style, &data),
        ))
    }

    /// The decrypted profile of a wafer2 login. Failure does not fail the login: since 2022 the
    /// profile holds nothing that the login needs.
    pub(super) async fn profile(
        &self,
        entry: &Login,
        headers: &HeaderMap,
        answer: &LoginResult,
    ) -> Option<Map<String, Value>> {
        if entry.style != Style::Wafer2 {
            return None;
        }
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let (data, iv) = text(WX_ENCRYPTED_DATA).zip(text(WX_IV))?;
        let LoginResult { appid, openid, .. } = answer;
        let opened = match self.sessions.session_keys(appid, openid).await {
            Ok(keys) => open_data::open(&keys, Encrypted { data, iv }, appid, openid)
                .map_err(|cause| cause.to_string()),
            Err(cause) => Err(cause.to_string()),
        };
        opened
            .inspect_err(|cause| tracing::debug!(error = cause, "a login's profile is left out"))
            .ok()
    }

    /// Reads the body after authentication, unless the skey could be in it.
    async fn order(
        &self,
        context: &mut RequestContext<'_, '_>,
        read: ReadBody,
    ) -> Result<Order, Error> {
        let bytes = match read {
            Some(bytes) => bytes,
            None => self.read(context, BODY_TOKEN_LIMIT).await?,
        };
        if bytes.is_empty() {
            return Err(INCOMPLETE);
        }
        let text =
            str::from_utf8(&bytes).map_err(|_| Error::BadRequest("the body is not UTF-8"))?;
        match body::kind(&context.head.parts.headers) {
            Some(BodyKind::Form) => Order::from_form(text),
            Some(BodyKind::Json) => Order::from_json(text),
            // As for logins: older clients send JSON as text.
            None if text.trim_start().starts_with('{') => Order::from_json(text),
            None => Err(Error::BadRequest("the body is neither JSON nor a form")),
        }
    }

    async fn open(
        &self,
        identity: &Identity,
        order: &Order,
        record: &mut Record,
    ) -> Result<Map<String, Value>, Error> {
        let (Some(data), Some(iv)) = (&order.encrypted_data, &order.iv) else {
            return Err(INCOMPLETE);
        };
        let Identity { appid, openid, .. } = identity;
        let session_keys = self.sessions.session_keys(appid, openid).await;
        let session_keys = session_keys.map_err(Error::StoreUnavailable)?;
        let opened = open_data::open(&session_keys, Encrypted { data, iv }, appid, openid);
        // Checked in any case, so that timing does not reveal which check failed.
        let signed = match (&order.raw_data, &order.signature) {
            (Some(raw_data), Some(signature)) => {
                open_data::is_signed(&session_keys, raw_data, signature)
            }
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => {
                return Err(Error::BadRequest("rawData and signature come together"));
            }
        };
        match opened {
            Ok(_) if !signed => Err(Error::Undecryptable(Undecryptable::Signature)),
            Ok(data) => Ok(data),
            Err(cause) => match &self.key_checks {
                Some(checks) => {
                    let asked = Instant::now();
                    let error = self
                        .judge(checks, identity, session_keys.first(), cause)
                        .await;
                    record.wechat_time = Some(asked.elapsed());
                    Err(error)
                }
                None => Err(Error::Undecryptable(cause)),
            },
        }
    }

    /// The error for data that does not decrypt: `SessionKeyExpired` if the newest session_key is
    /// dead. Whether WeChat is asked depends only on the form of the data, which the client knows,
    /// not on how a key failed, which would be a decryption oracle.
    async fn judge(
        &self,
        checks: &Arc<KeyChecks>,
        identity: &Identity,
        newest: Option<&Secret>,
        cause: Undecryptable,
    ) -> Error {
        let Identity { appid, openid, .. } = identity;
        let app = self.apps.iter().find(|app| app.appid == *appid);
        let is_dead = match (newest, app) {
            // Without a key only a login helps, as with a dead one.
            (None, _) => true,
            (Some(newest), Some(app)) if cause.is_well_formed() => {
                checks.is_dead(app, openid, newest).await
            }
            (Some(_), _) => false,
        };
        if is_dead {
            Error::SessionKeyExpired
        } else {
            Error::Undecryptable(cause)
        }
    }
}

impl Order {
    fn from_json(text: &str) -> Result<Self, Error> {
        // serde takes a list for a struct's fields in their order.
        if !text.trim_start().starts_with('{') {
            return Err(NO_OBJECT);
        }
        serde_json::from_str(text).map_err(|error| {
            if error.to_string().starts_with("duplicate field") {
                return DOUBLED;
            }
            NO_OBJECT
        })
    }

    fn from_form(text: &str) -> Result<Self, Error> {
        let mut order = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let field = match name.as_ref() {
                "encryptedData" => &mut order.encrypted_data,
                "iv" => &mut order.iv,
                "rawData" => &mut order.raw_data,
                "signature" => &mut order.signature,
                _ => continue,
            };
            if field.replace(value.into_owned()).is_some() {
                return Err(DOUBLED);
            }
        }
        Ok(order)
    }
}
