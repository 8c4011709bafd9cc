//! Every vector of tests/data/wechat_crypto.json.

use serde_json::{Map, Value};

use crate::secret::Secret;
use crate::wechat::open_data::without_padding;
use crate::wechat::open_data::{Encrypted, Undecryptable, is_signed, open, session_signature};

fn vectors(kind: &str) -> Vec<Value> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/wechat_crypto.json");
    let text = std::fs::read_to_string(file).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    all[kind].as_array().unwrap().clone()
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap()
}

fn keys(vector: &Value) -> [Secret; 1] {
    [Secret::new(text(vector, "session_key").to_owned())]
}

fn open_vector(
    vector: &Value,
    keys: &[Secret],
    openid: &str,
) -> Result<Map<String, Value>, Undecryptable> {
    let encrypted = Encrypted {
        data: text(vector, "encryptedData"),
        iv: text(vector, "iv"),
    };
    open(keys, encrypted, text(vector, "appid"), openid)
}

#[test]
fn every_vector_decrypts_or_is_refused_for_its_reason() {
    let vectors = vectors("decrypt");
    assert_eq!(vectors.len(), 24);
    for vector in vectors {
        let name = text(&vector, "name");
        let openid = vector["expect"]["openId"].as_str().unwrap_or_default();
        let opened = open_vector(&vector, &keys(&vector), openid);
        let expected = match vector["expect_error"].as_str() {
            None => Ok(vector["expect"].as_object().unwrap().clone()),
            Some("base64") => Err(Undecryptable::Base64),
            Some("key_length") => Err(Undecryptable::KeyLength),
            Some("iv_length") => Err(Undecryptable::IvLength),
            Some("ciphertext_length") => Err(Undecryptable::CiphertextLength),
            Some("padding") => Err(Undecryptable::Padding),
            Some("json") => Err(Undecryptable::Json),
            Some("watermark_appid") => Err(Undecryptable::Watermark),
            Some(other) => panic!("{other}"),
        };
        assert_eq!(opened, expected, "{name}");
    }
}

#[test]
fn data_about_another_user_is_refused() {
    let vector = &vectors("decrypt")[0];
    let opened = open_vector(vector, &keys(vector), "o-somebody-else");
    assert_eq!(opened, Err(Undecryptable::Openid));
}

#[test]
fn the_older_of_two_session_keys_decrypts_too() {
    let vector = &vectors("decrypt")[0];
    let openid = text(&vector["expect"], "openId");
    let newer = Secret::new("AAECAwQFBgcICQoLDA0ODw==".to_owned());
    let [older] = keys(vector);
    let opened = open_vector(vector, &[newer.clone(), older], openid).unwrap();
    assert_eq!(Some(&opened), vector["expect"].as_object());
    assert_eq!(
        open_vector(vector, &[newer], openid),
        Err(Undecryptable::Padding)
    );
    assert_eq!(open_vector(vector, &[], openid), Err(Undecryptable::NoKey));
}

/// The length that PKCS#7 leaves of the last block, found in the simplest way.
fn left_of(block: &[u8; 16]) -> Option<usize> {
    let length = usize::from(block[15]);
    let padding = block.get(16_usize.checked_sub(length)?..)?;
    let good = length > 0 && padding.iter().all(|&byte| usize::from(byte) == length);
    good.then(|| 16 - length)
}

#[test]
fn padding_is_that_of_pkcs7_and_nothing_else() {
    let mut good = 0;
    for last in 0..=255_u8 {
        for wrong in 0..=16_usize {
            let mut block = [last; 16];
            if let Some(byte) = block.get_mut(wrong) {
                *byte ^= 0x40;
            }
            let plain = [[b' '; 16], block].concat();
            let left = left_of(&block);
            good += usize::from(left.is_some());
            assert_eq!(
                without_padding(&plain).map(<[u8]>::len),
                left.map(|left| 16 + left),
                "{block:?}"
            );
        }
    }
    // One for each length with nothing wrong, those where what is wrong stands before the padding,
    // and 0x41 turned into 1.
    assert_eq!(good, 16 + (0..16).sum::<usize>() + 1);
}

#[test]
fn raw_data_is_signed_as_it_came_or_not_at_all() {
    let vectors = vectors("raw_data_signature");
    assert_eq!(vectors.len(), 4);
    for vector in vectors {
        let signed = is_signed(
            &keys(&vector),
            text(&vector, "rawData"),
            text(&vector, "signature"),
        );
        assert_eq!(
            signed,
            vector["valid"].as_bool().unwrap(),
            "{}",
            text(&vector, "name")
        );
    }
}

#[test]
fn a_session_signature_proves_the_session_key() {
    let vectors = vectors("session_signature");
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let [key] = keys(&vector);
        let signature = session_signature(&key, text(&vector, "body").as_bytes());
        assert_eq!(
            signature,
            text(&vector, "signature"),
            "{}",
            text(&vector, "name")
        );
    }
}
