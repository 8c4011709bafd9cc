//! The controls: `POST /_mock/NAME` with a JSON object, for what no Rust method can be called from.
//!
//! | name | takes | gives |
//! |---|---|---|
//! | `code` | `appid`, `user`, and `code` for one of your own | `code` |
//! | `phone` | `appid`, `user` | `code`, `number` |
//! | `identity` | `appid`, `user` | `openid`, `unionid`, `session_key`; the latter two may be null |
//! | `userinfo` | `appid`, `user`; `watermark` for another appid in it, `session_key` for another key, `data` for other fields | `encryptedData`, `iv`, `rawData`, `signature` |
//! | `block` | `user` | |
//! | `account` | `appid`, `account` (null unties) | |
//! | `advance` | `ms` | |
//! | `set` | any of `rotateMinMs`, `ratePerMinute`, `ipAllowed`, `acceptAnyCode` | |
//! | `fault` | `endpoint`, `queue`: a list of `Fault` | |
//! | `wait` | `endpoint`, `calls`: answers when it has been called so often in all | |
//! | `stats` | | `calls`: number by endpoint |
//! | `reset` | | |
//!
//! An order that cannot be understood is a 400 with `error`.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::endpoint::Endpoint;
use super::fault::Fault;
use super::ids;
use super::open_data;
use super::render::{Answer, HangUp};
use super::server::Shared;
use super::state::Settings;

const MAX_BODY_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeOrder {
    appid: String,
    user: String,
    code: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityOrder {
    appid: String,
    user: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserInfoOrder {
    appid: String,
    user: String,
    watermark: Option<String>,
    session_key: Option<String>,
    data: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockOrder {
    user: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountOrder {
    appid: String,
    account: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdvanceOrder {
    ms: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SetOrder {
    rotate_min_ms: Option<u64>,
    rate_per_minute: Option<u32>,
    ip_allowed: Option<bool>,
    accept_any_code: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultOrder {
    endpoint: Endpoint,
    queue: Vec<Fault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WaitOrder {
    endpoint: Endpoint,
    calls: u64,
}

pub(super) async fn answer(
    shared: &Shared,
    name: &str,
    request: Request<Incoming>,
) -> Result<Response<Answer>, HangUp> {
    let done = match order(request).await {
        Ok(body) if name == "wait" => wait(shared, &body).await,
        Ok(body) => carry_out(shared, name, &body),
        Err(error) => Err(error),
    };
    let (status, body) = match done {
        Ok(answer) => (StatusCode::OK, answer),
        Err(error) => (StatusCode::BAD_REQUEST, json!({ "error": error })),
    };
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .body(Answer::new(body.to_string(), None))
        .map_err(|_| HangUp)
}

async fn order(request: Request<Incoming>) -> Result<Vec<u8>, String> {
    if request.method() != Method::POST {
        return Err("controls are POST requests".to_owned());
    }
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES)
        .collect()
        .await;
    Ok(body.map_err(|error| error.to_string())?.to_bytes().to_vec())
}

async fn wait(shared: &Shared, body: &[u8]) -> Result<Value, String> {
    let WaitOrder { endpoint, calls } = read(body)?;
    shared.wait_for_calls(endpoint, calls).await;
    Ok(json!({}))
}

fn carry_out(shared: &Shared, name: &str, body: &[u8]) -> Result<Value, String> {
    let mut state = shared.state();
    match name {
        "code" => {
            let order: CodeOrder = read(body)?;
            if state.app(&order.appid).is_none() {
                return Err(format!("no app has the appid `{}`", order.appid));
            }
            let code = match order.code {
                Some(code) => {
                    state.issue(&order.appid, &order.user, &code);
                    code
                }
                None => state.wx_login(&order.appid, &order.user),
            };
            return Ok(json!({ "code": code }));
        }
        "phone" => {
            let IdentityOrder { appid, user } = read(body)?;
            let code = state.phone_code(&appid, &user);
            return Ok(json!({ "code": code, "number": ids::phone_number(&user) }));
        }
        "identity" => {
            let IdentityOrder { appid, user } = read(body)?;
            let Some(app) = state.app(&appid) else {
                return Err(format!("no app has the appid `{appid}`"));
            };
            let account = app.account.as_deref();
            return Ok(json!({
                "openid": ids::openid(&appid, &user),
                "unionid": account.map(|account| ids::unionid(account, &user)),
                "session_key": state.session_key(&appid, &user),
            }));
        }
        "userinfo" => {
            let order: UserInfoOrder = read(body)?;
            let (appid, user) = (&order.appid, &order.user);
            let session_key = order.session_key.or_else(|| state.session_key(appid, user));
            let session_key =
                session_key.ok_or("the user has no session_key: order a code first")?;
            let data = order.data.unwrap_or_else(|| state.profile(appid, user));
            let watermark = order.watermark.as_ref().unwrap_or(appid);
            let sealed = open_data::seal(data, watermark, &session_key);
            let sealed = sealed.ok_or("the session_key is not base64 of 16 bytes")?;
            return serde_json::to_value(sealed).map_err(|error| error.to_string());
        }
        "block" => state.block(&read::<BlockOrder>(body)?.user),
        "account" => {
            let AccountOrder { appid, account } = read(body)?;
            state.set_account(&appid, account.as_deref());
        }
        "advance" => state.advance(Duration::from_millis(read::<AdvanceOrder>(body)?.ms)),
        "set" => {
            let order: SetOrder = read(body)?;
            let before = state.settings.clone();
            state.set(Settings {
                rotate_min: order
                    .rotate_min_ms
                    .map_or(before.rotate_min, Duration::from_millis),
                rate_per_minute: order.rate_per_minute.unwrap_or(before.rate_per_minute),
                ip_allowed: order.ip_allowed.unwrap_or(before.ip_allowed),
                accept_any_code: order.accept_any_code.unwrap_or(before.accept_any_code),
            });
        }
        "fault" => {
            let FaultOrder { endpoint, queue } = read(body)?;
            for fault in queue {
                state.push_fault(endpoint, fault);
            }
        }
        "stats" => {
            let calls = Endpoint::ALL.map(|endpoint| {
                let calls = Value::from(shared.calls(endpoint));
                (endpoint.name().to_owned(), calls)
            });
            let calls: Map<_, _> = calls.into_iter().collect();
            return Ok(json!({ "calls": calls }));
        }
        "reset" => {
            drop(state);
            shared.reset();
        }
        _ => return Err(format!("there is no control `{name}`")),
    }
    Ok(json!({}))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}
