//! Responses of WeChat and their results.

use super::*;

#[tokio::test]
async fn a_code_gives_openid_session_key_and_unionid() {
    let pair = Pair::start().await;
    let got = pair.exchange().await.unwrap();
    assert_eq!(got.openid, pair.fake.openid(APPID, "alice"));
    assert_eq!(got.unionid, Some(pair.fake.unionid("acme", "alice")));
    let key = pair.fake.session_key(APPID, "alice").unwrap();
    assert_eq!(got.session_key.expose(), key);
}

#[tokio::test]
async fn an_app_without_an_account_gives_no_unionid() {
    let pair = Pair::start().await;
    pair.fake.set_account(APPID, None);
    assert_eq!(pair.exchange().await.unwrap().unionid, None);
    for nothing in [json!(""), Value::Null] {
        let got = pair.under(extra("unionid", nothing)).await.unwrap();
        assert_eq!(got.unionid, None);
    }
}

#[tokio::test]
async fn parameters_arrive_unchanged_with_any_characters() {
    let pair = Pair::start().await;
    for code in [
        "the code is a mock one",
        "a+b&appid=x#%41?/\\\"'=;~-._",
        " ",
    ] {
        pair.fake.issue_code(APPID, "alice", code);
        let got = pair.exchange_code(code).await;
        let openid = got.map(|got| got.openid);
        assert_eq!(openid.unwrap(), pair.fake.openid(APPID, "alice"), "{code}");
    }
}

#[tokio::test]
async fn odd_but_honest_successes_are_accepted() {
    let pair = Pair::start().await;
    let odd = [
        Fault {
            errcode0: true,
            ..Fault::default()
        },
        Fault {
            errcode0: true,
            string_errcode: true,
            ..Fault::default()
        },
        Fault {
            reorder: true,
            ..Fault::default()
        },
        Fault {
            content_type: Some("application/json; charset=utf-8".to_owned()),
            ..Fault::default()
        },
        extra("expires_in", json!(7200)),
        extra(
            "new_field",
            json!({ "openid": ["x", { "session_key": 1 }] }),
        ),
    ];
    for fault in odd {
        let shown = format!("{fault:?}");
        let got = pair.under(fault).await;
        let openid = got.map(|got| got.openid);
        assert_eq!(
            openid.ok(),
            Some(pair.fake.openid(APPID, "alice")),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn every_errcode_of_the_table_gives_the_error_of_its_class() {
    let pair = Pair::start().await;
    let mut seen = 0;
    for known in KNOWN {
        if matches!(known.class, Class::Success | Class::Busy) {
            continue;
        }
        for string_errcode in [false, true] {
            let error = pair
                .under(Fault {
                    string_errcode,
                    ..errcode(known.errcode, "some words, rid: 5f9f0b2e-1b2c3d4e-0a0b0c0d")
                })
                .await
                .unwrap_err();
            let right = match known.class {
                Class::CodeInvalid => matches!(error, WechatError::CodeInvalid(_)),
                Class::CodeUsed => matches!(error, WechatError::CodeUsed(_)),
                Class::UserBlocked => matches!(error, WechatError::UserBlocked(_)),
                Class::UserRateLimited => matches!(error, WechatError::UserRateLimited(_)),
                Class::QuotaExceeded => matches!(error, WechatError::QuotaExceeded(_)),
                Class::Misconfigured => matches!(error, WechatError::Misconfigured(_)),
                Class::GatewayBug => matches!(error, WechatError::GatewayBug(_)),
                Class::TokenStale | Class::SessionKeyStale => {
                    matches!(error, WechatError::Unknown(_))
                }
                Class::Success | Class::Busy => false,
            };
            assert!(right, "{}: {error:?}", known.errcode);
            assert_eq!(error.errcode(), Some(known.errcode));
            assert_eq!(error.rid(), Some("5f9f0b2e-1b2c3d4e-0a0b0c0d"));
            assert!(
                error
                    .to_string()
                    .contains(&format!("errcode {}: ", known.errcode))
            );
            seen += 1;
        }
    }
    assert_eq!(seen, 58);
    assert_eq!(pair.fake.calls(CALL), 58, "none of them is tried again");
}

#[tokio::test]
async fn an_errcode_outside_the_table_is_unknown_and_the_operators_matter() {
    let pair = Pair::start().await;
    let error = pair
        .under(errcode(99999, "new, hints: [ req_id: aBc.D1 ]"))
        .await;
    let error = error.unwrap_err();
    assert!(matches!(error, WechatError::Unknown(_)), "{error:?}");
    assert!(error.operator_must_act());
    assert_eq!(error.rid(), Some("aBc.D1"));
    assert_eq!(
        error.to_string(),
        "calling wechat: errcode 99999: not an errcode this version knows; look it up in wechat's \
         documentation (errmsg: new, hints: [ req_id: aBc.D1 ])"
    );
}

#[tokio::test]
async fn refusals_of_the_fake_are_understood() {
    let mut pair = Pair::start().await;
    let code = pair.fake.new_code(APPID, "alice");
    pair.exchange_code(&code).await.unwrap();
    let used = pair.exchange_code(&code).await.unwrap_err();
    assert!(matches!(used, WechatError::CodeUsed(_)), "{used:?}");
    assert!(!used.operator_must_act());

    pair.fake.set(Settings {
        ip_allowed: false,
        ..Settings::default()
    });
    let address = pair.exchange().await.unwrap_err();
    assert!(address.to_string().contains("IP allow-list"), "{address}");
    assert!(address.to_string().contains("203.0.113.7"), "{address}");
    assert!(address.operator_must_act());

    pair.app = app_with("wrong");
    let secret = pair.exchange().await.unwrap_err();
    assert!(secret.to_string().contains("`apps.secret`"), "{secret}");
}

#[tokio::test]
async fn bodies_without_the_form_of_wechat_are_bad_responses() {
    let pair = Pair::start().await;
    let key = r#""session_key":"AAAAAAAAAAAAAAAAAAAAAA==""#;
    let bodies = [
        (String::new(), Flaw::NotJson),
        ("<html>502 Bad Gateway</html>".to_owned(), Flaw::NotJson),
        (r#"{"openid":"o1","session_k"#.to_owned(), Flaw::NotJson),
        (r#"{"openid":"o1"} x"#.to_owned(), Flaw::NotJson),
        ("[".repeat(60_000), Flaw::NotJson),
        ("[1]".to_owned(), Flaw::NotAnObject),
        ("null".to_owned(), Flaw::NotAnObject),
        ("{}".to_owned(), Flaw::Openid),
        (format!(r#"{{"openid":"",{key}}}"#), Flaw::Openid),
        (format!(r#"{{"openid":7,{key}}}"#), Flaw::Openid),
        (format!(r#"{{"openid":"a b",{key}}}"#), Flaw::Openid),
        (
            format!(r#"{{"openid":"a\r\nX-Role: admin",{key}}}"#),
            Flaw::Openid,
        ),
        (
            format!(r#"{{"openid":"{}",{key}}}"#, "o".repeat(129)),
            Flaw::Openid,
        ),
        (r#"{"openid":"o1"}"#.to_owned(), Flaw::SessionKey),
        (
            r#"{"openid":"o1","session_key":""}"#.to_owned(),
            Flaw::SessionKey,
        ),
        (
            r#"{"openid":"o1","session_key":"AAAA"}"#.to_owned(),
            Flaw::SessionKey,
        ),
        (
            format!(r#"{{"openid":"o1","unionid":5,{key}}}"#),
            Flaw::Unionid,
        ),
        (
            format!(r#"{{"openid":"o1","unionid":"\n",{key}}}"#),
            Flaw::Unionid,
        ),
        (
            format!(r#"{{"errcode":"none","openid":"o1",{key}}}"#),
            Flaw::Errcode,
        ),
        (
            format!(r#"{{"errcode":[],"openid":"o1",{key}}}"#),
            Flaw::Errcode,
        ),
        (
            format!(r#"{{"x":"{}"}}"#, "x".repeat(64 * 1024)),
            Flaw::TooLarge,
        ),
    ];
    for (text, flaw) in bodies {
        let start: String = text.chars().take(60).collect();
        assert_eq!(pair.flaw_under(body(&text)).await, flaw, "{start}");
    }
}

#[tokio::test]
async fn a_status_other_than_200_is_a_bad_response_with_any_body() {
    for status in [201, 204, 404, 407, 429, 500, 503] {
        // A fresh one: several in a row are taken for an outage.
        let pair = Pair::start().await;
        let flaw = pair.flaw_under(Fault {
            status: Some(status),
            ..Fault::default()
        });
        assert_eq!(flaw.await, Flaw::Status(status));
    }
}
