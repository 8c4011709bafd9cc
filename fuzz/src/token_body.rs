//! Finding the skey in a body: afterwards no field of that name is left for any reader, and the
//! others say what they said. Input: `json` or `form`, then the body.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use skeygate::auth::{BodyText, ExtractedToken, take_from_body};
use skeygate::config::TokenSource;
use skeygate::http::body::BodyKind;

use super::fields::{other_pairs, pair_values};
use super::text;
use super::token_head::reports_the_found_values;

/// See the module.
pub fn check(data: &[u8]) {
    let (kind, body) = text::first_line(data);
    let Ok(body) = std::str::from_utf8(body) else {
        return;
    };
    let sources = [
        TokenSource::Form("skey".to_owned()),
        TokenSource::Form("sid".to_owned()),
        TokenSource::Json("skey".to_owned()),
        TokenSource::Json("sid".to_owned()),
    ];
    let mut taken = ExtractedToken::default();
    let kind = if kind == b"json" {
        BodyKind::Json
    } else {
        BodyKind::Form
    };
    let mut changed = BodyText {
        kind,
        text: body.to_owned(),
    };
    let result = take_from_body(&mut changed, &sources, &mut taken);
    match (kind, result) {
        (BodyKind::Form, result) => {
            assert!(result.is_ok(), "every text is a form");
            form(body, &changed.text, &taken);
        }
        (BodyKind::Json, Ok(())) => json(body, &changed.text, &taken),
        (BodyKind::Json, Err(error)) => {
            assert_eq!(error.response().status.as_u16(), 400);
            let members: Result<BTreeMap<String, &RawValue>, _> = serde_json::from_str(body);
            // A map accepts a key twice, which two readers read differently: the only object that
            // is refused.
            if members.is_ok() {
                let twice = |name: &str| body.matches(name).count() > 1 || body.contains('\\');
                assert!(twice("skey") || twice("sid"), "an object was refused");
            }
        }
    }
}

fn form(came: &str, goes: &str, taken: &ExtractedToken) {
    let mut found = pair_values(came, "skey");
    found.extend(pair_values(came, "sid"));
    let found: Vec<Vec<u8>> = found
        .into_iter()
        .filter(|value| !value.is_empty())
        .map(String::into_bytes)
        .collect();
    reports_the_found_values(taken, &found);
    for name in ["skey", "sid"] {
        assert!(pair_values(goes, name).is_empty(), "`{name}` is left");
    }
    let without_skey = other_pairs(came, "skey").join("&");
    assert_eq!(
        other_pairs(&without_skey, "sid").join("&"),
        goes,
        "another field was changed"
    );
}

fn json(came: &str, goes: &str, taken: &ExtractedToken) {
    let members = |text: &str| -> BTreeMap<String, String> {
        let members: Result<BTreeMap<String, Box<RawValue>>, _> = serde_json::from_str(text);
        let members = members.unwrap_or_else(|error| panic!("not an object: {error}: {text}"));
        let texts = members
            .into_iter()
            .map(|(name, value)| (name, value.get().to_owned()));
        texts.collect()
    };
    let mut expected = members(came);
    let mut found = Vec::new();
    for name in ["skey", "sid"] {
        if let Some(raw) = expected.remove(name) {
            let value = serde_json::from_str(&raw).unwrap_or(raw);
            found.extend((!value.is_empty()).then(|| value.into_bytes()));
        }
    }
    if found.is_empty() && taken.skey.is_none() && expected.len() == members(came).len() {
        assert_eq!(came, goes, "nothing was found and something was changed");
    }
    reports_the_found_values(taken, &found);
    assert_eq!(members(goes), expected, "another member was changed");
}
