//! Connections to a database: address, credentials, TLS.

use sqlx::ConnectOptions as _;
#[cfg(feature = "directory-mysql")]
use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlSslMode};
use sqlx::pool::PoolOptions;
#[cfg(feature = "directory-postgres")]
use sqlx::postgres::{PgConnectOptions, PgPool, PgSslMode};
#[cfg(feature = "directory-sqlite")]
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteSynchronous};

use crate::config::{Sql, SqlKind, SqlPlace};

/// Maximum connections per replica, each for one statement at a time: databases allow some hundred
/// in all.
const MAX_CONNECTIONS: u32 = 8;

/// Connections to one kind of database.
#[derive(Clone)]
pub(super) enum DatabasePool {
    #[cfg(feature = "directory-mysql")]
    MySql(MySqlPool),
    #[cfg(feature = "directory-postgres")]
    Postgres(PgPool),
    #[cfg(feature = "directory-sqlite")]
    Sqlite(SqlitePool),
    /// A kind of database that was not compiled in, which the configuration refuses.
    NotBuiltIn,
}

/// The address for messages: kind, host and port, or the file. Never credentials.
pub(super) fn address(config: &Sql) -> String {
    let kind = match config.kind {
        SqlKind::MySql => "mysql",
        SqlKind::Postgres => "postgres",
        SqlKind::Sqlite => "sqlite",
    };
    match &config.place {
        SqlPlace::File(path) => format!("{kind} in {}", path.display()),
        SqlPlace::Server {
            socket: Some(path), ..
        } => format!("{kind} at {}", path.display()),
        SqlPlace::Server { host, port, .. } => format!("{kind} at {host}:{port}"),
    }
}

/// Sets the pool up without connecting.
pub(super) fn pool(config: &Sql) -> DatabasePool {
    match (config.kind, &config.place) {
        #[cfg(feature = "directory-mysql")]
        (
            SqlKind::MySql,
            SqlPlace::Server {
                host,
                port,
                socket,
                username,
                password,
                database,
            },
        ) => {
            let mut options = MySqlConnectOptions::new()
                .host(host)
                .port(*port)
                .username(username)
                .database(database)
                // Both would change the meaning of the operator's SQL: triggers, defaults, creation
                // times.
                .pipes_as_concat(false)
                .timezone(None)
                .ssl_mode(match config.tls {
                    crate::config::SqlTls::Auto => MySqlSslMode::Preferred,
                    crate::config::SqlTls::Verify => MySqlSslMode::VerifyIdentity,
                    crate::config::SqlTls::Off => MySqlSslMode::Disabled,
                })
                .disable_statement_logging();
            if let Some(password) = password {
                options = options.password(password.expose());
            }
            if let Some(path) = socket {
                options = options.socket(path).ssl_mode(MySqlSslMode::Disabled);
            }
            if let Some(ca) = &config.ca {
                options = options.ssl_ca_from_pem(ca.clone().into_bytes());
            }
            DatabasePool::MySql(limits(config).connect_lazy_with(options))
        }
        #[cfg(feature = "directory-postgres")]
        (
            SqlKind::Postgres,
            SqlPlace::Server {
                host,
                port,
                socket,
                username,
                password,
                database,
            },
        ) => {
            let mut options = PgConnectOptions::new_without_pgpass()
                .host(host)
                .port(*port)
                .username(username)
                .password(password.as_ref().map_or("", crate::secret::Secret::expose))
                .database(database)
                .application_name("skeygate")
                .ssl_mode(match config.tls {
                    crate::config::SqlTls::Auto => PgSslMode::Prefer,
                    crate::config::SqlTls::Verify => PgSslMode::VerifyFull,
                    crate::config::SqlTls::Off => PgSslMode::Disable,
                })
                .disable_statement_logging();
            if let Some(path) = socket {
                options = options.socket(path).ssl_mode(PgSslMode::Disable);
            }
            if let Some(ca) = &config.ca {
                options = options.ssl_root_cert_from_pem(ca.clone().into_bytes());
            }
            DatabasePool::Postgres(limits(config).connect_lazy_with(options))
        }
        #[cfg(feature = "directory-sqlite")]
        (SqlKind::Sqlite, SqlPlace::File(path)) => {
            let options = SqliteConnectOptions::new()
                .filename(path)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // fsync on commit: a user id that was returned survives a power loss.
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(config.timeout)
                .disable_statement_logging();
            DatabasePool::Sqlite(limits(config).connect_lazy_with(options))
        }
        _ => DatabasePool::NotBuiltIn,
    }
}

fn limits<DB: sqlx::Database>(config: &Sql) -> PoolOptions<DB> {
    PoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .acquire_timeout(config.timeout)
}
