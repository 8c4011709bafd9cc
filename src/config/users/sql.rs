//! `[users.sql]`: which database, and which table of it.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::config::address::authority;
use crate::config::keys;
use crate::config::reader::{Fault, Reader, choice, duration, text, text_or_none};
use crate::config::values::TIMEOUT;
use crate::secret::Secret;

/// `[users.sql]`.
#[derive(Debug, Clone)]
pub struct Sql {
    /// From `url`: the kind of database.
    pub kind: SqlKind,
    /// From `url`: the place of the database, and the account.
    pub place: SqlPlace,
    /// Whether the connection is encrypted. Default `"auto"`.
    pub tls: SqlTls,
    /// PEM certificates that the server's must lead to. `None`: the public ones.
    pub ca: Option<String>,
    /// Time to get a connection, a free or a new one, and for one statement. Default `"1s"`.
    pub timeout: Duration,
    /// An existing table that holds the users. `None`: managed tables.
    pub existing: Option<ExistingTable>,
}

/// The SQL dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlKind {
    /// `mysql://`, MariaDB too.
    MySql,
    /// `postgres://`.
    Postgres,
    /// `sqlite:/path`.
    Sqlite,
}

/// Where the database is.
#[derive(Debug, Clone)]
pub enum SqlPlace {
    /// A server.
    Server {
        /// Name or address.
        host: String,
        /// Its port.
        port: u16,
        /// A Unix socket in the place of both: of MySQL the socket, of PostgreSQL its folder.
        socket: Option<PathBuf>,
        /// The account of the gateway.
        username: String,
        /// From the URL or `password`.
        password: Option<Secret>,
        /// Which of its databases.
        database: String,
    },
    /// A file of SQLite, which is made when there is none.
    File(PathBuf),
}

/// `users.sql.tls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlTls {
    /// Encrypted if the server supports it, without verifying its certificate.
    Auto,
    /// Encrypted, and the server's certificate is for its host.
    Verify,
    /// In clear.
    Off,
}

/// Names in a database that is not ours.
#[derive(Debug, Clone)]
pub struct ExistingTable {
    /// `table`.
    pub name: String,
    /// The column that the database fills when a row is added. Default `"id"`.
    pub id: String,
    /// Default `"openid"`.
    pub openid: String,
    /// The column for the appid, if there is one.
    pub app: Option<String>,
    /// The column for the unionid, if there is one.
    pub unionid: Option<String>,
    /// The column for the time of the first login, if it is to be written.
    pub created: Option<String>,
}

impl Sql {
    /// `None` when no database is named, which is reported where one is `wanted`.
    pub(super) fn read(table: &Reader<'_>, wanted: bool) -> Option<Self> {
        let url = table.optional(&keys::users::SQL_URL, text_or_none(sql_url));
        let url_is_wrong = url.is_none() && table.has("url");
        let password = table.secret(&keys::users::SQL_PASSWORD, &keys::users::SQL_PASSWORD_FILE);
        let modes = [
            ("auto", SqlTls::Auto),
            ("verify", SqlTls::Verify),
            ("off", SqlTls::Off),
        ];
        let tls = table.key(&keys::users::SQL_TLS, choice(&modes));
        let path = |text: &str| Ok(text.to_owned());
        let ca_file = table.key(&keys::users::SQL_CA_FILE, text_or_none(path));
        let timeout = table.key(&keys::users::SQL_TIMEOUT, duration(TIMEOUT));
        let name = table.key(&keys::users::SQL_TABLE, text_or_none(identifier));
        let columns = table.table("columns");
        let existing = ExistingTable::read(&columns, name.flatten());
        columns.finish();
        table.finish();
        let Some((kind, mut place)) = url.flatten() else {
            if url_is_wrong {
                return None;
            }
            if wanted {
                let help = "write mysql://user@host/database, postgres://user@host/database or sqlite:/path";
                table.error(
                    "url",
                    "is needed for users.store = \"sql\"",
                    Some(help.to_owned()),
                );
            } else if table.written() && table.has("table") {
                table.warning("table", "not used", "write users.store = \"sql\" and a url");
            }
            return None;
        };
        add_password(table, &mut place, password);
        let tls = tls?;
        let ca = match ca_file? {
            Some(_) if tls != SqlTls::Verify => {
                let help = "write tls = \"verify\"".to_owned();
                table.error("ca_file", "no certificate is verified", Some(help));
                None
            }
            Some(path) => Some(table.open_file(&keys::users::SQL_CA_FILE, &path)?),
            None => None,
        };
        Some(Self {
            kind,
            place,
            tls,
            ca,
            timeout: timeout?,
            existing: existing?,
        })
    }
}

impl ExistingTable {
    /// The inner `None` when no table is named.
    fn read(columns: &Reader<'_>, name: Option<String>) -> Option<Option<Self>> {
        let id = columns.key(&keys::users::SQL_COLUMNS_ID, text(identifier));
        let openid = columns.key(&keys::users::SQL_COLUMNS_OPENID, text(identifier));
        let app = columns.key(&keys::users::SQL_COLUMNS_APP, text_or_none(identifier));
        let unionid = columns.key(&keys::users::SQL_COLUMNS_UNIONID, text_or_none(identifier));
        let created = columns.key(&keys::users::SQL_COLUMNS_CREATED, text_or_none(identifier));
        let Some(name) = name else {
            let named: [(&str, &Option<Option<String>>); 3] =
                [("app", &app), ("unionid", &unionid), ("created", &created)];
            let written = named
                .iter()
                .find(|(_, column)| matches!(column, Some(Some(_))));
            if let Some((column, _)) = written {
                let help = "write users.sql.table, or leave the columns out".to_owned();
                columns.error(column, "belongs to no table", Some(help));
            }
            return Some(None);
        };
        Some(Some(Self {
            name,
            id: id?,
            openid: openid?,
            app: app?,
            unionid: unionid?,
            created: created?,
        }))
    }
}

fn add_password(table: &Reader<'_>, place: &mut SqlPlace, written: Option<Secret>) {
    let name = if table.has("password_file") {
        "password_file"
    } else {
        "password"
    };
    match (place, written) {
        (_, None) => {}
        (SqlPlace::File(_), Some(_)) => {
            let help = "remove it: the mode of the file controls access".to_owned();
            table.error(name, "SQLite has no passwords", Some(help));
        }
        (SqlPlace::Server { password, .. }, Some(_)) if password.is_some() => {
            let help = "keep one of the two".to_owned();
            table.error(name, "the URL has a password too", Some(help));
        }
        (SqlPlace::Server { password, .. }, written) => *password = written,
    }
}

/// A name that needs no quoting inside its quotes.
fn identifier(text: &str) -> Result<String, Fault> {
    let plain = text
        .chars()
        .all(|c| c.is_alphanumeric() || c == '_' || c == '$');
    if text.is_empty() || text.len() > 63 || !plain {
        return Err(Fault::new("is not a name of a table or column").help(
            "1 to 63 letters, digits, _ and $; the database and schema belong into the url",
        ));
    }
    Ok(text.to_owned())
}

/// Takes a URL apart. No message quotes it: it may hold a password.
fn sql_url(text: &str) -> Result<(SqlKind, SqlPlace), Fault> {
    let shape = "write mysql://user@host:3306/database, postgres://user@host:5432/database or sqlite:/path/users.db";
    let wrong = |what: &str| Err(Fault::about(what).help(shape));
    if let Some(path) = text.strip_prefix("sqlite:") {
        built_in(SqlKind::Sqlite)?;
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') || path.ends_with('/') || path.contains('?') {
            return wrong("the path of the file does not start with `/`, or is none");
        }
        return Ok((SqlKind::Sqlite, SqlPlace::File(PathBuf::from(path))));
    }
    let (kind, usual_port, rest) = match text.split_once("://") {
        Some(("mysql" | "mariadb", rest)) => (SqlKind::MySql, 3306, rest),
        Some(("postgres" | "postgresql", rest)) => (SqlKind::Postgres, 5432, rest),
        _ => return wrong("is not the URL of a database"),
    };
    built_in(kind)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let Some((login, place)) = rest.rsplit_once('@') else {
        return wrong("names no user");
    };
    if login.contains(['/', '#', '@', ' ']) {
        return Err(
            Fault::about("the password has a character that a URL cannot hold").help(
                "encode it (`@` is %40, `/` is %2F), or write it as `password` in its own key",
            ),
        );
    }
    let (username, password) = match login.split_once(':') {
        Some((username, password)) => (username, Some(password)),
        None => (login, None),
    };
    let (place, database) = place.split_once('/').unwrap_or((place, ""));
    let no_host = place.is_empty();
    let Some((host, port)) = authority(place).or(no_host.then_some((String::new(), None))) else {
        return wrong("has no valid host and port");
    };
    let decoded = |text: &str| {
        let text = percent_decode_str(text).decode_utf8();
        text.map(|text| text.into_owned())
            .map_err(|_| Fault::about("is not UTF-8 where its escapes are decoded"))
    };
    let (username, database) = (decoded(username)?, decoded(database)?);
    let socket = match query.split_once('=') {
        None if query.is_empty() => None,
        Some(("socket", path)) if path.starts_with('/') => Some(PathBuf::from(decoded(path)?)),
        _ => {
            return Err(Fault::about("has settings behind the `?`").help(
                "only ?socket=/path is taken; the others are keys of [users.sql], such as tls",
            ));
        }
    };
    if username.is_empty() {
        return wrong("names no user");
    }
    if database.is_empty() || database.contains('/') {
        return wrong("names no database");
    }
    if host.is_empty() && socket.is_none() {
        return wrong("has no host");
    }
    let password = password.map(decoded).transpose()?;
    let server = SqlPlace::Server {
        host,
        port: port.unwrap_or(usual_port),
        socket,
        username,
        password: password.filter(|text| !text.is_empty()).map(Secret::new),
        database,
    };
    Ok((kind, server))
}

/// Refuses kinds of databases that this build lacks.
fn built_in(kind: SqlKind) -> Result<(), Fault> {
    let (built, feature) = match kind {
        SqlKind::MySql => (cfg!(feature = "directory-mysql"), "directory-mysql"),
        SqlKind::Postgres => (cfg!(feature = "directory-postgres"), "directory-postgres"),
        SqlKind::Sqlite => (cfg!(feature = "directory-sqlite"), "directory-sqlite"),
    };
    if built {
        return Ok(());
    }
    Err(Fault::about(format!(
        "this program was built without the feature {feature}"
    ))
    .help("use one that was built with the default features"))
}
