//! One login per code: of several requests with the same code, on whatever replica, one exchanges it and the others get a
//! copy of its answer.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{Context, SHA256};
use ring::rand::{SecureRandom, SystemRandom};

use crate::seal::SealError;

/// What a request with a login code should do.
#[derive(PartialEq, Eq)]
pub enum LoginClaim {
    /// Exchange the code; then `finish_login` or `release_login`.
    Won(LoginTicket),
    /// Answer with this: the result somebody finished with.
    Done(Vec<u8>),
    /// Somebody is at it: ask again shortly.
    Pending,
}

/// The right to exchange one code. Ends by itself a second after the login's deadline.
#[derive(PartialEq, Eq)]
pub struct LoginTicket {
    pub(super) appid: String,
    /// Where the store keeps lock and result.
    pub(super) place: String,
    /// Tells our lock from the one of a later holder.
    pub(super) mark: [u8; 16],
}

/// Without the result, which holds an skey.
impl fmt::Debug for LoginClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Won(_) => "Won(..)",
            Self::Done(_) => "Done(..)",
            Self::Pending => "Pending",
        })
    }
}

impl fmt::Debug for LoginTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginTicket(..)")
    }
}

impl LoginTicket {
    pub(super) fn new(appid: &str, place: String) -> Result<Self, SealError> {
        let mut mark = [0; 16];
        SystemRandom::new()
            .fill(&mut mark)
            .map_err(|_| SealError::NoRandomness)?;
        Ok(Self {
            appid: appid.to_owned(),
            place,
            mark,
        })
    }
}

/// Base64url of the SHA-256 of both: a code is a credential until it is used. The length keeps `("a", "bc")` from `("ab", "c")`.
pub(super) fn code_hash(appid: &str, code: &str) -> String {
    let mut context = Context::new(&SHA256);
    context.update(&u64::try_from(appid.len()).unwrap_or(u64::MAX).to_be_bytes());
    context.update(appid.as_bytes());
    context.update(code.as_bytes());
    URL_SAFE_NO_PAD.encode(context.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_and_code_are_kept_apart() {
        assert_ne!(code_hash("a", "bc"), code_hash("ab", "c"));
        assert_eq!(code_hash("wx1", "code").len(), 43);
    }
}
