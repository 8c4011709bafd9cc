//! The keys of [[routes]].

use crate::config::reader::{Key, Kind, Reload};

pub(in crate::config) const PATH: Key = Key {
    name: "path",
    kind: Kind::Text("path"),
    default: None,
    about: "The path: `\"/api/*\"` is `/api` and all below it, `\"/api\"` that path only, \
            `\"/*\"` every path.",
    reload: Reload::Live,
};

pub(in crate::config) const HOSTS: Key = Key {
    name: "hosts",
    kind: Kind::List(&Kind::Text("host")),
    default: Some("[]"),
    about: "Request hosts of the route; empty for every host. `\"*.example.com\"` is every name \
            below it.",
    reload: Reload::Live,
};

pub(in crate::config) const METHODS: Key = Key {
    name: "methods",
    kind: Kind::List(&Kind::Text("method")),
    default: Some("[]"),
    about: "Methods of the route, in capitals; empty for every method.",
    reload: Reload::Live,
};

pub(in crate::config) const UPSTREAM: Key = Key {
    name: "upstream",
    kind: Kind::Text("text"),
    default: None,
    about: "The name of the upstream that gets the requests. Exactly one of this and `respond` \
            is written.",
    reload: Reload::Live,
};

pub(in crate::config) const AUTH: Key = Key {
    name: "auth",
    kind: Kind::Word(&["required", "optional", "off"]),
    default: Some(r#""required""#),
    about: "Whether a session is needed: `\"required\"` refuses requests without one, \
            `\"optional\"` lets anonymous requests pass and adds the identity when there is a \
            session, `\"off\"` does not look for one and sends no identity.",
    reload: Reload::Live,
};

pub(in crate::config) const ON_BAD_TOKEN: Key = Key {
    name: "on_bad_token",
    kind: Kind::Word(&["anonymous", "reject"]),
    default: Some(r#""anonymous""#),
    about: "With `auth = \"optional\"`: what an skey without a session means. `\"anonymous\"` \
            serves the request without an identity, `\"reject\"` refuses it with 401.",
    reload: Reload::Live,
};

pub(in crate::config) const STRIP_PREFIX: Key = Key {
    name: "strip_prefix",
    kind: Kind::Text("path"),
    default: Some(r#""""#),
    about: "A prefix that is removed from the path before forwarding.",
    reload: Reload::Live,
};

pub(in crate::config) const ADD_PREFIX: Key = Key {
    name: "add_prefix",
    kind: Kind::Text("path"),
    default: Some(r#""""#),
    about: "A prefix that is put in front of the path, after `strip_prefix`.",
    reload: Reload::Live,
};

pub(in crate::config) const TOKEN_FROM: Key = Key {
    name: "token_from",
    kind: Kind::List(&Kind::Text("place")),
    default: Some("[]"),
    about: "Where the skey is looked for; empty for `session.token_from`. `\"query:NAME\"` is \
            allowed here only. See [token_from](#token_from).",
    reload: Reload::Live,
};

pub(in crate::config) const MAX_BODY: Key = Key {
    name: "max_body",
    kind: Kind::Or(&[Kind::Size, Kind::Word(&["none"])]),
    default: Some(r#""20MiB""#),
    about: "The largest request body, or `\"none\"`. `server.max_body` when left out.",
    reload: Reload::Live,
};

pub(in crate::config) const TIMEOUT: Key = Key {
    name: "timeout",
    kind: Kind::Duration,
    default: Some(r#""30s""#),
    about: "The upstream's `response_timeout` for this route, with silence within a response. \
            That of the upstream when left out.",
    reload: Reload::Live,
};

pub(in crate::config) const ALLOW_ENCODED: Key = Key {
    name: "allow_encoded",
    kind: Kind::List(&Kind::Word(&["/", "%"])),
    default: Some("[]"),
    about: "Encoded bytes (`%2F`, `%25`) that paths may hold; others are refused. It has no \
            effect with `path_policy = \"raw\"`.",
    reload: Reload::Live,
};

pub(in crate::config) const RATE_LIMIT: Key = Key {
    name: "rate_limit",
    kind: Kind::Or(&[Kind::Word(&["none"]), Kind::Table]),
    default: Some(r#""none""#),
    about: "Limits on the requests of each user and each address. See [its \
            table](#routesrate_limit-table).",
    reload: Reload::Live,
};

pub(in crate::config) const RATE_LIMIT_PER_USER: Key = Key {
    name: "per_user",
    kind: Kind::Rate,
    default: None,
    about: "The rate of each logged-in user, over all of the user's sessions and addresses. \
            Anonymous requests are counted by `per_address` alone. Not with `auth = \"off\"`.",
    reload: Reload::Live,
};

pub(in crate::config) const RATE_LIMIT_PER_ADDRESS: Key = Key {
    name: "per_address",
    kind: Kind::Rate,
    default: None,
    about: "The rate of each client address, counted before the session is looked up. Mobile \
            carriers put thousands of users behind one IPv4 address: be generous.",
    reload: Reload::Live,
};

pub(in crate::config) const RATE_LIMIT_BURST: Key = Key {
    name: "burst",
    kind: Kind::Integer,
    default: None,
    about: "Requests that may come at once, 1 to 100000, for both rates. The number in the rate \
            when left out: `\"50/s\"` allows 50, `\"20/m\"` allows 20.",
    reload: Reload::Live,
};

pub(in crate::config) const RESPOND_STATUS: Key = Key {
    name: "status",
    kind: Kind::Integer,
    default: Some("200"),
    about: "The status of the response, 200 to 599.",
    reload: Reload::Live,
};

pub(in crate::config) const RESPOND_BODY: Key = Key {
    name: "body",
    kind: Kind::Text("text"),
    default: Some(r#""""#),
    about: "The body of the response; empty for 204 and 304.",
    reload: Reload::Live,
};

pub(in crate::config) const RESPOND_CONTENT_TYPE: Key = Key {
    name: "content_type",
    kind: Kind::Text("text"),
    default: Some(r#""text/plain; charset=utf-8""#),
    about: "The Content-Type of the response.",
    reload: Reload::Live,
};
