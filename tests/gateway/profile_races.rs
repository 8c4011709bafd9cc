//! Changes of a profile that meet a login or each other half-way: the directory has the last word
//! in every session. Redis and the database are stopped at the very step.

use serde_json::{Value, json};
use skeygate::fake_wechat::Endpoint;

use crate::support::client::{Client, Request, Response};
use crate::support::database::{Database, Kind};
use crate::support::setup::{APP, Setup};
use crate::support::stack::Stack;
use crate::support::within;

/// Names are kept in MariaDB, sessions in Redis.
async fn start(database: &Database) -> Stack {
    let setup = Setup::new().table("users", "profile = [\"nickname\"]");
    let tables = database.tables().into_iter();
    let setup = tables.fold(setup, |setup, (table, keys)| setup.table(table, &keys));
    let deadlines = "timeout = \"4s\"";
    Stack::start(setup.table("users.sql", deadlines)).await
}

/// How many statements the gateway has run. Those of the client are of another kind.
async fn statements(database: &Database) -> u64 {
    let said = database
        .sql("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'")
        .await;
    let number = said
        .split('\t')
        .next_back()
        .and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("no number in {said:?}"))
}

/// Waits until so many were run.
async fn until_statements(database: &Database, number: u64) {
    let seen = async { while statements(database).await < number {} };
    within("the gateway's statements", seen).await;
}

/// Another replica finishes the change.
async fn write_past(database: &Database, name: &str) {
    let sql = format!("UPDATE skeygate_profiles SET nickname = '{name}'");
    database.sql(&sql).await;
}

async fn rename(
    client: &mut Client,
    skey: &str,
    name: &str,
    at_the_body: impl FnOnce(),
) -> Response {
    let body = json!({ "nickname": name }).to_string();
    let head = format!(
        "PATCH /_gateway/me HTTP/1.1\r\nHost: g\r\nskey: {skey}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    client.write(head).await;
    // The session was found, and nothing else was done.
    assert_eq!(client.head().await.status(), 100);
    at_the_body();
    client.write(body).await;
    client.response("PATCH").await
}

async fn nickname(stack: &Stack, skey: &str) -> Value {
    stack.get("/_gateway/me", skey).await.json()["nickname"].clone()
}

#[tokio::test]
async fn concurrent_changes_leave_the_directorys_value_in_sessions() {
    let database = Database::start(Kind::MariaDb).await;
    let mut stack = start(&database).await;
    let skey = stack.login("ann").await;
    let mut client = Client::connect(stack.address()).await;
    rename(&mut client, &skey, "first", || {}).await;
    let before = statements(&database).await;
    rename(&mut client, &skey, "second", || {}).await;
    let each = statements(&database).await - before;
    let start = statements(&database).await;

    let mut client = Client::connect(stack.address()).await;
    let redis = stack.redis();
    let changing = rename(&mut client, &skey, "third", || redis.pause());
    let another = async {
        // All but the last look: the sessions are about to get what was read.
        until_statements(&database, start + each - 1).await;
        write_past(&database, "fourth").await;
        redis.resume();
    };
    let (changed, ()) = tokio::join!(changing, another);

    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.field("nickname"), "fourth");
    assert_eq!(nickname(&stack, &skey).await, "fourth");
}

#[tokio::test]
async fn a_login_that_a_change_did_not_find_has_it_all_the_same() {
    let mut database = Database::start(Kind::MariaDb).await;
    let mut stack = start(&database).await;
    let skey = stack.login("ann").await;
    let mut client = Client::connect(stack.address()).await;
    rename(&mut client, &skey, "first", || {}).await;
    let before = statements(&database).await;
    stack.login("ann").await;
    let each = statements(&database).await - before;
    let start = statements(&database).await;

    // Stopped after the call to WeChat, before the user is known.
    let asked = stack.exchanges();
    database.pause();
    let code = stack.wechat.new_code(APP.0, "ann");
    let request = Request::post_json("/login", &json!({ "code": code }));
    let address = stack.address();
    let login = tokio::spawn(async move { request.send(address).await });
    let exchanged = stack
        .wechat
        .wait_for_calls(Endpoint::Jscode2session, asked + 1);
    within("WeChat to be asked", exchanged).await;
    stack.redis().pause();
    database.resume();
    until_statements(&database, start + each - 1).await;
    write_past(&database, "second").await;
    stack.redis().resume();
    let answer = login.await.expect("an answer");

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(nickname(&stack, &answer.field("skey")).await, "second");
}
