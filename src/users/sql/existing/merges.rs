//! Merges of two rows of an existing table.

use super::{ExistingUsers, Names, UserRow, text};
use crate::users::sql::database::{Database, SqlError, Statement};
use crate::users::{Bans, log_merge};

impl ExistingUsers {
    /// As `UserDirectory::settle`: the row with the older id gets the unionid. The other row stays
    /// without one.
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
            log_merge(&holder.id, &one.id);
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
        log_merge(&one.id, &holder.id);
        Ok(())
    }
}

/// Whether the row with the unionid keeps its id, of two rows of one person: the smaller id stays,
/// but ids that are not numbers have no order.
pub(super) fn holds_on(one: &UserRow, holder: &UserRow) -> bool {
    let number = |user: &UserRow| user.id.parse::<u64>().ok();
    number(one) >= number(holder)
}

/// Moved, not copied: the row stays, so this runs at each of its logins, and a lifted ban must stay
/// lifted.
pub(in crate::users::sql) async fn move_ban(
    bans: &Bans,
    from: &str,
    to: &str,
) -> Result<(), SqlError> {
    let moved = bans.move_over(from, to).await;
    moved.map_err(|error| SqlError::Failed(error.to_string()))
}
