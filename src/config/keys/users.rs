//! The keys of `[users]` and its tables.

use crate::config::reader::{Key, Kind, Reload};

pub(in crate::config) const STORE: Key = Key {
    name: "store",
    kind: Kind::Word(&["redis", "sql", "webhook", "memory", "off"]),
    default: Some(r#""redis""#),
    about: "Where user ids come from: `\"redis\"`, `\"sql\"` (a database), `\"webhook\"` (a \
            service of yours), `\"memory\"` (this process only), or `\"off\"`, which forwards \
            the openid alone. As `session.store` when left out.",
    reload: Reload::Restart,
};

pub(in crate::config) const PROFILE: Key = Key {
    name: "profile",
    kind: Kind::List(&Kind::Word(&["nickname", "avatar", "phone"])),
    default: Some("[]"),
    about: "Profile fields that are stored for users; see [profiles](#profiles). With `store` \
            `\"redis\"`, `\"sql\"` or `\"memory\"`.",
    reload: Reload::Live,
};

pub(in crate::config) const SQL_URL: Key = Key {
    name: "url",
    kind: Kind::Secret,
    default: Some(r#""""#),
    about: "The database: `mysql://user@host:3306/database`, \
            `postgres://user@host:5432/database` or `sqlite:/path/users.db`. `?socket=/path` \
            behind the first two names a Unix socket (of PostgreSQL: its folder). A password in \
            the URL has to be percent-encoded; better use `password`.",
    reload: Reload::Restart,
};

pub(in crate::config) const SQL_PASSWORD: Key = Key {
    name: "password",
    kind: Kind::Secret,
    default: Some(r#""""#),
    about: "The password, when the URL has none.",
    reload: Reload::Restart,
};

pub(in crate::config) const SQL_PASSWORD_FILE: Key = Key {
    name: "password_file",
    kind: Kind::Text("path of a file"),
    default: Some(r#""""#),
    about: "A file that holds the password.",
    reload: Reload::Restart,
};

pub(in crate::config) const SQL_TLS: Key = Key {
    name: "tls",
    kind: Kind::Word(&["auto", "verify", "off"]),
    default: Some(r#""auto""#),
    about: "Whether the connection is encrypted: `\"auto\"` when the server can, without \
            protection against an impostor; `\"verify\"` always, with a certificate valid for \
            the host; `\"off\"` never. Not used over a Unix socket. `skeygate check --connect` \
            reports whether it is.",
    reload: Reload::Restart,
};

pub(in crate::config) const SQL_CA_FILE: Key = Key {
    name: "ca_file",
    kind: Kind::Text("path of a file"),
    default: Some(r#""""#),
    about: "With `tls = \"verify\"`: PEM certificates of the authorities to trust. The public \
            ones when empty.",
    reload: Reload::Restart,
};

pub(in crate::config) const SQL_TIMEOUT: Key = Key {
    name: "timeout",
    kind: Kind::Duration,
    default: Some(r#""1s""#),
    about: "Time to get a connection, a free or a new one, and for one statement. A login takes up to six, two more with a \
            [profile](#profiles), and 5 s in all.",
    reload: Reload::Restart,
};

pub(in crate::config) const SQL_TABLE: Key = Key {
    name: "table",
    kind: Kind::Text("name"),
    default: Some(r#""""#),
    about: "An existing table that holds the users, used as it is; see [its \
            columns](#userssqlcolumns). Tables of the gateway's own when empty.",
    reload: Reload::Restart,
};

pub(in crate::config) const SQL_COLUMNS_ID: Key = Key {
    name: "id",
    kind: Kind::Text("name"),
    default: Some(r#""id""#),
    about: "The column of the user id, which the database fills: `AUTO_INCREMENT`, `SERIAL`, or \
            another default.",
    reload: Reload::Restart,
};

pub(in crate::config) const SQL_COLUMNS_OPENID: Key = Key {
    name: "openid",
    kind: Kind::Text("name"),
    default: Some(r#""openid""#),
    about: "The column of the openid, under a unique key, alone or with `app`.",
    reload: Reload::Restart,
};

pub(in crate::config) const SQL_COLUMNS_APP: Key = Key {
    name: "app",
    kind: Kind::Text("name"),
    default: Some(r#""""#),
    about: "The column of the appid. Not needed: no two apps have an openid in common.",
    reload: Reload::Restart,
};

pub(in crate::config) const SQL_COLUMNS_UNIONID: Key = Key {
    name: "unionid",
    kind: Kind::Text("name"),
    default: Some(r#""""#),
    about: "The column of the unionid, under a unique key, NULL where there is none. Without it, \
            users are not joined over apps.",
    reload: Reload::Restart,
};

pub(in crate::config) const SQL_COLUMNS_CREATED: Key = Key {
    name: "created",
    kind: Kind::Text("name"),
    default: Some(r#""""#),
    about: "The column of the first login's time, left to its default when empty. A column for \
            times gets the database's own; a column for numbers seconds or milliseconds, as in \
            the newest row.",
    reload: Reload::Restart,
};

pub(in crate::config) const WEBHOOK_URL: Key = Key {
    name: "url",
    kind: Kind::Text("URL"),
    default: Some(r#""""#),
    about: "The service that is called at each login, `https://host/path`, or `http://` inside \
            your own network. No user and password in it: each message is signed.",
    reload: Reload::Live,
};

pub(in crate::config) const WEBHOOK_SECRET: Key = Key {
    name: "secret",
    kind: Kind::Secret,
    default: Some(r#""""#),
    about: "The key that signs the messages, 32 characters or more. `openssl rand -base64 32` \
            makes one.",
    reload: Reload::Live,
};

pub(in crate::config) const WEBHOOK_SECRET_FILE: Key = Key {
    name: "secret_file",
    kind: Kind::Text("path of a file"),
    default: Some(r#""""#),
    about: "A file that holds the secret.",
    reload: Reload::Live,
};

pub(in crate::config) const WEBHOOK_TIMEOUT: Key = Key {
    name: "timeout",
    kind: Kind::Duration,
    default: Some(r#""1s""#),
    about: "Time for connecting, the request and the whole response; at most `\"4s\"`, since a \
            login has 5 s.",
    reload: Reload::Live,
};

pub(in crate::config) const WEBHOOK_CA_FILE: Key = Key {
    name: "ca_file",
    kind: Kind::Text("path of a file"),
    default: Some(r#""""#),
    about: "PEM certificates of the only authorities to trust. The public ones and the system's \
            when empty.",
    reload: Reload::Live,
};

pub(in crate::config) const MERGED_HEADER_FOR: Key = Key {
    name: "header_for",
    kind: Kind::Or(&[Kind::Duration, Kind::Word(&["none"])]),
    default: Some(r#""30d""#),
    about: "How long requests of a merged user carry `X-User-Id-Merged-From` with the newer id, \
            in all of the user's sessions. `\"none\"` sends none; at most a year. Several ids \
            are separated by commas, the last first, at most 8.",
    reload: Reload::Live,
};
