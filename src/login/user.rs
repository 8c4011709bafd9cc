//! Identifies the user of a login: the id and the attributes from the user directory.

use super::{LoginAttempt, Logins};
use crate::error::Error;
use crate::identity::{Attributes, Identity};
use crate::users::{LookupRequest, LookupResponse, UserDirectory, UserLookup, WebhookUsers};
use crate::wechat::Exchanged;

impl Logins {
    /// The user's identity, and whether this is the first login.
    ///
    /// # Errors
    /// The directory does not know the user, refuses the user, or cannot answer.
    pub(super) async fn identify(
        &self,
        attempt: &LoginAttempt,
        exchanged: &Exchanged,
    ) -> Result<(Identity, bool), Error> {
        let mut identity = Identity {
            appid: attempt.app.appid.clone(),
            openid: exchanged.openid.clone(),
            unionid: exchanged.unionid.clone(),
            user_id: None,
            attributes: Attributes::default(),
        };
        if let UserDirectory::Webhook(users) = &self.users {
            let is_new = self.ask(users, attempt, &mut identity).await?;
            return Ok((identity, is_new));
        }
        let found = self.users.find_or_create(
            &identity.appid,
            &identity.openid,
            identity.unionid.as_deref(),
            attempt.create_users,
        );
        let is_new = match found.await.map_err(Error::DirectoryUnavailable)? {
            UserLookup::User {
                user_id,
                is_new,
                merged,
            } => {
                identity.user_id = Some(user_id);
                self.add_profile(&mut identity).await?;
                self.settle_merges(&identity, merged).await?;
                identity.attributes.merged_from = self.merged_from(&identity).await?;
                is_new
            }
            UserLookup::Unknown => return Err(Error::UnknownUser),
            UserLookup::NoDirectory => false,
        };
        Ok((identity, is_new))
    }

    async fn ask(
        &self,
        users: &WebhookUsers,
        attempt: &LoginAttempt,
        identity: &mut Identity,
    ) -> Result<bool, Error> {
        // A login within the last 30 days left a session_key; a refused login left none.
        let keys = self
            .sessions
            .session_keys(&identity.appid, &identity.openid)
            .await
            .map_err(Error::StoreUnavailable)?;
        let asked = LookupRequest {
            app: &attempt.app.name,
            appid: &identity.appid,
            openid: &identity.openid,
            unionid: identity.unionid.as_deref(),
            is_new: keys.is_empty(),
            create: attempt.create_users,
            request_id: &attempt.request_id,
        };
        let told = users.ask(&asked).await;
        match told.map_err(Error::DirectoryUnavailable)? {
            LookupResponse::User {
                user_id,
                is_new,
                claims,
            } => {
                identity.user_id = Some(user_id);
                identity.attributes.claims = claims;
                Ok(is_new.unwrap_or(keys.is_empty()))
            }
            LookupResponse::Unknown => Err(Error::UnknownUser),
            LookupResponse::Denied => Err(Error::LoginDenied),
        }
    }
}
