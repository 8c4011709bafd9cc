//! Profiles in columns of a table of somebody else's. What such a column cannot hold is refused, never written changed.

use super::{Compatibility, ExistingUsers, text};
use crate::config::ProfileField;
use crate::users::sql::database::{Database, Line, SqlError, Statement};
use crate::users::{Change, Profile};

/// What became of a change.
#[derive(Clone, Copy)]
pub(in crate::users::sql) enum Written {
    /// As it is.
    Yes,
    /// The user's row is gone.
    NoRow,
    /// The table cannot hold it as it is.
    No,
}

impl ExistingUsers {
    pub(in crate::users::sql) async fn profile(
        &self,
        database: &Database,
        compatibility: &Compatibility,
        user_id: &str,
        fields: &[ProfileField],
    ) -> Result<Option<Profile>, SqlError> {
        let (sql, values) = self.look(database, compatibility, user_id, fields);
        let rows = database.rows(&sql, &values).await?;
        // The collation may have found somebody whose id differs in capitals.
        let own = |row: &Line| row.first().and_then(Option::as_deref) == Some(user_id);
        let Some(row) = rows.into_iter().find(own) else {
            return Ok(None);
        };
        let mut profile = Profile::default();
        for (field, value) in fields.iter().zip(row.into_iter().skip(1)) {
            profile.set(*field, value);
        }
        Ok(Some(profile))
    }

    /// One try.
    pub(in crate::users::sql) async fn change_profile(
        &self,
        database: &Database,
        compatibility: &Compatibility,
        user_id: &str,
        changes: &[Change],
    ) -> Result<Written, SqlError> {
        let fields: Vec<ProfileField> = changes.iter().map(|change| change.field).collect();
        let there = self
            .profile(database, compatibility, user_id, &fields)
            .await?;
        if there.is_none() {
            return Ok(Written::NoRow);
        }
        let change = self.set(database, compatibility, user_id, changes);
        let look = self.look(database, compatibility, user_id, &fields);
        let mut expected = vec![Some(user_id.to_owned())];
        expected.extend(changes.iter().map(|change| compatibility.stored(change)));
        match database.change_exactly(&change, &look, &expected).await {
            Ok(()) => Ok(Written::Yes),
            // A column that lets no two rows have one value is as good a reason.
            Err(SqlError::DoesNotFit(_) | SqlError::Taken) => Ok(Written::No),
            Err(error) => Err(error),
        }
    }

    /// Two rows are one person: what the one that stays lacks comes from the other, which keeps none of it. That other row may
    /// be met at every login of his, so what was deleted since must not come back from it.
    pub(super) async fn move_profile(
        &self,
        database: &Database,
        compatibility: &Compatibility,
        from: &str,
        to: &str,
    ) -> Result<(), SqlError> {
        let fields = self.kept();
        if fields.is_empty() {
            return Ok(());
        }
        let gone = self.profile(database, compatibility, from, &fields).await?;
        let Some(gone) = gone.filter(|gone| *gone != Profile::default()) else {
            return Ok(());
        };
        let mut statements = Vec::new();
        for field in fields {
            let (Some(column), Some(value)) = (self.column(database, field), gone.get(field))
            else {
                continue;
            };
            let as_text = database.as_text(&column);
            // Held to what was read: who changes his profile meanwhile is told that it is changed. And taken away first: no two
            // rows may have one phone number.
            let (mut emptied, mut values) =
                self.set(database, compatibility, from, &[Change::delete(field)]);
            emptied += &format!(" AND {as_text} = ?");
            values.push(text(value));
            statements.push((emptied, values));
            let taken = Change {
                field,
                value: Some(value.to_owned()),
            };
            let (mut taken, values) = self.set(database, compatibility, to, &[taken]);
            taken += &format!(" AND ({column} IS NULL OR {as_text} = '')");
            statements.push((taken, values));
        }
        match database.transaction(&statements).await {
            // Rules of the table's own keep nobody from logging in.
            Err(SqlError::DoesNotFit(cause)) => {
                tracing::debug!(cause, "a merged user's profile stays where it is");
                Ok(())
            }
            Err(SqlError::Taken) => Ok(()),
            done => done,
        }
    }

    /// What is kept in the table.
    pub(super) fn kept(&self) -> Vec<ProfileField> {
        let named = |field: &ProfileField| self.names.profile(*field).is_some();
        ProfileField::ALL.into_iter().filter(named).collect()
    }

    /// Their columns, quoted.
    pub(super) fn columns_kept<'a>(
        &'a self,
        database: &'a Database,
    ) -> impl Iterator<Item = String> + 'a {
        let fields = self.kept().into_iter();
        fields.filter_map(|field| self.column(database, field))
    }

    fn look(
        &self,
        database: &Database,
        compatibility: &Compatibility,
        user_id: &str,
        fields: &[ProfileField],
    ) -> Statement {
        let mut columns = vec![database.as_text(&self.id)];
        let named = fields
            .iter()
            .filter_map(|field| self.column(database, *field));
        columns.extend(named.map(|column| database.as_text(&column)));
        let (place, value) = compatibility.id(database.kind(), user_id);
        let sql = format!(
            "SELECT {} FROM {} WHERE {} = {place}",
            columns.join(", "),
            self.table,
            self.id
        );
        (sql, vec![value])
    }

    fn set(
        &self,
        database: &Database,
        compatibility: &Compatibility,
        user_id: &str,
        changes: &[Change],
    ) -> Statement {
        let (mut set, mut values) = (Vec::new(), Vec::new());
        for change in changes {
            let Some(column) = self.column(database, change.field) else {
                continue;
            };
            match compatibility.stored(change) {
                Some(value) => {
                    set.push(format!("{column} = ?"));
                    values.push(text(&value));
                }
                None => set.push(format!("{column} = NULL")),
            }
        }
        let (place, value) = compatibility.id(database.kind(), user_id);
        values.push(value);
        let sql = format!(
            "UPDATE {} SET {} WHERE {} = {place}",
            self.table,
            set.join(", "),
            self.id
        );
        (sql, values)
    }

    /// The column of a field, quoted.
    fn column(&self, database: &Database, field: ProfileField) -> Option<String> {
        self.names.profile(field).map(|name| database.quoted(name))
    }
}

impl Compatibility {
    /// As it stands in the column then.
    fn stored(&self, change: &Change) -> Option<String> {
        match &change.value {
            None if self.filled.contains(&change.field) => Some(String::new()),
            value => value.clone(),
        }
    }
}
