//! The keys of `[rate_limit]`.

use crate::config::reader::{Key, Kind, Reload};

pub(in crate::config) const SHARED: Key = Key {
    name: "shared",
    kind: Kind::Bool,
    default: Some("false"),
    about: "Whether all replicas count together, in Redis; otherwise each counts alone, and a \
            client has the limit at every one. It costs a round trip for each limit that a \
            request meets. It needs sessions or users in Redis, or a `[redis]` that is written.",
    reload: Reload::Restart,
};
