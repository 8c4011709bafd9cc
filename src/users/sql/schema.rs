//! The managed tables and their migrations. A released step never changes; a later version appends
//! one.
//!
//! | table | a row is |
//! |---|---|
//! | `skeygate_users` | a user id that was given out, and when |
//! | `skeygate_openids` | the user id of an app's openid |
//! | `skeygate_unionids` | the user id of a unionid |
//! | `skeygate_aliases` | a user id that was merged into an older one |
//! | `skeygate_profiles` | the profile of a user |
//! | `skeygate_schema` | a migration below that was done |

use super::database::{Database, SqlError, SqlValue, Statement};
use crate::config::SqlKind;

/// The migrations, each a list of repeatable statements, since MySQL's DDL is not transactional.
/// `NAME` and `NUMBER` stand for the types, `OPTIONS` for MySQL's table options.
const STEPS: [&[&str]; 2] = [
    &[
        "CREATE TABLE IF NOT EXISTS skeygate_users (id NUMBER NOT NULL PRIMARY KEY, created NUMBER NOT NULL) OPTIONS",
        "CREATE TABLE IF NOT EXISTS skeygate_openids (appid NAME NOT NULL, openid NAME NOT NULL, user_id NUMBER NOT NULL, \
     PRIMARY KEY (appid, openid)) OPTIONS",
        "CREATE TABLE IF NOT EXISTS skeygate_unionids (unionid NAME NOT NULL PRIMARY KEY, user_id NUMBER NOT NULL) OPTIONS",
        "CREATE TABLE IF NOT EXISTS skeygate_aliases (id NUMBER NOT NULL PRIMARY KEY, user_id NUMBER NOT NULL) OPTIONS",
    ],
    &[
        // The maximum length in `users/profile.rs`.
        "CREATE TABLE IF NOT EXISTS skeygate_profiles (user_id NUMBER NOT NULL PRIMARY KEY, nickname VARCHAR(64), \
         avatar VARCHAR(512), phone VARCHAR(40)) OPTIONS",
    ],
];

const VERSIONS: &str =
    "CREATE TABLE IF NOT EXISTS skeygate_schema (version NUMBER NOT NULL PRIMARY KEY) OPTIONS";

/// Key of the advisory lock; unlikely to be used by another program.
const LOCK: i64 = 0x736b_6579_6761_7465;

/// Creates missing tables. Replicas that start concurrently wait for each other.
pub(super) async fn prepare(database: &Database) -> Result<(), SqlError> {
    let mut made = made(database).await?;
    for (number, step) in (1..).zip(STEPS) {
        if made.contains(&number) {
            continue;
        }
        run(database, number, step).await?;
        made.push(number);
    }
    Ok(())
}

/// Whether all migrations are done.
pub(super) async fn is_made(database: &Database) -> Result<bool, SqlError> {
    let made = made(database).await?;
    Ok((1..).zip(STEPS).all(|(number, _)| made.contains(&number)))
}

/// The migrations that are done. Needs only the right to read if that is all of them.
async fn made(database: &Database) -> Result<Vec<i64>, SqlError> {
    let asked = format!(
        "SELECT {} FROM skeygate_schema",
        database.as_text("version")
    );
    match database.rows(&asked, &[]).await {
        Ok(rows) => Ok(rows
            .into_iter()
            .filter_map(|row| row.into_iter().next()??.parse().ok())
            .collect()),
        // Most likely the table does not exist; otherwise creating it reports the cause.
        Err(_) => Ok(Vec::new()),
    }
}

async fn run(database: &Database, number: i64, step: &[&str]) -> Result<(), SqlError> {
    let plain = |sql: &str| (in_dialect(database.kind(), sql), Vec::new());
    let mut statements: Vec<Statement> = vec![plain(VERSIONS)];
    statements.extend(step.iter().map(|sql| plain(sql)));
    // A second replica finds the tables there.
    let done = "INSERT INTO skeygate_schema (version) SELECT ? FROM (SELECT 1 AS one) AS here \
                WHERE NOT EXISTS (SELECT 1 FROM skeygate_schema WHERE version = ?)";
    statements.push((
        done.to_owned(),
        vec![SqlValue::Number(number), SqlValue::Number(number)],
    ));
    match database.kind() {
        SqlKind::MySql => {
            let lock = (
                "SELECT GET_LOCK('skeygate_schema', 10)".to_owned(),
                Vec::new(),
            );
            let release = (
                "SELECT RELEASE_LOCK('skeygate_schema')".to_owned(),
                Vec::new(),
            );
            database.guarded(&lock, &statements, &release).await
        }
        SqlKind::Postgres => {
            let lock = "SELECT pg_advisory_xact_lock(?)".to_owned();
            statements.insert(0, (lock, vec![SqlValue::Number(LOCK)]));
            database.transaction(&statements).await
        }
        SqlKind::Sqlite => database.transaction(&statements).await,
    }
}

fn in_dialect(kind: SqlKind, sql: &str) -> String {
    // Compared byte for byte: two openids may differ only in case.
    let (name, options) = match kind {
        SqlKind::MySql => (
            "VARCHAR(128)",
            "ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        ),
        SqlKind::Postgres => ("VARCHAR(128)", ""),
        SqlKind::Sqlite => ("TEXT", ""),
    };
    sql.replace("NAME", name)
        .replace("NUMBER", "BIGINT")
        .replace("OPTIONS", options)
}
