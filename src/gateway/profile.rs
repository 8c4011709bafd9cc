//! `GET` and `PATCH /_gateway/me`: shows the user and changes the profile. Nickname and avatar are
//! user-supplied; the phone number is verified by WeChat and cannot be set here.

use hyper::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::RequestContext;
use super::response::GatewayResponse;
use super::snapshot::Snapshot;
use crate::config::ProfileField;
use crate::error::Error;
use crate::http::body::{self, BodyKind};
use crate::login::LOGIN_BODY_LIMIT;
use crate::session::Session;
use crate::users::{Change, Profile};

const NO_OBJECT: Error = Error::BadRequest("the body is not a JSON object");

/// The requested changes: absent, `null` to delete, or a value.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfilePatch {
    #[serde(default, deserialize_with = "named")]
    nickname: Option<Option<String>>,
    #[serde(default, deserialize_with = "named")]
    avatar: Option<Option<String>>,
}

impl Snapshot {
    pub(super) async fn serve_me(
        &self,
        mut context: RequestContext<'_, '_>,
    ) -> Result<GatewayResponse, Error> {
        let (session, ..) = self.own_session(&mut context).await?;
        let profile = Profile::of(&session.identity.attributes);
        Ok(self.me(&session, &profile))
    }

    pub(super) async fn serve_profile(
        &self,
        mut context: RequestContext<'_, '_>,
    ) -> Result<GatewayResponse, Error> {
        let (session, _, read) = self.own_session(&mut context).await?;
        let bytes = match read {
            Some(bytes) => bytes,
            None => self.read(&mut context, LOGIN_BODY_LIMIT).await?,
        };
        let kind = body::kind(&context.head.parts.headers);
        let changes = changes(kind, &bytes, self.logins.kept())?;
        let changed = self.logins.change_profile(&session.identity, changes);
        let profile = changed.await?;
        Ok(self.me(&session, &profile))
    }

    fn me(&self, session: &Session, profile: &Profile) -> GatewayResponse {
        let identity = &session.identity;
        let mut body = json!({
            "user_id": identity.user_id,
            "openid": identity.openid,
            "unionid": identity.unionid,
            "appid": identity.appid,
            "logged_in_at": session.created,
        });
        for field in self.logins.kept() {
            body[field.name()] = Value::from(profile.get(*field));
        }
        GatewayResponse::json(StatusCode::OK, body.to_string())
    }
}

/// The changes in a body, validated.
fn changes(
    kind: Option<BodyKind>,
    bytes: &[u8],
    kept: &[ProfileField],
) -> Result<Vec<Change>, Error> {
    let text = str::from_utf8(bytes).map_err(|_| Error::BadRequest("the body is not UTF-8"))?;
    // Cross-site request forgery: any web page can make a browser send text or a form with the skey
    // cookie, but not JSON.
    if kind != Some(BodyKind::Json) {
        return Err(Error::BadRequest(
            "the Content-Type is not application/json",
        ));
    }
    // serde accepts an array in place of an object's fields.
    if !text.trim_start().starts_with('{') {
        return Err(NO_OBJECT);
    }
    let patch: ProfilePatch = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    type Rule = fn(&str) -> Result<Change, &'static str>;
    let fields: [(_, _, Rule, _); 2] = [
        (
            ProfileField::Nickname,
            patch.nickname,
            Change::nickname,
            "no nickname is kept here",
        ),
        (
            ProfileField::Avatar,
            patch.avatar,
            Change::avatar,
            "no avatar is kept here",
        ),
    ];
    let mut changes = Vec::new();
    for (field, wanted, rule, not_kept) in fields {
        let Some(value) = wanted else { continue };
        if !kept.contains(&field) {
            return Err(Error::BadRequest(not_kept));
        }
        changes.push(match value {
            Some(text) => rule(&text).map_err(Error::BadRequest)?,
            None => Change::delete(field),
        });
    }
    Ok(changes)
}

/// A constant text: input is never reflected.
fn unreadable(error: &serde_json::Error) -> Error {
    let what = error.to_string();
    if !error.is_data() {
        return NO_OBJECT;
    }
    Error::BadRequest(if what.starts_with("unknown field `phone`") {
        "a phone number is set by POST /_gateway/phone alone"
    } else if what.starts_with("unknown field") {
        "only nickname and avatar can be changed"
    } else if what.starts_with("duplicate field") {
        "the body holds a field twice"
    } else {
        "nickname and avatar are texts or null"
    })
}

/// Tells `null` apart from an absent field.
fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str) -> &'static str {
        let kept = [ProfileField::Nickname, ProfileField::Phone];
        match changes(Some(BodyKind::Json), body.as_bytes(), &kept) {
            Err(Error::BadRequest(text)) => text,
            other => panic!("{body} is not refused: {other:?}"),
        }
    }

    #[test]
    fn an_unchangeable_field_is_refused_with_a_constant_text() {
        for (body, expected) in [
            (
                r#"{"phone":"1"}"#,
                "a phone number is set by POST /_gateway/phone alone",
            ),
            (
                r#"{"nickname":"a","openid":"o"}"#,
                "only nickname and avatar can be changed",
            ),
            (
                r#"{"nickname":"a","nickname":"b"}"#,
                "the body holds a field twice",
            ),
            (r#"{"avatar":"/a"}"#, "no avatar is kept here"),
            (r#"{"nickname":5}"#, "nickname and avatar are texts or null"),
            (
                r#"{"nickname":["a"]}"#,
                "nickname and avatar are texts or null",
            ),
            ("", "the body is not a JSON object"),
            (r#"["a"]"#, "the body is not a JSON object"),
            (r#"{"nickname":"\ud83d"}"#, "the body is not a JSON object"),
            (r#"{"nickname":"a"} x"#, "the body is not a JSON object"),
        ] {
            assert_eq!(said(body), expected, "{body}");
        }
    }

    #[test]
    fn a_cross_site_form_changes_nothing() {
        for kind in [None, Some(BodyKind::Form)] {
            let asked = changes(kind, br#"{"nickname":"x=y"}"#, &ProfileField::ALL);
            assert!(matches!(asked, Err(Error::BadRequest(_))), "{kind:?}");
        }
    }

    #[test]
    fn null_and_empty_text_delete_and_absent_fields_stay() {
        let asked = |body: &str| {
            let kind = Some(BodyKind::Json);
            changes(kind, body.as_bytes(), &ProfileField::ALL).unwrap()
        };
        assert_eq!(asked("{}"), []);
        let deleted = [Change::delete(ProfileField::Nickname)];
        assert_eq!(asked(r#"{"nickname":null}"#), deleted);
        assert_eq!(asked(r#" {"nickname":" "}"#), deleted);
        let both = [
            Change::nickname("\u{1f600}").unwrap(),
            Change::delete(ProfileField::Avatar),
        ];
        assert_eq!(asked(r#"{"nickname":"\ud83d\ude00","avatar":""}"#), both);
    }
}
