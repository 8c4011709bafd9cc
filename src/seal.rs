//! Seals stored values, so that a dump of the store reveals nothing and a writer to the store
//! cannot forge values: AES-256-GCM, with the store's key name as associated data, so that a value
//! copied to another key does not open. Keys are derived once, at start.
//!
//! Format: version (1 byte), key id (4), nonce (12), ciphertext, tag (16). Nonces are random: NIST
//! SP 800-38D allows 2^32 values per key. A million daily users with six renewals each reach that
//! in two years; larger deployments should put a new key first in `session.seal_keys` from time to
//! time.

use std::collections::HashMap;
use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::{SecureRandom, SystemRandom};

use crate::config::App;
use crate::secret::Secret;
use crate::store_error::StoreError;

const VERSION: u8 = 1;
const ID_LEN: usize = 4;
/// Bytes before the ciphertext. They are unique per value, so they identify it.
pub(crate) const HEAD_LEN: usize = 1 + ID_LEN + NONCE_LEN;

/// Seals and opens with the keys of one configuration.
pub struct Sealer {
    keys: Vec<SealKey>,
    /// The sealing key of each app, where apps have their own.
    by_app: HashMap<String, usize>,
}

struct SealKey {
    id: [u8; ID_LEN],
    key: LessSafeKey,
}

/// Why a value was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealError {
    /// The operating system returned no random numbers.
    NoRandomness,
    /// Neither `session.seal_keys` nor an app's secret is configured.
    NoKey,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRandomness => "sealing: the operating system returned no random numbers",
            Self::NoKey => "sealing: no key; set session.seal_keys or an app's secret",
        })
    }
}

impl std::error::Error for SealError {}

impl From<SealError> for StoreError {
    fn from(error: SealError) -> Self {
        Self::Unavailable {
            cause: error.to_string(),
        }
    }
}

/// Why a value did not open. Callers treat it as absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// Not a sealed value.
    Malformed,
    /// Sealed under a key that is not configured (any more).
    UnknownKey,
    /// Changed, or copied from another key name.
    Forged,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a sealed value",
            Self::UnknownKey => {
                "sealed under an unknown key; after a rotation keep the old one as secret_previous or in session.seal_keys"
            }
            Self::Forged => "changed, or copied from another key",
        })
    }
}

impl std::error::Error for OpenError {}

impl Sealer {
    /// Takes the keys from `session.seal_keys` if there are any (the first one seals), else from
    /// each app's secrets (the current one seals that app's values). All of them open.
    #[must_use]
    pub fn new(seal_keys: &[Secret], apps: &[App]) -> Self {
        let mut sealer = Self {
            keys: Vec::new(),
            by_app: HashMap::new(),
        };
        for secret in seal_keys {
            sealer.keys.push(SealKey::derive(secret, ""));
        }
        if seal_keys.is_empty() {
            for app in apps {
                sealer.by_app.insert(app.appid.clone(), sealer.keys.len());
                sealer.keys.push(SealKey::derive(&app.secret, &app.appid));
                for other in app.secret_next.iter().chain(&app.secret_previous) {
                    sealer.keys.push(SealKey::derive(other, &app.appid));
                }
            }
        }
        sealer
    }

    /// Returns `mark`, then `plain` sealed for `appid` under the store's key name. The mark is
    /// neither encrypted nor authenticated.
    ///
    /// # Errors
    /// `SealError`, by cause.
    pub fn seal(
        &self,
        appid: &str,
        name: &str,
        mark: &[u8],
        plain: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let chosen = self.by_app.get(appid).copied().unwrap_or(0);
        let key = self.keys.get(chosen).ok_or(SealError::NoKey)?;
        let mut nonce = [0_u8; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| SealError::NoRandomness)?;
        let tag_len = AES_256_GCM.tag_len();
        let mut value = Vec::with_capacity(mark.len() + HEAD_LEN + plain.len() + tag_len);
        value.extend_from_slice(mark);
        value.push(VERSION);
        value.extend_from_slice(&key.id);
        value.extend_from_slice(&nonce);
        let start = value.len();
        value.extend_from_slice(plain);
        let tag = key
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name.as_bytes()),
                value.get_mut(start..).unwrap_or_default(),
            )
            // Only a text of 64 GiB is refused.
            .map_err(|_| SealError::NoKey)?;
        value.extend_from_slice(tag.as_ref());
        Ok(value)
    }

    /// Decrypts a value found under `name` in place and returns the plaintext; the head is
    /// unchanged.
    ///
    /// # Errors
    /// `OpenError`, by cause; the bytes after the head are then undefined.
    pub fn open<'a>(&self, name: &str, value: &'a mut [u8]) -> Result<&'a [u8], OpenError> {
        let (head, text) = value
            .split_at_mut_checked(HEAD_LEN)
            .ok_or(OpenError::Malformed)?;
        let [VERSION, id_and_nonce @ ..] = &*head else {
            return Err(OpenError::Malformed);
        };
        let (id, nonce) = id_and_nonce
            .split_first_chunk::<ID_LEN>()
            .ok_or(OpenError::Malformed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError::Malformed)?;
        let key = self
            .keys
            .iter()
            .find(|key| key.id == *id)
            .ok_or(OpenError::UnknownKey)?;
        key.key
            .open_in_place(nonce, Aad::from(name.as_bytes()), text)
            .map(|plain| &*plain)
            .map_err(|_| OpenError::Forged)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({} keys)", self.keys.len())
    }
}

impl SealKey {
    /// The app is part of the derivation: two apps with the same secret have different keys.
    #[expect(
        clippy::expect_used,
        reason = "HKDF-SHA256 returns up to 8160 bytes; 32 and 4 are requested"
    )]
    fn derive(secret: &Secret, appid: &str) -> Self {
        let seed = Salt::new(HKDF_SHA256, b"skeygate seal 1").extract(secret.expose().as_bytes());
        let key: UnboundKey = seed
            .expand(&[b"key ", appid.as_bytes()], &AES_256_GCM)
            .expect("a short output")
            .into();
        let mut id = [0; ID_LEN];
        seed.expand(&[b"id ", appid.as_bytes()], IdLen)
            .and_then(|output| output.fill(&mut id))
            .expect("a short output");
        Self {
            id,
            key: LessSafeKey::new(key),
        }
    }
}

struct IdLen;

impl KeyType for IdLen {
    fn len(&self) -> usize {
        ID_LEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::app;

    fn sealed(sealer: &Sealer, name: &str) -> Vec<u8> {
        sealer.seal("wx1", name, b"", b"hello").unwrap()
    }

    #[test]
    fn a_value_opens_under_its_own_name_and_hides_its_text() {
        let sealer = Sealer::new(&[], &[app("wx1")]);
        let mut value = sealed(&sealer, "s:a");
        assert!(!value.windows(5).any(|window| window == b"hello"));
        assert_eq!(sealer.open("s:a", &mut value).unwrap(), b"hello");
        let mut value = sealed(&sealer, "s:a");
        assert_eq!(sealer.open("s:b", &mut value), Err(OpenError::Forged));
    }

    #[test]
    fn any_changed_byte_and_any_shorter_value_is_refused() {
        let sealer = Sealer::new(&[], &[app("wx1")]);
        let whole = sealed(&sealer, "s:a");
        for place in 0..whole.len() {
            let mut value = whole.clone();
            value[place] ^= 1;
            assert!(sealer.open("s:a", &mut value).is_err(), "byte {place}");
            let mut value = whole[..place].to_vec();
            assert!(sealer.open("s:a", &mut value).is_err(), "length {place}");
        }
    }

    #[test]
    fn a_rotated_secret_opens_old_values_while_it_is_the_previous_one() {
        let before = Sealer::new(&[], &[app("wx1")]);
        let mut rotated = app("wx1");
        rotated.secret_previous = Some(rotated.secret);
        rotated.secret = Secret::new("new secret");
        let after = Sealer::new(&[], &[app("wx0"), rotated.clone()]);
        assert_eq!(
            after.open("s:a", &mut sealed(&before, "s:a")).unwrap(),
            b"hello"
        );
        assert_eq!(
            before.open("s:a", &mut sealed(&after, "s:a")),
            Err(OpenError::UnknownKey)
        );
        rotated.secret_previous = None;
        assert_eq!(
            Sealer::new(&[], &[rotated]).open("s:a", &mut sealed(&before, "s:a")),
            Err(OpenError::UnknownKey)
        );
    }

    #[test]
    fn the_first_seal_key_seals_and_all_open() {
        let keys = [Secret::new("one"), Secret::new("two")];
        let [one, two] = &keys;
        let both = Sealer::new(&keys, &[app("wx1")]);
        let only_one = Sealer::new(std::slice::from_ref(one), &[app("wx1")]);
        let only_two = Sealer::new(std::slice::from_ref(two), &[]);
        assert_eq!(
            only_one.open("n", &mut sealed(&both, "n")).unwrap(),
            b"hello"
        );
        assert_eq!(
            both.open("n", &mut sealed(&only_two, "n")).unwrap(),
            b"hello"
        );
        assert_eq!(
            only_two.open("n", &mut sealed(&both, "n")),
            Err(OpenError::UnknownKey)
        );
    }

    #[test]
    fn two_apps_with_one_secret_have_two_keys() {
        let mut other = app("wx2");
        other.secret = app("wx1").secret;
        let first = Sealer::new(&[], &[app("wx1")]);
        let second = Sealer::new(&[], &[other]);
        assert_eq!(
            second.open("n", &mut sealed(&first, "n")),
            Err(OpenError::UnknownKey)
        );
    }
}
