//! `[[apps]]`, `[[login]]` and `[identity]`: refusals and their reports.

use super::assert_reports;

/// Added below an app, an upstream and a route, from line 9 on.
const CASES: &[(&str, &[&str])] = &[
    (
        r#"[[apps]]
appid = "wx1234567890abcdef"
secret = "x""#,
        &[
            "10:9 app `wx1234567890abcdef`: appid: is the appid of the app in line 2 too | write each app once",
        ],
    ),
    (
        r#"[[apps]]
appid = "wx1234567890abcde0"
secret = "x"
name = "wx1234567890abcdef""#,
        &[
            "12:8 app `wx1234567890abcdef`: name: the app in line 2 is called `wx1234567890abcdef` too | give each app a name of its own",
        ],
    ),
    (
        r#"[[apps]]
appid = "wx1234567890abcde0"
secret = "x""#,
        &[
            "2:9 warning apps: none of them is the default | write default = true in one app: a login that chooses none by header, host or Referer is refused",
        ],
    ),
    (
        r#"[[apps]]
appid = "wx1234567890abcde0"
secret = "x"
default = true
hosts = ["a.com"]
[[apps]]
appid = "wx1234567890abcde1"
secret = "x"
default = true
hosts = ["A.com"]"#,
        &[
            "17:11 app `wx1234567890abcde1`: default: the app in line 10 is the default already | one app can be the default",
            "18:9 app `wx1234567890abcde1`: hosts: `a.com` chooses the app in line 10 already | a host can choose one app only",
        ],
    ),
    (
        r#"[[apps]]
appid = "wx1234567890abcde0"
default = true"#,
        &["9:1 app `wx1234567890abcde0`: `secret` is missing"],
    ),
    (
        r#"[[apps]]
appid = "wx1234567890abcde0"
secret = "x"
secret_file = "/y"
default = true"#,
        &[
            "12:15 app `wx1234567890abcde0`: secret_file: `secret` is written too | keep one of the two",
        ],
    ),
    (
        r#"[[apps]]
appid = "wx1234567890abcde0"
secret = ""
default = true"#,
        &[
            r#"11:10 app `wx1234567890abcde0`: secret: is empty | write the value, `${VARIABLE}`, or secret_file = "PATH""#,
        ],
    ),
    (
        r#"[[apps]]
appid = "demo"
secret = "${SET}"
default = true"#,
        &[
            "10:9 warning app `demo`: appid: not of the usual form | WeChat's are `wx` and 16 characters of 0-9 and a-f",
        ],
    ),
    (
        r#"[[apps]]
appid = "${SET} "
secret = "x"
default = true"#,
        &[
            "10:9 app `${SET} `: appid: `${SET} ` is not an appid | it starts with `wx`; see the mini program's console",
        ],
    ),
    (
        r#"[[apps]]
appid = "wx1234567890abcde0"
secret_file = "/nonexistent"
default = true"#,
        &[
            "11:15 app `wx1234567890abcde0`: secret_file: `/nonexistent` cannot be read: No such file or directory (os error 2)",
        ],
    ),
    (
        r#"[[login]]
path = "/login"
[[login]]
path = "/login""#,
        &[
            "12:8 login `/login`: path: `/login` is the path of the login in line 10 too | write one entry for each path",
        ],
    ),
    (
        r#"[[login]]
path = "/_gateway/login""#,
        &[
            r#"10:8 login `/_gateway/login`: path: `/_gateway/login` lies under /_gateway, which is the gateway's own | write another path, as in "/login""#,
        ],
    ),
    (
        r#"[[login]]
app = "wx1234567890abcdee""#,
        &[
            "10:7 login #1: app: there is no app `wx1234567890abcdee` | did you mean `wx1234567890abcdef`?",
        ],
    ),
    (
        r#"[[login]]
methods = ["PUT"]"#,
        &[r#"10:12 login #1: methods: `PUT` cannot be a login | write "POST" or "GET""#],
    ),
    (
        r#"[[login]]
code_from = ["cookie:a"]"#,
        &[
            "10:14 login #1: code_from: `cookie:a` is not a place in a request | write one of json:NAME, form:NAME, header:NAME, query:NAME",
        ],
    ),
    (
        r#"[[login]]
code_from = ["header:x_code"]"#,
        &[
            r#"10:13 login #1: code_from: the header `x_code` is dropped for its `_` before it is read | write `x-code`, or server.underscore_headers = "keep""#,
        ],
    ),
    (
        r#"[login]
path = "/login""#,
        &["9:1 login: is not a list of tables | write [[login]], with two brackets, before each"],
    ),
    (
        r#"[identity]
headers = { "X-A" = "{openid", "X-B" = "é", "X-Forwarded-For" = "x", "a b" = "x" }
preset = "wxcloud""#,
        &[
            "10:21 identity.headers: `{openid` has a `{` without a `}`",
            "10:40 identity.headers: `é` is not a header value | use visible ASCII characters and {openid}, {user_id}, {unionid}, {appid}, {claim.NAME}, {nickname}, {avatar}, {phone}",
            "10:45 identity.headers: `X-Forwarded-For` has a meaning of its own and cannot carry an identity | take a name like `X-Openid`",
            "10:70 identity.headers: `a b` is not a header name | letters, digits and `-`, as in `X-Openid`",
            "11:10 identity.preset: `wxcloud` is not known here | did you mean `wxcloudrun`?",
        ],
    ),
    (
        r#"[identity]
headers = { "X-Role" = "{claim.Role}", "X-Nick" = "{nickame}", "X_User.Id-Merged-From" = "x" }"#,
        &[
            "10:24 identity.headers: `{claim.Role}` has {claim.Role}, which no claim is called | 1 to 32 small letters, digits and `_`, a letter first",
            "10:51 identity.headers: `{nickame}` has {nickame}, which no identity holds | did you mean `nickname`?",
            "10:64 identity.headers: `X_User.Id-Merged-From` has a meaning of its own and cannot carry an identity | take a name like `X-Openid`",
        ],
    ),
    (
        r#"[identity]
headers = { "X-User-Id" = "{user_id}", "X.User.Id" = "{openid}" }"#,
        &[
            "10:40 identity.headers: `x.user.id` and `x-user-id` are one header to PHP and CGI, with two values | keep one of the two",
        ],
    ),
    (
        r#"[identity]
headers = { "X-WX-Openid" = "u-{openid}" }
preset = "wxcloudrun""#,
        &["11:10 identity.preset: `x-wx-openid` has another value already | keep one of the two"],
    ),
    (
        r#"[identity]
sign = { secret = "abc" }"#,
        &[
            r#"10:19 identity.sign.secret: not available in this version | leave it out, or write """#,
        ],
    ),
];

#[test]
fn each_mistake_in_an_app_login_or_identity_is_reported_with_its_cure() {
    assert_reports(CASES);
}
