//! The keys of `[relay]`.

use crate::config::reader::{Key, Kind, Reload};

pub(in crate::config) const PATHS: Key = Key {
    name: "paths",
    kind: Kind::List(&Kind::Text("path")),
    default: Some("[]"),
    about: "Calls of WeChat's server API that backends may make: `\"/wxa/msg_sec_check\"`, or \
            `\"/cgi-bin/media/*\"` for all below it. When empty there is no relay. It needs \
            `admin.token`. Calls that return tokens are not allowed.",
    reload: Reload::Live,
};

pub(in crate::config) const TIMEOUT: Key = Key {
    name: "timeout",
    kind: Kind::Duration,
    default: Some(r#""30s""#),
    about: "Time to the head of WeChat's response, from the last byte of the request on, and of \
            silence in either body.",
    reload: Reload::Live,
};
