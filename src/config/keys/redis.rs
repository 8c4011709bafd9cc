//! The keys of `[redis]`.

use crate::config::reader::{Key, Kind, Reload};

pub(in crate::config) const URL: Key = Key {
    name: "url",
    kind: Kind::Secret,
    default: Some(r#""redis://127.0.0.1:6379/0""#),
    about: "The server: `redis://host:port/db` or `unix:/path`. A password in it has to be \
            percent-encoded; better use `password`.",
    reload: Reload::Restart,
};

pub(in crate::config) const USERNAME: Key = Key {
    name: "username",
    kind: Kind::Text("text"),
    default: Some(r#""""#),
    about: "The ACL user; empty for the default one.",
    reload: Reload::Restart,
};

pub(in crate::config) const PASSWORD: Key = Key {
    name: "password",
    kind: Kind::Secret,
    default: Some(r#""""#),
    about: "The password, when the URL has none.",
    reload: Reload::Restart,
};

pub(in crate::config) const PASSWORD_FILE: Key = Key {
    name: "password_file",
    kind: Kind::Text("path of a file"),
    default: Some(r#""""#),
    about: "A file that holds the password.",
    reload: Reload::Restart,
};

pub(in crate::config) const KEY_PREFIX: Key = Key {
    name: "key_prefix",
    kind: Kind::Text("text"),
    default: Some(r#""skeygate:""#),
    about: "The start of every key, 1 to 64 visible ASCII characters, none of ``{ } * ? [ ] \
            \\``.",
    reload: Reload::Restart,
};

pub(in crate::config) const CONNECTIONS: Key = Key {
    name: "connections",
    kind: Kind::Integer,
    default: Some("2"),
    about: "Pipelined connections, each shared by any number of requests; 1 to 64.",
    reload: Reload::Restart,
};

pub(in crate::config) const CONNECT_TIMEOUT: Key = Key {
    name: "connect_timeout",
    kind: Kind::Duration,
    default: Some(r#""500ms""#),
    about: "Time to connect and to log in.",
    reload: Reload::Restart,
};

pub(in crate::config) const TIMEOUT: Key = Key {
    name: "timeout",
    kind: Kind::Duration,
    default: Some(r#""300ms""#),
    about: "Time for one command.",
    reload: Reload::Restart,
};
