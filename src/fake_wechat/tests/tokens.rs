//! Tokens and the calls that need one.

use super::*;

/// Calls with a JSON body; returns the response.
async fn post(fake: &FakeWechat, target: &str, body: Value) -> Value {
    let (_, answer) = ask(fake, "POST", target, &body.to_string()).await;
    serde_json::from_str(&answer).unwrap()
}

async fn stable(fake: &FakeWechat, force: bool) -> Value {
    let order = json!({
        "grant_type": "client_credential", "appid": APP, "secret": format!("secret-of-{APP}"),
        "force_refresh": force,
    });
    post(fake, "/cgi-bin/stable_token", order).await
}

/// The errcode of a phone number call with this token and a good code.
async fn phone_with(fake: &FakeWechat, token: &Value) -> Value {
    let code = fake.new_phone_code(APP, "alice");
    let token = token["access_token"].as_str().unwrap();
    let target = format!("/wxa/business/getuserphonenumber?access_token={token}");
    post(fake, &target, json!({ "code": code })).await["errcode"].clone()
}

#[tokio::test]
async fn a_stable_token_stays_the_same_until_five_minutes_before_its_end() {
    let fake = start().await;
    let first = stable(&fake, false).await;
    assert_eq!(first["expires_in"], 7200);

    fake.advance(Duration::from_secs(6890));
    let same = stable(&fake, false).await;
    assert_eq!(same["access_token"], first["access_token"]);
    assert!(same["expires_in"].as_u64().unwrap() >= 300, "{same}");

    fake.advance(Duration::from_secs(11));
    let next = stable(&fake, false).await;
    assert_ne!(next["access_token"], first["access_token"]);
    assert_eq!(phone_with(&fake, &first).await, 0, "both are good");
    assert_eq!(phone_with(&fake, &next).await, 0);

    fake.advance(Duration::from_secs(300));
    assert_eq!(phone_with(&fake, &first).await, 42001);
    assert_eq!(phone_with(&fake, &next).await, 0);
    assert_eq!(fake.refused_tokens(), 1);
}

#[tokio::test]
async fn a_forced_token_ends_the_old_one_and_is_rare() {
    let fake = start().await;
    let first = stable(&fake, false).await;
    for _ in 0..20 {
        fake.advance(Duration::from_secs(31));
        assert!(stable(&fake, true).await["access_token"].is_string());
        assert_eq!(stable(&fake, true).await["errcode"], 45011);
    }
    fake.advance(Duration::from_secs(31));
    assert_eq!(stable(&fake, true).await["errcode"], 45009);
    assert_eq!(phone_with(&fake, &first).await, 40001);
}

#[tokio::test]
async fn a_plain_token_leaves_the_one_before_it_five_minutes_and_the_stable_one_alone() {
    let fake = start().await;
    let stable = stable(&fake, false).await;
    let query = format!("grant_type=client_credential&appid={APP}&secret=secret-of-{APP}");
    let target = format!("/cgi-bin/token?{query}");
    let plain = async || {
        let (_, answer) = ask(&fake, "GET", &target, "").await;
        serde_json::from_str::<Value>(&answer).unwrap()
    };
    let (first, second) = (plain().await, plain().await);
    assert_ne!(first, second);
    assert_eq!(phone_with(&fake, &first).await, 0);
    fake.advance(Duration::from_secs(301));
    assert_eq!(phone_with(&fake, &first).await, 42001);
    assert_eq!(phone_with(&fake, &second).await, 0);
    assert_eq!(phone_with(&fake, &stable).await, 0);
}

#[tokio::test]
async fn a_phone_code_is_good_once_for_its_own_user_and_app() {
    let fake = start().await;
    let token = stable(&fake, false).await;
    let token = token["access_token"].as_str().unwrap();
    let target = format!("/wxa/business/getuserphonenumber?access_token={token}");
    let code = fake.new_phone_code(APP, "alice");
    let other = fake.openid(APP, "bob");
    let of_another = json!({ "code": code, "openid": other });
    assert_eq!(post(&fake, &target, of_another).await["errcode"], 40003);
    let openid = fake.openid(APP, "alice");
    let own = json!({ "code": code, "openid": openid });
    let answer = post(&fake, &target, own.clone()).await;
    let number = fake.phone_number("alice");
    assert_eq!(answer["phone_info"]["phoneNumber"], number);
    assert_eq!(post(&fake, &target, own).await["errcode"], 40029);
    let foreign = json!({ "code": fake.new_phone_code(OTHER, "alice") });
    assert_eq!(post(&fake, &target, foreign).await["errcode"], 40013);
    let of_a_login = json!({ "code": fake.new_code(APP, "alice") });
    assert_eq!(post(&fake, &target, of_a_login).await["errcode"], 40029);
    let old = json!({ "code": fake.new_phone_code(APP, "alice") });
    fake.advance(Duration::from_secs(301));
    assert_eq!(post(&fake, &target, old).await["errcode"], 40029);
}

#[tokio::test]
async fn checksession_wants_a_good_token_and_the_signature_of_the_live_session_key() {
    let fake = start().await;
    let token = stable(&fake, false).await["access_token"].clone();
    let token = token.as_str().unwrap();
    let _ = fake.new_code(APP, "alice");
    let openid = fake.openid(APP, "alice");
    let sign = |key: &str| ids::session_signature(key);
    let live = || sign(&fake.session_key(APP, "alice").unwrap());
    let check = async |token: &str, openid: &str, signature: &str, method: &str| {
        let target = format!(
            "/wxa/checksession?access_token={token}&openid={openid}&signature={signature}&sig_method={method}"
        );
        let (_, answer) = ask(&fake, "GET", &target, "").await;
        serde_json::from_str::<Value>(&answer).unwrap()["errcode"].clone()
    };
    let first = live();
    assert_eq!(check(token, &openid, &first, "hmac_sha256").await, 0);
    assert_eq!(check(token, &openid, &first, "md5").await, 87008);
    assert_eq!(check(token, "o1", &first, "hmac_sha256").await, 40003);
    assert_eq!(check("none", &openid, &first, "hmac_sha256").await, 40014);

    let _ = fake.new_code(APP, "alice");
    assert_eq!(check(token, &openid, &first, "hmac_sha256").await, 87009);
    assert_eq!(check(token, &openid, &live(), "hmac_sha256").await, 0);
}

#[test]
fn a_session_is_signed_as_in_the_vector() {
    let signature = ids::session_signature("o0q0otL8aEzpcZL/FT9WsQ==");
    assert_eq!(
        signature,
        "46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128"
    );
}
