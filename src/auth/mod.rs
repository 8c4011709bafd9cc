//! Authenticates a request: takes the skey from it and looks up the session. The default is
//! refusal, and a store that cannot answer is an error, never "not logged in".

mod extract;

use std::time::Duration;

use tokio::time::Instant;

pub use self::extract::{
    BODY_TOKEN_LIMIT, BodyText, ExtractedToken, SearchedHead, strip_from_head, take_from_body,
    take_from_head,
};
use crate::config::{Auth, OnBadToken};
use crate::error::{Error, SkeyState};
use crate::session::{Session, SessionStore, Skey};

/// The authenticated caller.
#[expect(
    clippy::large_enum_variant,
    reason = "one per request and short-lived; a box would cost an allocation each"
)]
#[derive(Debug)]
pub enum Caller {
    /// No user; allowed on `optional` and `off` routes.
    Anonymous,
    /// The user whose session was found.
    User(Session),
}

/// The result of authentication.
#[derive(Debug)]
pub struct Authentication {
    /// The caller, or the reason for refusal.
    pub caller: Result<Caller, Error>,
    /// Time in the session store; `None` when it was not called.
    pub store_time: Option<Duration>,
}

/// What a request presents for authentication, before the store is called.
#[derive(Debug)]
pub enum Credential<'a> {
    /// No skey is needed: anonymous callers are allowed.
    Anonymous,
    /// An skey to look up.
    Skey(&'a Skey),
}

/// Selects the credential of a request. Does not call the store.
///
/// # Errors
/// `ConflictingSkeys`, or `NotLoggedIn` when there is no skey to look up.
pub fn credential(
    auth: Auth,
    on_bad_token: OnBadToken,
    taken: &ExtractedToken,
) -> Result<Credential<'_>, Error> {
    match &taken.skey {
        _ if auth == Auth::Off => Ok(Credential::Anonymous),
        _ if taken.conflicting => Err(Error::ConflictingSkeys),
        Some(skey) => Ok(Credential::Skey(skey)),
        None => {
            let malformed = taken.malformed;
            let state = if malformed {
                SkeyState::Malformed
            } else {
                SkeyState::Missing
            };
            without_session(auth, on_bad_token, state).map(|()| Credential::Anonymous)
        }
    }
}

/// Authenticates one request.
pub async fn authenticate(
    store: &SessionStore,
    auth: Auth,
    on_bad_token: OnBadToken,
    taken: &ExtractedToken,
) -> Authentication {
    let skey = match credential(auth, on_bad_token, taken) {
        Ok(Credential::Skey(skey)) => skey,
        Ok(Credential::Anonymous) => {
            return Authentication {
                caller: Ok(Caller::Anonymous),
                store_time: None,
            };
        }
        Err(error) => {
            return Authentication {
                caller: Err(error),
                store_time: None,
            };
        }
    };
    let asked = Instant::now();
    let found = store.find(skey).await;
    let store_time = Some(asked.elapsed());
    let caller = match found {
        Ok(Some(session)) => Ok(Caller::User(session)),
        Ok(None) => {
            without_session(auth, on_bad_token, SkeyState::Unknown).map(|()| Caller::Anonymous)
        }
        Err(error) => Err(Error::StoreUnavailable(error)),
    };
    Authentication { caller, store_time }
}

/// Allows a caller without a session as anonymous, or refuses.
fn without_session(auth: Auth, on_bad_token: OnBadToken, state: SkeyState) -> Result<(), Error> {
    let anonymous_is_fine = match (auth, state) {
        (Auth::Required, _) => false,
        (Auth::Off, _) | (Auth::Optional, SkeyState::Missing) => true,
        (Auth::Optional, SkeyState::Malformed | SkeyState::Unknown) => {
            on_bad_token == OnBadToken::Anonymous
        }
    };
    if anonymous_is_fine {
        Ok(())
    } else {
        Err(Error::NotLoggedIn(state))
    }
}
