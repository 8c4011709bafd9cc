//! `[[routes]]`: refusals and their reports.

use super::assert_reports;

/// Added below a route for `/*` in lines 6 to 8.
const CASES: &[(&str, &[&str])] = &[
    (
        r#"methods = ["get"]"#,
        &[r#"9:12 route `/*`: methods: `get` is not a method | write "GET""#],
    ),
    (
        r#"methods = ["CONNECT"]"#,
        &["9:12 route `/*`: methods: `CONNECT` makes a tunnel, which is never forwarded"],
    ),
    (
        r#"methods = ["TRACE", "G!T"]"#,
        &[
            "9:12 route `/*`: methods: `TRACE` is refused everywhere | a response to it would show clients the headers that the upstream gets",
            "9:21 route `/*`: methods: `G!T` is not a method",
        ],
    ),
    (
        r#"hosts = ["例子.测试", "b.example.", "[::1]:80", "::1", "[0::1]"]"#,
        &[
            r#"9:10 route `/*`: hosts: `例子.测试` is not ASCII | write "xn--fsqu00a.xn--0zwm56d", which is this name on the wire"#,
            r#"9:19 route `/*`: hosts: `b.example.` ends with a dot; hosts are compared without | write "b.example""#,
            r#"9:33 route `/*`: hosts: `[::1]:80` has a port; hosts are compared without | write "[::1]""#,
            r#"9:45 route `/*`: hosts: `::1` is an address without brackets | write "[::1]""#,
        ],
    ),
    (
        r#"hosts = ["API.example.com:443"]"#,
        &[
            r#"9:10 route `/*`: hosts: `API.example.com:443` has a port; hosts are compared without | write "API.example.com""#,
        ],
    ),
    (
        r#"hosts = ["*.Example.com", "a.*.b"]"#,
        &[
            "9:27 route `/*`: hosts: `a.*.b` has a `*` | a route may write `*.example.com` for every name below it",
        ],
    ),
    (
        r#"auth = "off""#,
        &[
            r#"9:8 warning route `/*`: auth: off for every path without a route of its own | write auth = "required" here, and "off" for the paths that need no login"#,
        ],
    ),
    (
        r#"auth = "required"
on_bad_token = "reject""#,
        &[
            r#"10:16 route `/*`: on_bad_token: says something only where auth = "optional" | leave it out"#,
        ],
    ),
    (
        r#"strip_prefix = "/api""#,
        &[
            "9:16 route `/*`: strip_prefix: not every path of this route starts with `/api` | write a part of the route's own path, `/*`",
        ],
    ),
    (
        r#"add_prefix = "/v1/""#,
        &["9:14 route `/*`: add_prefix: `/v1/` ends with a slash | write `/v1`"],
    ),
    (
        r#"add_prefix = "/""#,
        &["9:14 route `/*`: add_prefix: `/` changes nothing | leave it out"],
    ),
    (r#"token_from = ["query:skey"]"#, &[]),
    (
        r#"token_from = ["header:x_skey"]"#,
        &[
            r#"9:14 route `/*`: token_from: the header `x_skey` is dropped for its `_` before it is read | write `x-skey`, or server.underscore_headers = "keep""#,
        ],
    ),
    (
        r#"token_from = ["header:X-Openid"]"#,
        &[
            "9:14 route `/*`: token_from: `x-openid` is an identity header | identity headers are taken out of every request; take another name",
        ],
    ),
    (
        r#"token_from = ["header:host"]"#,
        &["9:15 route `/*`: token_from: `header:host` names a header with a meaning of its own"],
    ),
    (
        r#"token_from = ["header:cookie"]"#,
        &[
            r#"9:15 route `/*`: token_from: `header:cookie` names the whole Cookie header | write "cookie:NAME""#,
        ],
    ),
    (
        r#"token_from = ["bearer:x"]"#,
        &[
            r#"9:15 route `/*`: token_from: `bearer:x` has a name | write "bearer": it is always the Authorization header"#,
        ],
    ),
    (
        r#"token_from = ["cookie:a b"]"#,
        &[
            "9:15 route `/*`: token_from: `cookie:a b` has a name with blanks, or one of more than 64 bytes",
        ],
    ),
    (
        r#"token_from = ["json:"]"#,
        &[r#"9:15 route `/*`: token_from: `json:` has no name | write "json:NAME""#],
    ),
    (
        r#"token_from = ["skey"]"#,
        &[
            "9:15 route `/*`: token_from: `skey` is not a place in a request | write one of header:NAME, bearer, query:NAME, cookie:NAME, form:NAME, json:NAME",
        ],
    ),
    (r#"max_body = "none""#, &[]),
    (
        r#"max_body = "20""#,
        &[r#"9:12 route `/*`: max_body: `20` is not a size | write "20MiB""#],
    ),
    (
        r#"timeout = "0s""#,
        &[r#"9:11 route `/*`: timeout: `0s` is out of range | write "1ms" to "1d""#],
    ),
    (
        r#"timeout = "1.5s""#,
        &[
            r#"9:11 route `/*`: timeout: `1.5s` is not a duration | write a whole number and one of ms, s, m, h, d, as in "30s""#,
        ],
    ),
    (
        r#"timeout = "5 s""#,
        &[
            r#"9:11 route `/*`: timeout: `5 s` is not a duration | write a whole number and one of ms, s, m, h, d, as in "30s""#,
        ],
    ),
    (
        r#"allow_encoded = [";"]"#,
        &[r#"9:18 route `/*`: allow_encoded: `;` is not known here | write one of "/", "%""#],
    ),
    (
        "respond = { status = 204 }",
        &[
            "9:11 route `/*`: respond: `upstream` is written too | keep one of the two: forward, or respond",
        ],
    ),
    (
        r#"request_headers = { set = { "X_openid" = "1" } }"#,
        &[
            "9:19 route `/*`: request_headers: `x_openid` is an identity header | what it says is decided under [identity], for all routes",
        ],
    ),
    (
        r#"request_headers = { remove = ["Connection"] }"#,
        &[
            "9:31 route `/*`: request_headers.remove: `Connection` is not a route's to change | the gateway takes care of it",
        ],
    ),
    (
        r#"response_headers = { set = { "X-A" = "a\nb" } }"#,
        &[
            "9:38 route `/*`: response_headers.set: `a…b` is not a header value | use visible ASCII characters only",
        ],
    ),
    (
        r#"style = "wafer3""#,
        &["9:9 route `/*`: style: `wafer3` is not known here | did you mean `wafer1`?"],
    ),
    (
        r#"style = { login = '{"a":{skey}}' }"#,
        &[
            r#"9:19 route `/*`: style.login: is not JSON once it is filled in: expected value at line 1 column 6 | texts need quotes of their own: {"token":"{skey}"}"#,
        ],
    ),
    (
        r#"style = { login = '{"a":1}' }"#,
        &[
            r#"9:19 route `/*`: style.login: the login response has no {skey} | without it no client can log in; write "{skey}" where the client looks for it"#,
        ],
    ),
    (
        "style = { refusal = '{}' }",
        &["9:9 route `/*`: style: `login` is missing"],
    ),
    (
        r#"style = { login = '{"a":"{skey}"}', refusal_status = 100, refusal = '{"e":{errcode},"r":"{requestid}"}' }"#,
        &[
            "9:54 route `/*`: style.refusal_status: `100` is out of range | write 200 to 599",
            "9:69 route `/*`: style.refusal: there is no {requestid} to fill in | did you mean `request_id`?",
        ],
    ),
    (
        "style = 5",
        &["9:9 route `/*`: style: is a bare number, where a text in quotes is needed"],
    ),
    (
        r#"[[routes]]
path = "/a/*"
upstream = "api"
auth = "optional"
[[routes]]
path = "/A/*"
upstream = "api""#,
        &[
            "14:8 warning route `/A/*`: path: differs from the route in line 10 only in letters or a slash at its end, and in auth | services that ignore those serve both alike; write one route, or the same auth",
        ],
    ),
    (
        r#"[[routes]]
path = "/pub/*"
upstream = "api"
auth = "off"
strip_prefix = "/pub""#,
        &[
            "12:8 warning route `/pub/*`: auth: asks less than the route in line 7 for the same paths of the upstream | strip_prefix and add_prefix lead both there; write the same auth, or prefixes that keep them apart",
        ],
    ),
    (
        r#"[[routes]]
path = "/pub/*"
upstream = "api"
auth = "off"
strip_prefix = "/pub"
add_prefix = "/assets""#,
        &[],
    ),
    (
        r#"[[routes]]
path = "/_gateway/x"
upstream = "api""#,
        &[
            "10:8 route `/_gateway/x`: path: `/_gateway/x` lies under /_gateway, which is the gateway's own | write another path",
        ],
    ),
    (
        r#"[[routes]]
path = "api"
upstream = "api""#,
        &["10:8 route `api`: path: `api` does not start with `/` | write `/api`"],
    ),
    (
        r#"[[routes]]
path = "/a/../b"
upstream = "api""#,
        &[
            "10:8 route `/a/../b`: path: `/a/../b` has the segment `..` | write the path that it leads to",
        ],
    ),
    (
        r#"[[routes]]
path = "/a%2Fb"
upstream = "api""#,
        &[
            "10:8 route `/a%2Fb`: path: `/a%2Fb` has an encoded byte that servers read differently | requests with %2F, %5C, %3B, %25, %3F, %23 or control characters are not routed by them",
        ],
    ),
    (
        r#"[[routes]]
path = "/a%zz"
upstream = "api""#,
        &[
            "10:8 route `/a%zz`: path: `/a%zz` has a `%` that encodes nothing | write `%25` for a percent sign",
        ],
    ),
    (
        r#"[[routes]]
path = "/caf%E9"
upstream = "api""#,
        &[
            "10:8 route `/caf%E9`: path: `/caf%E9` is not UTF-8 once it is decoded | such requests are refused, so no route would guard them",
        ],
    ),
    (
        r#"[[routes]]
path = "/用户/*"
upstream = "api""#,
        &[
            "10:8 route `/用户/*`: path: `/用户/*` is not in its canonical spelling | write `/%E7%94%A8%E6%88%B7/*`",
        ],
    ),
    (
        r#"[[routes]]
path = "/a/*/b"
upstream = "api""#,
        &[
            "10:8 route `/a/*/b`: path: `/a/*/b` has a `*` before its end | `*` is allowed only as the last segment, `/*`",
        ],
    ),
    (
        r#"[[routes]]
path = "/a?b"
upstream = "api""#,
        &[
            "10:8 route `/a?b`: path: `/a?b` has a `?` | write the path alone; queries take no part in routing",
        ],
    ),
    (
        r#"[[routes]]
path = "/*"
upstream = "api"
methods = ["GET"]"#,
        &[
            "10:8 route `/*`: path: the route in line 7 has the same path | no request could tell them apart; keep one, or give them different hosts or methods",
        ],
    ),
    (
        r#"[[routes]]
path = "/a""#,
        &["9:1 route `/a`: `upstream` is missing"],
    ),
    (
        r#"[[routes]]
upstream = "api""#,
        &["9:1 route #2: `path` is missing"],
    ),
    (
        r#"[[routes]]
path = "/a"
upstream = "api"
respond = { status = 200 }"#,
        &[
            "12:11 route `/a`: respond: `upstream` is written too | keep one of the two: forward, or respond",
        ],
    ),
    (
        r#"[[routes]]
path = "/a"
respond = { status = 204, body = "x" }
timeout = "1s""#,
        &[
            "11:34 route `/a`: respond.body: a response with status 204 has no body | leave it out",
            "12:11 route `/a`: timeout: has no effect on a route that responds directly | leave it out",
        ],
    ),
    (
        r#"[[routes]]
path = "/a"
hosts = ["a.com", "b.com"]
methods = ["GET", "POST"]
upstream = "api"
[[routes]]
path = "/a"
hosts = ["c.com", "B.com"]
methods = ["POST"]
upstream = "api""#,
        &[
            "15:8 route `/a`: path: the route in line 10 has the same path and host `b.com` and method POST | no request could tell them apart; keep one, or give them different hosts or methods",
        ],
    ),
];

#[test]
fn each_mistake_in_a_route_is_reported_with_its_cure() {
    assert_reports(CASES);
}
