//! `rate_limit` of routes and logins, and `[rate_limit]`.

use std::time::Duration;

use super::{assert_reports, good_with};
use crate::config::{Config, Quota};

/// A limit as `check` and the log write it; how long one request takes to be given back.
fn shown(quota: Option<Quota>) -> (String, Duration) {
    let quota = quota.expect("a limit");
    (quota.to_string(), quota.rate.interval())
}

fn of_route(keys: &str) -> [Option<Quota>; 2] {
    let limit = good_with(keys).routes[0].rate_limit;
    [limit.per_address, limit.per_user]
}

fn of_login(config: &Config) -> String {
    config.login[0]
        .rate_limit
        .map_or("none".to_owned(), |quota| quota.to_string())
}

#[test]
fn a_route_has_no_limit_unless_it_says_so() {
    for keys in ["", "rate_limit = \"none\"", "rate_limit = {}"] {
        assert_eq!(of_route(keys), [None, None], "{keys}");
    }
}

#[test]
fn a_rate_is_a_number_and_a_time_and_its_number_is_the_burst() {
    let [address, user] =
        of_route("rate_limit = { per_user = \"20/m\", per_address = \"1000/h\" }");
    let ms = Duration::from_millis;
    assert_eq!(shown(user), ("20/m, 20 at once".to_owned(), ms(3000)));
    assert_eq!(
        shown(address),
        ("1000/h, 1000 at once".to_owned(), ms(3600))
    );
    let [address, user] =
        of_route("rate_limit = { per_user = \"50/s\", per_address = \"100/s\", burst = 7 }");
    assert_eq!(shown(user), ("50/s, 7 at once".to_owned(), ms(20)));
    assert_eq!(shown(address), ("100/s, 7 at once".to_owned(), ms(10)));
}

#[test]
fn a_login_is_limited_generously_unless_it_says_otherwise() {
    let own = |limit: &str| of_login(&good_with(&format!("[[login]]\nrate_limit = {limit}")));
    assert_eq!(of_login(&good_with("")), "600/m, 200 at once");
    assert_eq!(of_login(&good_with("[[login]]")), "600/m, 200 at once");
    assert_eq!(own("{ burst = 9 }"), "600/m, 9 at once");
    assert_eq!(own("{ per_address = \"20/m\" }"), "20/m, 20 at once");
    let both = "{ per_address = \"20/m\", burst = 5 }";
    assert_eq!(own(both), "20/m, 5 at once");
    assert_eq!(own("\"none\""), "none");
}

#[test]
fn limits_are_shared_where_redis_is_used() {
    assert!(!good_with("").rate_limit.shared);
    assert!(good_with("[rate_limit]\nshared = true").rate_limit.shared);
    let memory = "[session]\nstore = \"memory\"\n[redis]\nurl = \"redis://10.0.0.1:6379/0\"";
    let config = good_with(&format!("{memory}\n[rate_limit]\nshared = true"));
    assert!(config.rate_limit.shared);
}

/// Added below a route for `/*` in lines 6 to 8.
const CASES: &[(&str, &[&str])] = &[
    (
        "rate_limit = { per_user = 50, per_address = \"50\" }",
        &[
            r#"9:27 route `/*`: rate_limit.per_user: the rate `50` does not say in which time | write "50/s" for so many a second; other units are /m and /h"#,
            r#"9:45 route `/*`: rate_limit.per_address: `50` is not a rate | write "50/s" for so many a second; other units are /m and /h"#,
        ],
    ),
    (
        "rate_limit = { per_user = \"50/sec\", per_address = \"much\" }",
        &[
            r#"9:27 route `/*`: rate_limit.per_user: `50/sec` is not a rate | write "50/s""#,
            r#"9:51 route `/*`: rate_limit.per_address: `much` is not a rate | write a whole number and one of /s, /m, /h, as in "50/s""#,
        ],
    ),
    (
        "rate_limit = { per_user = \"0/m\", per_address = \"10001/s\", burst = 0 }",
        &[
            r#"9:27 route `/*`: rate_limit.per_user: `0/m` must be at least 1 | write at least "1/m", or leave it out for no limit"#,
            r#"9:48 route `/*`: rate_limit.per_address: `10001/s` is more than a limit can count | write at most "10000/s", or leave it out for no limit"#,
            "9:67 route `/*`: rate_limit.burst: `0` is out of range | write 1 to 100000",
        ],
    ),
    (
        "rate_limit = { burst = 10 }",
        &[
            "9:24 route `/*`: rate_limit.burst: there is no rate that it belongs to | write per_user or per_address, or leave it out",
        ],
    ),
    (
        "rate_limit = \"50/s\"",
        &[
            r#"9:14 route `/*`: rate_limit: is a text in quotes, where "none", or a table as in { per_address = "100/s", burst = 100 }, is needed"#,
        ],
    ),
    (
        "rate_limit = { per_adress = \"50/s\" }",
        &[
            "9:16 route `/*`: rate_limit: there is no key `per_adress` | did you mean `per_address`?",
        ],
    ),
    (
        "auth = \"optional\"\nrate_limit = { per_user = \"50/s\" }",
        &[
            "10:14 warning route `/*`: rate_limit: requests without an skey are not counted | write per_address too",
        ],
    ),
    (
        "[[routes]]\npath = \"/off\"\nupstream = \"api\"\nauth = \"off\"\nrate_limit = { per_user = \"50/s\" }",
        &[
            r#"13:14 route `/off`: rate_limit: per_user has no effect where auth = "off": no user is known there | write per_address"#,
        ],
    ),
    (
        "[[login]]\nrate_limit = { per_address = \"ten\", burst = 100001 }",
        &[
            r#"10:30 login #1: rate_limit.per_address: `ten` is not a rate | write a whole number and one of /s, /m, /h, as in "50/s""#,
            "10:45 login #1: rate_limit.burst: `100001` is out of range | write 1 to 100000",
        ],
    ),
    (
        "[[login]]\nrate_limit = { per_user = \"5/m\" }",
        &[
            "10:16 login #1: rate_limit: there is no key `per_user` | `per_user` is a key of [routes.rate_limit]",
        ],
    ),
    (
        "[session]\nstore = \"memory\"\n[rate_limit]\nshared = true",
        &[
            "12:10 rate_limit.shared: limits are shared through Redis, and nothing else here uses it | write [redis] with its url, or leave it out: each replica counts for itself then",
        ],
    ),
    (
        "rate_limit = { per_address = \"5/s\" }\n[server]\nlisten = [\"unix:/run/gateway.sock\"]",
        &[
            "9:14 warning route `/*`: rate_limit: over the Unix socket in server.listen clients have no address, so per_address does not count them | listen on a port, or let the proxy in front limit by address",
        ],
    ),
    ("[server]\nlisten = [\"unix:/run/gateway.sock\"]", &[]),
];

#[test]
fn each_mistake_in_a_limit_is_reported_with_its_cure() {
    assert_reports(CASES);
}
