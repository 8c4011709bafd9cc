//! The skey, the gateway's login token. Possession opens the session, so it is never printed and
//! never stored; stores know its hash.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use crate::seal::SealError;

/// 20 to 128 characters of `[A-Za-z0-9_-]`. Generated skeys have 43, from 256 random bits.
#[derive(Clone, PartialEq, Eq)]
pub struct Skey(String);

/// Length of 256 bits in base64url.
const GENERATED_LENGTH: usize = 43;

impl Skey {
    /// Generates an skey from the operating system's random numbers.
    ///
    /// # Errors
    /// The operating system returned none.
    pub fn random() -> Result<Self, SealError> {
        let mut bytes = [0_u8; 32];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| SealError::NoRandomness)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// `None` when it cannot be an skey and needs no lookup.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let fits = (20..=128).contains(&text.len()) && text.bytes().all(allowed);
        fits.then(|| Self(text.to_owned()))
    }

    /// Whether it has the length of a generated skey. Other lengths are looked up where only an
    /// skey can be meant, and ignored where another token may be.
    #[must_use]
    pub fn has_own_length(&self) -> bool {
        self.0.len() == GENERATED_LENGTH
    }

    /// The text itself. Every call is a place to review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The hash that stores keep: base64url of SHA-256, 43 characters.
    #[must_use]
    pub fn hash(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.0.as_bytes()))
    }
}

impl fmt::Debug for Skey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Skey(..)")
    }
}

impl fmt::Display for Skey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(skey)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_skey_has_43_characters_parses_and_is_never_printed() {
        let skey = Skey::random().unwrap();
        assert_eq!(skey.expose().len(), 43);
        assert_eq!(Skey::parse(skey.expose()), Some(skey.clone()));
        assert_eq!(format!("{skey} {skey:?}"), "(skey) Skey(..)");
    }

    #[test]
    fn malformed_skeys_are_refused() {
        assert!(Skey::parse(&"a".repeat(19)).is_none());
        assert!(Skey::parse(&"a".repeat(129)).is_none());
        assert!(Skey::parse(&format!("{}*", "a".repeat(30))).is_none());
        assert!(Skey::parse(&format!("{}é", "a".repeat(30))).is_none());
        assert!(Skey::parse(&"a".repeat(20)).is_some());
        assert!(Skey::parse(&"-_".repeat(64)).is_some());
    }

    #[test]
    fn the_hash_is_sha_256_in_base64url() {
        let skey = Skey::parse("abcdefghijklmnopqrstuvwxyz").unwrap();
        assert_eq!(skey.hash(), "ccSA35PWri8e-tFEfGbJUl4xYhjPUfyNntgy8trxi3M");
    }
}
