//! The keys of `request_headers` and `response_headers` of routes.

use crate::config::reader::{Key, Kind, Reload};

pub(in crate::config) const SET: Key = Key {
    name: "set",
    kind: Kind::Names("headers"),
    default: Some("{}"),
    about: "Headers that are set, replacing those that are there.",
    reload: Reload::Live,
};

pub(in crate::config) const REMOVE: Key = Key {
    name: "remove",
    kind: Kind::List(&Kind::Text("header")),
    default: Some("[]"),
    about: "Headers that are removed.",
    reload: Reload::Live,
};
