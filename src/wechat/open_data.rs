//! Data that WeChat encrypts or signs with a user's session_key: profile, phone number, group,
//! steps. AES-128-CBC does not authenticate its source, so only data that names this app, and no
//! other user, is accepted.

use std::fmt;

use aes::Aes128;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::Decryptor;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use ring::{digest, hmac};
use serde_json::{Map, Value};

use crate::http::hex;
use crate::secret::Secret;

/// Encrypted data from the client, each part standard base64 with padding.
#[derive(Clone, Copy)]
pub struct Encrypted<'a> {
    /// `encryptedData`.
    pub data: &'a str,
    /// `iv`.
    pub iv: &'a str,
}

/// The cause of refused data. For the log alone: it would help to guess a session_key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undecryptable {
    /// Data, iv or session_key is not base64. The usual cause is a `+` that became a blank in a
    /// query.
    Base64,
    /// The session_key does not have 16 bytes.
    KeyLength,
    /// The iv does not have 16 bytes.
    IvLength,
    /// The data is empty, or not whole blocks.
    CiphertextLength,
    /// The padding is wrong: most likely another session_key.
    Padding,
    /// Not a JSON object in UTF-8: another session_key with valid padding by chance.
    Json,
    /// The watermark does not name this app.
    Watermark,
    /// The data names another user.
    Openid,
    /// There is no session_key to decrypt with.
    NoKey,
    /// The signature does not match the raw data.
    Signature,
}

impl Undecryptable {
    /// Whether the data is well-formed, so that another key might decrypt it. The same for each way
    /// in which a key failed, so that it reveals nothing about the key.
    #[must_use]
    pub fn is_well_formed(self) -> bool {
        match self {
            Self::Padding | Self::Json | Self::Watermark | Self::Openid => true,
            Self::Base64
            | Self::KeyLength
            | Self::IvLength
            | Self::CiphertextLength
            | Self::NoKey
            | Self::Signature => false,
        }
    }
}

impl fmt::Display for Undecryptable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base64 => "not base64",
            Self::KeyLength => "the session_key is not of 16 bytes",
            Self::IvLength => "the iv is not of 16 bytes",
            Self::CiphertextLength => "the data is not whole blocks",
            Self::Padding => "the padding is wrong: most likely another session_key",
            Self::Json => "no JSON object: most likely another session_key",
            Self::Watermark => "the watermark names another app, or none",
            Self::Openid => "the data is about another user",
            Self::NoKey => "no session_key of the user is kept",
            Self::Signature => "the signature is not that of rawData",
        })
    }
}

/// Decrypts with the first fitting session_key of a user, newest first.
///
/// # Errors
/// The cause of the failure with the newest key.
pub fn open(
    session_keys: &[Secret],
    encrypted: Encrypted<'_>,
    appid: &str,
    openid: &str,
) -> Result<Map<String, Value>, Undecryptable> {
    let mut refused = Undecryptable::NoKey;
    for (index, session_key) in session_keys.iter().enumerate() {
        match open_with(session_key, encrypted, appid, openid) {
            Ok(data) => return Ok(data),
            Err(error) if index == 0 => refused = error,
            Err(_) => {}
        }
    }
    Err(refused)
}

fn open_with(
    session_key: &Secret,
    encrypted: Encrypted<'_>,
    appid: &str,
    openid: &str,
) -> Result<Map<String, Value>, Undecryptable> {
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| Undecryptable::Base64);
    let key = decode(session_key.expose())?;
    let iv = decode(encrypted.iv)?;
    let data = decode(encrypted.data)?;
    let key: [u8; 16] = key.try_into().map_err(|_| Undecryptable::KeyLength)?;
    let iv: [u8; 16] = iv.try_into().map_err(|_| Undecryptable::IvLength)?;
    if data.is_empty() || !data.len().is_multiple_of(16) {
        return Err(Undecryptable::CiphertextLength);
    }
    let padded = Decryptor::<Aes128>::new(&key.into(), &iv.into())
        .decrypt_padded_vec::<NoPadding>(&data)
        .map_err(|_| Undecryptable::CiphertextLength)?;
    let plain = without_padding(&padded);
    // Parsed whatever the padding is: a time difference between bad padding and bad JSON would be a
    // padding oracle, with which a client could encrypt texts of its own.
    let object = serde_json::from_slice(plain.unwrap_or(&padded));
    plain.ok_or(Undecryptable::Padding)?;
    let object: Map<String, Value> = object.map_err(|_| Undecryptable::Json)?;
    let watermark = object.get("watermark").and_then(|mark| mark.get("appid"));
    if watermark.and_then(Value::as_str) != Some(appid) {
        return Err(Undecryptable::Watermark);
    }
    match object.get("openId") {
        Some(named) if named.as_str() != Some(openid) => Err(Undecryptable::Openid),
        _ => Ok(object),
    }
}

/// Removes PKCS#7 padding of 1 to 16 bytes in constant time; `None` if it is invalid.
pub(super) fn without_padding(padded: &[u8]) -> Option<&[u8]> {
    let (body, last_block) = padded.split_last_chunk::<16>()?;
    let last = last_block[15];
    let length = usize::from(last);
    let mut wrong = u8::from(length == 0) | u8::from(length > 16);
    for (byte, from_end) in last_block.iter().rev().zip(0..) {
        let counts = u8::from(from_end < length).wrapping_neg();
        wrong |= (byte ^ last) & counts;
    }
    let end = (body.len() + 16).saturating_sub(length);
    padded.get(..end).filter(|_| wrong == 0)
}

/// Whether `signature` is the signature of `rawData`, byte for byte as received, under one of the
/// user's session_keys.
#[must_use]
pub fn is_signed(session_keys: &[Secret], raw_data: &str, signature: &str) -> bool {
    session_keys.iter().any(|session_key| {
        let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
        hash.update(raw_data.as_bytes());
        hash.update(session_key.expose().as_bytes());
        let expected = hex::encode(hash.finish().as_ref());
        // Hashes are compared, so that the time reveals nothing about a partial match.
        let blind = |text: &str| digest::digest(&digest::SHA256, text.as_bytes());
        blind(&expected).as_ref() == blind(signature).as_ref()
    })
}

/// Proves to WeChat's server API the possession of a user's session_key: hex HMAC-SHA-256 of the
/// body, empty for a GET.
#[must_use]
pub fn session_signature(session_key: &Secret, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, session_key.expose().as_bytes());
    hex::encode(hmac::sign(&key, body).as_ref())
}
