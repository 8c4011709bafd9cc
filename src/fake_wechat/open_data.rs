//! Data as from wx.getUserInfo and similar calls, encrypted and signed with the user's session_key.

use aes::Aes128;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::Encryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::ids;
use crate::http::hex;

/// The fields of `e.detail` of the button.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenData {
    /// Base64 of the encrypted data.
    pub encrypted_data: String,
    /// Base64 of 16 bytes.
    pub iv: String,
    /// The public part, as JSON.
    pub raw_data: String,
    /// Hexadecimal SHA-1 of `raw_data` and the session_key.
    pub signature: String,
}

/// Profile of the user in the form that WeChat has used since 2022: no real name, no real picture.
pub(super) fn profile(appid: &str, user: &str, unionid: Option<&str>) -> Map<String, Value> {
    let mut profile = Map::new();
    profile.insert("openId".to_owned(), Value::from(ids::openid(appid, user)));
    profile.extend(public_profile());
    if let Some(unionid) = unionid {
        profile.insert("unionId".to_owned(), Value::from(unionid));
    }
    profile
}

/// Encrypts `data`, with a watermark of `appid` unless it has one, under a session_key in base64.
/// `None` if the key is invalid.
pub(super) fn seal(
    mut data: Map<String, Value>,
    appid: &str,
    session_key: &str,
) -> Option<OpenData> {
    let mark = json!({ "timestamp": 1_477_314_187, "appid": appid });
    data.entry("watermark").or_insert(mark);
    let plain = Value::Object(data).to_string();
    let key: [u8; 16] = STANDARD.decode(session_key).ok()?.try_into().ok()?;
    let mut iv = [0; 16];
    SystemRandom::new().fill(&mut iv).ok()?;
    let encrypted = Encryptor::<Aes128>::new(&key.into(), &iv.into())
        .encrypt_padded_vec::<Pkcs7>(plain.as_bytes());
    let raw_data = Value::Object(public_profile()).to_string();
    let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(raw_data.as_bytes());
    hash.update(session_key.as_bytes());
    let hash = hash.finish();
    Some(OpenData {
        encrypted_data: STANDARD.encode(encrypted),
        iv: STANDARD.encode(iv),
        raw_data,
        signature: hex::encode(hash.as_ref()),
    })
}

fn public_profile() -> Map<String, Value> {
    let profile = json!({
        "nickName": "微信用户", "gender": 0, "language": "", "city": "", "province": "", "country": "",
        "avatarUrl": "https://thirdwx.qlogo.cn/mmopen/vi_32/0/132",
    });
    match profile {
        Value::Object(profile) => profile,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::wechat::open_data::{Encrypted, is_signed, open};

    #[test]
    fn sealed_data_opens_with_its_key_and_is_signed() {
        let key = ids::session_key("wx1", "ann", 1);
        let profile = profile("wx1", "ann", Some("u"));
        let sealed = seal(profile.clone(), "wx1", &key).unwrap();
        let keys = [Secret::new(key)];
        let encrypted = Encrypted {
            data: &sealed.encrypted_data,
            iv: &sealed.iv,
        };
        let mut opened = open(&keys, encrypted, "wx1", &ids::openid("wx1", "ann")).unwrap();
        assert_eq!(opened.remove("watermark").unwrap()["appid"], "wx1");
        assert_eq!(opened, profile);
        assert!(is_signed(&keys, &sealed.raw_data, &sealed.signature));
        assert!(seal(Map::new(), "wx1", "no key").is_none());
    }
}
