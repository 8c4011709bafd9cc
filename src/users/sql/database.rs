//! One database of any of the three kinds: connections, statements with deadlines, and errors
//! sorted by the action that they need. Statements have `?` for their values; results are text.

use std::time::Duration;

use rustls::CertificateError;
use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::connect::{DatabasePool, address, pool};
use crate::config::{Sql, SqlKind};

/// Timeout of a schema change.
const SCHEMA_CHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// A database with lazy connections. A clone shares them.
#[derive(Clone)]
pub(super) struct Database {
    pool: DatabasePool,
    kind: SqlKind,
    /// The address for messages: kind, host and port, or the file.
    address: String,
    /// For one statement.
    timeout: Duration,
    /// To get a connection.
    acquire_timeout: Duration,
}

/// The end of a transaction.
#[derive(Clone, Copy)]
enum End {
    Kept,
    TakenBack,
}

/// A value of a statement.
#[derive(Debug, Clone)]
pub(super) enum SqlValue {
    Text(String),
    Number(i64),
}

/// A statement with the values of its question marks.
pub(super) type Statement = (String, Vec<SqlValue>);

/// A row: each column as text, `None` for NULL.
pub(super) type Line = Vec<Option<String>>;

/// The cause of a failed statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SqlError {
    /// Another row has the key: another login was faster.
    Taken,
    /// The database aborted this transaction in favour of another; a retry may succeed.
    Crossed,
    /// A value does not fit its column: too long, unsupported characters, or against a constraint
    /// of the table. The text is for the log and holds no value.
    DoesNotFit(String),
    /// The database is unreachable, does not answer, or refuses. The text is for the log and holds
    /// no value.
    Failed(String),
}

/// Runs the same code on any kind of pool; a macro, because a type parameter would need long
/// bounds.
macro_rules! with_pool {
    ($database:expr, $pool:ident => $work:expr) => {
        match &$database.pool {
            #[cfg(feature = "directory-mysql")]
            DatabasePool::MySql($pool) => $work,
            #[cfg(feature = "directory-postgres")]
            DatabasePool::Postgres($pool) => $work,
            #[cfg(feature = "directory-sqlite")]
            DatabasePool::Sqlite($pool) => $work,
            DatabasePool::NotBuiltIn => Err(SqlError::Failed(
                "this kind of database was not built in".to_owned(),
            )),
        }
    };
}

macro_rules! query {
    ($statement:expr, $values:expr) => {{
        let mut query = sqlx::query(AssertSqlSafe($statement));
        for value in $values {
            query = match value {
                SqlValue::Text(text) => query.bind(text.clone()),
                SqlValue::Number(number) => query.bind(*number),
            };
        }
        query
    }};
}

/// Runs the work on a connection of its own, within the deadline. After a timeout the connection is
/// closed, because its response may still arrive.
macro_rules! on_connection {
    ($database:expr, $pool:ident, $connection:ident => $work:expr) => {{
        let database = $database;
        let mut held = $pool
            .acquire()
            .await
            .map_err(|error| database.failed(&error))?;
        let $connection = &mut held;
        match tokio::time::timeout(database.timeout, async { $work }).await {
            Ok(done) => done.map_err(|error| database.failed(&error)),
            Err(_) => {
                held.close_on_drop();
                Err(database.silent())
            }
        }
    }};
}

impl Database {
    /// Sets the database up without connecting.
    pub(super) fn new(config: &Sql) -> Self {
        Self {
            pool: pool(config),
            kind: config.kind,
            address: address(config),
            timeout: config.timeout,
            acquire_timeout: config.timeout,
        }
    }

    /// The same database with a timeout for schema changes.
    pub(super) fn patient(&self) -> Self {
        Self {
            timeout: SCHEMA_CHANGE_TIMEOUT.max(self.timeout),
            ..self.clone()
        }
    }

    pub(super) fn kind(&self) -> SqlKind {
        self.kind
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Quotes a name. Names come from the configuration, which refuses quotes in them.
    pub(super) fn quoted(&self, name: &str) -> String {
        match self.kind {
            SqlKind::MySql => format!("`{name}`"),
            SqlKind::Postgres | SqlKind::Sqlite => format!("\"{name}\""),
        }
    }

    /// Casts an expression to text.
    pub(super) fn as_text(&self, expression: &str) -> String {
        match self.kind {
            SqlKind::MySql => format!("CAST({expression} AS CHAR)"),
            SqlKind::Postgres | SqlKind::Sqlite => format!("CAST({expression} AS TEXT)"),
        }
    }

    /// Rows of text columns.
    pub(super) async fn rows(&self, sql: &str, values: &[SqlValue]) -> Result<Vec<Line>, SqlError> {
        let sql = self.numbered(sql);
        with_pool!(self, pool => on_connection!(self, pool, connection => {
            let rows = query!(sql, values).fetch_all(&mut **connection).await?;
            let mut lines = Vec::with_capacity(rows.len());
            for row in rows {
                let columns = 0..row.len();
                lines.push(columns.map(|column| row.try_get(column)).collect::<Result<Line, sqlx::Error>>()?);
            }
            Ok(lines)
        }))
    }

    /// Runs a changing statement; returns the number of matched rows.
    pub(super) async fn change(&self, sql: &str, values: &[SqlValue]) -> Result<u64, SqlError> {
        let sql = self.numbered(sql);
        with_pool!(self, pool => on_connection!(self, pool, connection => {
            Ok(query!(sql, values).execute(&mut **connection).await?.rows_affected())
        }))
    }

    /// Runs all of the statements, or none.
    pub(super) async fn transaction(&self, statements: &[Statement]) -> Result<(), SqlError> {
        self.transact(statements, End::Kept).await
    }

    /// Whether the statements could be run; takes them back.
    pub(super) async fn trial(&self, statements: &[Statement]) -> Result<(), SqlError> {
        self.transact(statements, End::TakenBack).await
    }

    async fn transact(&self, statements: &[Statement], end: End) -> Result<(), SqlError> {
        with_pool!(self, pool => on_connection!(self, pool, connection => {
            let mut transaction = connection.begin_with(self.begin()).await?;
            for (sql, values) in statements {
                query!(self.numbered(sql), values).execute(&mut *transaction).await?;
            }
            match end {
                End::Kept => transaction.commit().await,
                End::TakenBack => transaction.rollback().await,
            }
        }))
    }

    /// Runs statements one after the other on one connection, the last one even after a failure.
    /// The connection is closed afterwards, so the database releases all locks.
    pub(super) async fn guarded(
        &self,
        first: &Statement,
        statements: &[Statement],
        last: &Statement,
    ) -> Result<(), SqlError> {
        with_pool!(self, pool => on_connection!(self, pool, connection => {
            connection.close_on_drop();
            query!(self.numbered(&first.0), &first.1).execute(&mut **connection).await?;
            let mut outcome = Ok(());
            for (sql, values) in statements {
                if outcome.is_ok() {
                    let done = query!(self.numbered(sql), values).execute(&mut **connection).await;
                    outcome = done.map(|_| ());
                }
            }
            query!(self.numbered(&last.0), &last.1).execute(&mut **connection).await?;
            outcome
        }))
    }

    fn begin(&self) -> &'static str {
        match self.kind {
            // Locks now, not at the first write, when another writer may be ahead and the snapshot
            // outdated.
            SqlKind::Sqlite => "BEGIN IMMEDIATE",
            SqlKind::MySql | SqlKind::Postgres => "BEGIN",
        }
    }

    /// PostgreSQL numbers its parameters; the statements hold no other question mark.
    fn numbered(&self, sql: &str) -> String {
        if self.kind != SqlKind::Postgres {
            return sql.to_owned();
        }
        let mut parts = sql.split('?');
        let mut numbered = parts.next().unwrap_or_default().to_owned();
        for (number, part) in (1..).zip(parts) {
            numbered += &format!("${number}{part}");
        }
        numbered
    }

    fn silent(&self) -> SqlError {
        SqlError::Failed(format!(
            "{}: no response within {:?} (users.sql.timeout)",
            self.address, self.timeout
        ))
    }

    fn failed(&self, error: &sqlx::Error) -> SqlError {
        let cause = match error {
            sqlx::Error::Database(refusal) => {
                let code = refusal.code().unwrap_or_default();
                if refusal.kind() == ErrorKind::UniqueViolation {
                    return SqlError::Taken;
                }
                // Serialization failure and deadlock; SQLite's BUSY in its variants.
                if ["40001", "40P01", "5", "261", "517"].contains(&code.as_ref()) {
                    return SqlError::Crossed;
                }
                // The message of a trigger may contain the refused value.
                let says = match code.as_ref() {
                    "45000" | "P0001" => "a trigger refuses it",
                    _ => refusal.message(),
                };
                let cause = format!("{} ({code})", without_values(says));
                if does_not_fit(refusal.as_ref()) {
                    return SqlError::DoesNotFit(format!("{}: {cause}", self.address));
                }
                cause
            }
            sqlx::Error::PoolTimedOut => format!(
                "no connection within {:?} (users.sql.timeout)",
                self.acquire_timeout
            ),
            sqlx::Error::Io(cause) => match tls_refusal(cause) {
                Some(refusal) => format!("TLS: {refusal}"),
                None => cause.to_string(),
            },
            sqlx::Error::Tls(cause) => format!("TLS: {cause} (users.sql.tls)"),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                "a column holds what is not text".to_owned()
            }
            other => other.to_string(),
        };
        SqlError::Failed(format!("{}: {cause}", self.address))
    }
}

/// The cause of a refused certificate or failed handshake.
fn tls_refusal(error: &std::io::Error) -> Option<String> {
    let refusal = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match refusal {
        // The latter is an authority of the same name with another key.
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => "the server's certificate is from no authority that is trusted here; name its authority in users.sql.ca_file"
            .to_owned(),
        other => other.to_string(),
    })
}

/// Whether the value is refused, and not the statement.
fn does_not_fit(refusal: &dyn DatabaseError) -> bool {
    // Too long, not of the column's character set, not of its type; refused by a trigger, a foreign
    // key or another constraint.
    const STATES: [&str; 8] = [
        "22001", "22021", "22P02", "22P05", "P0001", "23502", "23503", "23P01",
    ];
    // MySQL's own codes, since its SQLSTATEs differ by version.
    #[cfg(feature = "directory-mysql")]
    if let Some(error) = refusal.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return matches!(
            error.number(),
            1048 | 1264 | 1265 | 1366 | 1406 | 1452 | 1644 | 3819 | 3988 | 4025
        );
    }
    refusal.kind() == ErrorKind::CheckViolation
        || refusal
            .code()
            .is_some_and(|code| STATES.contains(&code.as_ref()))
}

/// The database's message without its quoted parts, which may contain an openid.
fn without_values(message: &str) -> String {
    match message.split_once("value: '") {
        Some((words, _)) => format!("{words}value"),
        None => message.to_owned(),
    }
}
