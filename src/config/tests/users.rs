//! `[users]` and its tables.

use std::path::Path;

use super::{GOOD, good_with, parse, reports};
use crate::config::{Sql, SqlKind, SqlPlace, SqlTls, UserStore, Webhook};
use crate::secret::Secret;

fn sql(keys: &str) -> Sql {
    let config = good_with(&format!("[users]\nstore = \"sql\"\n[users.sql]\n{keys}"));
    match config.users.store {
        UserStore::Sql(sql) => *sql,
        other => panic!("{other:?}"),
    }
}

/// What is said of `[users.sql]` with these keys, without the places.
fn said(keys: &str) -> Vec<String> {
    let text = format!("{GOOD}\n[users]\nstore = \"sql\"\n[users.sql]\n{keys}\n");
    let said = reports(&text);
    said.iter()
        .map(|line| line.split_once(' ').expect("a place").1.to_owned())
        .collect()
}

#[test]
fn a_url_is_taken_apart_and_its_escapes_are_decoded() {
    let mysql = sql("url = \"mysql://ga%40te:p%2Fw@db.internal/app\"");
    assert_eq!((mysql.kind, mysql.tls), (SqlKind::MySql, SqlTls::Auto));
    let SqlPlace::Server {
        host,
        port,
        socket,
        username,
        password,
        database,
    } = mysql.place
    else {
        panic!("a server")
    };
    assert_eq!((host.as_str(), port, socket), ("db.internal", 3306, None));
    assert_eq!((username.as_str(), database.as_str()), ("ga@te", "app"));
    assert_eq!(password.as_ref().map(Secret::expose), Some("p/w"));

    let socket = sql(
        "url = \"mysql://gate@localhost/app?socket=/run/mysqld/mysqld.sock\"\npassword = \"pw\"",
    );
    let SqlPlace::Server {
        socket, password, ..
    } = socket.place
    else {
        panic!("a server")
    };
    assert_eq!(
        socket.as_deref(),
        Some(Path::new("/run/mysqld/mysqld.sock"))
    );
    assert_eq!(password.as_ref().map(Secret::expose), Some("pw"));

    let postgres = sql("url = \"postgresql://gate@[::1]:5433/app\"\ntls = \"off\"");
    let SqlPlace::Server { host, port, .. } = postgres.place else {
        panic!("a server")
    };
    assert_eq!((host.as_str(), port), ("::1", 5433));

    let file = sql("url = \"sqlite:///var/lib/gate/users.db\"");
    assert!(
        matches!(file.place, SqlPlace::File(path) if path == Path::new("/var/lib/gate/users.db"))
    );
    assert!(file.existing.is_none());
}

#[test]
fn an_invalid_database_url_is_refused_and_never_quoted() {
    let shape = "write mysql://user@host:3306/database, postgres://user@host:5432/database or sqlite:/path/users.db";
    for (url, what) in [
        ("oracle://a:s3cret@b/c", "is not the URL of a database"),
        ("mysql://host/app", "names no user"),
        ("mysql://:s3cret@host/app", "names no user"),
        ("mysql://gate:s3cret@host", "names no database"),
        ("postgres://gate:s3cret@/app", "has no host"),
        (
            "postgres://gate:s3cret@host:0/app",
            "has no valid host and port",
        ),
        (
            "sqlite:users.db",
            "the path of the file does not start with `/`, or is none",
        ),
    ] {
        let expected = format!("users.sql.url: {what} | {shape}");
        assert_eq!(said(&format!("url = \"{url}\"")), [expected], "{url}");
    }
    assert_eq!(
        said("url = \"mysql://gate:a/b@host/app\""),
        [
            "users.sql.url: the password has a character that a URL cannot hold | encode it (`@` is %40, `/` is %2F), or write it as `password` in its own key"
        ]
    );
    assert_eq!(
        said("url = \"mysql://gate@host/app?ssl-mode=DISABLED\""),
        [
            "users.sql.url: has settings behind the `?` | only ?socket=/path is taken; the others are keys of [users.sql], such as tls"
        ]
    );
    assert_eq!(
        said("url = \"\""),
        [
            "users.sql.url: is needed for users.store = \"sql\" | write mysql://user@host/database, postgres://user@host/database or sqlite:/path"
        ]
    );
    assert_eq!(
        said("url = \"mysql://gate:one@host/app\"\npassword = \"two\""),
        ["users.sql.password: the URL has a password too | keep one of the two"]
    );
    assert_eq!(
        said("url = \"mysql://gate@host/app\"\nca_file = \"/etc/ca.pem\""),
        ["users.sql.ca_file: no certificate is verified | write tls = \"verify\""]
    );
}

#[test]
fn an_unused_database_draws_a_warning() {
    let said = reports(&format!(
        "{GOOD}\n[users.sql]\nurl = \"sqlite:/var/lib/users.db\"\n"
    ));
    assert_eq!(
        said,
        [
            "11:7 warning users.sql.url: not used: ids come from elsewhere | write users.store = \"sql\", or leave it out"
        ]
    );
}

#[test]
fn debug_shows_no_password_of_a_database() {
    let text = format!(
        "{GOOD}\n[users]\nstore = \"sql\"\n[users.sql]\nurl = \"mysql://gate:s3cret@host/app\"\n"
    );
    let config = parse(&text).expect("a good file").config;
    let shown = format!("{config:?}");
    assert!(
        shown.contains("Sql {") && !shown.contains("s3cret"),
        "{shown}"
    );
}

#[test]
fn an_adopted_table_has_the_columns_that_are_named() {
    let url = "url = \"mysql://gate@host/app\"\ntable = \"user\"";
    let plain = sql(url).existing.expect("a table");
    assert_eq!(
        (
            plain.name.as_str(),
            plain.id.as_str(),
            plain.openid.as_str()
        ),
        ("user", "id", "openid")
    );
    assert_eq!(
        (plain.app, plain.unionid, plain.created),
        (None, None, None)
    );
    let named = format!(
        "{url}\ncolumns = {{ id = \"uid\", openid = \"wx_openid\", created = \"create_time\" }}"
    );
    let named = sql(&named).existing.expect("a table");
    assert_eq!(
        (named.id.as_str(), named.openid.as_str()),
        ("uid", "wx_openid")
    );
    assert_eq!(named.created.as_deref(), Some("create_time"));
}

#[test]
fn a_name_that_would_need_quoting_is_no_table() {
    let cure = "1 to 63 letters, digits, _ and $; the database and schema belong into the url";
    assert_eq!(
        said("url = \"mysql://gate@host/app\"\ntable = \"user` WHERE 1\""),
        [format!(
            "users.sql.table: `user` WHERE 1` is not a name of a table or column | {cure}"
        )]
    );
    assert_eq!(
        said("url = \"mysql://gate@host/app\"\ncolumns = { unionid = \"u\" }"),
        [
            "users.sql.columns.unionid: belongs to no table | write users.sql.table, or leave the columns out"
        ]
    );
}

const SECRET: &str = "secret = \"0123456789abcdef0123456789abcdef\"";

fn webhook(keys: &str) -> Webhook {
    let config = good_with(&format!(
        "[users]\nstore = \"webhook\"\n[users.webhook]\n{keys}"
    ));
    match config.users.store {
        UserStore::Webhook(webhook) => webhook,
        other => panic!("{other:?}"),
    }
}

/// What is said of `[users.webhook]` with these keys, without the places.
fn said_of_webhook(keys: &str) -> Vec<String> {
    let text = format!("{GOOD}\n[users]\nstore = \"webhook\"\n[users.webhook]\n{keys}\n");
    let said = reports(&text);
    said.iter()
        .map(|line| line.split_once(' ').expect("a place").1.to_owned())
        .collect()
}

#[test]
fn a_webhook_has_a_url_and_a_secret_of_its_own() {
    for url in [
        "http://10.0.0.7:9000/who?app=1",
        "https://users.internal",
        "http://[::1]/x",
    ] {
        let webhook = webhook(&format!("url = \"{url}\"\n{SECRET}"));
        assert_eq!(webhook.url, url);
        assert_eq!(webhook.timeout.as_millis(), 1000);
        assert_eq!(webhook.secret.expose().len(), 32);
        assert!(webhook.ca.is_none());
        let shown = format!("{webhook:?}");
        assert!(!shown.contains("who") && !shown.contains("0123"), "{shown}");
    }
}

#[test]
fn an_invalid_webhook_is_refused_and_never_quoted() {
    let shape = "write https://host/path, or http:// inside your own network";
    for (url, what) in [
        ("users.internal/s3cret", "is not a URL of http or https"),
        ("ftp://host/s3cret", "is not a URL of http or https"),
        ("http:///s3cret", "has no valid host and port"),
        ("http://host:0/s3cret", "has no valid host and port"),
        ("http://host/a b", "has characters that a URL cannot hold"),
        (
            "http://host/a#s3cret",
            "has a `#`, and what follows is not sent",
        ),
    ] {
        let expected = format!("users.webhook.url: {what} | {shape}");
        let said = said_of_webhook(&format!("url = \"{url}\"\n{SECRET}"));
        assert_eq!(said, [expected], "{url}");
    }
    assert_eq!(
        said_of_webhook(&format!("url = \"http://me:s3cret@host/\"\n{SECRET}")),
        [
            "users.webhook.url: has a user name or password | leave it out: the signature authenticates the gateway"
        ]
    );
    assert_eq!(
        said_of_webhook(SECRET),
        [
            "users.webhook.url: is needed for users.store = \"webhook\" | write https://host/path of the service that knows your users"
        ]
    );
    let url = "url = \"http://host/\"";
    let needed = "is needed: it authenticates the gateway to the service | write the value, `${VARIABLE}`, or secret_file = \"PATH\"; make one with `openssl rand -base64 32`";
    for none in ["", "secret = \"\"", "secret = \"${EMPTY}\""] {
        assert_eq!(
            said_of_webhook(&format!("{url}\n{none}")),
            [format!("users.webhook.secret: {needed}")],
            "{none}"
        );
    }
    assert_eq!(
        said_of_webhook(&format!("{url}\nsecret = \"short\"")),
        [
            "users.webhook.secret: is shorter than 32 characters | make one with `openssl rand -base64 32`"
        ]
    );
}

#[test]
fn a_file_without_certificates_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "no certificate").expect("a file");
    let keys = format!(
        "url = \"https://host/\"\n{SECRET}\nca_file = \"{}\"",
        file.display()
    );
    assert_eq!(
        said_of_webhook(&keys),
        [
            "users.webhook.ca_file: holds no certificate in PEM | a file with lines -----BEGIN CERTIFICATE-----"
        ]
    );
}

#[test]
fn merges_are_told_by_header_unless_said_otherwise() {
    let merged = |keys: &str| good_with(&format!("[users.merged]\n{keys}")).users.merged;
    let usual = merged("");
    assert_eq!(
        usual.header_for.map(|time| time.as_secs()),
        Some(30 * 86_400)
    );
    assert_eq!(merged("header_for = \"none\"").header_for, None);

    let said = |keys: &str| {
        let said = reports(&format!("{GOOD}\n[users.merged]\n{keys}\n"));
        let said = said.iter();
        said.map(|line| line.split_once(' ').expect("a place").1.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        said("header_for = \"2y\"").len(),
        1,
        "{:?}",
        said("header_for = \"2y\"")
    );
}
