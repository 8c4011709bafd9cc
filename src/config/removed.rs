//! Keys of earlier versions. Each is refused with what to write instead: an ignored key would be
//! believed to work.

/// A removed key: its table as in the list of keys, its name, the cure.
pub(super) const REMOVED: &[(&str, &str, &str)] = &[
    ("decrypt", "deliver", DELIVER),
    ("decrypt", "upstream", DELIVER),
    ("decrypt", "path", DELIVER),
    ("users.merged", "url", MERGED),
    ("users.merged", "secret", MERGED),
    ("users.merged", "secret_file", MERGED),
    ("users.merged", "timeout", MERGED),
    (
        "session",
        "renew_every",
        "leave it out: a session in use is prolonged every 10 minutes, or after a tenth of a shorter ttl",
    ),
    (
        "upstreams.NAME",
        "max_pending",
        "leave it out: as many requests wait as max_in_flight lets through",
    ),
    (
        "users.sql",
        "connections",
        "leave it out: each replica has 8 connections at most",
    ),
    (
        "users.sql",
        "connect_timeout",
        "leave it out: users.sql.timeout is the time to connect, too",
    ),
    (
        "wechat",
        "connect_timeout",
        "leave it out: connecting may take half of wechat.timeout",
    ),
    ("users.sql.columns", "nickname", PROFILE),
    ("users.sql.columns", "avatar", PROFILE),
    ("users.sql.columns", "phone", PROFILE),
];

const DELIVER: &str =
    "leave it out: `POST /_gateway/decrypt` responds to the client, which passes the data on";

const MERGED: &str =
    "leave it out: requests tell of a merge in X-User-Id-Merged-From, the log in event=user.merged";

const PROFILE: &str = "leave it out: only users.store = \"redis\", and \"sql\" without users.sql.table, keep profiles";

/// The cure for a removed key; `None` for a key that never was one.
pub(super) fn cure(table: &str, key: &str) -> Option<&'static str> {
    let mut removed = REMOVED.iter();
    let found = removed.find(|(its_table, its_key, _)| *its_table == table && *its_key == key);
    found.map(|(_, _, cure)| *cure)
}
