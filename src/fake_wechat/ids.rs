//! Data of users, derived from names by SHA-256: the same in every fake and every run. Only codes
//! and request ids differ and never repeat.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{Context, SHA256};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::http::hex;

/// Random bytes that make the codes of each fake different.
pub(super) type Seed = [u8; 32];

pub(super) fn seed() -> io::Result<Seed> {
    let mut seed = Seed::default();
    SystemRandom::new()
        .fill(&mut seed)
        .map_err(|_| io::Error::other("the system gave no random numbers"))?;
    Ok(seed)
}

/// 28 characters that begin with `o`, as WeChat's.
pub(super) fn openid(appid: &str, user: &str) -> String {
    visible_id("openid", appid, user)
}

/// As an openid, but the same in every app of the account.
pub(super) fn unionid(account: &str, user: &str) -> String {
    visible_id("unionid", account, user)
}

/// 16 bytes in 24 characters of standard base64; a different one for each generation.
pub(super) fn session_key(appid: &str, user: &str, generation: u64) -> String {
    let hash = sha256(&[
        b"session_key",
        appid.as_bytes(),
        user.as_bytes(),
        &generation.to_be_bytes(),
    ]);
    STANDARD.encode(hash.first_chunk::<16>().map_or(&[][..], |bytes| bytes))
}

/// Proof of possession of the session_key, for a call without a body.
pub(super) fn session_signature(session_key: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, session_key.as_bytes());
    let signature = hmac::sign(&key, b"");
    hex::encode(signature.as_ref())
}

/// 32 letters and digits.
pub(super) fn code(seed: &Seed, count: u64) -> String {
    let text = URL_SAFE_NO_PAD.encode(sha256(&[b"code", seed, &count.to_be_bytes()]));
    text.replace('-', "0")
        .replace('_', "1")
        .chars()
        .take(32)
        .collect()
}

/// Prefix of tokens: real ones have about 140 characters.
pub(super) const LONG_TOKEN: &str = "76_Zx0VbTq4-NkWm9RpYc2LfHs7JdGa5QeUi8OyBn3AtCvDw6EzFxMrKhPj1SlXg0IuTq4NkWm9RpYc2LfHs7JdGa5QeUi8OyBn3At";

/// Eleven digits that begin with 138.
pub(super) fn phone_number(user: &str) -> String {
    let hash = sha256(&[b"phone", user.as_bytes()]);
    let digits = hash.iter().take(8).map(|byte| char::from(b'0' + byte % 10));
    digits.fold("138".to_owned(), |number, digit| format!("{number}{digit}"))
}

/// Three groups of eight hexadecimal digits.
pub(super) fn rid(seed: &Seed, count: u64) -> String {
    let hash = sha256(&[b"rid", seed, &count.to_be_bytes()]);
    let groups: Vec<String> = hash.chunks_exact(4).take(3).map(hex::encode).collect();
    groups.join("-")
}

fn visible_id(kind: &str, space: &str, user: &str) -> String {
    let hash = sha256(&[kind.as_bytes(), space.as_bytes(), user.as_bytes()]);
    let text = URL_SAFE_NO_PAD.encode(hash);
    let tail: String = text.chars().take(27).collect();
    format!("o{tail}")
}

/// The parts are separated by a byte that no name contains.
fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
        context.update(&[0xff]);
    }
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_wechats() {
        for id in [openid("wx1", "alice"), unionid("acme", "alice")] {
            assert_eq!(id.len(), 28);
            assert!(id.starts_with('o'));
        }
        assert_eq!(
            STANDARD
                .decode(session_key("wx1", "alice", 1))
                .unwrap()
                .len(),
            16
        );
        let code = code(&[7; 32], 1);
        assert_eq!(code.len(), 32);
        assert!(code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(rid(&[7; 32], 1).len(), 26);
    }

    #[test]
    fn ids_differ_by_each_of_their_parts() {
        assert_ne!(openid("wx1", "alice"), openid("wx2", "alice"));
        assert_ne!(openid("wx1", "alice"), openid("wx1", "bob"));
        assert_ne!(openid("wx1", "alice"), unionid("wx1", "alice"));
        assert_ne!(
            session_key("wx1", "alice", 1),
            session_key("wx1", "alice", 2)
        );
        assert_ne!(code(&[7; 32], 1), code(&[7; 32], 2));
        assert_ne!(code(&[7; 32], 1), code(&[8; 32], 1));
    }
}
