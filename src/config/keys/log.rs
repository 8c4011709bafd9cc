//! The keys of `[log]` and its tables.

use crate::config::reader::{Key, Kind, Reload};

pub(in crate::config) const FORMAT: Key = Key {
    name: "format",
    kind: Kind::Word(&["auto", "json", "text"]),
    default: Some(r#""auto""#),
    about: "The format of log lines: `\"json\"`, `\"text\"`, or `\"auto\"`, which is text on a \
            terminal and JSON elsewhere.",
    reload: Reload::Restart,
};

pub(in crate::config) const LEVEL: Key = Key {
    name: "level",
    kind: Kind::Text("text"),
    default: Some(r#""info""#),
    about: "The log level: `error`, `warn`, `info`, `debug`, `trace` or `off`. Also \
            `module=level` pairs, as in `\"info,skeygate=debug\"`. The targets are `request`, \
            the line per request, and `skeygate`; events of libraries are never logged.",
    reload: Reload::Live,
};

pub(in crate::config) const ACCESS_SAMPLE: Key = Key {
    name: "sample",
    kind: Kind::Share,
    default: Some("1.0"),
    about: "The share of successful requests that get a line, 0.0 to 1.0. Refusals and failures \
            always get one.",
    reload: Reload::Live,
};

pub(in crate::config) const ACCESS_SKIP: Key = Key {
    name: "skip",
    kind: Kind::List(&Kind::Text("path")),
    default: Some("[]"),
    about: "Exact paths that get a line only when they fail.",
    reload: Reload::Live,
};
