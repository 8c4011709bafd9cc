//! The keys of `[admin]`.

use crate::config::reader::{Key, Kind, Reload};

pub(in crate::config) const LISTEN: Key = Key {
    name: "listen",
    kind: Kind::Text("address"),
    default: Some(r#""127.0.0.1:9091""#),
    about: "The address of the admin listener, which serves `/livez` and `/readyz`, \
            [relays](#relay) calls and takes `POST /reload`; `\"\"` for none.",
    reload: Reload::Live,
};

pub(in crate::config) const TOKEN: Key = Key {
    name: "token",
    kind: Kind::Secret,
    default: Some(r#""""#),
    about: "The bearer token for all but the probes, 32 characters or more.",
    reload: Reload::Live,
};

pub(in crate::config) const TOKEN_FILE: Key = Key {
    name: "token_file",
    kind: Kind::Text("path of a file"),
    default: Some(r#""""#),
    about: "A file that holds the token.",
    reload: Reload::Live,
};
