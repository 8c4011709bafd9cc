//! access_tokens and what needs one: `POST /cgi-bin/stable_token`, `GET /cgi-bin/token`, phone numbers, session_keys. The two kinds
//! of token are apart: asking for one leaves the other alone.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::ids;
use super::render::{Fields, Refused};
use super::state::State;

/// How long a token is good.
const LIFETIME: Duration = Duration::from_secs(7200);
/// So long before its end a stable token gets a successor; and so long an old one goes on beside a new one.
const OVERLAP: Duration = Duration::from_secs(300);
const FORCE_PAUSE: Duration = Duration::from_secs(30);
const FORCED_A_DAY: u32 = 20;
const DAY: Duration = Duration::from_secs(86_400);
const PHONE_CODE_LIFETIME: Duration = Duration::from_secs(300);

/// What the fake remembers of them.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    tokens: HashMap<String, Token>,
    current: HashMap<(String, Kind), String>,
    forced: HashMap<String, Vec<Duration>>,
    phone_codes: HashMap<String, PhoneCode>,
    refused: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Stable,
    Plain,
}

#[derive(Debug)]
struct Token {
    appid: String,
    ends: Duration,
    killed: bool,
}

#[derive(Debug)]
struct PhoneCode {
    appid: String,
    user: String,
    issued: Duration,
    spent: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct StableOrder {
    grant_type: String,
    appid: String,
    secret: String,
    force_refresh: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PhoneOrder {
    code: String,
    openid: Option<String>,
}

/// `POST /cgi-bin/stable_token`.
pub(super) fn stable_token(state: &mut State, body: &[u8]) -> Result<Fields, Refused> {
    let order: StableOrder = read(body)?;
    check_secret(state, &order.appid, &order.secret, &order.grant_type)?;
    let now = state.now();
    let appid = order.appid;
    let known = state.tokens.current(&appid, Kind::Stable, now);
    if order.force_refresh {
        let forced = state.tokens.forced.entry(appid.clone()).or_default();
        forced.retain(|at| now.saturating_sub(*at) < DAY);
        if forced
            .last()
            .is_some_and(|at| now.saturating_sub(*at) < FORCE_PAUSE)
        {
            return Err(Refused(45011, "api minute-quota reach limit"));
        }
        if u32::try_from(forced.len()).unwrap_or(u32::MAX) >= FORCED_A_DAY {
            return Err(Refused(45009, "reach max api daily quota limit"));
        }
        forced.push(now);
        if let Some((old, _)) = &known {
            state.tokens.kill(old);
        }
        return Ok(new_token(state, &appid, Kind::Stable, now));
    }
    match known {
        Some((token, left)) if left > OVERLAP => Ok(fields(&token, left)),
        _ => Ok(new_token(state, &appid, Kind::Stable, now)),
    }
}

/// `GET /cgi-bin/token`: a new one each time, and five more minutes for the one before.
pub(super) fn token(state: &mut State, query: &str) -> Result<Fields, Refused> {
    let mut values: HashMap<_, _> = form_urlencoded::parse(query.as_bytes()).collect();
    let mut value = |name| values.remove(name).unwrap_or_default().into_owned();
    let (appid, secret, grant_type) = (value("appid"), value("secret"), value("grant_type"));
    check_secret(state, &appid, &secret, &grant_type)?;
    let now = state.now();
    if let Some((old, left)) = state.tokens.current(&appid, Kind::Plain, now)
        && let Some(old) = state.tokens.tokens.get_mut(&old)
    {
        old.ends = now + left.min(OVERLAP);
    }
    Ok(new_token(state, &appid, Kind::Plain, now))
}

/// `POST /wxa/business/getuserphonenumber`.
pub(super) fn phone_number(state: &mut State, query: &str, body: &[u8]) -> Result<Fields, Refused> {
    let appid = check_token(state, query)?;
    let order: PhoneOrder = read(body)?;
    let now = state.now();
    let code = state.tokens.phone_codes.get_mut(&order.code);
    // As for an unknown one: WeChat tells old, spent and foreign codes no other way.
    let invalid = Refused(40029, "invalid code");
    let Some(code) =
        code.filter(|code| !code.spent && now.saturating_sub(code.issued) <= PHONE_CODE_LIFETIME)
    else {
        return Err(invalid);
    };
    if code.appid != appid {
        return Err(Refused(40013, "invalid appid"));
    }
    let openid = ids::openid(&appid, &code.user);
    if order.openid.is_some_and(|named| named != openid) {
        return Err(Refused(40003, "invalid openid"));
    }
    code.spent = true;
    let number = ids::phone_number(&code.user);
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
pub(super) fn check_session(state: &mut State, query: &str) -> Result<Fields, Refused> {
    let appid = check_token(state, query)?;
    let mut values: HashMap<_, _> = form_urlencoded::parse(query.as_bytes()).collect();
    let mut value = |name| values.remove(name).unwrap_or_default().into_owned();
    let (openid, signature) = (value("openid"), value("signature"));
    if value("sig_method") != "hmac_sha256" {
        return Err(Refused(87008, "invalid sig_method"));
    }
    let Some(session_key) = state.session_key_of(&appid, &openid) else {
        return Err(Refused(40003, "invalid openid"));
    };
    if signature != ids::session_signature(&session_key) {
        return Err(Refused(87009, "invalid signature"));
    }
    Ok(vec![
        ("errcode".to_owned(), Value::from(0)),
        ("errmsg".to_owned(), Value::from("ok")),
    ])
}

/// The app whose live token the query holds.
pub(super) fn check_token(state: &mut State, query: &str) -> Result<String, Refused> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let Some((_, token)) = pairs.find(|(name, _)| name == "access_token") else {
        return Err(Refused(41001, "access_token missing"));
    };
    let now = state.now();
    let why = match state.tokens.tokens.get(token.as_ref()) {
        Some(known) if known.killed => Refused(
            40001,
            "invalid credential, access_token is invalid or not latest",
        ),
        Some(known) if known.ends <= now => Refused(42001, "access_token expired"),
        Some(known) => return Ok(known.appid.clone()),
        None => Refused(40014, "invalid access_token"),
    };
    state.tokens.refused += 1;
    Err(why)
}

impl Tokens {
    /// A code from the phone button.
    pub(super) fn issue(&mut self, appid: &str, user: &str, code: &str, now: Duration) {
        let issued = PhoneCode {
            appid: appid.to_owned(),
            user: user.to_owned(),
            issued: now,
            spent: false,
        };
        self.phone_codes.insert(code.to_owned(), issued);
    }

    /// Ends the app's stable token at once, as another's forced renewal does, without a successor.
    pub(super) fn kill_stable(&mut self, appid: &str) {
        if let Some(token) = self.current.remove(&(appid.to_owned(), Kind::Stable)) {
            self.kill(&token);
        }
    }

    /// Refuses the app's stable token from now on, but goes on giving it out: a WeChat that disagrees with itself.
    pub(super) fn spoil_stable(&mut self, appid: &str) {
        if let Some(token) = self.current.get(&(appid.to_owned(), Kind::Stable)) {
            let token = token.clone();
            self.kill(&token);
        }
    }

    /// Calls that carried a token which was not good.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    fn current(&self, appid: &str, kind: Kind, now: Duration) -> Option<(String, Duration)> {
        let token = self.current.get(&(appid.to_owned(), kind))?;
        let left = self.tokens.get(token)?.ends.checked_sub(now)?;
        Some((token.clone(), left))
    }

    fn kill(&mut self, token: &str) {
        if let Some(token) = self.tokens.get_mut(token) {
            token.killed = true;
        }
    }
}

fn new_token(state: &mut State, appid: &str, kind: Kind, now: Duration) -> Fields {
    let token = format!("{}_{}", ids::LONG_TOKEN, state.next_code());
    let tokens = &mut state.tokens;
    // An old one that is not forced out goes on to its own end, five minutes at most.
    tokens.tokens.insert(
        token.clone(),
        Token {
            appid: appid.to_owned(),
            ends: now + LIFETIME,
            killed: false,
        },
    );
    tokens
        .current
        .insert((appid.to_owned(), kind), token.clone());
    fields(&token, LIFETIME)
}

fn fields(token: &str, left: Duration) -> Fields {
    vec![
        ("access_token".to_owned(), Value::from(token)),
        ("expires_in".to_owned(), Value::from(left.as_secs())),
    ]
}

fn check_secret(state: &State, appid: &str, secret: &str, grant_type: &str) -> Result<(), Refused> {
    if appid.is_empty() {
        return Err(Refused(41002, "appid missing"));
    }
    if secret.is_empty() {
        return Err(Refused(41004, "appsecret missing"));
    }
    let Some(app) = state.app(appid) else {
        return Err(Refused(40013, "invalid appid"));
    };
    if app.secret != secret {
        return Err(Refused(40125, "invalid appsecret"));
    }
    if !state.settings.ip_allowed {
        return Err(Refused(40164, "invalid ip 203.0.113.7, not in whitelist"));
    }
    if grant_type != "client_credential" {
        return Err(Refused(40002, "invalid grant_type"));
    }
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    if body.is_empty() {
        return Err(Refused(44002, "empty post data"));
    }
    serde_json::from_slice(body).map_err(|_| Refused(47001, "data format error"))
}
