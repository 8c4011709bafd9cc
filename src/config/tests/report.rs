//! The whole report: order, lines, carets, masking.

use super::{GOOD, parse, reports};
use crate::config::Config;

#[test]
fn all_problems_are_reported_at_once_in_file_order() {
    let text = r#"[server]
header_timeout = 10
listen = ["localhost:80", ":81"]

[[apps]]
appid = "wx1234567890abcdef"
secert = "0123456789abcdef"

[upstreams.api]
servers = ["10.0.0.7:8000"]

[[routes]]
path = "/api/*"
upstream = "apl"

[sessoin]
"#;
    let error = parse(text).expect_err("the file is bad");
    let expected = r#"gateway.toml:2:18: error: server.header_timeout: the duration `10` has no unit
  2 | header_timeout = 10
    |                  ^^
help: write "10s" for seconds; other units are ms, m, h, d

gateway.toml:3:11: error: server.listen: `localhost:80` is not an address and port
  3 | listen = ["localhost:80", ":81"]
    |           ^^^^^^^^^^^^^^
help: write "127.0.0.1:80"

gateway.toml:3:27: error: server.listen: `:81` is not an address and port
  3 | listen = ["localhost:80", ":81"]
    |                           ^^^^^
help: write "0.0.0.0:81"

gateway.toml:5:1: error: app `wx1234567890abcdef`: `secret` is missing
  5 | [[apps]]
    | ^^^^^^^^

gateway.toml:7:1: error: app `wx1234567890abcdef`: there is no key `secert`
  7 | secert = …
    | ^^^^^^
help: did you mean `secret`?

gateway.toml:10:12: error: upstream `api`: servers: `10.0.0.7:8000` has no scheme
  10 | servers = ["10.0.0.7:8000"]
     |            ^^^^^^^^^^^^^^^
help: write `http://10.0.0.7:8000`

gateway.toml:14:12: error: route `/api/*`: upstream: there is no upstream `apl`
  14 | upstream = "apl"
     |            ^^^^^
help: did you mean `api`?

gateway.toml:16:2: error: there is no key `sessoin`
  16 | [sessoin]
     |  ^^^^^^^
help: did you mean `session`?

gateway.toml: 8 errors"#;
    assert_eq!(error.to_string(), expected);
}

#[test]
fn an_empty_file_reports_the_required_keys() {
    let expected = "gateway.toml:1:1: error: there is no [[apps]]\n\
        help: write one, with the appid and the secret of the mini program\n\n\
        gateway.toml:1:1: error: there is no [[routes]]\n\
        help: write one, as in: path = \"/*\" and upstream = \"NAME\"\n\n\
        gateway.toml: 2 errors";
    assert_eq!(
        parse("").expect_err("nothing is in it").to_string(),
        expected
    );
}

#[test]
fn an_unknown_key_is_looked_for_in_its_table_and_in_the_others() {
    let server = |key: &str| reports(&format!("{GOOD}[server]\n{key} = 1\n"));
    assert_eq!(
        server("max_boddy"),
        ["10:1 server: there is no key `max_boddy` | did you mean `max_body`?"]
    );
    assert_eq!(
        server("maxConnections"),
        ["10:1 server: there is no key `maxConnections` | did you mean `max_connections`?"]
    );
    assert_eq!(
        server("max_age"),
        ["10:1 server: there is no key `max_age` | `max_age` is a key of [session]"]
    );
    let shutdown = reports(&format!("{GOOD}[server.shutdown]\nxyz = 1\n"));
    assert_eq!(
        shutdown,
        ["10:1 server.shutdown: there is no key `xyz` | known here: not_ready_for, drain"]
    );
}

#[test]
fn a_single_table_in_place_of_an_array_is_reported_with_its_cure() {
    let text = GOOD.replace("[[routes]]", "[routes]");
    assert_eq!(
        reports(&text),
        ["6:1 routes: is not a list of tables | write [[routes]], with two brackets, before each"]
    );
}

#[test]
fn text_that_is_not_toml_is_shown_once_a_line() {
    let expected = [
        "2:9 not TOML: invalid float, expected `inf` | a text needs quotes",
        "3:9 not TOML: key with no value, expected `=` | write key = value",
        "4:9 not TOML: string values must be quoted | put the value in quotes",
    ];
    assert_eq!(
        reports("[log]\nlevel = info\nformat: \"json\"\nsample = 5 percent\n")[..2],
        expected[..2]
    );
    assert_eq!(reports("[log]\n\n\nlevel = debug\n"), expected[2..]);
    let twice = "4:2 not TOML: duplicate key | each key and table is written once; a list of entries has [[two]] brackets";
    assert_eq!(reports("[log]\nlevel = \"info\"\n\n[log]\n"), [twice]);
}

#[test]
fn one_wrong_character_anywhere_neither_panics_nor_shows_a_secret() {
    let text = "[redis]\nurl = \"redis://用户:hunter2hunter2@h:1/0\" # 注释\npassword = 'hunter2hunter2'\n\
        [[apps]]\nappid = \"wx1234567890abcdef\"\nsecret = \"hunter2hunter2\"\n\
        [session]\nseal_keys = [\n  \"hunter2hunter2hunter2hunter2hunter2\",\n]\n[[routes]]\npath = \"/é\"\n";
    let mut reports = 0;
    for (at, old) in text.char_indices() {
        let (head, tail) = (&text[..at], &text[at + old.len_utf8()..]);
        for new in ["", "\"", "'", "\n", "é", "]", "$", "="] {
            if let Err(error) = parse(&format!("{head}{new}{tail}")) {
                reports += 1;
                let shown = error.to_string();
                assert!(
                    !shown.contains("hunter2"),
                    "{new:?} for {old:?} at {at} gives\n{shown}"
                );
            }
        }
    }
    assert!(reports > 1000, "only {reports} files were refused");
}

#[test]
fn carets_line_up_after_tabs_and_wide_characters() {
    let text = format!("{GOOD}[log]\n\taccess = {{ skip = [\"/a\", \"é\"] }}\n");
    let report = parse(&text).expect_err("the path is bad").to_string();
    let excerpt =
        "  10 |  access = { skip = [\"/a\", \"é\"] }\n     |                           ^^^\n";
    assert!(report.contains(excerpt), "{report}");
}

#[test]
fn a_byte_order_mark_is_nothing() {
    let loaded = parse(&format!("\u{feff}{GOOD}")).expect("a good file");
    assert_eq!(loaded.config.apps[0].appid, "wx1234567890abcdef");
}

#[test]
fn no_secret_is_in_a_report_however_the_file_is_broken() {
    let texts = [
        "secret = \"hunter2\"\nsecret = \"hunter2\"\n",
        "secret = \"hunter2\n",
        "secret = hunter2\n",
        "secret = hunter2, hunter2\n",
        "secret: \"hunter2\"\n",
        "secret \"hunter2\"\n",
        "secret =\n  \"hunter2\n",
        "secret = 'hunter2\n",
        "secret = \"\"\"\nhunter2\nkey = hunter2\n\"\"\" x\n",
        "\"secret\" = \"hunter2\" x\n",
        "x = { a = 1, secret = \"hunter2\", b }\n",
        "apps.secret = hunter2\n",
        "secret_previous = hunter2\n",
        "sercet = \"hunter2\"\n",
        "app_secret = \"hunter2\"\n",
        "sk = \"hunter2\"\n",
        "[[apps]]\nappid = \"wx\"\nscrt = \"hunter2\"\n",
        "[redis]\npassword = hunter2\n",
        "[redis]\npasswrd = \"hunter2\"\n",
        "[redis]\nurl = \"redis://:hunter2\"\n",
        "[redis]\nurl = \"http://:hunter2@h\"\n",
        "[redis]\nurl = \"redis://:hunter2@h:x\"\n",
        "[redis]\nurl = redis://:hunter2@h\n",
        "[redis]\nurl = [\"redis://:hunter2@h\"]\n",
        "[wechat]\nproxy = \"http://u:hunter2@h:1\"\n",
        "[wechat]\nproxy = http://u:hunter2@h:1\n",
        "[upstreams.a]\nservers = [\"http://u:hunter2@h:1\"]\n",
        "[session]\nseal_keys = [\"hunter2\"]\n",
        "[session]\nseal_keys = [\n  \"a\",\n  \"hunter2\",\n  x\n]\n",
        "[session]\nseal_keys = \"hunter2\"\n",
        "[admin]\ntoken = \"hunter2\"\n",
        "[identity]\nsign = { secret = \"hunter2\" }\n",
        "[[apps]]\nsecret_next = \"hunter2\"\nsecret = 1\n",
        "[[apps]]\nsecret = { a = \"hunter2\" }\n",
        "[[apps]]\nsecret = \"hunter2 \"\n",
        "[[apps]]\nappid = \"${HUNTER} \"\nsecret = \"a\"\n",
        "[wechat]\napi_base = \"${HUNTER}\"\n",
        "[log]\nlevel = \"${HUNTER}\"\n",
    ];
    let environment = |name: &str| (name == "HUNTER").then(|| "hunter2".to_owned());
    for text in texts {
        let error = Config::parse("gateway.toml", text, &environment).expect_err(text);
        let (shown, debug) = (error.to_string(), format!("{error:?}"));
        assert!(
            !shown.contains("hunter2") && !debug.contains("hunter2"),
            "{text}\ngives\n{shown}"
        );
    }
}

#[test]
fn values_that_are_not_secret_are_shown() {
    let text =
        format!("{GOOD}[session]\ntoken_from = [\"heder:x\"]\n[redis]\nkey_prefix = \"{{}}\"\n");
    let report = parse(&text).expect_err("both are bad").to_string();
    assert!(
        report.contains("token_from = [\"heder:x\"]") && report.contains("key_prefix = \"{}\""),
        "{report}"
    );
}

#[test]
fn the_column_does_not_tell_the_length_of_a_secret() {
    let places = |secret: &str| {
        let error =
            parse(&format!("[[apps]]\nsecret = \"{secret}\n")).expect_err("the quote is open");
        error
            .problems()
            .iter()
            .map(|problem| problem.column)
            .collect::<Vec<_>>()
    };
    assert_eq!(places("a").len(), 1);
    assert_eq!(places("a"), places("abcdefgh"));
}

/// Fuzzing found that a quoted key broke its message in two, or coloured the terminal.
#[test]
fn a_key_with_line_ends_or_escapes_in_it_is_reported_on_one_line() {
    let text = format!("\"a\\nb\\u001B[31m\" = 1\n{GOOD}");
    let found = reports(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("1:1 there is no key `a…b…[31m`"),
        "{found:?}"
    );
}

/// Found by fuzzing: a few kilobytes that are not TOML took half a minute, since each error counted
/// all lines before it.
#[test]
fn another_file_taken_for_a_gateway_toml_is_refused_within_seconds() {
    let started = tokio::time::Instant::now();
    for line in ["a = \"\n", "secret = [\n", "=", "GET /?token=abc key: x\n"] {
        let text = line.repeat(64 * 1024 / line.len());
        let error = parse(&text).expect_err(line);
        let first = error.problems()[0].line;
        assert!((1..=2).contains(&first), "{line}: line {first}");
    }
    let took = started.elapsed();
    assert!(took.as_secs() < 30, "took {took:?}");
}
