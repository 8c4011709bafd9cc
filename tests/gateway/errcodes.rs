//! Every errcode of WeChat's that is known, tests/data/wechat_errcodes.json, said by the fake to
//! each call that the gateway makes.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};
use skeygate::fake_wechat::{Endpoint, Fault};

use crate::decrypt::decrypt_request;
use crate::support::client::{Request, Response};
use crate::support::process::GatewayProcess;
use crate::support::setup::{APP, Setup, login_request};
use crate::support::stack::Stack;

/// One of the file.
#[derive(Deserialize)]
struct Errcode {
    errcode: i64,
    errmsg: String,
    http: u16,
    operator_alarm: bool,
    apis: Vec<String>,
}

/// What makes the SDK of wafer 1 forget its session.
const MAGIC: &str = "F2C224D4-2BCE-4C64-AF9F-A6D872000D1A";

/// Whether a call that carries an access_token is made again for it, with another token.
const REFUSED_TOKEN: [i64; 3] = [40001, 40014, 42001];

fn errcodes() -> Vec<Errcode> {
    #[derive(Deserialize)]
    struct File {
        codes: Vec<Errcode>,
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wechat_errcodes.json");
    let file = std::fs::read_to_string(path).expect("the file");
    let File { codes } = serde_json::from_str(&file).expect("JSON");
    assert_eq!(codes.len(), 31);
    codes
}

impl Errcode {
    /// The errcode, once; 0 in a success.
    fn fault(&self) -> Fault {
        if self.errcode == 0 {
            return Fault {
                errcode0: true,
                ..Fault::default()
            };
        }
        self.for_ever(1)
    }

    fn for_ever(&self, times: i64) -> Fault {
        Fault {
            times,
            errcode: Some(self.errcode),
            errmsg: Some(format!("{}, rid: 5f9f0b2e-1b2c3d4e-0a0b0c0d", self.errmsg)),
            ..Fault::default()
        }
    }

    /// Status, name and errcode of the answer to a login, and how often WeChat is asked.
    fn of_a_login(&self) -> (u16, Option<&'static str>, i64, u64) {
        let (name, errcode) = match (self.errcode, self.http) {
            (0, _) => return (200, None, 0, 1),
            (-1, _) => return (503, Some("wechat_busy"), 503, 3),
            (40029 | 42003, _) => ("login_code_invalid", 40029),
            (40163, _) => ("login_code_used", 40163),
            (40226, _) => ("login_user_blocked", 40226),
            (45011, _) => ("rate_limited", 45011),
            (45009, _) => ("wechat_busy", 503),
            // It belongs to another call: unknown here.
            (87009, _) => return (502, Some("wechat_misconfigured"), 502, 1),
            (_, 500) => ("internal", 500),
            (_, 502) => ("wechat_misconfigured", 502),
            (errcode, http) => panic!("{errcode}: {http}"),
        };
        (self.http, Some(name), errcode, 1)
    }

    /// Whether an operator must act when a login gets this.
    fn alarms_at_a_login(&self) -> bool {
        let unknown_here = REFUSED_TOKEN.contains(&self.errcode) || self.errcode == 87009;
        // The quota of the whole app: only an operator can raise it.
        self.operator_alarm || unknown_here || self.errcode == 45009
    }

    /// Name and status of the answer to a phone code.
    fn of_a_phone_code(&self) -> (u16, Option<&'static str>) {
        match self.errcode {
            0 => (200, None),
            // Once more with another token, and that is good.
            errcode if REFUSED_TOKEN.contains(&errcode) => (200, None),
            -1 | 45009 => (503, Some("wechat_busy")),
            45011 => (429, Some("rate_limited")),
            40003 | 40013 | 40029 | 40163 | 40226 | 42003 => (400, Some("phone_code_invalid")),
            87009 => (502, Some("wechat_misconfigured")),
            _ if self.http == 500 => (500, Some("internal")),
            _ => (502, Some("wechat_misconfigured")),
        }
    }
}

fn assert_hides(answer: &Response, errcode: &Errcode) {
    let text = answer.text();
    assert!(!text.contains("rid"), "{}: {text}", errcode.errcode);
    let words = answer.json()["errmsg"].clone();
    assert_ne!(words, errcode.errmsg, "{}", errcode.errcode);
}

#[tokio::test]
async fn each_errcode_has_its_login_response_and_number_of_tries() {
    let parts = Setup::new()
        .memory()
        .table("log", "format = \"json\"")
        .start()
        .await;
    let mut gateway = GatewayProcess::start(&parts.toml).await;
    let mut expected_levels = Vec::new();
    for errcode in errcodes() {
        let (status, name, number, calls) = errcode.of_a_login();
        let times = i64::try_from(calls).expect("a number");
        let fault = match errcode.errcode {
            0 => errcode.fault(),
            _ => errcode.for_ever(times),
        };
        parts.wechat.push_fault(Endpoint::Jscode2session, fault);
        let before = parts.exchanges();

        let answer = login_request(&parts.code("ann"))
            .send(gateway.address)
            .await;

        let what = format!("{}: {}", errcode.errcode, answer.text());
        assert_eq!((answer.status, answer.error()), (status, name), "{what}");
        assert_eq!(parts.exchanges() - before, calls, "{what}");
        let level = match (errcode.alarms_at_a_login(), status) {
            (true, _) => "ERROR",
            (false, 500..) => "WARN",
            (false, _) => "INFO",
        };
        let id = answer.headers.get("x-request-id").expect("an id");
        expected_levels.push((errcode.errcode, id.to_owned(), level));
        if name.is_none() {
            assert!(answer.json()["skey"].is_string(), "{what}");
            continue;
        }
        assert_eq!(answer.json()["errcode"], number, "{what}");
        assert_hides(&answer, &errcode);
        let wait = match errcode.errcode {
            -1 => Some("1"),
            45009 | 45011 => Some("60"),
            _ => None,
        };
        assert_eq!(answer.headers.get("retry-after"), wait, "{what}");
        // The next login calls WeChat again and succeeds.
        let next = login_request(&parts.code("ann"))
            .send(gateway.address)
            .await;
        assert_eq!(next.status, 200, "{what}");
    }
    gateway.program.signal("TERM");
    let log = gateway.program.output().await;
    for (errcode, id, level) in expected_levels {
        let line = log.lines().find(|line| line.contains(&id));
        let line: Value = serde_json::from_str(line.expect("a line")).expect("JSON");
        assert_eq!(line["level"], level, "{errcode}: {line}");
        if level == "ERROR" {
            let cause = line["cause"].as_str().expect("a cause");
            assert!(cause.contains(&format!("errcode {errcode}")), "{line}");
        }
    }
}

/// A gateway of one style with phone numbers and checksession, and a logged-in user.
async fn with_a_token(style: &str) -> (Stack, String) {
    let setup = Setup::new()
        .memory()
        .table("phone", "enabled = true")
        .table("decrypt", "checksession = true")
        .routes(&format!(
            "[[login]]\nstyle = \"{style}\"\nrate_limit = \"none\"\n\
             [[routes]]\npath = \"/*\"\nupstream = \"api\"\n"
        ));
    let stack = Stack::start(setup).await;
    let skey = log_in(&stack, "ann").await;
    (stack, skey)
}

async fn log_in(stack: &Stack, user: &str) -> String {
    let body = stack.log_in(stack.address(), user).await.json();
    let places = [
        &body["skey"],
        &body["data"]["skey"],
        &body["session"]["skey"],
    ];
    let skey = places.into_iter().find_map(Value::as_str);
    skey.expect("an skey").to_owned()
}

/// An SDK must not take it for the end of its session, with any errcode of WeChat.
fn assert_ends_no_session(answer: &Response, errcode: i64) {
    let body = answer.json();
    assert_eq!(body.get(MAGIC), None, "{errcode}: {body}");
    assert_ne!(body["code"], -1, "{errcode}: {body}");
    assert_ne!(body["errcode"], 40001, "{errcode}: {body}");
}

#[tokio::test]
async fn no_errcode_to_a_phone_code_makes_an_sdk_forget_its_session() {
    for style in ["plain", "wafer1", "wafer2"] {
        let (mut stack, mut skey) = with_a_token(style).await;
        for errcode in errcodes() {
            let refused_token = REFUSED_TOKEN.contains(&errcode.errcode);
            if refused_token {
                // A good token is ended seldom: each of them has to be the first.
                (stack, skey) = with_a_token(style).await;
            }
            let endpoint = Endpoint::Getuserphonenumber;
            stack.wechat.push_fault(endpoint, errcode.fault());
            let before = stack.wechat.calls(endpoint);
            let code = stack.wechat.new_phone_code(APP.0, "ann");
            let request = Request::post_json("/_gateway/phone", &json!({ "code": code }));

            let answer = stack.send(request.header("skey", &skey)).await;

            let what = format!("{style} {}: {}", errcode.errcode, answer.text());
            let got = (answer.status, answer.error());
            assert_eq!(got, errcode.of_a_phone_code(), "{what}");
            let calls = if refused_token { 2 } else { 1 };
            assert_eq!(stack.wechat.calls(endpoint) - before, calls, "{what}");
            assert_ends_no_session(&answer, errcode.errcode);
            assert_hides(&answer, &errcode);
        }
        // But one thing does.
        let request = Request::post_json("/_gateway/phone", &json!({ "code": "c" }));
        let stranger = stack.send(request.header("skey", &"k".repeat(43))).await;
        assert_eq!(stranger.error(), Some("not_logged_in"));
        assert_eq!(stranger.json().get(MAGIC).is_some(), style == "wafer1");
        assert_eq!(stranger.json()["code"] == -1, style == "wafer2");
    }
}

#[tokio::test]
async fn one_errcode_to_checksession_is_the_end_of_a_session_key() {
    for style in ["plain", "wafer1", "wafer2"] {
        let (mut stack, _) = with_a_token(style).await;
        let block = "AAAAAAAAAAAAAAAAAAAAAA==";
        let garbage = json!({ "encryptedData": block, "iv": block });
        let mut of_this_call = 0;
        for errcode in errcodes() {
            let refused_token = REFUSED_TOKEN.contains(&errcode.errcode);
            if refused_token {
                (stack, _) = with_a_token(style).await;
            }
            let skey = log_in(&stack, &format!("user {}", errcode.errcode)).await;
            let endpoint = Endpoint::Checksession;
            stack.wechat.push_fault(endpoint, errcode.fault());
            let before = stack.wechat.calls(endpoint);

            let answer = stack.send(decrypt_request(&skey, &garbage)).await;

            let what = format!("{style} {}: {}", errcode.errcode, answer.text());
            let name = match errcode.errcode {
                87009 => "session_key_expired",
                _ => "undecryptable",
            };
            assert_eq!((answer.status, answer.error()), (400, Some(name)), "{what}");
            let calls = if refused_token { 2 } else { 1 };
            assert_eq!(stack.wechat.calls(endpoint) - before, calls, "{what}");
            assert_ends_no_session(&answer, errcode.errcode);
            assert_hides(&answer, &errcode);
            of_this_call += u32::from(errcode.apis.iter().any(|api| api == "checksession"));
        }
        assert!(of_this_call > 5);
    }
}
