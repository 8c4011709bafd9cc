//! The schema of an existing table: its columns and unique keys.

use super::database::{Database, SqlError, SqlValue};
use crate::config::SqlKind;

/// A table.
pub(super) struct TableSchema {
    kind: SqlKind,
    columns: Vec<Column>,
    /// The columns of each unique key, including the primary key, except keys over a part of the
    /// rows or of a column.
    keys: Vec<Vec<String>>,
}

/// A column.
pub(super) struct Column {
    pub(super) name: String,
    /// The database's name of the type: `int`, `timestamp without time zone`.
    pub(super) kind: String,
    /// MySQL's character set of a text column.
    pub(super) charset: Option<String>,
}

const MYSQL_COLUMNS: &str = "SELECT CAST(COLUMN_NAME AS CHAR), CAST(DATA_TYPE AS CHAR), CAST(CHARACTER_SET_NAME AS CHAR) \
    FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?";
const MYSQL_KEYS: &str = "SELECT CAST(INDEX_NAME AS CHAR), CASE WHEN SUB_PART IS NULL THEN CAST(COLUMN_NAME AS CHAR) END \
    FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND NON_UNIQUE = 0 \
    ORDER BY INDEX_NAME";
const POSTGRES_COLUMNS: &str = "SELECT CAST(attname AS TEXT), format_type(atttypid, NULL), CAST(NULL AS TEXT) \
    FROM pg_attribute WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped";
const POSTGRES_KEYS: &str = "SELECT CAST(i.indexrelid AS TEXT), CAST(a.attname AS TEXT) FROM pg_index i \
    CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, nr) \
    LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
    WHERE i.indrelid = to_regclass(?) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND k.nr <= i.indnkeyatts \
    ORDER BY i.indexrelid";
const SQLITE_COLUMNS: &str = "SELECT name, type, NULL FROM pragma_table_info(?)";
const SQLITE_KEYS: &str = "SELECT l.name, i.name FROM pragma_index_list(?) l JOIN pragma_index_info(l.name) i \
    WHERE l.\"unique\" = 1 AND l.partial = 0 ORDER BY l.name";

impl TableSchema {
    /// Reads the schema of a table; without columns if the table does not exist or is not visible.
    pub(super) async fn of(database: &Database, table: &str) -> Result<Self, SqlError> {
        let (columns, keys, name) = match database.kind() {
            SqlKind::MySql => (MYSQL_COLUMNS, MYSQL_KEYS, table.to_owned()),
            SqlKind::Postgres => (POSTGRES_COLUMNS, POSTGRES_KEYS, database.quoted(table)),
            SqlKind::Sqlite => (SQLITE_COLUMNS, SQLITE_KEYS, table.to_owned()),
        };
        let name = [SqlValue::Text(name)];
        let mut schema = Self {
            kind: database.kind(),
            columns: Vec::new(),
            keys: Vec::new(),
        };
        for row in database.rows(columns, &name).await? {
            let mut row = row.into_iter();
            if let (Some(Some(name)), Some(kind)) = (row.next(), row.next()) {
                schema.columns.push(Column {
                    name,
                    kind: kind.unwrap_or_default().to_ascii_lowercase(),
                    charset: row.next().flatten(),
                });
            }
        }
        let mut last = None;
        for row in database.rows(keys, &name).await? {
            let mut row = row.into_iter();
            let key = row.next().flatten();
            if key != last || schema.keys.is_empty() {
                schema.keys.push(Vec::new());
                last = key;
            }
            // An expression, or a part of a column, counts as no column.
            let column = row.next().flatten().unwrap_or_default();
            if let Some(key) = schema.keys.last_mut() {
                key.push(column);
            }
        }
        Ok(schema)
    }

    pub(super) fn exists(&self) -> bool {
        !self.columns.is_empty()
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns
            .iter()
            .find(|column| self.same(&column.name, name))
    }

    /// Whether these columns are unique together.
    pub(super) fn is_unique(&self, columns: &[&str]) -> bool {
        self.keys.iter().any(|key| {
            key.iter()
                .all(|name| columns.iter().any(|column| self.same(name, column)))
        })
    }

    fn same(&self, one: &str, other: &str) -> bool {
        match self.kind {
            SqlKind::Postgres => one == other,
            SqlKind::MySql | SqlKind::Sqlite => one.eq_ignore_ascii_case(other),
        }
    }
}
