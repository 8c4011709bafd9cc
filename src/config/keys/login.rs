//! The keys of [[login]].

use crate::config::reader::{Key, Kind, Reload};

pub(in crate::config) const PATH: Key = Key {
    name: "path",
    kind: Kind::Text("path"),
    default: Some(r#""/login""#),
    about: "The path of the login endpoint, exact. Each path once, none under `/_gateway`.",
    reload: Reload::Live,
};

pub(in crate::config) const METHODS: Key = Key {
    name: "methods",
    kind: Kind::List(&Kind::Word(&["POST", "GET"])),
    default: Some(r#"["POST"]"#),
    about: "The methods of the login endpoint.",
    reload: Reload::Live,
};

pub(in crate::config) const APP: Key = Key {
    name: "app",
    kind: Kind::Text("text"),
    default: Some(r#""""#),
    about: "The name of the app. When empty, the request chooses: by the header `X-Wx-App` (a \
            name or an appid), then Host, then Referer, then the default app.",
    reload: Reload::Live,
};

pub(in crate::config) const CODE_FROM: Key = Key {
    name: "code_from",
    kind: Kind::List(&Kind::Text("place")),
    default: Some(r#"["json:code", "form:code", "header:x-wx-code", "query:code"]"#),
    about: "Where the login code is looked for, in this order: `json:NAME`, `form:NAME`, \
            `header:NAME`, `query:NAME`. Bodies are read up to 8 KiB, within \
            `server.body_timeout`; a body of another type that begins with `{` is taken for \
            JSON.",
    reload: Reload::Live,
};

pub(in crate::config) const CREATE_USERS: Key = Key {
    name: "create_users",
    kind: Kind::Bool,
    default: Some("true"),
    about: "Whether an unknown user gets an id; `false` refuses the login with `unknown_user`.",
    reload: Reload::Live,
};

pub(in crate::config) const RATE_LIMIT: Key = Key {
    name: "rate_limit",
    kind: Kind::Or(&[Kind::Word(&["none"]), Kind::Table]),
    default: Some(r#"{ per_address = "600/m", burst = 200 }"#),
    about: "The limit on the logins of each address, or `\"none\"`. See [its \
            table](#loginrate_limit-table).",
    reload: Reload::Live,
};

pub(in crate::config) const RATE_LIMIT_PER_ADDRESS: Key = Key {
    name: "per_address",
    kind: Kind::Rate,
    default: Some(r#""600/m""#),
    about: "The rate of each client address. Generous, since mobile carriers put thousands of \
            users behind one.",
    reload: Reload::Live,
};

pub(in crate::config) const RATE_LIMIT_BURST: Key = Key {
    name: "burst",
    kind: Kind::Integer,
    default: Some("200"),
    about: "Logins that may come at once, 1 to 100000. Beside a `per_address` that is written, \
            the number in that rate.",
    reload: Reload::Live,
};
