//! The database part of `skeygate check --connect`: connection, tables, rights. Nothing is changed:
//! a trial user is added and rolled back.

use super::SqlUsers;
use super::database::{Database, SqlError, Statement};
use super::existing::{Created, ExistingUsers};
use super::table_schema::TableSchema;
use super::{managed, schema};
use crate::clock;
use crate::config::SqlKind;
use crate::store_error::StoreError;

/// The findings, one line each for the operator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// Passed checks.
    pub facts: Vec<String>,
    /// Limitations that affect some users or will appear later.
    pub advice: Vec<String>,
    /// Problems that break logins or profiles, each with its cure.
    pub problems: Vec<String>,
}

impl SqlUsers {
    /// Checks the database.
    ///
    /// # Errors
    /// The database cannot be reached, or refuses the connection.
    pub async fn diagnose(&self) -> Result<Diagnosis, StoreError> {
        let database = self.database.patient();
        let away = |error| StoreError::Unavailable {
            cause: match error {
                SqlError::Failed(cause) | SqlError::DoesNotFit(cause) => cause,
                SqlError::Taken | SqlError::Crossed => {
                    format!("{}: busy", database.address())
                }
            },
        };
        let mut found = Diagnosis::default();
        greet(&database, &mut found).await.map_err(away)?;
        match &self.existing {
            Some(existing) => diagnose_existing(&database, existing, &mut found).await,
            None => diagnose_managed(&database, &mut found).await,
        }
        .map_err(away)?;
        Ok(found)
    }
}

/// Version, encryption and character set of the connection.
async fn greet(database: &Database, found: &mut Diagnosis) -> Result<(), SqlError> {
    let (version, cipher) = match database.kind() {
        SqlKind::MySql => (
            "SELECT CAST(VERSION() AS CHAR)",
            "SHOW SESSION STATUS LIKE 'Ssl_cipher'",
        ),
        SqlKind::Postgres => (
            "SELECT CAST(current_setting('server_version') AS TEXT)",
            "SELECT 'ssl', CASE WHEN ssl THEN 'yes' ELSE '' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        ),
        SqlKind::Sqlite => ("SELECT CAST(sqlite_version() AS TEXT)", ""),
    };
    let version = one(database, version).await?.unwrap_or_default();
    let mut fact = format!("{}: answers, version {version}", database.address());
    if !cipher.is_empty() {
        let rows = database.rows(cipher, &[]).await?;
        let cipher = rows
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().nth(1));
        let encrypted = cipher.flatten().is_some_and(|cipher| !cipher.is_empty());
        fact += if encrypted {
            ", encrypted"
        } else {
            ", in clear"
        };
    }
    found.facts.push(fact);
    if database.kind() == SqlKind::MySql {
        let charset = one(database, "SELECT CAST(@@character_set_connection AS CHAR)").await?;
        if charset.as_deref() != Some("utf8mb4") {
            let charset = charset.unwrap_or_default();
            found.problems.push(format!(
                "users.sql: the connection speaks {charset}, not utf8mb4; let the server allow it (MySQL 5.5.3 or newer)"
            ));
        }
    }
    Ok(())
}

async fn diagnose_managed(database: &Database, found: &mut Diagnosis) -> Result<(), SqlError> {
    if !schema::is_made(database).await? {
        found.advice.push(
            "users.sql: some managed tables do not exist yet; `skeygate run` creates them at its start if its user may CREATE tables"
                .to_owned(),
        );
        return Ok(());
    }
    let trial = managed::trial()?;
    judge(
        database,
        &trial,
        "SELECT, INSERT and UPDATE on skeygate_users, _openids, _unionids, _aliases, _profiles and SELECT on skeygate_schema",
        "users.sql: the managed tables",
        found,
    )
    .await;
    Ok(())
}

async fn diagnose_existing(
    database: &Database,
    existing: &ExistingUsers,
    found: &mut Diagnosis,
) -> Result<(), SqlError> {
    let name = existing.name();
    let schema = TableSchema::of(database, name).await?;
    let problems = existing.problems(&schema, database.kind());
    let unfit = !problems.is_empty();
    let problems = problems.into_iter();
    found
        .problems
        .extend(problems.map(|problem| format!("users.sql: {problem}")));
    let narrow: Vec<&str> = schema
        .columns()
        .iter()
        .filter(|column| {
            column
                .charset
                .as_deref()
                .is_some_and(|set| set != "utf8mb4")
        })
        .map(|column| column.name.as_str())
        .collect();
    if !narrow.is_empty() {
        let columns = narrow.join(", ");
        found.advice.push(format!(
            "users.sql: table `{name}`: not utf8mb4, so emoji do not fit: {columns}; \
             ALTER TABLE `{name}` CONVERT TO CHARACTER SET utf8mb4"
        ));
    }
    if unfit {
        return Ok(());
    }
    if let Some(engine) = engine(database, name).await? {
        // Without transactions a trial could not be rolled back.
        found.problems.push(format!(
            "users.sql: table `{name}` uses the engine {engine}, which has no transactions; ALTER TABLE `{name}` ENGINE = InnoDB"
        ));
        return Ok(());
    }
    let created = match existing.inspect(database).await {
        Ok(compatibility) => compatibility.created,
        Err(SqlError::Failed(cause)) => {
            let cure = "GRANT SELECT on it";
            found.problems.push(format!("users.sql: {cause}; {cure}"));
            return Ok(());
        }
        Err(_) => Created::Never,
    };
    // As long as WeChat's, so that a column that is too short is found.
    let openid = format!("skeygate-check-{:013}", clock::unix_millis());
    let names = ("wxskeygatecheck000", openid.as_str(), Some(openid.as_str()));
    let trial = existing.trial(names, created);
    let subject = format!("users.sql: table `{name}`");
    let rights = if trial.len() > 1 {
        "SELECT, INSERT and UPDATE on it"
    } else {
        "SELECT and INSERT on it"
    };
    judge(database, &trial, rights, &subject, found).await;
    Ok(())
}

/// Runs the trial and records its result.
async fn judge(
    database: &Database,
    trial: &[Statement],
    rights: &str,
    subject: &str,
    found: &mut Diagnosis,
) {
    match database.trial(trial).await {
        Ok(()) => found
            .facts
            .push(format!("{subject}: a trial user was added and rolled back")),
        Err(SqlError::Failed(cause) | SqlError::DoesNotFit(cause)) => found.problems.push(format!(
            "{subject}: a user cannot be added: {cause}; our user needs {rights}, other columns need a default, \
             and the id is filled by the database"
        )),
        Err(SqlError::Taken) => found.problems.push(format!(
            "{subject}: a user cannot be added: another unique key has this value in another row already; it needs \
             a default that is not the same for all, such as NULL"
        )),
        Err(SqlError::Crossed) => found
            .advice
            .push(format!("{subject}: too busy to add a trial user")),
    }
}

/// MySQL's storage engine of a table, if it has no transactions.
async fn engine(database: &Database, table: &str) -> Result<Option<String>, SqlError> {
    if database.kind() != SqlKind::MySql {
        return Ok(None);
    }
    let sql = format!(
        "SELECT CAST(ENGINE AS CHAR) FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '{table}'"
    );
    let engine = one(database, &sql).await?;
    Ok(engine.filter(|engine| ["MyISAM", "Aria", "MEMORY", "CSV"].contains(&engine.as_str())))
}

async fn one(database: &Database, sql: &str) -> Result<Option<String>, SqlError> {
    let rows = database.rows(sql, &[]).await?;
    Ok(rows.into_iter().flatten().next().flatten())
}
