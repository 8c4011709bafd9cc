//! Users in managed tables. Every unique fact is a row with a unique key, so concurrent logins on
//! several replicas agree: a login that finds a key taken looks again. A crash leaves nothing, or a
//! join that the next login completes.

pub(super) mod entries;
pub(super) mod profile;

use super::database::{Database, SqlError, SqlValue, Statement};
use crate::clock;
use crate::users::id::UserId;
use crate::users::{Bans, CreateUsers, UserLookup, log_merge};

/// Aliases followed before the tables count as damaged: each join adds one, and a person has few
/// apps.
const MAX_ALIASES: usize = 64;

const MAKE_USER: &str = "INSERT INTO skeygate_users (id, created) VALUES (?, ?)";
const MAKE_OPENID: &str = "INSERT INTO skeygate_openids (appid, openid, user_id) VALUES (?, ?, ?)";
const MAKE_UNIONID: &str = "INSERT INTO skeygate_unionids (unionid, user_id) VALUES (?, ?)";
const MAKE_ALIAS: &str = "INSERT INTO skeygate_aliases (id, user_id) VALUES (?, ?)";
const MOVE_UNIONID: &str =
    "UPDATE skeygate_unionids SET user_id = ? WHERE unionid = ? AND user_id = ?";

/// One attempt. `Taken` and `Crossed` mean that another login interfered; the next attempt finds
/// its rows.
pub(super) async fn find_or_create(
    database: &Database,
    bans: &Bans,
    appid: &str,
    openid: &str,
    unionid: Option<&str>,
    create: CreateUsers,
) -> Result<UserLookup, SqlError> {
    let names = Names {
        database,
        appid,
        openid,
        unionid,
    };
    let (known, joined) = (names.by_openid().await?, names.by_unionid().await?);
    let led_to = [&known, &joined].into_iter().flatten();
    let passed: Vec<UserId> = led_to.flat_map(|led| led.passed.clone()).collect();
    let (known, joined) = (known.map(|led| led.id), joined.map(|led| led.id));
    let (id, is_new) = match (known, joined) {
        (None, None) if create == CreateUsers::No => return Ok(UserLookup::Unknown),
        (None, None) => (names.make().await?, true),
        (Some(id), None) => {
            if let Some(unionid) = unionid {
                let values = [text(unionid), number(id)];
                database.change(MAKE_UNIONID, &values).await?;
            }
            (id, false)
        }
        (None, Some(id)) => {
            let values = [text(appid), text(openid), number(id)];
            database.change(MAKE_OPENID, &values).await?;
            (id, false)
        }
        (Some(one), Some(other)) if one == other => (one, false),
        (Some(one), Some(other)) => (names.join(bans, one, other).await?, false),
    };
    Ok(UserLookup::User {
        user_id: id.to_string(),
        is_new,
        // An id that was joined just now is the end of one of the ways.
        merged: UserId::merged(id, passed.into_iter().chain(known).chain(joined)),
    })
}

/// As `UserDirectory::settle`.
pub(super) async fn settle(database: &Database, unionid: &str) -> Result<(), SqlError> {
    if let Some(led) = by_unionid(database, unionid).await?
        && let Some(first) = led.passed.first()
    {
        let values = [number(led.id), text(unionid), number(*first)];
        database.change(MOVE_UNIONID, &values).await?;
    }
    Ok(())
}

/// All statements of logins, for a trial that is rolled back.
pub(super) fn trial() -> Result<Vec<Statement>, SqlError> {
    let id = drawn()?;
    let name = || text("skeygate-check");
    let statements = [
        (MAKE_USER, vec![number(id), SqlValue::Number(0)]),
        (MAKE_OPENID, vec![name(), name(), number(id)]),
        (MAKE_UNIONID, vec![name(), number(id)]),
        (MAKE_ALIAS, vec![number(id), number(id)]),
        (MOVE_UNIONID, vec![number(id), name(), SqlValue::Number(0)]),
    ];
    let owned = statements
        .into_iter()
        .map(|(sql, values)| (sql.to_owned(), values));
    Ok(owned.chain(profile::merge(id, id)).collect())
}

fn drawn() -> Result<UserId, SqlError> {
    UserId::draw(clock::unix_millis()).map_err(|error| SqlError::Failed(error.to_string()))
}

/// The user id that an openid or unionid leads to.
struct Led {
    /// The id in its row and the aliases on the way; empty if that id is current.
    passed: Vec<UserId>,
    /// The current id.
    id: UserId,
}

/// The names of one person in one login.
struct Names<'a> {
    database: &'a Database,
    appid: &'a str,
    openid: &'a str,
    unionid: Option<&'a str>,
}

impl Names<'_> {
    async fn by_openid(&self) -> Result<Option<Led>, SqlError> {
        let values = [text(self.appid), text(self.openid)];
        let which = "n.appid = ? AND n.openid = ?";
        find(self.database, "skeygate_openids", which, &values).await
    }

    async fn by_unionid(&self) -> Result<Option<Led>, SqlError> {
        match self.unionid {
            Some(unionid) => by_unionid(self.database, unionid).await,
            None => Ok(None),
        }
    }

    /// Creates a user with all names, or nothing.
    async fn make(&self) -> Result<UserId, SqlError> {
        let id = drawn()?;
        let now = i64::try_from(clock::unix_seconds()).unwrap_or(i64::MAX);
        let mut statements: Vec<Statement> = Vec::new();
        // The unionid first: a concurrent login that loses then waits for nothing else.
        if let Some(unionid) = self.unionid {
            statements.push((MAKE_UNIONID.to_owned(), vec![text(unionid), number(id)]));
        }
        let values = vec![text(self.appid), text(self.openid), number(id)];
        statements.push((MAKE_OPENID.to_owned(), values));
        let values = vec![number(id), SqlValue::Number(now)];
        statements.push((MAKE_USER.to_owned(), values));
        self.database.transaction(&statements).await?;
        Ok(id)
    }

    /// Joins two ids of one person: the newer becomes an alias of the older, which is returned.
    async fn join(&self, bans: &Bans, one: UserId, other: UserId) -> Result<UserId, SqlError> {
        let (older, newer) = (one.min(other), one.max(other));
        // Carried over before the join, because a crash in between must not lift a ban, and after
        // it, for a ban that is set in between.
        let ids = (newer.to_string(), older.to_string());
        super::carry_over(bans, &ids.0, &ids.1).await?;
        let mut statements: Vec<Statement> =
            vec![(MAKE_ALIAS.to_owned(), vec![number(newer), number(older)])];
        statements.extend(profile::merge(older, newer));
        self.database.transaction(&statements).await?;
        super::carry_over(bans, &ids.0, &ids.1).await?;
        log_merge(&older, &newer);
        Ok(older)
    }
}

async fn by_unionid(database: &Database, unionid: &str) -> Result<Option<Led>, SqlError> {
    let values = [text(unionid)];
    find(database, "skeygate_unionids", "n.unionid = ?", &values).await
}

/// The id that a row of `table` leads to.
async fn find(
    database: &Database,
    table: &str,
    which: &str,
    values: &[SqlValue],
) -> Result<Option<Led>, SqlError> {
    let sql = format!(
        "SELECT {}, {} FROM {table} n LEFT JOIN skeygate_aliases a ON a.id = n.user_id WHERE {which}",
        database.as_text("n.user_id"),
        database.as_text("a.user_id"),
    );
    let rows = database.rows(&sql, values).await?;
    match rows.first().map(Vec::as_slice) {
        None => Ok(None),
        Some([Some(id), None]) => Ok(Some(Led {
            passed: Vec::new(),
            id: parse(database, id)?,
        })),
        Some([Some(first), Some(older)]) => {
            let (first, older) = (parse(database, first)?, parse(database, older)?);
            if older >= first {
                return Err(endless(database));
            }
            let mut led = follow(database, older).await?;
            led.passed.insert(0, first);
            Ok(Some(led))
        }
        Some(_) => Err(damaged(
            database,
            "a row of the managed tables has an invalid id",
        )),
    }
}

/// The current id of a user id.
pub(super) async fn current_id(database: &Database, user_id: &str) -> Result<String, SqlError> {
    match UserId::parse(user_id) {
        Some(id) => Ok(follow(database, id).await?.id.to_string()),
        // An id that these tables did not issue; sessions may hold ids of an earlier directory.
        None => Ok(user_id.to_owned()),
    }
}

/// Follows aliases, which always lead to smaller ids.
async fn follow(database: &Database, mut id: UserId) -> Result<Led, SqlError> {
    let mut passed = Vec::new();
    let sql = format!(
        "SELECT {} FROM skeygate_aliases WHERE id = ?",
        database.as_text("user_id")
    );
    for _ in 0..MAX_ALIASES {
        let rows = database.rows(&sql, &[number(id)]).await?;
        let Some(Some(older)) = rows.first().and_then(|row| row.first()) else {
            return Ok(Led { passed, id });
        };
        let older = parse(database, older)?;
        if older >= id {
            return Err(endless(database));
        }
        passed.push(id);
        id = older;
    }
    Err(endless(database))
}

fn parse(database: &Database, id: &str) -> Result<UserId, SqlError> {
    UserId::parse(id)
        .ok_or_else(|| damaged(database, "a row of the managed tables has an invalid id"))
}

fn endless(database: &Database) -> SqlError {
    damaged(database, "a user's aliases do not end")
}

fn damaged(database: &Database, what: &str) -> SqlError {
    SqlError::Failed(format!("{}: {what}", database.address()))
}

fn text(text: &str) -> SqlValue {
    SqlValue::Text(text.to_owned())
}

fn number(id: UserId) -> SqlValue {
    SqlValue::Number(id.as_i64())
}
