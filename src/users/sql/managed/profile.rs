//! Profiles in a managed table, one row per user with a profile.

use super::{number, parse, text};
use crate::config::ProfileField;
use crate::users::id::UserId;
use crate::users::sql::database::{Database, SqlError, Statement};
use crate::users::{Change, Profile};

/// Adds a row for the older id, if it has none.
const TAKE_OVER: &str = "INSERT INTO skeygate_profiles (user_id, nickname, avatar, phone) \
    SELECT ?, nickname, avatar, phone FROM skeygate_profiles p WHERE p.user_id = ? \
    AND NOT EXISTS (SELECT 1 FROM skeygate_profiles o WHERE o.user_id = ?)";

/// The profile of a user; `None` for an id that these tables did not issue.
pub(in crate::users::sql) async fn read(
    database: &Database,
    user_id: &str,
    fields: &[ProfileField],
) -> Result<Profile, SqlError> {
    let mut profile = Profile::default();
    let Ok(id) = parse(database, user_id) else {
        return Ok(profile);
    };
    let columns: Vec<String> = fields
        .iter()
        .map(|field| database.as_text(field.name()))
        .collect();
    let sql = format!(
        "SELECT {} FROM skeygate_profiles WHERE user_id = ?",
        columns.join(", ")
    );
    let rows = database.rows(&sql, &[number(id)]).await?;
    for (field, value) in fields.iter().zip(rows.into_iter().flatten()) {
        profile.set(*field, value);
    }
    Ok(profile)
}

/// One attempt. Returns whether the id can belong to a user.
pub(in crate::users::sql) async fn change(
    database: &Database,
    user_id: &str,
    changes: &[Change],
) -> Result<bool, SqlError> {
    let Ok(id) = parse(database, user_id) else {
        return Ok(false);
    };
    let (mut set, mut columns, mut values) = (Vec::new(), vec!["user_id"], Vec::new());
    for Change { field, value } in changes {
        match value {
            Some(value) => {
                set.push(format!("{} = ?", field.name()));
                columns.push(field.name());
                values.push(text(value));
            }
            None => set.push(format!("{} = NULL", field.name())),
        }
    }
    let sql = format!(
        "UPDATE skeygate_profiles SET {} WHERE user_id = ?",
        set.join(", ")
    );
    let mut met = values.clone();
    met.push(number(id));
    if database.change(&sql, &met).await? > 0 || values.is_empty() {
        return Ok(true);
    }
    let places = vec!["?"; columns.len()].join(", ");
    let sql = format!(
        "INSERT INTO skeygate_profiles ({}) VALUES ({places})",
        columns.join(", ")
    );
    values.insert(0, number(id));
    database.change(&sql, &values).await?;
    Ok(true)
}

/// After a merge: missing fields of the older id are taken from the newer, whose row is deleted.
pub(super) fn merge(older: UserId, newer: UserId) -> Vec<Statement> {
    let (mut complete, mut empty, mut newers) = (Vec::new(), Vec::new(), Vec::new());
    for name in ProfileField::ALL.map(ProfileField::name) {
        // MySQL reads the table that it changes only through a derived table.
        complete.push(format!(
            "{name} = COALESCE({name}, (SELECT v FROM (SELECT {name} AS v FROM skeygate_profiles n WHERE n.user_id = ?) x))"
        ));
        empty.push(format!("{name} = NULL"));
        newers.push(number(newer));
    }
    newers.push(number(older));
    let update = |set: &[String]| {
        format!(
            "UPDATE skeygate_profiles SET {} WHERE user_id = ?",
            set.join(", ")
        )
    };
    let take_over = vec![number(older), number(newer), number(older)];
    vec![
        (TAKE_OVER.to_owned(), take_over),
        (update(&complete), newers),
        (update(&empty), vec![number(newer)]),
    ]
}
