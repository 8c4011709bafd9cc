//! The keys of `style` of logins and routes.

use crate::config::reader::{Key, Kind, Reload};

pub(in crate::config) const STYLE: Key = Key {
    name: "style",
    kind: Kind::Or(&[
        Kind::Word(&[
            "plain",
            "token",
            "sessionid",
            "wafer1",
            "wafer2",
            "errcode200",
        ]),
        Kind::Table,
    ]),
    default: Some(r#""plain""#),
    about: "The shape of login responses and refusals: `plain`, `token`, `sessionid`, `wafer1`, \
            `wafer2`, `errcode200`, or a table. See [style](#style); routes use its refusals.",
    reload: Reload::Live,
};

pub(in crate::config) const CUSTOM_LOGIN: Key = Key {
    name: "login",
    kind: Kind::Text("text"),
    default: None,
    about: "The JSON text of the login response. Filled in: `{skey}`, which is required, \
            `{expires_in}`, `{user_id}`, `{openid}` and `{is_new}`.",
    reload: Reload::Live,
};

pub(in crate::config) const CUSTOM_REFUSAL_STATUS: Key = Key {
    name: "refusal_status",
    kind: Kind::Integer,
    default: None,
    about: "The status of refusals, 200 to 599; that of the error when left out.",
    reload: Reload::Live,
};

pub(in crate::config) const CUSTOM_REFUSAL: Key = Key {
    name: "refusal",
    kind: Kind::Text("text"),
    default: None,
    about: "The JSON text of refusals; as `plain` when left out. Filled in: `{error}`, \
            `{errcode}`, `{errmsg}` and `{request_id}`.",
    reload: Reload::Live,
};
