//! The keys of [[apps]].

use crate::config::reader::{Key, Kind, Reload};

pub(in crate::config) const APPID: Key = Key {
    name: "appid",
    kind: Kind::Text("appid"),
    default: None,
    about: "The AppID of the mini program. It is `wx` and 16 characters of 0-9 and a-f; other \
            forms draw a warning.",
    reload: Reload::Live,
};

pub(in crate::config) const SECRET: Key = Key {
    name: "secret",
    kind: Kind::Secret,
    default: Some(r#""""#),
    about: "The AppSecret of the mini program. Either this or `secret_file` is required.",
    reload: Reload::Live,
};

pub(in crate::config) const SECRET_FILE: Key = Key {
    name: "secret_file",
    kind: Kind::Text("path of a file"),
    default: Some(r#""""#),
    about: "A file that holds the AppSecret, instead of `secret`.",
    reload: Reload::Live,
};

pub(in crate::config) const SECRET_NEXT: Key = Key {
    name: "secret_next",
    kind: Kind::Secret,
    default: Some(r#""""#),
    about: "The AppSecret that follows, during a rotation. When WeChat refuses `secret`, this \
            one is tried with the same code and stays in use, so that no login fails while the \
            secret is changed in the console. Sessions sealed under it open too.",
    reload: Reload::Live,
};

pub(in crate::config) const SECRET_NEXT_FILE: Key = Key {
    name: "secret_next_file",
    kind: Kind::Text("path of a file"),
    default: Some(r#""""#),
    about: "A file that holds the next AppSecret.",
    reload: Reload::Live,
};

pub(in crate::config) const SECRET_PREVIOUS: Key = Key {
    name: "secret_previous",
    kind: Kind::Secret,
    default: Some(r#""""#),
    about: "The AppSecret before a rotation: sessions sealed under it stay valid.",
    reload: Reload::Live,
};

pub(in crate::config) const SECRET_PREVIOUS_FILE: Key = Key {
    name: "secret_previous_file",
    kind: Kind::Text("path of a file"),
    default: Some(r#""""#),
    about: "A file that holds the previous AppSecret.",
    reload: Reload::Live,
};

pub(in crate::config) const NAME: Key = Key {
    name: "name",
    kind: Kind::Text("name"),
    default: Some(r#""""#),
    about: "The name of the app in logins and logs; the appid when empty.",
    reload: Reload::Live,
};

pub(in crate::config) const DEFAULT: Key = Key {
    name: "default",
    kind: Kind::Bool,
    default: Some("true"),
    about: "Makes this the app of logins that choose none. An only app always is; of several, \
            one at most.",
    reload: Reload::Live,
};

pub(in crate::config) const HOSTS: Key = Key {
    name: "hosts",
    kind: Kind::List(&Kind::Text("host")),
    default: Some("[]"),
    about: "Request hosts that choose this app. A host chooses one app only.",
    reload: Reload::Live,
};
