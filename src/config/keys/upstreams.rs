//! The keys of [upstreams.NAME].

use crate::config::reader::{Key, Kind, Reload};

pub(in crate::config) const SERVERS: Key = Key {
    name: "servers",
    kind: Kind::List(&Kind::Text("address")),
    default: None,
    about: "The address of the service, `http://host:port` or `unix:/path`. Exactly one. The \
            port is 80 when left out; names are resolved anew for each connection.",
    reload: Reload::Live,
};

pub(in crate::config) const HOST: Key = Key {
    name: "host",
    kind: Kind::Text("text"),
    default: Some(r#""preserve""#),
    about: "The `Host` header that the service gets: `\"preserve\"` is the client's, \
            `\"upstream\"` the service's own address, any other text is sent as it is.",
    reload: Reload::Live,
};

pub(in crate::config) const CONNECT_TIMEOUT: Key = Key {
    name: "connect_timeout",
    kind: Kind::Duration,
    default: Some(r#""1s""#),
    about: "Time to resolve the name and to connect, for each try.",
    reload: Reload::Live,
};

pub(in crate::config) const RESPONSE_TIMEOUT: Key = Key {
    name: "response_timeout",
    kind: Kind::Duration,
    default: Some(r#""30s""#),
    about: "Time to the first byte of the response, from the last byte of the request body on. \
            It also bounds a silence between two pieces of the response (raise it for event \
            streams without heartbeats) and the wait in the queue.",
    reload: Reload::Live,
};

pub(in crate::config) const IDLE_TIMEOUT: Key = Key {
    name: "idle_timeout",
    kind: Kind::Duration,
    default: Some(r#""4s""#),
    about: "Time an idle connection is kept. Keep it below the keep-alive of the service: Node \
            closes after 5 s. A connection that responded to HEAD, or sent surplus bytes, \
            is not kept.",
    reload: Reload::Live,
};

pub(in crate::config) const RETRIES: Key = Key {
    name: "retries",
    kind: Kind::Integer,
    default: Some("1"),
    about: "Further tries after a failure, 0 to 3. When connecting failed, every method is \
            retried. When the connection broke before the response, or the response was \
            malformed, only GET, HEAD, OPTIONS, PUT and DELETE without a body are retried, which \
            the service may then see twice; never after `response_timeout`. Replacing a kept \
            connection that the service has closed does not count.",
    reload: Reload::Live,
};

pub(in crate::config) const MAX_IN_FLIGHT: Key = Key {
    name: "max_in_flight",
    kind: Kind::Integer,
    default: Some("1024"),
    about: "Requests in flight at once, each until the end of its response. Open WebSockets do \
            not count. As many more wait in the queue, each for `response_timeout` at most; the \
            rest are refused with 503.",
    reload: Reload::Live,
};
