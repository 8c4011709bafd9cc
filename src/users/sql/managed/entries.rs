//! Listing of managed tables in the order of their primary keys.

use super::{damaged, text};
use crate::config::SqlKind;
use crate::users::sql::PAGE_ROWS;
use crate::users::sql::database::{Database, SqlError, SqlValue};
use crate::users::{Entries, Entry, EntryKind};

/// A page of one kind, from the key `from` on. The parts of a key are separated by a blank, which
/// no part contains.
pub(in crate::users::sql) async fn page(
    database: &Database,
    kind: EntryKind,
    from: &str,
) -> Result<Entries, SqlError> {
    let (table, key) = match kind {
        EntryKind::Openids => ("skeygate_openids", &["t.appid", "t.openid"][..]),
        EntryKind::Unionids => ("skeygate_unionids", &["t.unionid"][..]),
        EntryKind::Merged => ("skeygate_aliases", &["t.id"][..]),
    };
    let (which, values) = beyond(database.kind(), kind, from);
    let columns = [key, &["t.user_id"]].concat();
    let columns: Vec<String> = columns.iter().map(|name| database.as_text(name)).collect();
    // Qualified with the table: a column of the result, which is text, has the same name.
    let sql = format!(
        "SELECT {} FROM {table} t {which} ORDER BY {} LIMIT {PAGE_ROWS}",
        columns.join(", "),
        key.join(", ")
    );
    let rows = database.rows(&sql, &values).await?;
    let mut page = Entries {
        looked_at: u64::try_from(rows.len()).unwrap_or(u64::MAX),
        ..Entries::default()
    };
    for row in rows {
        let entry = row.into_iter().collect::<Option<Vec<String>>>();
        let entry = entry.and_then(|row| entry_of(kind, row));
        page.entries.push(
            entry.ok_or_else(|| damaged(database, "a row of the managed tables is incomplete"))?,
        );
    }
    page.next = match page.entries.last() {
        Some(last) if page.looked_at == PAGE_ROWS => Some(match last {
            Entry::Openid { appid, openid, .. } => format!("{appid} {openid}"),
            Entry::Unionid { unionid, .. } => unionid.clone(),
            Entry::Merged { user_id, .. } => user_id.clone(),
        }),
        _ => None,
    };
    Ok(page)
}

/// The condition for rows behind a key, in a form that each database answers by its index.
fn beyond(database: SqlKind, kind: EntryKind, from: &str) -> (&'static str, Vec<SqlValue>) {
    if from.is_empty() {
        return ("", Vec::new());
    }
    match kind {
        EntryKind::Openids => {
            let (appid, openid) = from.split_once(' ').unwrap_or((from, ""));
            let both = vec![text(appid), text(openid)];
            match database {
                // This database compares row values without its index.
                SqlKind::MySql => (
                    "WHERE t.appid > ? OR t.appid = ? AND t.openid > ?",
                    [vec![text(appid)], both].concat(),
                ),
                SqlKind::Postgres | SqlKind::Sqlite => ("WHERE (t.appid, t.openid) > (?, ?)", both),
            }
        }
        EntryKind::Unionids => ("WHERE t.unionid > ?", vec![text(from)]),
        EntryKind::Merged => {
            let id = from.parse().unwrap_or(i64::MAX);
            ("WHERE t.id > ?", vec![SqlValue::Number(id)])
        }
    }
}

fn entry_of(kind: EntryKind, row: Vec<String>) -> Option<Entry> {
    let mut row = row.into_iter();
    let (key, other) = (row.next()?, row.next()?);
    Some(match kind {
        EntryKind::Openids => Entry::Openid {
            user_id: row.next()?,
            appid: key,
            openid: other,
        },
        EntryKind::Unionids => Entry::Unionid {
            user_id: other,
            unionid: key,
        },
        EntryKind::Merged => Entry::Merged {
            user_id: key,
            into: other,
        },
    })
}
