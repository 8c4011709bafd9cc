//! Profiles in managed tables or in an existing one.

use super::database::SqlError;
use super::existing::Written;
use super::{SqlUsers, managed, retried};
use crate::config::ProfileField;
use crate::redis::StoreError;
use crate::users::{Change, Profile, ProfileError};

impl SqlUsers {
    pub(in crate::users) async fn profile(
        &self,
        user_id: &str,
        fields: &[ProfileField],
    ) -> Result<Profile, StoreError> {
        let compatibility = self.prepared().await?;
        let database = &self.database;
        match &self.existing {
            Some(existing) => {
                let found =
                    retried(|| existing.profile(database, compatibility, user_id, fields)).await;
                Ok(found?.unwrap_or_default())
            }
            None => retried(|| managed::profile::read(database, user_id, fields)).await,
        }
    }

    pub(in crate::users) async fn change_profile(
        &self,
        user_id: &str,
        changes: &[Change],
    ) -> Result<(), ProfileError> {
        let compatibility = self.prepared().await?;
        let database = &self.database;
        let Some(existing) = &self.existing else {
            let change = async || match managed::profile::change(database, user_id, changes).await {
                Ok(true) => Ok(Written::Yes),
                Ok(false) => Ok(Written::NoRow),
                Err(SqlError::DoesNotFit(_)) => Ok(Written::No),
                Err(error) => Err(error),
            };
            return as_told(retried(change).await?);
        };
        as_told(
            retried(|| existing.change_profile(database, compatibility, user_id, changes)).await?,
        )
    }
}

fn as_told(written: Written) -> Result<(), ProfileError> {
    match written {
        Written::Yes => Ok(()),
        Written::NoRow => Err(ProfileError::NoUser),
        Written::No => Err(ProfileError::DoesNotFit),
    }
}
