//! Two rows of a table of somebody else's that turn out to be one person.

use super::{ExistingUsers, Names, User, text};
use crate::users::sql::database::{Database, SqlError, Statement};
use crate::users::{Bans, tell_of_merge};

impl ExistingUsers {
    /// As `UserDirectory::settle`: the older id has the unionid then. The other row stays as it is, without one.
    pub(in crate::users::sql) async fn settle(
        &self,
        database: &Database,
        names: Names<'_>,
    ) -> Result<(), SqlError> {
        let (Some(column), Some(unionid)) = (&self.unionid, names.2) else {
            return Ok(());
        };
        let known = self.by_openid(database, names).await?;
        let holder = self.by_unionid(database, column, unionid).await?;
        let (Some(one), Some(holder)) = (known, holder) else {
            return Ok(());
        };
        if one.id == holder.id {
            return Ok(());
        }
        if holds_on(&one, &holder) {
            tell_of_merge(&holder.id, &one.id);
            return Ok(());
        }
        let taken = format!(
            "UPDATE {} SET {column} = NULL WHERE {column} = ?",
            self.table
        );
        let statements: [Statement; 2] = [
            (taken, vec![text(unionid)]),
            self.set_unionid(column, names, unionid),
        ];
        database.transaction(&statements).await?;
        tell_of_merge(&one.id, &holder.id);
        Ok(())
    }
}

/// Of two rows of one person, whether it stays with the id that has the unionid: with the smaller, but ids that are no numbers are
/// in no order.
pub(super) fn holds_on(one: &User, holder: &User) -> bool {
    let number = |user: &User| user.id.parse::<u64>().ok();
    number(one) >= number(holder)
}

/// Moved and not copied: the row stays, so this comes by at each of its logins, and a ban that was lifted has to stay so.
pub(in crate::users::sql) async fn move_ban(
    bans: &Bans,
    from: &str,
    to: &str,
) -> Result<(), SqlError> {
    let moved = bans.move_over(from, to).await;
    moved.map_err(|error| SqlError::Failed(error.to_string()))
}
