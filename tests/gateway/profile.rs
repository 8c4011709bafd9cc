//! Profiles of users: `PATCH /_gateway/me` and its effect on every replica and in real services.
//! Databases are in `profile_stores.rs`.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::access_tokens::ask;
use crate::support::backend::Backend;
use crate::support::client::{Request, Response};
use crate::support::command::skeygate;
use crate::support::database::{Database, Kind};
use crate::support::process::GatewayProcess;
use crate::support::setup::{ACCOUNT, APP, OTHER_APP, Setup};
use crate::support::stack::Stack;

pub(crate) const AVATAR: &str = "https://thirdwx.qlogo.cn/mmopen/a%20b/132?x=1&y=%E5%A4%B4";

/// Four bytes, a family with joiners, flags of two kinds, a colour of skin, a rare character, and
/// characters that need quoting.
pub(crate) const NAMES: [&str; 7] = [
    "\u{1f600} 小明",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}",
    "\u{1f1e8}\u{1f1f3}",
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "\u{1f44d}\u{1f3fd}\u{2764}\u{fe0f}",
    "\u{20bb7}野家",
    "O'Hara \\ \"%E5\" {nickname} ; -- +",
];

/// Stores every field and forwards it.
fn setup() -> Setup {
    let headers = "headers = { \"X-User-Id\" = \"{user_id}\", \"X-Nickname\" = \"{nickname}\", \"X-Avatar\" = \"{avatar}\", \"X-Phone\" = \"{phone}\" }";
    Setup::new()
        .table("users", "profile = [\"nickname\", \"avatar\", \"phone\"]")
        .table("phone", "enabled = true")
        .table("identity", headers)
}

/// As `setup`, in this database. Deadlines are long: a busy machine is no outage.
pub(crate) fn setup_in(database: &Database) -> Setup {
    let tables = database.tables().into_iter();
    tables
        .fold(setup(), |setup, (table, keys)| setup.table(table, &keys))
        .table("users.sql", "timeout = \"4s\"")
}

async fn patch_at(at: SocketAddr, skey: &str, body: &Value) -> Response {
    let request = Request::new("PATCH", "/_gateway/me")
        .header("Content-Type", "application/json")
        .header("skey", skey)
        .body(body.to_string());
    request.send(at).await
}

pub(crate) async fn patch(stack: &Stack, skey: &str, body: &Value) -> Response {
    patch_at(stack.address(), skey, body).await
}

pub(crate) async fn me(stack: &Stack, skey: &str) -> Value {
    let answer = stack.get("/_gateway/me", skey).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

pub(crate) fn named(name: &str) -> Value {
    json!({ "nickname": name })
}

pub(crate) fn assert_refused(answer: &Response, status: u16, name: &str) {
    let seen = (answer.status, answer.error());
    assert_eq!(seen, (status, Some(name)), "{}", answer.text());
}

#[tokio::test]
async fn php_and_node_read_a_profile_back_byte_for_byte() {
    for backend in [Backend::php().await, Backend::node().await] {
        let stack = Stack::start(setup().upstream(&backend.url())).await;
        let skey = stack.login("ann").await;
        assert_eq!(ask(&stack, stack.address(), &skey, "ann").await.status, 200);
        let phone = stack.wechat.phone_number("ann");
        for name in NAMES {
            let changed = patch(
                &stack,
                &skey,
                &json!({ "nickname": name, "avatar": AVATAR }),
            )
            .await;
            assert_eq!(changed.status, 200, "{}", changed.text());

            let told = stack.get("/x", &skey).await.json()["decoded"].clone();

            let hex = |text: &str| {
                text.bytes()
                    .map(|byte| format!("{byte:02x}"))
                    .collect::<String>()
            };
            let expected =
                json!({ "nickname": hex(name), "avatar": hex(AVATAR), "phone": hex(&phone) });
            assert_eq!(told, expected, "{name}");
        }
    }
}

#[tokio::test]
async fn a_change_is_forwarded_with_the_next_request_of_every_session_on_every_replica() {
    let mut stack = Stack::start(setup()).await;
    let other = stack.one_more().await;
    let (first, second) = (stack.login("ann").await, stack.login("ann").await);
    let bob = stack.login("bob").await;

    let changed = patch(&stack, &first, &named("\u{1f600}")).await;
    let request = Request::get("/x").header("X_Nickname", "forged");
    request.header("skey", &second).send(other).await;
    let headers = stack.upstream.request().await.head.headers;
    Request::get("/x").header("skey", &bob).send(other).await;
    let bobs = stack.upstream.request().await.head.headers;
    // A later session.
    let later = stack.skey(other, "ann").await;
    stack.get("/x", &later).await;
    let laters = stack.upstream.request().await.head.headers;

    assert_eq!(changed.status, 200);
    assert_eq!(headers.get("x-nickname"), Some("%F0%9F%98%80"));
    assert_eq!(headers.get("x-avatar"), None);
    assert_eq!(bobs.get("x-nickname"), None);
    assert_eq!(laters.get("x-nickname"), Some("%F0%9F%98%80"));
    let deleted = patch_at(other, &second, &json!({ "nickname": "" })).await;
    assert_eq!(deleted.json()["nickname"], Value::Null);
    stack.get("/x", &first).await;
    let headers = stack.upstream.request().await.head.headers;
    assert_eq!(headers.get("x-nickname"), None);
}

#[tokio::test]
async fn changes_and_logins_at_once_on_two_replicas_end_with_one_name_in_all_sessions() {
    // Far away, so that each change meets others between its steps.
    let far = Duration::from_millis(4);
    let mut stack = Stack::start(setup().far_redis(far)).await;
    let replicas = [stack.address(), stack.one_more().await];
    let skey = stack.login("ann").await;
    let mut tasks = Vec::new();
    for number in 0..40 {
        let (skey, at) = (skey.clone(), replicas[number % 2]);
        tasks.push(tokio::spawn(async move {
            let answer = patch_at(at, &skey, &named(&format!("name {number}"))).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }));
    }
    let mut skeys = vec![skey.clone()];
    for number in 0..10 {
        skeys.push(stack.skey(replicas[number % 2], "ann").await);
    }
    for task in tasks {
        task.await.expect("an answer");
    }

    let shown = me(&stack, &skey).await["nickname"].clone();

    assert!(shown.is_string());
    for skey in skeys {
        assert_eq!(me(&stack, &skey).await["nickname"], shown);
    }
    let user = me(&stack, &skey).await["user_id"].clone();
    let user = user.as_str().expect("an id");
    let kept = skeygate(&stack, &["users", "show", user, "--json"]).await;
    assert_eq!(kept.json()[0]["profile"]["nickname"], shown);
}

#[tokio::test]
async fn a_post_changes_the_profile_and_responds_as_me_does() {
    let stack = Stack::start(setup().memory()).await;
    let skey = stack.login("ann").await;

    let request = Request::post_json(
        "/_gateway/me",
        &json!({ "nickname": " 小明 ", "avatar": "/a.png" }),
    );
    let changed = stack.send(request.header("skey", &skey)).await;

    assert_eq!(changed.headers.get("cache-control"), Some("no-store"));
    let shown = me(&stack, &skey).await;
    assert_eq!(changed.json(), shown);
    let openid = stack.wechat.openid(APP.0, "ann");
    assert_eq!(shown["openid"], openid.as_str());
    // Beside an skey, which is no field of a profile.
    let route = "[[routes]]\npath = \"/*\"\nupstream = \"api\"\ntoken_from = [\"json:skey\"]\n";
    let other = Stack::start(setup().memory().routes(route)).await;
    let skey = other.login("ann").await;
    let body = json!({ "skey": skey, "nickname": "小红" });
    let beside = Request::post_json("/_gateway/me", &body);
    assert_eq!(other.send(beside).await.field("nickname"), "小红");
    assert_eq!(
        (&shown["nickname"], &shown["avatar"], &shown["phone"]),
        (&json!("小明"), &json!("/a.png"), &Value::Null)
    );
}

#[tokio::test]
async fn strangers_and_invalid_profiles_are_refused_and_change_nothing() {
    let stack = Stack::start(setup().memory()).await;
    let skey = stack.login("ann").await;
    patch(
        &stack,
        &skey,
        &json!({ "nickname": "小明", "avatar": "/a.png" }),
    )
    .await;
    let before = me(&stack, &skey).await;

    let nobody = patch(&stack, &"k".repeat(43), &named("x")).await;
    assert_refused(&nobody, 401, "not_logged_in");
    for body in [
        json!({ "phone": "13800000000" }),
        json!({ "nickname": "x", "user_id": "1" }),
        json!({ "nickname": "x", "avatar": "//evil.example/a" }),
        json!({ "nickname": "a\u{202e}b" }),
        json!({ "nickname": "a\nb" }),
        json!({ "nickname": "a".repeat(65) }),
        json!({ "nickname": 7 }),
        json!("x"),
    ] {
        let refused = patch(&stack, &skey, &body).await;
        assert_refused(&refused, 400, "bad_request");
        assert!(!refused.text().contains("evil"), "{}", refused.text());
    }
    let form = Request::post_form("/_gateway/me", "nickname=x").header("skey", &skey);
    assert_refused(&stack.send(form).await, 400, "bad_request");
    let long = patch(&stack, &skey, &named(&"x".repeat(9000))).await;
    assert_refused(&long, 413, "body_too_large");
    assert_eq!(me(&stack, &skey).await, before);
}

#[tokio::test]
async fn where_nothing_is_kept_nothing_can_be_changed_or_is_shown() {
    for keys in ["profile = []", "profile = [\"phone\"]"] {
        let stack = Stack::start(Setup::new().memory().table("users", keys)).await;
        let skey = stack.login("ann").await;
        for method in ["PATCH", "POST"] {
            let request = Request::new(method, "/_gateway/me").header("skey", &skey);
            let answer = stack.send(request.body("{}")).await;
            assert_refused(&answer, 405, "method_not_allowed");
            assert_eq!(answer.headers.get("allow"), Some("GET"));
        }
        let shown = me(&stack, &skey).await;
        assert_eq!(shown.get("nickname"), None);
        assert_eq!(shown.get("phone").is_some(), keys.contains("phone"));
    }
    let names = Setup::new()
        .memory()
        .table("users", "profile = [\"nickname\"]");
    let stack = Stack::start(names).await;
    let skey = stack.login("ann").await;
    let refused = patch(&stack, &skey, &json!({ "avatar": "/a" })).await;
    assert_refused(&refused, 400, "bad_request");
    assert!(refused.text().contains("no avatar is kept here"));
}

#[tokio::test]
async fn changes_are_limited_with_me_and_logout() {
    let login = "[[login]]\nrate_limit = { per_address = \"3/h\" }\n[[routes]]\npath = \"/*\"\nupstream = \"api\"\n";
    let stack = Stack::start(setup().memory().routes(login)).await;
    let skey = stack.login("ann").await;
    me(&stack, &skey).await;
    for number in 0..2 {
        let changed = patch(&stack, &skey, &named(&number.to_string())).await;
        assert_eq!(changed.status, 200, "{}", changed.text());
    }

    let refused = patch(&stack, &skey, &named("one too many")).await;

    assert_refused(&refused, 429, "rate_limited");
}

#[tokio::test]
async fn a_directory_that_is_away_keeps_sessions_and_their_profile_and_loses_no_phone_number() {
    let mut database = Database::start(Kind::MariaDb).await;
    let parts = setup_in(&database)
        .table("log", "format = \"json\"")
        .start()
        .await;
    let mut gateway = GatewayProcess::start(&parts.toml).await;
    let skey = parts.skey(gateway.address, "ann").await;
    let changed = patch_at(gateway.address, &skey, &named("\u{1f600}")).await;
    assert_eq!(changed.status, 200, "{}", changed.text());

    database.kill().await;
    let refused = patch_at(gateway.address, &skey, &named("x")).await;
    let shown = Request::get("/_gateway/me")
        .header("skey", &skey)
        .send(gateway.address)
        .await;
    let code = parts.wechat.new_phone_code(APP.0, "ann");
    let phone = Request::post_json("/_gateway/phone", &json!({ "code": code }));
    let phone = phone.header("skey", &skey).send(gateway.address).await;

    assert_refused(&refused, 503, "directory_unavailable");
    assert_eq!(shown.field("nickname"), "\u{1f600}");
    let number = parts.wechat.phone_number("ann");
    assert_eq!(phone.status, 200, "{}", phone.text());
    assert_eq!(phone.field("phoneNumber"), number);
    let line = gateway
        .program
        .line("given to the client and not kept")
        .await;
    assert!(
        line.contains("\"WARN\"") && line.contains("mysql at 127.0.0.1"),
        "{line}"
    );
    assert!(!line.contains(&number), "{line}");
}

#[tokio::test]
async fn the_log_counts_received_bytes_before_the_skey_is_removed() {
    let places = "token_from = [\"header:skey\", \"json:skey\"]";
    let setup = setup().table("session", places);
    let parts = setup.table("log", "format = \"json\"").start().await;
    let mut gateway = GatewayProcess::start(&parts.toml).await;
    let skey = parts.skey(gateway.address, "ann").await;
    let body = json!({ "skey": skey, "nickname": "Ann" });
    let bytes = body.to_string().len();

    let request = Request::post_json("/_gateway/me", &body);
    let changed = request.send(gateway.address).await;

    assert_eq!(changed.status, 200, "{}", changed.text());
    let line = gateway.program.line("\"endpoint\":\"me\"").await;
    assert!(line.contains(&format!("\"bytes.in\":{bytes},")), "{line}");
}

#[tokio::test]
async fn no_value_of_a_profile_is_in_the_log_at_any_level() {
    let database = Database::start(Kind::MariaDb).await;
    let log = "level = \"trace\"\nformat = \"json\"";
    let parts = setup_in(&database).table("log", log).start().await;
    let mut gateway = GatewayProcess::start(&parts.toml).await;
    let skey = parts.skey(gateway.address, "ann").await;
    // A table that refuses values, and quotes them in its errors.
    for change in [
        "MODIFY nickname VARCHAR(20) CHARACTER SET latin1",
        "ADD UNIQUE KEY (phone)",
    ] {
        let sql = format!("ALTER TABLE skeygate_profiles {change}");
        database.sql(&sql).await;
    }
    let bodies = [
        json!({ "nickname": "Secretname", "avatar": "/secret-avatar" }),
        named("Secretname \u{1f600}"),
        named("Secretname\u{202e}"),
        json!({ "nickname": "Secretname that is too long", "avatar": "/secret-avatar" }),
        json!({ "nickname": "Secretname", "Secretkey": 1 }),
    ];
    for body in bodies {
        patch_at(gateway.address, &skey, &body).await;
    }
    // Another user has the number in the table, where it is unique.
    let number = parts.wechat.phone_number("ann");
    let sql = format!("INSERT INTO skeygate_profiles (user_id, phone) VALUES (1, '{number}')");
    database.sql(&sql).await;
    let code = parts.wechat.new_phone_code(APP.0, "ann");
    let phone = Request::post_json("/_gateway/phone", &json!({ "code": code }));
    let phone = phone.header("skey", &skey).send(gateway.address).await;
    assert_eq!(phone.field("phoneNumber"), number);
    parts.skey(gateway.address, "ann").await;
    Request::get("/x")
        .header("skey", &skey)
        .send(gateway.address)
        .await;

    gateway.program.signal("TERM");
    let log = gateway.program.output().await;

    assert!(
        log.contains("\"endpoint\":\"me\"") && log.contains("not kept"),
        "{log}"
    );
    for value in ["ecretname", "ecretkey", "secret-avatar", &number, &skey] {
        assert!(!log.contains(value), "{value} in {log}");
    }
}

#[tokio::test]
async fn a_merge_keeps_the_older_profile_and_fills_gaps_from_the_newer() {
    let stack = Stack::start(setup().two_apps()).await;
    stack.wechat.set_account(APP.0, None);
    let login = async |appid: &str| {
        let code = stack.wechat.new_code(appid, "ann");
        let referer = format!("https://servicewechat.com/{appid}/12/page-frame.html");
        let request = Request::post_json("/login", &json!({ "code": code }));
        stack.send(request.header("Referer", &referer)).await
    };
    let (older, newer) = (login(APP.0).await, login(OTHER_APP.0).await);
    patch(&stack, &older.field("skey"), &named("older")).await;
    let newers = json!({ "nickname": "newer", "avatar": "/newer.png" });
    patch(&stack, &newer.field("skey"), &newers).await;

    stack.wechat.set_account(APP.0, Some(ACCOUNT));
    let joined = login(APP.0).await;

    // In the sessions that both had before, too.
    for login in [&joined, &older, &newer] {
        let shown = me(&stack, &login.field("skey")).await;
        assert_eq!(shown["user_id"], older.field("user_id"));
        assert_eq!(
            (&shown["nickname"], &shown["avatar"]),
            (&json!("older"), &json!("/newer.png"))
        );
    }
}

#[tokio::test]
async fn an_operator_sees_the_profile_and_names_cannot_colour_the_terminal() {
    let stack = Stack::start(setup()).await;
    let login = stack.log_in(stack.address(), "ann").await;
    let user = login.field("user_id");
    patch(&stack, &login.field("skey"), &named(NAMES[1])).await;

    let as_json = skeygate(&stack, &["users", "show", &user, "--json"]).await;
    let text = skeygate(&stack, &["users", "show", &user]).await;

    let expected = json!({ "nickname": NAMES[1], "avatar": null, "phone": null });
    assert_eq!(as_json.json()[0]["profile"], expected);
    // The rest is counted.
    let line = "nickname  \u{1f468}\\u200d\u{1f469}\\u200d\u{1f467}\\u200d\u{1f466}\n";
    assert!(text.stdout.contains(line), "{}", text.stdout);
    assert!(text.stdout.contains("avatar    -\n"), "{}", text.stdout);
    let nobody = skeygate(&stack, &["users", "show", "4711", "--json"]).await;
    assert_eq!(nobody.json()[0]["profile"]["nickname"], Value::Null);
}
