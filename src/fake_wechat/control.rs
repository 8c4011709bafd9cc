//! The controls: `POST /_mock/NAME` with a JSON object, for tests in other languages than Rust.
//!
//! | name | takes | gives |
//! |---|---|---|
//! | `code` | `appid`, `user`; `code` for a chosen one | `code` |
//! | `phone` | `appid`, `user` | `code`, `number` |
//! | `identity` | `appid`, `user` | `openid`; `unionid` and `session_key`, or null |
//! | `userinfo` | `appid`, `user`; `watermark`, `session_key`, `data` | the fields of `OpenData` |
//! | `block` | `user` | |
//! | `account` | `appid`, `account` (null unties) | |
//! | `advance` | `ms` | |
//! | `set` | any of `rotateMinMs`, `ratePerMinute`, `ipAllowed`, `acceptAnyCode` | |
//! | `fault` | `endpoint`, `queue`: a list of `Fault` | |
//! | `wait` | `endpoint`, `calls`: responds after that many calls in all | |
//! | `stats` | | `calls`: number by endpoint |
//! | `reset` | | |
//!
//! In `userinfo`, `watermark` names another appid, `session_key` replaces the user's, and `data`
//! the fields of the profile. An invalid command is a 400 with `error`.

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
use super::render::{FakeBody, HangUp};
use super::shared::FakeShared;
use super::state::Settings;

const MAX_BODY_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeCommand {
    appid: String,
    user: String,
    code: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityCommand {
    appid: String,
    user: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserInfoCommand {
    appid: String,
    user: String,
    watermark: Option<String>,
    session_key: Option<String>,
    data: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockCommand {
    user: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountCommand {
    appid: String,
    account: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdvanceCommand {
    ms: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SetCommand {
    rotate_min_ms: Option<u64>,
    rate_per_minute: Option<u32>,
    ip_allowed: Option<bool>,
    accept_any_code: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultCommand {
    endpoint: Endpoint,
    queue: Vec<Fault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WaitCommand {
    endpoint: Endpoint,
    calls: u64,
}

pub(super) async fn answer(
    shared: &FakeShared,
    name: &str,
    request: Request<Incoming>,
) -> Result<Response<FakeBody>, HangUp> {
    let done = match command(request).await {
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
        .body(FakeBody::new(body.to_string(), None))
        .map_err(|_| HangUp)
}

async fn command(request: Request<Incoming>) -> Result<Vec<u8>, String> {
    if request.method() != Method::POST {
        return Err("controls are POST requests".to_owned());
    }
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES)
        .collect()
        .await;
    Ok(body.map_err(|error| error.to_string())?.to_bytes().to_vec())
}

async fn wait(shared: &FakeShared, body: &[u8]) -> Result<Value, String> {
    let WaitCommand { endpoint, calls } = read(body)?;
    shared.wait_for_calls(endpoint, calls).await;
    Ok(json!({}))
}

fn carry_out(shared: &FakeShared, name: &str, body: &[u8]) -> Result<Value, String> {
    let mut state = shared.state();
    match name {
        "code" => {
            let command: CodeCommand = read(body)?;
            if state.app(&command.appid).is_none() {
                return Err(format!("no app has the appid `{}`", command.appid));
            }
            let code = match command.code {
                Some(code) => {
                    state.issue(&command.appid, &command.user, &code);
                    code
                }
                None => state.wx_login(&command.appid, &command.user),
            };
            return Ok(json!({ "code": code }));
        }
        "phone" => {
            let IdentityCommand { appid, user } = read(body)?;
            let code = state.phone_code(&appid, &user);
            return Ok(json!({ "code": code, "number": ids::phone_number(&user) }));
        }
        "identity" => {
            let IdentityCommand { appid, user } = read(body)?;
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
            let command: UserInfoCommand = read(body)?;
            let (appid, user) = (&command.appid, &command.user);
            let session_key = command
                .session_key
                .or_else(|| state.session_key(appid, user));
            let session_key =
                session_key.ok_or("the user has no session_key: request a code first")?;
            let data = command.data.unwrap_or_else(|| state.profile(appid, user));
            let watermark = command.watermark.as_ref().unwrap_or(appid);
            let sealed = open_data::seal(data, watermark, &session_key);
            let sealed = sealed.ok_or("the session_key is not base64 of 16 bytes")?;
            return serde_json::to_value(sealed).map_err(|error| error.to_string());
        }
        "block" => state.block(&read::<BlockCommand>(body)?.user),
        "account" => {
            let AccountCommand { appid, account } = read(body)?;
            state.set_account(&appid, account.as_deref());
        }
        "advance" => state.advance(Duration::from_millis(read::<AdvanceCommand>(body)?.ms)),
        "set" => {
            let command: SetCommand = read(body)?;
            let before = state.settings.clone();
            state.set(Settings {
                rotate_min: command
                    .rotate_min_ms
                    .map_or(before.rotate_min, Duration::from_millis),
                rate_per_minute: command.rate_per_minute.unwrap_or(before.rate_per_minute),
                ip_allowed: command.ip_allowed.unwrap_or(before.ip_allowed),
                accept_any_code: command.accept_any_code.unwrap_or(before.accept_any_code),
            });
        }
        "fault" => {
            let FaultCommand { endpoint, queue } = read(body)?;
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
