//! The tables of the process and its neighbours: refusals and their reports.

use super::assert_reports;

/// Added below an app, an upstream and a route, from line 9 on.
const CASES: &[(&str, &[&str])] = &[
    (
        r#"[server]
listen = []"#,
        &["10:10 server.listen: is an empty list; at least one is needed"],
    ),
    (
        r#"[server]
listen = ["0.0.0.0:80", "0.0.0.0:80"]"#,
        &["10:10 server.listen: `0.0.0.0:80` is taken by an earlier one | remove one"],
    ),
    (
        r#"[server]
listen = ["127.0.0.1:9091"]"#,
        &[
            r#"10:10 server.listen: `127.0.0.1:9091` is taken by admin.listen | take another port, or write admin.listen = "" for no admin listener"#,
        ],
    ),
    (
        r#"[server]
listen = [":80"]"#,
        &[r#"10:11 server.listen: `:80` is not an address and port | write "0.0.0.0:80""#],
    ),
    (
        r#"[server]
listen = "0.0.0.0:80""#,
        &["10:10 server.listen: is a text in quotes, where a list in [ ] is needed"],
    ),
    (
        r#"[server]
workers = "many""#,
        &[
            r#"10:11 server.workers: `many` is not a number of threads | write "auto", or a number without quotes"#,
        ],
    ),
    (
        r#"[server]
workers = 0"#,
        &["10:11 server.workers: `0` is out of range | write 1 to 1024"],
    ),
    (
        r#"[server]
max_connections_per_address = "half""#,
        &[
            r#"10:31 server.max_connections_per_address: `half` is not a number of connections | write "auto" for half of max_connections, or a number without quotes"#,
        ],
    ),
    (
        r#"[server]
max_connections_per_address = 0"#,
        &["10:31 server.max_connections_per_address: `0` is out of range | write 1 to 1000000"],
    ),
    (
        r#"[server]
trusted_proxies = ["10.0.0.1"]"#,
        &[
            r#"10:20 server.trusted_proxies: `10.0.0.1` is one address, not a network | write "10.0.0.1/32""#,
        ],
    ),
    (
        r#"[server]
trusted_proxies = ["10.0.0.1/8"]"#,
        &[
            r#"10:20 server.trusted_proxies: `10.0.0.1/8` has bits set beyond its prefix | write "10.0.0.0/8""#,
        ],
    ),
    (
        r#"[server]
trusted_proxies = ["0.0.0.0/0"]"#,
        &[
            "10:19 warning server.trusted_proxies: every address is trusted | name the networks of your own proxies: any client can choose the address that is logged",
        ],
    ),
    (
        r#"[server]
max_header_bytes = "4KiB""#,
        &[r#"10:20 server.max_header_bytes: `4KiB` is out of range | write "8KiB" to "1MiB""#],
    ),
    (
        r#"[server]
path_policy = "raw""#,
        &[
            r#"10:15 warning server.path_policy: raw, on a listener for every network | write "strict" unless another proxy cleans paths first"#,
        ],
    ),
    (
        r#"[[routes]]
path = "/a"
auth = "off"
upstream = "api"
[server]
path_policy = "raw""#,
        &[
            r#"14:15 server.path_policy: raw is allowed only where every route has the same auth | the routes differ in auth, and a path read differently by the upstream would choose between them; write "strict""#,
        ],
    ),
    (
        r#"[[server]]
workers = 1"#,
        &["9:1 server: is not a table | write [server]"],
    ),
    (
        r#"[admin]
listen = """#,
        &[],
    ),
    (
        r#"[redis]
url = "rediss://h""#,
        &[
            "10:7 redis.url: rediss:// is not available in this version | write redis://host:port/db or unix:/path",
        ],
    ),
    (
        r#"[redis]
url = "redis://:a@h:1/0"
password = "b""#,
        &["11:12 redis.password: the URL has a password too | keep one of the two"],
    ),
    (
        r#"[redis]
url = "redis://u:a@h:1/0"
username = "b""#,
        &["11:12 redis.username: the URL has a user name too | keep one of the two"],
    ),
    (
        r#"[redis]
url = "http://h""#,
        &["10:7 redis.url: is not a Redis URL | write redis://host:port/db or unix:/path"],
    ),
    (
        r#"[redis]
url = "redis://h:99999""#,
        &["10:7 redis.url: has no valid host and port | write redis://host:port/db or unix:/path"],
    ),
    (
        r#"[redis]
url = "redis://h:1/x""#,
        &[
            "10:7 redis.url: the database after the last `/` is not a number | write redis://host:port/db or unix:/path",
        ],
    ),
    (
        r#"[redis]
mode = "cluster"
nodes = ["a"]"#,
        &[
            r#"10:8 redis.mode: not available in this version | leave it out, or write "standalone""#,
            "11:9 redis.nodes: not available in this version | leave it out, or write []",
        ],
    ),
    (
        r#"[redis]
mode = "standalone"
on_outage = "serve_cached"
key_prefix = "a{b}"
connections = 65"#,
        &[
            r#"11:13 redis.on_outage: not available in this version | leave it out, or write "reject""#,
            r#"12:14 redis.key_prefix: `a{b}` is not a prefix for keys | 1 to 64 visible ASCII characters, none of { } * ? [ ] \, as in "skeygate:""#,
            "13:15 redis.connections: `65` is out of range | write 1 to 64",
        ],
    ),
    (
        r#"[session]
ttl = "30s""#,
        &[r#"10:7 session.ttl: `30s` is out of range | write "1m" to "3650d""#],
    ),
    (
        r#"[session]
ttl = "60500ms""#,
        &[r#"10:7 session.ttl: is not whole seconds, which Redis counts in | write "60s""#],
    ),
    (
        r#"[session]
token_from = []"#,
        &["10:14 session.token_from: is an empty list; at least one is needed"],
    ),
    (
        r#"[session]
cache = { size = 0, ttl = "2s" }"#,
        &[],
    ),
    (
        r#"[session]
seal_keys = ["0123456789012345678901234567890"]"#,
        &[
            "10:13 session.seal_keys: a key is shorter than 32 characters | make one with `openssl rand -base64 32`",
        ],
    ),
    (
        r#"[users]
store = "memory""#,
        &[
            r#"10:9 warning users.store: user ids end with this process | write "redis": sessions outlive this process, and replicas would give one user different ids"#,
        ],
    ),
    (
        r#"[wechat]
api_base = "https://api.weixin.qq.com/""#,
        &[
            "10:12 wechat.api_base: `https://api.weixin.qq.com/` has a path | write scheme, host and port alone",
        ],
    ),
    (
        r#"[wechat]
proxy = "http://u:p@h:1""#,
        &[
            "10:9 wechat.proxy: `http://…@h:1` has a user name, which is not sent | leave out what stands before the `@`",
        ],
    ),
    (
        r#"[wechat]
timeout = "6s""#,
        &[r#"10:11 wechat.timeout: `6s` is out of range | write "1ms" to "5s""#],
    ),
    (
        r#"[upstreams.b]
servers = ["http://b"]"#,
        &["9:1 warning upstream `b`: no route uses it | remove it, or name it in a route"],
    ),
    (
        r#"[upstreams.b]
servers = []"#,
        &["10:11 upstream `b`: servers: is an empty list; one server is needed"],
    ),
    (
        r#"[upstreams.b]
servers = ["https://b"]"#,
        &[
            "10:12 upstream `b`: servers: `https://b` uses https, which is not available in this version | write http://host:port",
        ],
    ),
    (
        r#"[upstreams.b]
servers = [{ url = "http://b", weight = 2 }]"#,
        &[
            r#"10:12 upstream `b`: servers: a server with a weight is not available in this version | write the address alone, as in "http://127.0.0.1:8000""#,
        ],
    ),
    (
        r#"[upstreams.b]
servers = ["http://b/x"]
balance = "round_robin"
health = { path = "/" }
host = "a b"
retries = 4"#,
        &[
            "10:12 upstream `b`: servers: `http://b/x` has a path | use add_prefix in the route to put a path in front",
            r#"11:11 upstream `b`: balance: not available in this version | leave it out, or write "least_request""#,
            "12:10 upstream `b`: health: not available in this version | leave it out, or write nothing in it",
            "13:8 upstream `b`: host: `a b` has no valid host and port",
            "14:11 upstream `b`: retries: `4` is out of range | write 0 to 3",
        ],
    ),
    (
        r#"[check]
path = "/_gateway/check"
[cors]
origins = []"#,
        &["9:1 check: not available in this version | leave it out, or write nothing in it"],
    ),
    (
        r#"[log]
level = "loud""#,
        &[
            r#"10:9 log.level: `loud` is not a log level | write a level, or module=level pairs, as in "info,skeygate=debug""#,
        ],
    ),
    (
        r#"[log]
level = "info,skeygate=verbose""#,
        &[
            r#"10:9 log.level: `info,skeygate=verbose` is not a log filter: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5 | write a level, or module=level pairs, as in "info,skeygate=debug""#,
        ],
    ),
    (
        r#"[log]
access = { sample = 2, skip = ["x"] }"#,
        &[
            "10:21 log.access.sample: is out of range | write 0.0 to 1.0",
            "10:32 log.access.skip: `x` does not start with `/` | write `/x`",
        ],
    ),
];

#[test]
fn each_mistake_in_a_table_is_reported_with_its_cure() {
    assert_reports(CASES);
}
