//! Checks whether an existing table can hold users, and names the change that it needs.

use super::ExistingUsers;
use crate::config::SqlKind;
use crate::users::sql::database::{Database, SqlError};
use crate::users::sql::table_schema::TableSchema;

/// The format of a first login's time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::users::sql) enum Created {
    /// Not written.
    #[default]
    Never,
    /// As the database's current time.
    Now,
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Millis,
}

/// Facts about an existing table that its use depends on.
#[derive(Debug, Clone, Default)]
pub(in crate::users::sql) struct Compatibility {
    pub(in crate::users::sql) created: Created,
    /// The database's name of the id column's type.
    pub(super) id_kind: String,
}

/// Larger numbers cannot be seconds: the year 5138.
const MAX_SECONDS: u64 = 100_000_000_000;
impl ExistingUsers {
    /// Checks the table.
    pub(in crate::users::sql) async fn inspect(
        &self,
        database: &Database,
    ) -> Result<Compatibility, SqlError> {
        let schema = TableSchema::of(database, &self.names.name).await?;
        let problems = self.problems(&schema, database.kind());
        if !problems.is_empty() {
            let problems = problems.join("; ");
            return Err(SqlError::Failed(format!(
                "{}: {problems}",
                database.address()
            )));
        }
        let id = schema.column(&self.names.id);
        Ok(Compatibility {
            created: self.created(database, &schema).await?,
            id_kind: id.map_or_else(String::new, |column| column.kind.clone()),
        })
    }

    /// The format of the creation column.
    async fn created(
        &self,
        database: &Database,
        schema: &TableSchema,
    ) -> Result<Created, SqlError> {
        let column = self.names.created.as_deref();
        let Some(column) = column.and_then(|name| schema.column(name)) else {
            return Ok(Created::Never);
        };
        let number = ["int", "numeric", "decimal", "double", "float", "real"]
            .iter()
            .any(|kind| column.kind.contains(kind));
        if !number {
            return Ok(Created::Now);
        }
        // As in the newest row.
        let newest = format!(
            "SELECT {} FROM {} ORDER BY {} DESC LIMIT 1",
            database.as_text(self.created.as_deref().unwrap_or_default()),
            self.table,
            self.id
        );
        let rows = database.rows(&newest, &[]).await?;
        let newest = rows.into_iter().flatten().next().flatten();
        let newest = newest.and_then(|text| text.split('.').next()?.parse::<u64>().ok());
        Ok(match newest {
            Some(time) if time > MAX_SECONDS => Created::Millis,
            _ => Created::Seconds,
        })
    }

    /// Reasons against the table, each with its cure.
    pub(in crate::users::sql) fn problems(
        &self,
        schema: &TableSchema,
        kind: SqlKind,
    ) -> Vec<String> {
        let name = &self.names.name;
        if !schema.exists() {
            return vec![format!(
                "there is no table `{name}` that the user of users.sql.url may see"
            )];
        }
        let columns = [
            Some(&self.names.id),
            Some(&self.names.openid),
            self.names.app.as_ref(),
            self.names.unionid.as_ref(),
            self.names.created.as_ref(),
        ];
        let mut problems: Vec<String> = columns
            .into_iter()
            .flatten()
            .filter(|column| schema.column(column).is_none())
            .map(|column| format!("table `{name}` has no column `{column}`; see users.sql.columns"))
            .collect();
        if !problems.is_empty() {
            return problems;
        }
        let openid: Vec<&str> = [Some(&self.names.openid), self.names.app.as_ref()]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        if !schema.is_unique(&openid) {
            let cure = self.unique_key(kind, &self.openid, &self.names.openid);
            problems.push(format!(
                "nothing keeps table `{name}` from two rows with one `{}`, which two first logins at once would make; {cure}",
                self.names.openid
            ));
        }
        if let (Some(column), Some(unionid)) = (&self.unionid, &self.names.unionid)
            && !schema.is_unique(&[unionid])
        {
            let cure = self.unique_key(kind, column, unionid);
            problems.push(format!(
                "nothing keeps table `{name}` from two rows with one `{unionid}`; {cure}, with NULL for those who have none"
            ));
        }
        problems
    }

    fn unique_key(&self, kind: SqlKind, column: &str, name: &str) -> String {
        let table = &self.table;
        match kind {
            SqlKind::MySql => format!("ALTER TABLE {table} ADD UNIQUE KEY ({column})"),
            SqlKind::Postgres | SqlKind::Sqlite => format!(
                "CREATE UNIQUE INDEX {}_{name}_key ON {table} ({column})",
                self.names.name
            ),
        }
    }
}
