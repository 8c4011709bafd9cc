//! The user directory of the operator's own service, which is called at each login. Its response is
//! stored only in the session, and used only if all of it is valid.

mod response;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::CreateUsers;
use crate::config;
use crate::store_error::StoreError;
use crate::webhook::{Webhook, WebhookSetupError};

/// A client of the operator's user service. A clone shares it.
#[derive(Clone)]
pub struct WebhookUsers {
    webhook: Arc<Webhook>,
}

/// A login, as the service is asked about it.
#[derive(Debug, Clone, Copy)]
pub struct LookupRequest<'a> {
    /// The name of the mini program in the configuration.
    pub app: &'a str,
    /// The appid of the mini program.
    pub appid: &'a str,
    /// WeChat's id of the user in it.
    pub openid: &'a str,
    /// WeChat's id of the user across all apps, if there is one.
    pub unionid: Option<&'a str>,
    /// Whether skeygate remembers no login of this openid.
    pub is_new: bool,
    /// Whether the service may create a user.
    pub create: CreateUsers,
    /// The id of the request that logs in.
    pub request_id: &'a str,
}

/// The result of a look-up.
#[derive(Debug, PartialEq, Eq)]
pub enum LookupResponse {
    /// The user.
    User {
        /// 1 to 64 visible ASCII characters.
        user_id: String,
        /// Whether the service created the user in this call; `None` if it does not say.
        is_new: Option<bool>,
        /// At most 16, each of at most 256 bytes.
        claims: BTreeMap<String, String>,
    },
    /// The service does not know the user.
    Unknown,
    /// The user may not log in.
    Denied,
}

impl LookupResponse {
    /// Treats a user that was created against `create_users` as unknown.
    fn for_login(self, create: CreateUsers) -> Self {
        match (create, self) {
            (
                CreateUsers::No,
                Self::User {
                    is_new: Some(true), ..
                },
            ) => Self::Unknown,
            (_, told) => told,
        }
    }
}

impl WebhookUsers {
    /// Sets up the client; sends nothing.
    ///
    /// # Errors
    /// As `Webhook::new`.
    pub fn new(config: &config::Webhook) -> Result<Self, WebhookSetupError> {
        Ok(Self {
            webhook: Arc::new(Webhook::new(config)?),
        })
    }

    /// Scheme, host and port of the service; for logs.
    #[must_use]
    pub fn address(&self) -> &str {
        self.webhook.address()
    }

    /// Looks a user up.
    ///
    /// # Errors
    /// The service cannot be reached, or its response is invalid; the text names the fault and none
    /// of the values.
    pub async fn ask(&self, asked: &LookupRequest<'_>) -> Result<LookupResponse, StoreError> {
        let message = json!({
            "event": "login",
            "app": asked.app,
            "appid": asked.appid,
            "openid": asked.openid,
            "unionid": asked.unionid,
            "is_new": asked.is_new,
            "create": asked.create == CreateUsers::Yes,
        });
        let answer = self.webhook.post(&message, asked.request_id).await;
        let answer = answer.map_err(|error| self.unfit(&error.to_string()))?;
        match answer.status {
            200 => {
                let told = response::read(&answer.body, asked.request_id);
                told.map(|told| told.for_login(asked.create))
                    .map_err(|what| self.unfit(&what))
            }
            status => Err(self.unfit(&told(status))),
        }
    }

    fn unfit(&self, what: &str) -> StoreError {
        StoreError::Unavailable {
            cause: format!("users.webhook at {}: {what}", self.address()),
        }
    }
}

fn told(status: u16) -> String {
    match status {
        300..=399 => format!("returned {status}; redirects are not followed"),
        401 | 403 => {
            format!("returned {status}; check that it has the same secret and a correct clock")
        }
        status => format!("returned {status} instead of 200"),
    }
}
