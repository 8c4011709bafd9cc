//! The keys of `[wechat]`.

use crate::config::reader::{Key, Kind, Reload};

pub(in crate::config) const API_BASE: Key = Key {
    name: "api_base",
    kind: Kind::Text("URL"),
    default: Some(r#""https://api.weixin.qq.com""#),
    about: "Scheme, host and port of WeChat's API; `http://` to a loopback address only.",
    reload: Reload::Live,
};

pub(in crate::config) const PROXY: Key = Key {
    name: "proxy",
    kind: Kind::Text("URL"),
    default: Some(r#""""#),
    about: "A forward proxy, `http://host:port`. The proxy variables of the environment are not \
            read.",
    reload: Reload::Live,
};

pub(in crate::config) const TIMEOUT: Key = Key {
    name: "timeout",
    kind: Kind::Duration,
    default: Some(r#""4s""#),
    about: "Time for one call, half of it to connect; at most `\"5s\"`.",
    reload: Reload::Live,
};
