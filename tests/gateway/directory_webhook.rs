//! `users.store = "webhook"`: the operator's service identifies users and gives the attributes for
//! upstreams.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::certificates::Authority;
use crate::support::client::{Request, Response};
use crate::support::command::skeygate;
use crate::support::process::{GatewayProcess, run_to_end};
use crate::support::program::Program;
use crate::support::service::{SECRET, Service};
use crate::support::setup::{APP, Setup};
use crate::support::stack::Stack;
use crate::support::steps::Answer;
use crate::support::upstream::{Recorded, RecordingUpstream};

const HEADERS: &str = r#"headers = { "X-User-Id" = "{user_id}", "X-Role" = "{claim.role}", "X-Level" = "{claim.level}", "X-Vip" = "{claim.vip}" }"#;

/// A gateway with the user directory at this address.
pub(crate) fn setup(service: &str) -> Setup {
    Setup::new()
        .table("users", "store = \"webhook\"")
        .table(
            "users.webhook",
            &format!("url = \"{service}/who?app=1\"\nsecret = \"{SECRET}\"\ntimeout = \"4s\""),
        )
        .table("identity", HEADERS)
}

/// 200 with JSON.
pub(crate) fn json_response(answer: &Value) -> Answer {
    let body = answer.to_string();
    Answer::raw(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

pub(crate) fn refusal(answer: &Response) -> (u16, Option<&str>) {
    (answer.status, answer.error())
}

pub(crate) const AWAY: (u16, Option<&str>) = (503, Some("directory_unavailable"));

async fn lookup_request(service: &mut RecordingUpstream) -> (Recorded, Value) {
    let request = service.request().await;
    let body = serde_json::from_slice(&request.body).expect("JSON");
    (request, body)
}

#[tokio::test]
async fn the_verification_code_of_the_reference_admits_only_our_signature() {
    let then = "echo json_encode(['user_id' => 42, 'claims' => [], 'is_new' => $asked['is_new']]);";
    let php = Service::php(SECRET, then).await;
    let other_php = Service::php(&SECRET.to_uppercase(), then).await;
    let then = "response.end(JSON.stringify({ user_id: 42, claims: { role: asked.app } }));";
    let node = Service::node(SECRET, 0, then).await;
    let other_node = Service::node(&SECRET.to_uppercase(), 0, then).await;

    for service in [&php, &node] {
        let stack = Stack::start(setup(&service.url)).await;
        let answer = stack.log_in(stack.address(), "ann").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.field("user_id"), "42");
        assert_eq!(answer.json()["is_new"], true);
        // Our signature verifies again, but not for another body; other signatures do not verify.
        let at: SocketAddr = service.url["http://".len()..].parse().expect("an address");
        let mut heard = RecordingUpstream::start().await;
        heard.next(json_response(&json!({ "user_id": 1 })));
        let stack = Stack::start(setup(&heard.url())).await;
        stack.log_in(stack.address(), "ann").await;
        let (heard, asks) = lookup_request(&mut heard).await;
        let signature = heard.head.headers.get("x-gateway-signature");
        let signed = |body: Vec<u8>| {
            let request = Request::new("POST", "/who").body(body);
            request.header("X-Gateway-Signature", signature.expect("a signature"))
        };
        let other = heard.text().replace("true", "false");
        assert_eq!(signed(heard.body.clone()).send(at).await.status, 200);
        assert_eq!(signed(other.into_bytes()).send(at).await.status, 401);
        for signature in [
            "",
            "t=1,v1=",
            "t=,v1=00",
            "v1=0,t=0",
            &format!("t=1700000000,v1={}", "0".repeat(64)),
            &format!("t=99999999999999999999,v1={}", "0".repeat(64)),
        ] {
            let request = Request::post_json("/who", &asks);
            let unsigned = request.send(at).await;
            let forged = request.header("X-Gateway-Signature", signature);
            let forged = forged.send(at).await;
            assert_eq!((unsigned.status, forged.status), (401, 401), "{signature}");
        }
    }
    for service in [&other_php, &other_node] {
        let stack = Stack::start(setup(&service.url)).await;
        let answer = stack.log_in(stack.address(), "ann").await;
        assert_eq!(refusal(&answer), AWAY);
    }
}

#[tokio::test]
async fn over_tls_only_a_service_with_a_good_certificate_is_asked() {
    let (authority, other) = (Authority::new(), Authority::new());
    for (names, ca, status) in [
        ("IP:127.0.0.1", Some(&authority), 200),
        ("IP:127.0.0.1", Some(&other), 503),
        ("IP:127.0.0.1", None, 503),
        ("DNS:users.internal", Some(&authority), 503),
    ] {
        let certificate = authority.certificate(names);
        let script = "const fs = require('node:fs');
const [key, cert] = process.argv.slice(1).map((file) => fs.readFileSync(file));
require('node:https').createServer({ key, cert }, (request, response) => {
  request.resume().on('end', () => response.end('{\"user_id\":7}'));
}).listen(0, '127.0.0.1', function () { console.log(`listening on ${this.address().port}`); });";
        let mut command = Command::new("node");
        let files = [&certificate.key, &certificate.file];
        command.args(["-e", script]).args(files);
        let mut service = Program::start(command);
        let line = service.line("listening on ").await;
        let url = format!("https://127.0.0.1:{}", &line["listening on ".len()..]);
        let mut setup = setup(&url);
        if let Some(ca) = ca {
            let ca_file = format!("ca_file = \"{}\"", ca.file().display());
            setup = setup.table("users.webhook", &ca_file);
        }
        let parts = setup.start().await;
        let mut gateway = GatewayProcess::start(&parts.toml).await;

        let answer = parts.log_in(gateway.address, "ann").await;

        assert_eq!(answer.status, status, "{names}: {}", answer.text());
        if status == 503 {
            let words = "no connection: invalid peer certificate";
            gateway.program.line(words).await;
        }
    }
}

#[tokio::test]
async fn the_service_identifies_each_login_and_upstreams_get_its_attributes() {
    let mut service = RecordingUpstream::start().await;
    let setup = setup(&service.url()).routes(
        "[[routes]]\npath = \"/*\"\nupstream = \"api\"\n[[login]]\nrate_limit = \"none\"\n\
         [[login]]\npath = \"/known/login\"\ncreate_users = false\nrate_limit = \"none\"\n",
    );
    let mut stack = Stack::start(setup).await;
    let other = stack.one_more().await;
    let claims = json!({ "role": "主编 100%\r\nX-Vip: 1", "level": 3, "vip": true, "none": null });
    let answer = json!({ "user_id": "u-7", "claims": claims });
    service.next(json_response(&answer));

    let login = stack.log_in(stack.address(), "ann").await;

    assert_eq!(login.status, 200, "{}", login.text());
    assert_eq!(login.field("user_id"), "u-7");
    assert_eq!(login.json()["is_new"], true);
    let (request, body) = lookup_request(&mut service).await;
    let openid = stack.wechat.openid(APP.0, "ann");
    let unionid = body["unionid"].as_str().expect("a unionid").to_owned();
    assert_eq!(
        body,
        json!({
            "event": "login", "app": APP.0, "appid": APP.0, "openid": openid, "unionid": unionid,
            "is_new": true, "create": true
        })
    );
    assert_eq!(request.head.start, "POST /who?app=1 HTTP/1.1");
    let header = |name| request.head.headers.get(name);
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("x-request-id"), login.headers.get("x-request-id"));
    // On the other replica, without asking again.
    let skey = login.field("skey");
    let get = Request::get("/x").header("skey", &skey);
    assert_eq!(get.clone().send(other).await.status, 200);
    let told = stack.upstream.request().await.head.headers;
    assert_eq!(told.all("x-user-id"), ["u-7"]);
    let role = "%E4%B8%BB%E7%BC%96%20100%25%0D%0AX-Vip:%201";
    assert_eq!(told.all("x-role"), [role]);
    assert_eq!(told.all("x-level"), ["3"]);
    assert_eq!(told.all("x-vip"), ["true"]);
    assert_eq!(service.requests(), 1);

    // From the next login on, and for that session alone.
    stack.wechat.set_account(APP.0, None);
    let made = json!({ "user_id": 7, "is_new": true, "claims": { "role": "user" } });
    service.next(json_response(&made));
    let again = stack.log_in(stack.address(), "ann").await;
    assert_eq!(again.field("user_id"), "7");
    assert_eq!(again.json()["is_new"], true);
    lookup_request(&mut service).await;
    // `create = false`: a user that the service created nevertheless is refused.
    service.next(json_response(&made));
    let code = json!({ "code": stack.code("ann") });
    let refused = stack.send(Request::post_json("/known/login", &code)).await;
    assert_eq!(refusal(&refused), (403, Some("unknown_user")));
    let (_, body) = lookup_request(&mut service).await;
    assert_eq!(
        (&body["is_new"], &body["create"], &body["unionid"]),
        (&json!(false), &json!(false), &Value::Null)
    );
    for (skey, expected, level) in [
        (&skey, role, Some("3")),
        (&again.field("skey"), "user", None),
    ] {
        stack.get("/x", skey).await;
        let told = stack.upstream.request().await.head.headers;
        assert_eq!(
            (told.all("x-role"), told.get("x-level")),
            (vec![expected], level)
        );
    }
}

#[tokio::test]
async fn unknown_and_denied_users_are_refused_in_every_style_and_stay_new() {
    let mut service = RecordingUpstream::start().await;
    let mut routes = "[[routes]]\npath = \"/*\"\nupstream = \"api\"\n".to_owned();
    let styles = [
        "plain",
        "wafer1",
        "wafer2",
        "token",
        "sessionid",
        "errcode200",
    ];
    for style in styles {
        routes += &format!(
            "[[login]]\npath = \"/{style}\"\nstyle = \"{style}\"\nrate_limit = \"none\"\n"
        );
    }
    let stack = Stack::start(setup(&service.url()).routes(&routes)).await;
    let denied = json!({ "deny": "behind with the rent" });
    for (answer, error) in [
        (json!({ "user_id": null }), "unknown_user"),
        (denied.clone(), "login_denied"),
    ] {
        for style in styles {
            service.next(json_response(&answer));
            let code = json!({ "code": stack.code("ann") });
            let login = Request::post_json(&format!("/{style}"), &code);
            let refused = stack.send(login.clone()).await;
            let status = if style == "errcode200" { 200 } else { 403 };
            assert_eq!(refusal(&refused), (status, Some(error)), "{style}");
            assert!(!refused.text().contains("rent"), "{}", refused.text());
            assert_ne!(refused.json()["code"], -1, "{style}");
            let (_, body) = lookup_request(&mut service).await;
            assert_eq!(body["is_new"], true, "{style}");
            // A repeated code gets the same response, and the service is not called.
            assert_eq!(refusal(&stack.send(login).await), (status, Some(error)));
        }
    }
    assert_eq!(service.requests(), 2 * styles.len());

    service.next(json_response(&json!({ "user_id": 1, "deny": false })));
    let answer = stack.send(login_at("/plain", &stack.code("ann"))).await;
    assert_eq!(answer.json()["is_new"], true);
    service.next(json_response(&denied));
    let refused = stack.send(login_at("/plain", &stack.code("ann"))).await;
    assert_eq!(refusal(&refused), (403, Some("login_denied")));
    // Only new logins are denied.
    assert_eq!(stack.get("/x", &answer.field("skey")).await.status, 200);
}

fn login_at(path: &str, code: &str) -> Request {
    Request::post_json(path, &json!({ "code": code }))
}

#[tokio::test]
async fn a_claim_cannot_be_forged_in_any_spelling() {
    let service = RecordingUpstream::start().await;
    service.always(|_| json_response(&json!({ "user_id": 1, "claims": { "role": "user" } })));
    let setup = setup(&service.url())
        .table("server", "underscore_headers = \"keep\"")
        .routes(
            "[[routes]]\npath = \"/*\"\nupstream = \"api\"\n\
             [[routes]]\npath = \"/open/*\"\nupstream = \"api\"\nauth = \"off\"\n",
        );
    let mut stack = Stack::start(setup).await;
    let skey = stack.login("ann").await;

    for target in ["/x", "/open/x"] {
        let mut request = Request::get(target)
            .header("skey", &skey)
            .header("Connection", "X-Role, X-User-Id-Merged-From");
        for name in ["role", "vip", "user-id-merged-from"] {
            for separator in ["-", "_", ".", "~", "!"] {
                let name = format!("X{separator}{}", name.replace('-', separator));
                request = request
                    .header(&name, "forged")
                    .header(&name.to_uppercase(), "forged");
            }
        }
        assert_eq!(stack.send(request).await.status, 200);
        let told = stack.upstream.request().await.head.headers;
        assert!(
            told.0.iter().all(|(_, value)| value != "forged"),
            "{told:?}"
        );
        let role = (target == "/x").then_some("user");
        assert_eq!(told.get("x-role"), role);
    }
}

#[tokio::test]
async fn bans_and_sessions_use_the_user_id_and_the_directory_is_reported_as_external() {
    let service = RecordingUpstream::start().await;
    service.always(|_| json_response(&json!({ "user_id": "u-7" })));
    let stack = Stack::start(setup(&service.url())).await;
    let skey = stack.login("ann").await;
    let asked = service.requests();

    let export = skeygate(&stack, &["users", "export"]).await;
    let by_openid = skeygate(&stack, &["users", "show", "--openid", "o1"]).await;
    let shown = skeygate(&stack, &["users", "show", "u-7", "--json"]).await;
    let ban = skeygate(&stack, &["users", "ban", "u-7", "--reason", "x"]).await;

    assert_eq!((export.code, export.stdout.as_str()), (Some(78), ""));
    assert!(export.stderr.contains("its service holds the directory"));
    assert_eq!(by_openid.code, Some(78));
    assert!(
        by_openid.stderr.contains("name the user by id"),
        "{by_openid:?}"
    );
    assert_eq!(shown.json()[0]["user_id"], "u-7");
    assert_eq!(
        shown.json()[0]["sessions"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(ban.code, Some(0), "{ban:?}");
    assert_eq!(service.requests(), asked, "a command asked the service");
    assert_eq!(stack.get("/x", &skey).await.status, 401);
    let refused = stack.log_in(stack.address(), "ann").await;
    assert_eq!(refusal(&refused), (403, Some("user_banned")));
}

#[tokio::test]
async fn check_calls_the_service_and_reports_its_fault() {
    let mut service = RecordingUpstream::start().await;
    let parts = setup(&service.url())
        .table("users.merged", "header_for = \"none\"")
        .start()
        .await;
    service.next(Answer::text(202, "whatever"));
    let good = run_to_end("check --connect", &parts.toml).await;
    let (request, body) = lookup_request(&mut service).await;
    service.next(Answer::text(401, "no"));
    let refuses = run_to_end("check --connect", &parts.toml).await;
    service.refuse().await;
    let away = run_to_end("check --connect", &parts.toml).await;
    let plain = run_to_end("check", &parts.toml).await;

    let place = format!("users.webhook at {}: ", service.url());
    assert_eq!(body, json!({ "event": "check" }));
    assert!(request.head.headers.get("x-gateway-signature").is_some());
    assert_eq!(good.0, Some(0), "{}", good.1);
    assert!(good.1.contains(&format!("{place}answers")), "{}", good.1);
    assert_eq!(refuses.0, Some(78), "{}", refuses.1);
    assert!(
        refuses.1.contains(&format!("{place}answered 401")),
        "{}",
        refuses.1
    );
    assert_eq!(away.0, Some(69), "{}", away.1);
    assert!(
        away.1.contains(&format!("{place}no connection")),
        "{}",
        away.1
    );
    assert_eq!(plain.0, Some(0), "{}", plain.1);
}
