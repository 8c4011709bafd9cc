//! `GET /sns/jscode2session`: WeChat's checks in WeChat's order. Only a success spends the code.

use serde_json::Value;

use super::ids;
use super::render::{ApiRefusal, Fields};
use super::state::{FakeState, Owner};

/// The parameters; a missing one is empty.
#[derive(Debug, Default)]
struct Query {
    appid: String,
    secret: String,
    js_code: String,
    grant_type: String,
}

pub(super) fn answer(state: &mut FakeState, query: &str) -> Result<Fields, ApiRefusal> {
    let query = Query::parse(query);
    if query.appid.is_empty() {
        return Err(ApiRefusal(41002, "appid missing"));
    }
    if query.secret.is_empty() {
        return Err(ApiRefusal(41004, "appsecret missing"));
    }
    if query.js_code.is_empty() {
        return Err(ApiRefusal(41008, "missing code"));
    }
    let Some(app) = state.app(&query.appid).cloned() else {
        return Err(ApiRefusal(40013, "invalid appid"));
    };
    if app.secret != query.secret {
        return Err(ApiRefusal(40125, "invalid appsecret"));
    }
    if !state.settings.ip_allowed {
        return Err(ApiRefusal(
            40164,
            "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist",
        ));
    }
    if query.grant_type != "authorization_code" {
        return Err(ApiRefusal(40002, "invalid grant_type"));
    }
    let user = match state.owner(&app.appid, &query.js_code) {
        Owner::User(user) => user,
        Owner::Spent => return Err(ApiRefusal(40163, "code been used")),
        Owner::Unknown => return Err(ApiRefusal(40029, "invalid code")),
    };
    if state.is_blocked(&user) {
        return Err(ApiRefusal(40226, "code blocked"));
    }
    if state.is_over_rate(&app.appid, &user) {
        return Err(ApiRefusal(
            45011,
            "api minute-quota reach limit, must slower, retry next minute",
        ));
    }
    state.spend(&query.js_code);

    let session_key = state.session_key(&app.appid, &user).unwrap_or_default();
    let mut fields: Fields = vec![
        ("session_key".to_owned(), Value::String(session_key)),
        (
            "openid".to_owned(),
            Value::String(ids::openid(&app.appid, &user)),
        ),
    ];
    if let Some(account) = &app.account {
        let unionid = ids::unionid(account, &user);
        fields.push(("unionid".to_owned(), Value::String(unionid)));
    }
    Ok(fields)
}

impl Query {
    fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let field = match name.as_ref() {
                "appid" => &mut query.appid,
                "secret" => &mut query.secret,
                "js_code" => &mut query.js_code,
                "grant_type" => &mut query.grant_type,
                _ => continue,
            };
            *field = value.into_owned();
        }
        query
    }
}
