//! The user directory in SQL: MySQL or MariaDB, PostgreSQL, SQLite.

#[cfg_attr(
    not(any(
        feature = "directory-mysql",
        feature = "directory-postgres",
        feature = "directory-sqlite"
    )),
    expect(unused, reason = "unused without any kind of database")
)]
mod connect;
#[cfg_attr(
    not(any(
        feature = "directory-mysql",
        feature = "directory-postgres",
        feature = "directory-sqlite"
    )),
    expect(unused, reason = "unused without any kind of database")
)]
mod database;
mod diagnose;
mod existing;
mod managed;
mod profile;
mod schema;
mod table_schema;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

pub use self::diagnose::Diagnosis;

use self::database::{Database, SqlError};
use self::existing::{Compatibility, ExistingUsers};
use super::{Bans, CreateUsers, Entries, EntryKind, UserLookup};
use crate::config::Sql;
use crate::store_error::StoreError;

/// Attempts of one login: each failure means that another login of the same person finished first.
const MAX_ATTEMPTS: usize = 16;

/// Rows per page.
const PAGE_ROWS: u64 = 1000;

/// Delay before the next attempt, for the other transaction to end.
const RETRY_DELAY: Duration = Duration::from_millis(10);

/// Users in a database. A clone shares its connections.
#[derive(Clone)]
pub struct SqlUsers {
    database: Database,
    bans: Bans,
    /// `None`: in managed tables.
    existing: Option<Arc<ExistingUsers>>,
    prepared: Arc<OnceCell<Compatibility>>,
}

impl SqlUsers {
    pub(super) fn new(config: &Sql, bans: Bans) -> Self {
        let database = Database::new(config);
        let existing = config.existing.as_ref();
        Self {
            existing: existing.map(|table| Arc::new(ExistingUsers::new(&database, table))),
            database,
            bans,
            prepared: Arc::default(),
        }
    }

    /// The address of the database, without credentials.
    #[must_use]
    pub fn address(&self) -> &str {
        self.database.address()
    }

    /// Creates the managed tables, or checks the existing one; once.
    pub(super) async fn prepare(&self) -> Result<(), StoreError> {
        self.prepared().await.map(|_| ())
    }

    async fn prepared(&self) -> Result<&Compatibility, StoreError> {
        let prepared = self.prepared.get_or_try_init(|| async {
            let database = self.database.patient();
            match &self.existing {
                Some(existing) => retried(|| existing.inspect(&database)).await,
                None => {
                    retried(|| schema::prepare(&database)).await?;
                    Ok(Compatibility::default())
                }
            }
        });
        prepared.await
    }

    pub(super) async fn find_or_create(
        &self,
        appid: &str,
        openid: &str,
        unionid: Option<&str>,
        create: CreateUsers,
    ) -> Result<UserLookup, StoreError> {
        let compatibility = self.prepared().await?;
        let (database, bans) = (&self.database, &self.bans);
        match &self.existing {
            Some(existing) => {
                let names = (appid, openid, unionid);
                retried(|| existing.find_or_create(database, bans, names, compatibility, create))
                    .await
            }
            None => {
                retried(|| managed::find_or_create(database, bans, appid, openid, unionid, create))
                    .await
            }
        }
    }
}

/// Merges.
impl SqlUsers {
    pub(super) fn is_existing_table(&self) -> bool {
        self.existing.is_some()
    }

    pub(super) async fn bring_ban(&self, newer: &str, older: &str) -> Result<(), StoreError> {
        if !self.is_existing_table() {
            return Ok(());
        }
        retried(|| existing::move_ban(&self.bans, newer, older)).await
    }

    pub(super) async fn settle(
        &self,
        appid: &str,
        openid: &str,
        unionid: &str,
    ) -> Result<(), StoreError> {
        self.prepare().await?;
        let (database, names) = (&self.database, (appid, openid, Some(unionid)));
        match &self.existing {
            Some(existing) => retried(|| existing.settle(database, names)).await,
            None => retried(|| managed::settle(database, unionid)).await,
        }
    }
}

/// Listing, as `UserDirectory` documents.
impl SqlUsers {
    pub(super) async fn current_id(&self, user_id: &str) -> Result<String, StoreError> {
        if self.existing.is_some() {
            return Ok(user_id.to_owned());
        }
        self.prepare().await?;
        retried(|| managed::current_id(&self.database, user_id)).await
    }

    pub(super) async fn entries(&self, kind: EntryKind, from: &str) -> Result<Entries, StoreError> {
        let compatibility = self.prepared().await?;
        // No client waits for this, so the longer timeout is fine.
        let database = self.database.patient();
        match &self.existing {
            Some(existing) => retried(|| existing.page(&database, compatibility, kind, from)).await,
            None => retried(|| managed::entries::page(&database, kind, from)).await,
        }
    }
}

/// Copies a ban from the merged id to the one that stays.
async fn carry_over(bans: &Bans, from: &str, to: &str) -> Result<(), SqlError> {
    let carried = bans.carry_over(from, to).await;
    carried.map_err(|error| SqlError::Failed(error.to_string()))
}

const TAKEN: &str = "found a key taken; in an existing table another unique key may have one value in every row, or the collation of \
                     the openid may take capitals for small letters";
const CROSSED: &str = "gave way to another transaction";

/// Retries the work when another login interfered.
async fn retried<T, F: Future<Output = Result<T, SqlError>>>(
    work: impl Fn() -> F,
) -> Result<T, StoreError> {
    let mut in_the_way = TAKEN;
    for _ in 0..MAX_ATTEMPTS {
        match work().await {
            Ok(done) => return Ok(done),
            Err(SqlError::Failed(cause) | SqlError::DoesNotFit(cause)) => {
                return Err(StoreError::Unavailable { cause });
            }
            Err(SqlError::Taken) => in_the_way = TAKEN,
            Err(SqlError::Crossed) => {
                in_the_way = CROSSED;
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }
    Err(StoreError::Unavailable {
        cause: format!("the user directory: {MAX_ATTEMPTS} attempts in a row {in_the_way}"),
    })
}
