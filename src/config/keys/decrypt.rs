//! The keys of `[decrypt]`.

use crate::config::reader::{Key, Kind, Reload};

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
