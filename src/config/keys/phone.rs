//! The keys of `[phone]`.

use crate::config::reader::{Key, Kind, Reload};

pub(in crate::config) const ENABLED: Key = Key {
    name: "enabled",
    kind: Kind::Bool,
    default: Some("false"),
    about: "Whether `POST /_gateway/phone` exists. WeChat charges for each number.",
    reload: Reload::Live,
};
