//! The keys of `[identity]`.

use crate::config::reader::{Key, Kind, Reload};

pub(in crate::config) const HEADERS: Key = Key {
    name: "headers",
    kind: Kind::Names("headers"),
    default: Some(
        r#"{ "X-Openid" = "{openid}", "X-User-Id" = "{user_id}", "X-Unionid" = "{unionid}", "X-Wx-Appid" = "{appid}" }"#,
    ),
    about: "Headers that carry the identity to the upstream. Values are visible ASCII and \
            `{openid}`, `{user_id}`, `{unionid}`, `{appid}`, `{claim.NAME}`, `{nickname}`, \
            `{avatar}`, `{phone}`; all else is percent-encoded. A header without a value is left \
            out. Headers of these names that a client sends are removed in any spelling, and so \
            are the defaults and the `X-Wx-*` names of WeChat Cloud Run. A table that is written \
            replaces the default as a whole.",
    reload: Reload::Live,
};

pub(in crate::config) const PRESET: Key = Key {
    name: "preset",
    kind: Kind::Word(&["", "wxcloudrun"]),
    default: Some(r#""""#),
    about: "A set of further headers: `\"wxcloudrun\"` adds `X-WX-OPENID`, `X-WX-UNIONID`, \
            `X-WX-APPID` and `X-WX-SOURCE: wx_client`.",
    reload: Reload::Live,
};
