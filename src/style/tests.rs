//! Response formats in every style.

use std::time::Duration;

use super::*;
use crate::config::CustomStyle;
use crate::error::{Error, LoginRefusal, SkeyState, UpstreamWait};
use crate::http::path::PathProblem;
use crate::store_error::StoreError;
use crate::wechat::open_data::Undecryptable;

fn styles() -> Vec<Style> {
    let custom = CustomStyle {
        login: r#"{"code":0,"data":{"token":"{skey}","id":"{user_id}","left":{expires_in}}}"#
            .to_owned(),
        refusal_status: Some(StatusCode::OK),
        refusal: Some(
            r#"{"code":{errcode},"msg":"{errmsg}","request_id":"{request_id}"}"#.to_owned(),
        ),
    };
    vec![
        Style::Plain,
        Style::Token,
        Style::Sessionid,
        Style::Wafer1,
        Style::Wafer2,
        Style::Errcode200,
        Style::Custom(custom),
    ]
}

#[test]
fn every_style_responds_with_json_and_the_skey() {
    let answer = LoginResult {
        skey: "KEY".to_owned(),
        expires_at: 0,
        user_id: Some("4\"{openid}".to_owned()),
        openid: "oX".to_owned(),
        appid: "wx1".to_owned(),
        is_new: true,
    };
    for style in styles() {
        let body = login(&style, &answer, 60, None);
        serde_json::from_str::<Value>(&body).unwrap();
        assert!(body.contains("\"KEY\""), "{body}");
        assert!(
            !body.contains("4\\\"oX"),
            "a value was searched for fields: {body}"
        );
    }
}

#[test]
fn without_a_user_id_every_style_still_responds_with_json() {
    let answer = LoginResult {
        skey: "KEY".to_owned(),
        expires_at: 0,
        user_id: None,
        openid: "oX".to_owned(),
        appid: "wx1".to_owned(),
        is_new: false,
    };
    for style in styles() {
        let body = login(&style, &answer, 60, None);
        let parsed: Value = serde_json::from_str(&body).unwrap();
        assert!(parsed.is_object(), "{body}");
        assert!(body.contains("\"KEY\""), "{body}");
    }
}

#[test]
fn a_refusal_is_json_for_any_request_target() {
    let answer = Error::NoRoute.response();
    for style in styles() {
        for id in [
            "\"},{\"a\":\"",
            "\\",
            "\r\n\u{0}\u{1b}",
            "\u{2028}\u{540d}",
            "{errmsg}{",
        ] {
            let (_, body) = refusal(&style, &answer, id);
            let body: Value = serde_json::from_str(&body).unwrap();
            let shown = body.get("request_id").and_then(Value::as_str);
            assert!(shown.is_none_or(|shown| shown == id), "{body}");
        }
    }
}

/// Every outcome.
fn refusals() -> Vec<Error> {
    let because = || LoginRefusal::NotAsked("no reason");
    let text = || "no reason".to_owned();
    let away = || StoreError::Unavailable { cause: text() };
    let wait = UpstreamWait::FirstByte(Duration::from_secs(1));
    vec![
        Error::BadRequest("bad"),
        Error::AmbiguousPath(PathProblem::Resembles(text())),
        Error::ConflictingSkeys,
        Error::LoginCodeMissing { body: "" },
        Error::LoginCodeInvalid(because()),
        Error::LoginCodeUsed(because()),
        Error::Undecryptable(Undecryptable::NoKey),
        Error::SessionKeyExpired,
        Error::PhoneCodeInvalid(because()),
        Error::LoginUserBlocked(because()),
        Error::UnknownUser,
        Error::NoRoute,
        Error::MethodNotAllowed { allow: text() },
        Error::RequestTimeout,
        Error::BodyTooLarge,
        Error::UriTooLong,
        Error::HeadersTooLarge,
        Error::RateLimited(because()),
        Error::Internal(text()),
        Error::WechatMisconfigured(because()),
        Error::WechatUnreachable(because()),
        Error::WechatBusy(because()),
        Error::WechatTimeout(because()),
        Error::StoreUnavailable(away()),
        Error::DirectoryUnavailable(away()),
        Error::UpstreamRefused(text()),
        Error::UpstreamReset(text()),
        Error::UpstreamProtocol(text()),
        Error::UpstreamTimeout(wait),
        Error::Overloaded,
        Error::TooManyConnections,
    ]
}

#[test]
fn only_not_logged_in_makes_an_sdk_log_in_again() {
    let body = |style: &Style, error: &Error| {
        let (_, body) = refusal(style, &error.response(), "id");
        serde_json::from_str::<Value>(&body).unwrap()
    };
    let magic = "F2C224D4-2BCE-4C64-AF9F-A6D872000D1A";
    for state in [SkeyState::Missing, SkeyState::Malformed, SkeyState::Unknown] {
        let ended = Error::NotLoggedIn(state);
        let wafer2 = body(&Style::Wafer2, &ended);
        assert_eq!(
            (&wafer2["code"], &wafer2["error"]),
            (&json!(-1), &json!("ERR_SKEY_INVALID"))
        );
        let wafer1 = body(&Style::Wafer1, &ended);
        assert_eq!(
            (&wafer1[magic], &wafer1["error"]),
            (&json!(1), &json!("ERR_INVALID_SESSION"))
        );
    }
    for error in refusals() {
        let name = error.response().name;
        let wafer2 = body(&Style::Wafer2, &error);
        assert!(wafer2["code"].as_i64().unwrap() > 0, "{name}: {wafer2}");
        let wafer1 = body(&Style::Wafer1, &error);
        assert_ne!(wafer1["error"], "ERR_INVALID_SESSION", "{name}");
        // On the magic key the SDK discards its session, so a response during an outage must not
        // carry it.
        let of_login = name.starts_with("login_") || name == "unknown_user";
        assert_eq!(wafer1.get(magic).is_some(), of_login, "{name}: {wafer1}");
        for style in styles() {
            let (status, body) = refusal(&style, &error.response(), "id");
            assert!(
                serde_json::from_str::<Value>(&body).unwrap().is_object(),
                "{name}"
            );
            let is_200 = matches!(style, Style::Errcode200 | Style::Custom(_));
            assert_eq!(status == StatusCode::OK, is_200, "{name}");
        }
    }
}

#[test]
fn a_profile_response_holds_no_openid_or_user_id() {
    let answer = answer(Some("4"));
    let profile =
        json!({ "openId": "o-other", "userId": "5", "nickName": "\u{1f469}\u{200d}\u{1f680}" });
    let body = login(&Style::Wafer2, &answer, 60, profile.as_object());
    let body: Value = serde_json::from_str(&body).unwrap();
    let expected =
        json!({ "openId": "oX", "userId": "4", "nickName": "\u{1f469}\u{200d}\u{1f680}" });
    assert_eq!(body["data"]["userinfo"], expected);
}

#[test]
fn without_a_user_id_wafer1_has_a_session_id_all_the_same() {
    let body = login(&Style::Wafer1, &answer(None), 60, None);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["session"], json!({ "id": "oX", "skey": "KEY" }));
}

fn answer(user_id: Option<&str>) -> LoginResult {
    LoginResult {
        skey: "KEY".to_owned(),
        expires_at: 0,
        user_id: user_id.map(str::to_owned),
        openid: "oX".to_owned(),
        appid: "wx1".to_owned(),
        is_new: true,
    }
}

#[test]
fn the_status_is_the_errors_unless_the_style_says_200() {
    let error = Error::NotLoggedIn(SkeyState::Unknown).response();
    let statuses: Vec<u16> = styles()
        .iter()
        .map(|style| refusal(style, &error, "id").0.as_u16())
        .collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 200, 200]);
}
