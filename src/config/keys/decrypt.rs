//! The keys of `[decrypt]`.

use crate::config::reader::{Key, Kind, Reload};

pub(in crate::config) const DELIVER: Key = Key {
    name: "deliver",
    kind: Kind::Word(&["client", "upstream"]),
    default: Some(r#""client""#),
    about: "The receiver of decrypted data: `\"client\"`, or `\"upstream\"`, which gets it as \
            JSON at `path`, with the identity headers and the client's others, and whose \
            response the client gets.",
    reload: Reload::Live,
};

pub(in crate::config) const UPSTREAM: Key = Key {
    name: "upstream",
    kind: Kind::Text("text"),
    default: Some(r#""""#),
    about: "With `deliver = \"upstream\"`: the name of an upstream.",
    reload: Reload::Live,
};

pub(in crate::config) const PATH: Key = Key {
    name: "path",
    kind: Kind::Text("path"),
    default: Some(r#""""#),
    about: "With `deliver = \"upstream\"`: an exact path there, such as \
            `\"/internal/wechat-data\"`.",
    reload: Reload::Live,
};

pub(in crate::config) const CHECKSESSION: Key = Key {
    name: "checksession",
    kind: Kind::Bool,
    default: Some("false"),
    about: "Whether WeChat is asked (`/wxa/checksession`) about the newest session_key when \
            well-formed data does not open. If that key is dead, or there is none, the refusal \
            is 400 `session_key_expired` instead of `undecryptable`: the client has to log in \
            and ask for the data anew, which then opens.",
    reload: Reload::Live,
};
