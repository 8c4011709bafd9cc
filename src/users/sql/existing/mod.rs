//! Users in a table that another application created, one row each. The database issues the ids; a
//! unique key on the openid makes concurrent first logins one user. Only the configured columns are
//! read or written, and a collation never matches a row of another user.

mod compatibility;
mod entries;
mod merges;

pub(super) use self::compatibility::{Compatibility, Created};
pub(super) use self::merges::move_ban;

use self::merges::holds_on;
use super::database::{Database, SqlError, SqlValue, Statement};
use crate::clock;
use crate::config::ExistingTable;
use crate::users::{Bans, CreateUsers, MAX_ID_LENGTH, UserLookup};

/// Users in an existing table.
pub(super) struct ExistingUsers {
    names: ExistingTable,
    /// Quoted names.
    table: String,
    id: String,
    openid: String,
    app: Option<String>,
    unionid: Option<String>,
    created: Option<String>,
}

/// A row: user id and unionid.
struct UserRow {
    id: String,
    unionid: Option<String>,
}

/// Appid, openid and unionid of a login.
pub(super) type Names<'a> = (&'a str, &'a str, Option<&'a str>);

impl ExistingUsers {
    pub(super) fn new(database: &Database, names: &ExistingTable) -> Self {
        let quoted = |name: &Option<String>| name.as_deref().map(|name| database.quoted(name));
        Self {
            table: database.quoted(&names.name),
            id: database.quoted(&names.id),
            openid: database.quoted(&names.openid),
            app: quoted(&names.app),
            unionid: quoted(&names.unionid),
            created: quoted(&names.created),
            names: names.clone(),
        }
    }

    /// The table's name, unquoted.
    pub(super) fn name(&self) -> &str {
        &self.names.name
    }

    /// All statements of logins, for a trial that is rolled back.
    pub(super) fn trial(&self, names: Names<'_>, created: Created) -> Vec<Statement> {
        let mut statements = vec![self.insert(names, created)];
        if let (Some(column), Some(unionid)) = (&self.unionid, names.2) {
            statements.push(self.set_unionid(column, names, unionid));
        }
        statements
    }

    /// One attempt, as `managed::find_or_create`.
    pub(super) async fn find_or_create(
        &self,
        database: &Database,
        bans: &Bans,
        names: Names<'_>,
        compatibility: &Compatibility,
        create: CreateUsers,
    ) -> Result<UserLookup, SqlError> {
        let known = self.by_openid(database, names).await?;
        let joined = match (&self.unionid, names.2) {
            (Some(column), Some(unionid)) => self.by_unionid(database, column, unionid).await?,
            _ => None,
        };
        let led_to: Vec<String> = [&known, &joined]
            .into_iter()
            .flatten()
            .map(|user| user.id.clone())
            .collect();
        let (id, is_new) = match (known, joined) {
            (None, None) if create == CreateUsers::No => return Ok(UserLookup::Unknown),
            (None, None) => (
                self.add(database, names, compatibility.created).await?,
                true,
            ),
            (Some(user), None) => {
                if let (Some(column), Some(unionid)) = (&self.unionid, names.2)
                    && user.unionid.as_deref() != Some(unionid)
                {
                    let (sql, values) = self.set_unionid(column, names, unionid);
                    database.change(&sql, &values).await?;
                }
                (user.id, false)
            }
            // A row is one person: an openid of another app gets no row of its own.
            (None, Some(user)) => (user.id, false),
            (Some(one), Some(other)) if one.id == other.id => (one.id, false),
            (Some(one), Some(other)) => {
                let (stays, goes) = match holds_on(&one, &other) {
                    true => (other.id, one.id),
                    false => (one.id, other.id),
                };
                move_ban(bans, &goes, &stays).await?;
                (stays, false)
            }
        };
        if id.is_empty()
            || id.len() > MAX_ID_LENGTH
            || !id.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(self.unfit(database, "holds an id that no header can"));
        }
        Ok(UserLookup::User {
            merged: led_to.into_iter().filter(|other| *other != id).collect(),
            user_id: id,
            is_new,
        })
    }

    async fn by_openid(
        &self,
        database: &Database,
        names: Names<'_>,
    ) -> Result<Option<UserRow>, SqlError> {
        let unionid = self.unionid.as_deref().unwrap_or(&self.openid);
        let app = self.app.as_deref().unwrap_or(&self.openid);
        let (which, values) = self.this_openid(names);
        let sql = format!(
            "SELECT {}, {}, {}, {} FROM {} WHERE {which}",
            database.as_text(&self.id),
            database.as_text(&self.openid),
            database.as_text(app),
            database.as_text(unionid),
            self.table
        );
        let rows = database.rows(&sql, &values).await?;
        let own = rows.into_iter().find_map(|row| {
            let [Some(id), Some(openid), app, unionid] = <[_; 4]>::try_from(row).ok()? else {
                return None;
            };
            let same_app = self.app.is_none() || app.as_deref() == Some(names.0);
            // The collation may have matched another user's openid that differs only in case.
            (openid == names.1 && same_app).then(|| UserRow {
                id,
                unionid: unionid.filter(|_| self.unionid.is_some()),
            })
        });
        Ok(own)
    }

    async fn by_unionid(
        &self,
        database: &Database,
        column: &str,
        unionid: &str,
    ) -> Result<Option<UserRow>, SqlError> {
        let sql = format!(
            "SELECT {}, {} FROM {} WHERE {column} = ?",
            database.as_text(&self.id),
            database.as_text(column),
            self.table
        );
        let rows = database.rows(&sql, &[text(unionid)]).await?;
        let own = rows.into_iter().find_map(|row| {
            let [Some(id), Some(found)] = <[_; 2]>::try_from(row).ok()? else {
                return None;
            };
            (found == unionid).then_some(UserRow {
                id,
                unionid: Some(found),
            })
        });
        Ok(own)
    }

    fn insert(&self, names: Names<'_>, created: Created) -> Statement {
        let mut columns = vec![self.openid.as_str()];
        let mut places = vec!["?"];
        let mut values = vec![text(names.1)];
        if let Some(app) = &self.app {
            columns.push(app);
            places.push("?");
            values.push(text(names.0));
        }
        if let (Some(column), Some(unionid)) = (&self.unionid, names.2) {
            columns.push(column);
            places.push("?");
            values.push(text(unionid));
        }
        let time = match created {
            Created::Never | Created::Now => None,
            Created::Seconds => Some(clock::unix_seconds()),
            Created::Millis => Some(clock::unix_millis()),
        };
        if let Some(column) = &self.created {
            columns.push(column);
            match time {
                Some(time) => {
                    places.push("?");
                    values.push(SqlValue::Number(i64::try_from(time).unwrap_or(i64::MAX)));
                }
                None => places.push("CURRENT_TIMESTAMP"),
            }
        }
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            self.table,
            columns.join(", "),
            places.join(", ")
        );
        (sql, values)
    }

    /// Adds a row; returns its id.
    async fn add(
        &self,
        database: &Database,
        names: Names<'_>,
        created: Created,
    ) -> Result<String, SqlError> {
        let (sql, values) = self.insert(names, created);
        database.change(&sql, &values).await?;
        match self.by_openid(database, names).await? {
            Some(user) => Ok(user.id),
            // A server that is not strict truncates silently.
            None => Err(self.unfit(
                database,
                "does not have the row that was just added: is the openid's column long enough?",
            )),
        }
    }

    fn set_unionid(&self, column: &str, names: Names<'_>, unionid: &str) -> Statement {
        let (which, mut values) = self.this_openid(names);
        values.insert(0, text(unionid));
        let sql = format!("UPDATE {} SET {column} = ? WHERE {which}", self.table);
        (sql, values)
    }

    fn this_openid(&self, names: Names<'_>) -> Statement {
        let mut which = format!("{} = ?", self.openid);
        let mut values = vec![text(names.1)];
        if let Some(app) = &self.app {
            which += &format!(" AND {app} = ?");
            values.push(text(names.0));
        }
        (which, values)
    }

    fn unfit(&self, database: &Database, what: &str) -> SqlError {
        let name = &self.names.name;
        SqlError::Failed(format!("{}: table `{name}` {what}", database.address()))
    }
}

fn text(text: &str) -> SqlValue {
    SqlValue::Text(text.to_owned())
}
