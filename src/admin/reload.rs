//! `POST /reload`, and the results of reloads.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use hyper::header::{ALLOW, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::token::AdminToken;
use super::{AdminBody, text_response};
use crate::clock;

/// Path of the endpoint.
pub(super) const PATH: &str = "/reload";

/// A request for a reload; its report goes back through the channel.
pub type ReloadRequest = oneshot::Sender<ReloadReport>;

/// The result of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReloadReport {
    /// The new configuration is used.
    Applied {
        /// Changed keys that need a restart; their former values go on.
        needs_restart: Vec<String>,
    },
    /// The former configuration goes on.
    Refused {
        /// All problems of the new one, as `skeygate check` prints them.
        problems: Vec<String>,
    },
}

/// The endpoint, and the state of the configuration for `/readyz?verbose`.
pub(super) struct ReloadEndpoint {
    requests: mpsc::Sender<ReloadRequest>,
    state: Mutex<State>,
}

struct State {
    /// When the configuration in use was loaded; seconds since 1970.
    loaded: u64,
    /// The last reload, if it was refused: when, and how many problems there were.
    refused: Option<(u64, usize)>,
}

impl ReloadEndpoint {
    pub(super) fn new(requests: mpsc::Sender<ReloadRequest>) -> Self {
        let loaded = clock::unix_seconds();
        Self {
            requests,
            state: Mutex::new(State {
                loaded,
                refused: None,
            }),
        }
    }

    pub(super) fn note(&self, report: &ReloadReport) {
        let now = clock::unix_seconds();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match report {
            ReloadReport::Applied { .. } => {
                *state = State {
                    loaded: now,
                    refused: None,
                }
            }
            ReloadReport::Refused { problems } => state.refused = Some((now, problems.len())),
        }
    }

    /// One line for `/readyz?verbose`.
    pub(super) fn summary(&self) -> String {
        let now = clock::unix_seconds();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.saturating_sub(state.loaded);
        match state.refused {
            None => format!("[+] configuration: loaded {age} s ago"),
            Some((at, problems)) => {
                let plural = if problems == 1 { "" } else { "s" };
                format!(
                    "[-] configuration: a reload was refused {} s ago for {problems} problem{plural} (see the log); the one \
                     loaded {age} s ago is used",
                    now.saturating_sub(at)
                )
            }
        }
    }

    pub(super) async fn serve(
        &self,
        method: &Method,
        headers: &HeaderMap,
        token: Option<&AdminToken>,
    ) -> Response<AdminBody> {
        if *method != Method::POST {
            let mut response = reply(
                StatusCode::METHOD_NOT_ALLOWED,
                &json!({ "error": "method_not_allowed", "message": "send POST" }),
            );
            let allow = HeaderValue::from_static("POST");
            response.headers_mut().insert(ALLOW, allow);
            return response;
        }
        let Some(token) = token else {
            let message = "set admin.token in gateway.toml to reload by request";
            return reply(
                StatusCode::FORBIDDEN,
                &json!({ "error": "no_admin_token", "message": message }),
            );
        };
        if !token.permits(headers) {
            let message = "send `Authorization: Bearer` with the admin.token of gateway.toml";
            let mut response = reply(
                StatusCode::UNAUTHORIZED,
                &json!({ "error": "unauthorized", "message": message }),
            );
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
            return response;
        }
        let (report, reported) = oneshot::channel();
        let asked = self.requests.send(report).await.is_ok();
        match reported.await {
            Ok(ReloadReport::Applied { needs_restart }) if asked => reply(
                StatusCode::OK,
                &json!({ "reloaded": true, "needs_restart": needs_restart }),
            ),
            Ok(ReloadReport::Refused { problems }) if asked => reply(
                StatusCode::UNPROCESSABLE_ENTITY,
                &json!({ "reloaded": false, "problems": problems }),
            ),
            _ => reply(
                StatusCode::SERVICE_UNAVAILABLE,
                &json!({ "error": "unavailable", "message": "there is no file to reload, or the gateway is ending" }),
            ),
        }
    }
}

fn reply(status: StatusCode, body: &Value) -> Response<AdminBody> {
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    text_response(status, json, Bytes::from(format!("{body}\n")))
}
