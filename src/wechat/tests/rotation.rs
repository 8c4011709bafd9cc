//! The change of an AppSecret, and a WeChat that does not respond.

use super::*;

const NEW: &str = "the-one-that-follows";

fn changing() -> config::App {
    let mut app = app_with(SECRET);
    app.secret_next = Some(Secret::new(NEW));
    app
}

#[tokio::test]
async fn no_login_fails_while_the_secret_is_changed() {
    let mut pair = Pair::start().await;
    pair.app = changing();
    pair.exchange().await.unwrap();
    assert_eq!(pair.fake.calls(CALL), 1, "`secret` alone");

    pair.fake.set_secret(APPID, NEW);
    pair.exchange().await.unwrap();
    assert_eq!(pair.fake.calls(CALL), 3, "refused, then `secret_next`");
    pair.exchange().await.unwrap();
    assert_eq!(pair.fake.calls(CALL), 4, "`secret_next` at once");

    // The change was taken back.
    pair.fake.set_secret(APPID, SECRET);
    pair.exchange().await.unwrap();
    assert_eq!(pair.fake.calls(CALL), 6);
}

#[tokio::test]
async fn two_refused_secrets_are_the_operators_affair() {
    let mut pair = Pair::start().await;
    pair.app = changing();
    pair.fake.set_secret(APPID, "yet another one");
    let error = pair.exchange().await.unwrap_err();
    assert_eq!(error.errcode(), Some(40125), "{error}");
    assert!(error.operator_must_act());
    assert_eq!(pair.fake.calls(CALL), 2);
}

#[tokio::test]
async fn a_wechat_that_does_not_answer_is_soon_asked_once_a_second_only() {
    let pair = Pair::start().await;
    let silent = Fault {
        drop: Some(DropWhen::Before),
        times: -1,
        ..Fault::default()
    };
    pair.fake.push_fault(CALL, silent);
    for _ in 0..5 {
        let error = pair.exchange().await.unwrap_err();
        assert!(matches!(error, WechatError::Dropped(_)), "{error:?}");
    }
    for _ in 0..20 {
        let error = pair.exchange().await.unwrap_err();
        assert!(matches!(error, WechatError::NotAsked), "{error:?}");
    }
    assert_eq!(pair.fake.calls(CALL), 5);
    // Another app's calls are another matter.
    let mut other = app_with(SECRET);
    other.appid = "wx-other".to_owned();
    let code = LoginCode::parse("a-code").unwrap();
    let error = pair
        .wechat
        .exchange(&other, &code, in_5s())
        .await
        .unwrap_err();
    assert!(matches!(error, WechatError::Dropped(_)), "{error:?}");
}
