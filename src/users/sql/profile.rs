//! Profiles in tables of the gateway's own. An adopted table keeps none, which the configuration
//! says.

use super::database::SqlError;
use super::{SqlUsers, own, retried};
use crate::config::ProfileField;
use crate::redis::StoreError;
use crate::users::{Change, Profile, ProfileError};

/// What became of a change.
enum Written {
    Yes,
    /// The id is of no user here.
    NoUser,
    /// A rule of the database refuses the value.
    DoesNotFit,
}

impl SqlUsers {
    pub(in crate::users) async fn profile(
        &self,
        user_id: &str,
        fields: &[ProfileField],
    ) -> Result<Profile, StoreError> {
        if self.is_adopted() {
            return Ok(Profile::default());
        }
        self.prepare().await?;
        retried(|| own::profile::read(&self.database, user_id, fields)).await
    }

    pub(in crate::users) async fn change_profile(
        &self,
        user_id: &str,
        changes: &[Change],
    ) -> Result<(), ProfileError> {
        if self.is_adopted() {
            return Err(ProfileError::NoUser);
        }
        self.prepare().await?;
        let change = async || match own::profile::change(&self.database, user_id, changes).await {
            Ok(true) => Ok(Written::Yes),
            Ok(false) => Ok(Written::NoUser),
            Err(SqlError::DoesNotFit(_)) => Ok(Written::DoesNotFit),
            Err(error) => Err(error),
        };
        match retried(change).await? {
            Written::Yes => Ok(()),
            Written::NoUser => Err(ProfileError::NoUser),
            Written::DoesNotFit => Err(ProfileError::DoesNotFit),
        }
    }
}
