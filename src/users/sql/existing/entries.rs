//! Listing of an existing table in the order of its user ids.

use super::{Compatibility, ExistingUsers, text};
use crate::config::SqlKind;
use crate::users::sql::PAGE_ROWS;
use crate::users::sql::database::{Database, SqlError, SqlValue};
use crate::users::{Entries, Entry, EntryKind};

impl ExistingUsers {
    /// A page of one kind, from the user id `from` on. Rows without such an entry are skipped.
    pub(in crate::users::sql) async fn page(
        &self,
        database: &Database,
        compatibility: &Compatibility,
        kind: EntryKind,
        from: &str,
    ) -> Result<Entries, SqlError> {
        let name = match kind {
            EntryKind::Openids => &self.openid,
            EntryKind::Unionids => match &self.unionid {
                Some(column) => column,
                None => return Ok(Entries::default()),
            },
            // A row that was merged into another stays unchanged.
            EntryKind::Merged => return Ok(Entries::default()),
        };
        // Qualified with the table: a column of the result, which is text, has the same name.
        let (table, id) = (&self.table, format!("{}.{}", self.table, self.id));
        let (which, values) = if from.is_empty() {
            (String::new(), Vec::new())
        } else {
            let (place, value) = compatibility.id(database.kind(), from);
            (format!("WHERE {id} > {place}"), vec![value])
        };
        let app = self.app.as_ref().unwrap_or(name);
        let sql = format!(
            "SELECT {}, {}, {} FROM {table} {which} ORDER BY {id} LIMIT {PAGE_ROWS}",
            database.as_text(&id),
            database.as_text(name),
            database.as_text(app),
        );
        let rows = database.rows(&sql, &values).await?;
        let mut page = Entries {
            looked_at: u64::try_from(rows.len()).unwrap_or(u64::MAX),
            ..Entries::default()
        };
        for row in rows {
            let Ok([Some(user_id), name, app]) = <[_; 3]>::try_from(row) else {
                return Err(self.unfit(database, "has a row without an id"));
            };
            page.next = Some(user_id.clone());
            let Some(name) = name.filter(|name| !name.is_empty()) else {
                continue;
            };
            page.entries.push(match kind {
                EntryKind::Unionids => Entry::Unionid {
                    user_id,
                    unionid: name,
                },
                EntryKind::Openids | EntryKind::Merged => Entry::Openid {
                    user_id,
                    appid: app.filter(|_| self.app.is_some()).unwrap_or_default(),
                    openid: name,
                },
            });
        }
        page.next = page.next.filter(|_| page.looked_at == PAGE_ROWS);
        Ok(page)
    }
}

impl Compatibility {
    /// A user id for a comparison that an index can serve: the expression and its value.
    pub(super) fn id(&self, database: SqlKind, id: &str) -> (String, SqlValue) {
        const NUMBERS: [&str; 7] = [
            "int",
            "integer",
            "bigint",
            "mediumint",
            "smallint",
            "tinyint",
            "numeric",
        ];
        // A cast to `character` keeps one character, a cast to `bpchar` any number of them.
        let kind = match self.id_kind.as_str() {
            "character" => "bpchar",
            kind => kind,
        };
        match id.parse() {
            Ok(number) if NUMBERS.contains(&kind) => ("?".to_owned(), SqlValue::Number(number)),
            // PostgreSQL compares text only with text.
            _ if database == SqlKind::Postgres => (format!("CAST(? AS {kind})"), text(id)),
            _ => ("?".to_owned(), text(id)),
        }
    }
}
