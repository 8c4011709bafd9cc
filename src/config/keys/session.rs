//! The keys of `[session]`.

use crate::config::reader::{Key, Kind, Reload};

pub(in crate::config) const STORE: Key = Key {
    name: "store",
    kind: Kind::Word(&["redis", "memory"]),
    default: Some(r#""redis""#),
    about: "Where sessions are kept: `\"redis\"`, shared by all replicas, or `\"memory\"`, in \
            this process only and lost when it ends.",
    reload: Reload::Restart,
};

pub(in crate::config) const TTL: Key = Key {
    name: "ttl",
    kind: Kind::Duration,
    default: Some(r#""7d""#),
    about: "Idle time after which a session ends. At least `\"1m\"`, whole seconds. A session in use \
            is prolonged every ten minutes, or every tenth of a shorter `ttl`.",
    reload: Reload::Live,
};

pub(in crate::config) const MAX_AGE: Key = Key {
    name: "max_age",
    kind: Kind::Duration,
    default: Some(r#""30d""#),
    about: "Age at which a session ends, used or not. At least `ttl`.",
    reload: Reload::Live,
};

pub(in crate::config) const MAX_PER_USER: Key = Key {
    name: "max_per_user",
    kind: Kind::Integer,
    default: Some("0"),
    about: "Live sessions of one user, 0 for no limit. The oldest end first, after 30 s of \
            grace.",
    reload: Reload::Live,
};

pub(in crate::config) const SEAL_KEYS: Key = Key {
    name: "seal_keys",
    kind: Kind::List(&Kind::Secret),
    default: Some("[]"),
    about: "Keys that seal stored sessions, 32 characters or more each: the first seals, all \
            open. When empty they are derived from the AppSecrets.",
    reload: Reload::Live,
};

pub(in crate::config) const SEAL_KEYS_FILE: Key = Key {
    name: "seal_keys_file",
    kind: Kind::Text("path of a file"),
    default: Some(r#""""#),
    about: "A file with one key a line, instead of `seal_keys`.",
    reload: Reload::Live,
};

pub(in crate::config) const TOKEN_FROM: Key = Key {
    name: "token_from",
    kind: Kind::List(&Kind::Text("place")),
    default: Some(r#"["header:skey", "header:x-wx-skey", "bearer"]"#),
    about: "Where the skey is looked for; see [token_from](#token_from). Query places are \
            allowed in a route only, since query strings end up in logs.",
    reload: Reload::Live,
};
