//! Who logs in, as the user directory says: his id, and what it tells of him besides.

use super::{LoginAttempt, Logins};
use crate::error::Error;
use crate::identity::{Attributes, Identity};
use crate::users::{Found, LookupRequest, LookupResponse, UserDirectory, WebhookUsers};
use crate::wechat::Exchanged;

impl Logins {
    /// The caller, and whether he is new.
    ///
    /// # Errors
    /// The directory does not know him, does not let him in, or cannot be asked.
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
            Found::User {
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
            Found::Unknown => return Err(Error::UnknownUser),
            Found::NoDirectory => false,
        };
        Ok((identity, is_new))
    }

    async fn ask(
        &self,
        users: &WebhookUsers,
        attempt: &LoginAttempt,
        identity: &mut Identity,
    ) -> Result<bool, Error> {
        // Whoever logged in within 30 days left a session_key; a login that was refused left none.
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
