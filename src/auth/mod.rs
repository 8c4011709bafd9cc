//! Who is calling: the skey is taken out of the request, and its session is looked up. Refusal is what happens unless every step
//! says otherwise; a store that cannot answer is an error, never "not logged in".

mod extract;

use std::time::Duration;

use tokio::time::Instant;

pub use self::extract::{
    BODY_TOKEN_LIMIT, BodyText, ExtractedToken, Head, strip_from_head, take_from_body,
    take_from_head,
};
use crate::config::{Auth, OnBadToken};
use crate::error::{Error, SkeyState};
use crate::session::{Session, SessionStore, Skey};

/// A caller who may pass.
#[expect(
    clippy::large_enum_variant,
    reason = "one per request, taken apart at once; a box would cost each an allocation"
)]
#[derive(Debug)]
pub enum Caller {
    /// Nobody in particular; allowed on `optional` and `off` routes.
    Anonymous,
    /// The user whose session was found.
    User(Session),
}

/// A decision and what it took.
#[derive(Debug)]
pub struct Decision {
    /// Who is calling, or why nobody may pass.
    pub caller: Result<Caller, Error>,
    /// Time the session store took; `None` when it was not asked.
    pub store_time: Option<Duration>,
}

/// What can be said of a request before the store is asked.
#[derive(Debug)]
pub enum Question<'a> {
    /// Nothing need be asked: anonymous callers are let in.
    Anonymous,
    /// Whose is this?
    WhoHas(&'a Skey),
}

/// Decides as far as that goes without the store.
///
/// # Errors
/// `ConflictingSkeys`, or `NotLoggedIn` where there is no skey to ask about.
pub fn question(
    auth: Auth,
    on_bad_token: OnBadToken,
    taken: &ExtractedToken,
) -> Result<Question<'_>, Error> {
    match &taken.skey {
        _ if auth == Auth::Off => Ok(Question::Anonymous),
        _ if taken.conflicting => Err(Error::ConflictingSkeys),
        Some(skey) => Ok(Question::WhoHas(skey)),
        None => {
            let malformed = taken.malformed;
            let state = if malformed {
                SkeyState::Malformed
            } else {
                SkeyState::Missing
            };
            without_session(auth, on_bad_token, state).map(|()| Question::Anonymous)
        }
    }
}

/// Decides about one request.
pub async fn authenticate(
    store: &SessionStore,
    auth: Auth,
    on_bad_token: OnBadToken,
    taken: &ExtractedToken,
) -> Decision {
    let skey = match question(auth, on_bad_token, taken) {
        Ok(Question::WhoHas(skey)) => skey,
        Ok(Question::Anonymous) => {
            return Decision {
                caller: Ok(Caller::Anonymous),
                store_time: None,
            };
        }
        Err(error) => {
            return Decision {
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
    Decision { caller, store_time }
}

/// Whether a caller without a session may pass as anonymous.
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
