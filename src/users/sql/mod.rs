//! The user directory in SQL: MySQL or MariaDB, PostgreSQL, SQLite.

mod database;
mod own;
mod schema;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use self::database::{Database, SqlError};
use super::{CreateUsers, Found};
use crate::config::Sql;
use crate::redis::StoreError;

/// Tries of one login: each that fails has met another login of the same person, which is done then.
const TRIES: usize = 16;

/// Lets the other one end.
const PAUSE: Duration = Duration::from_millis(10);

/// Users in a database. A clone shares its connections.
#[derive(Clone)]
pub struct SqlUsers {
    database: Database,
    prepared: Arc<OnceCell<()>>,
}

impl SqlUsers {
    pub(super) fn new(config: &Sql) -> Self {
        Self {
            database: Database::new(config),
            prepared: Arc::default(),
        }
    }

    /// Where the database is, without any credentials.
    #[must_use]
    pub fn address(&self) -> &str {
        self.database.address()
    }

    /// Makes our tables, or looks whether the adopted one will do; once.
    pub(super) async fn prepare(&self) -> Result<(), StoreError> {
        let prepared = self.prepared.get_or_try_init(|| async {
            let database = self.database.patient();
            retried(|| schema::prepare(&database)).await
        });
        prepared.await?;
        Ok(())
    }

    pub(super) async fn find_or_create(
        &self,
        appid: &str,
        openid: &str,
        unionid: Option<&str>,
        create: CreateUsers,
    ) -> Result<Found, StoreError> {
        self.prepare().await?;
        retried(|| own::find_or_create(&self.database, appid, openid, unionid, create)).await
    }
}

/// Does it again where another login was in the way.
async fn retried<T, F: Future<Output = Result<T, SqlError>>>(
    work: impl Fn() -> F,
) -> Result<T, StoreError> {
    for _ in 0..TRIES {
        match work().await {
            Ok(done) => return Ok(done),
            Err(SqlError::Failed(cause)) => return Err(StoreError::Unavailable { cause }),
            Err(SqlError::Taken) => {}
            Err(SqlError::Crossed) => tokio::time::sleep(PAUSE).await,
        }
    }
    Err(StoreError::Unavailable {
        cause: format!("the user directory: {TRIES} tries in a row met other logins"),
    })
}

fn tell_of_join(older: &dyn Display, newer: &dyn Display) {
    tracing::info!(
        user.id = %older,
        user.alias = %newer,
        "two user ids are one person; the older stays"
    );
}
