//! Calls for access_tokens, and calls that need one: `POST /cgi-bin/stable_token`,
//! `GET /cgi-bin/token`, phone numbers, session_keys.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::ids;
use super::render::{ApiRefusal, Fields};
use super::state::FakeState;
use super::tokens::{LIFETIME, TokenKind};

#[derive(Deserialize, Default)]
#[serde(default)]
struct StableCommand {
    grant_type: String,
    appid: String,
    secret: String,
    force_refresh: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PhoneCommand {
    code: String,
    openid: Option<String>,
}

/// `POST /cgi-bin/stable_token`.
pub(super) fn stable_token(state: &mut FakeState, body: &[u8]) -> Result<Fields, ApiRefusal> {
    let command: StableCommand = read(body)?;
    let appid = command.appid;
    check_secret(state, &appid, &command.secret, &command.grant_type)?;
    let now = state.now();
    if command.force_refresh {
        state.tokens.force(&appid, now)?;
        return Ok(new_token(state, &appid, TokenKind::Stable));
    }
    match state.tokens.stable(&appid, now) {
        Some((token, left)) => Ok(fields(&token, left)),
        None => Ok(new_token(state, &appid, TokenKind::Stable)),
    }
}

/// `GET /cgi-bin/token`: a new token each time, and five more minutes for the previous one.
pub(super) fn token(state: &mut FakeState, query: &str) -> Result<Fields, ApiRefusal> {
    let mut values: HashMap<_, _> = form_urlencoded::parse(query.as_bytes()).collect();
    let mut value = |name| values.remove(name).unwrap_or_default().into_owned();
    let (appid, secret, grant_type) = (value("appid"), value("secret"), value("grant_type"));
    check_secret(state, &appid, &secret, &grant_type)?;
    let now = state.now();
    state.tokens.retire_plain(&appid, now);
    Ok(new_token(state, &appid, TokenKind::Plain))
}

/// `POST /wxa/business/getuserphonenumber`.
pub(super) fn phone_number(
    state: &mut FakeState,
    query: &str,
    body: &[u8],
) -> Result<Fields, ApiRefusal> {
    let appid = check_token(state, query)?;
    let PhoneCommand { code, openid } = read(body)?;
    let now = state.now();
    let spent = state
        .tokens
        .spend_phone_code(&code, &appid, openid.as_deref(), now);
    let number = spent?;
    let info = json!({
        "phoneNumber": number, "purePhoneNumber": number, "countryCode": 86,
        "watermark": { "timestamp": 1_700_000_000 + now.as_secs(), "appid": appid },
    });
    Ok(vec![
        ("errcode".to_owned(), Value::from(0)),
        ("errmsg".to_owned(), Value::from("ok")),
        ("phone_info".to_owned(), info),
    ])
}

/// `GET /wxa/checksession`.
pub(super) fn check_session(state: &mut FakeState, query: &str) -> Result<Fields, ApiRefusal> {
    let appid = check_token(state, query)?;
    let mut values: HashMap<_, _> = form_urlencoded::parse(query.as_bytes()).collect();
    let mut value = |name| values.remove(name).unwrap_or_default().into_owned();
    let (openid, signature) = (value("openid"), value("signature"));
    if value("sig_method") != "hmac_sha256" {
        return Err(ApiRefusal(87008, "invalid sig_method"));
    }
    let Some(session_key) = state.session_key_of(&appid, &openid) else {
        return Err(ApiRefusal(40003, "invalid openid"));
    };
    if signature != ids::session_signature(&session_key) {
        return Err(ApiRefusal(87009, "invalid signature"));
    }
    Ok(vec![
        ("errcode".to_owned(), Value::from(0)),
        ("errmsg".to_owned(), Value::from("ok")),
    ])
}

/// The app whose valid token the query holds.
pub(super) fn check_token(state: &mut FakeState, query: &str) -> Result<String, ApiRefusal> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let Some((_, token)) = pairs.find(|(name, _)| name == "access_token") else {
        return Err(ApiRefusal(41001, "access_token missing"));
    };
    let now = state.now();
    state.tokens.app_of(&token, now)
}

fn new_token(state: &mut FakeState, appid: &str, kind: TokenKind) -> Fields {
    let token = format!("{}_{}", ids::LONG_TOKEN, state.next_code());
    let now = state.now();
    state.tokens.add(&token, appid, kind, now);
    fields(&token, LIFETIME)
}

fn fields(token: &str, left: Duration) -> Fields {
    vec![
        ("access_token".to_owned(), Value::from(token)),
        ("expires_in".to_owned(), Value::from(left.as_secs())),
    ]
}

fn check_secret(
    state: &FakeState,
    appid: &str,
    secret: &str,
    grant_type: &str,
) -> Result<(), ApiRefusal> {
    if appid.is_empty() {
        return Err(ApiRefusal(41002, "appid missing"));
    }
    if secret.is_empty() {
        return Err(ApiRefusal(41004, "appsecret missing"));
    }
    let Some(app) = state.app(appid) else {
        return Err(ApiRefusal(40013, "invalid appid"));
    };
    if app.secret != secret {
        return Err(ApiRefusal(40125, "invalid appsecret"));
    }
    if !state.settings.ip_allowed {
        return Err(ApiRefusal(
            40164,
            "invalid ip 203.0.113.7, not in whitelist",
        ));
    }
    if grant_type != "client_credential" {
        return Err(ApiRefusal(40002, "invalid grant_type"));
    }
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ApiRefusal> {
    if body.is_empty() {
        return Err(ApiRefusal(44002, "empty post data"));
    }
    serde_json::from_slice(body).map_err(|_| ApiRefusal(47001, "data format error"))
}
