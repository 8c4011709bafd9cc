//! Users in databases: MariaDB, PostgreSQL and SQLite, read by their own clients.

use serde_json::json;

use crate::support::client::{Request, Response};
use crate::support::database::{Database, Kind};
use crate::support::setup::{ACCOUNT, APP, OTHER_APP, Setup, login_request};
use crate::support::stack::Stack;

const KINDS: [Kind; 3] = [Kind::MariaDb, Kind::Postgres, Kind::Sqlite];

/// A setup whose users are in this database. Deadlines are long: a busy machine is no outage.
fn setup(database: &Database) -> Setup {
    let setup = Setup::new();
    let setup = database
        .tables()
        .into_iter()
        .fold(setup, |setup, (table, keys)| setup.table(table, &keys));
    setup.table("users.sql", "connect_timeout = \"4s\"\ntimeout = \"4s\"")
}

/// Logs in to an app the way a mini program does.
async fn login(stack: &Stack, appid: &str, user: &str) -> Response {
    let code = stack.wechat.new_code(appid, user);
    let referer = format!("https://servicewechat.com/{appid}/12/page-frame.html");
    let request =
        Request::post_json("/login", &json!({ "code": code })).header("Referer", &referer);
    let answer = stack.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

/// A hundred logins of one user at once, over two replicas: each answer's user id and whether he was new.
async fn a_hundred_at_once(stack: &mut Stack, user: &str) -> Vec<(String, bool)> {
    let replicas = [stack.address(), stack.one_more().await];
    let logins: Vec<_> = (0..100)
        .map(|number| {
            let request = login_request(&stack.code(user));
            let at = replicas[number % 2];
            tokio::spawn(async move { request.send(at).await })
        })
        .collect();
    let mut seen = Vec::new();
    for login in logins {
        let answer = login.await.expect("a login");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let is_new = answer.json()["is_new"] == true;
        seen.push((answer.field("user_id"), is_new));
    }
    seen
}

#[tokio::test]
async fn a_hundred_first_logins_at_once_over_two_replicas_make_one_user_row() {
    for kind in KINDS {
        let database = Database::start(kind).await;
        // Neither replica has asked the database before, so both want to make the tables too.
        let mut stack = Stack::start(setup(&database)).await;

        let seen = a_hundred_at_once(&mut stack, "ann").await;

        let (id, _) = seen[0].clone();
        assert!(
            seen.iter().all(|(other, _)| *other == id),
            "{kind:?}: {seen:?}"
        );
        let new = seen.iter().filter(|(_, is_new)| *is_new).count();
        assert_eq!(new, 1, "{kind:?}");
        assert_eq!(database.sql("SELECT id FROM skeygate_users").await, id);
        let openid = stack.wechat.openid(APP.0, "ann");
        assert_eq!(
            database
                .sql("SELECT appid, openid, user_id FROM skeygate_openids")
                .await,
            format!("{}\t{openid}\t{id}", APP.0)
        );
    }
}

#[tokio::test]
async fn a_unionid_that_shows_up_later_joins_two_rows_under_the_older_id() {
    for kind in KINDS {
        let database = Database::start(kind).await;
        let stack = Stack::start(setup(&database).two_apps()).await;
        stack.wechat.set_account(APP.0, None);
        let older = login(&stack, APP.0, "ann").await.field("user_id");
        let newer = login(&stack, OTHER_APP.0, "ann").await.field("user_id");
        assert_ne!(older, newer);

        stack.wechat.set_account(APP.0, Some(ACCOUNT));
        let joined = login(&stack, APP.0, "ann").await;

        assert_eq!(joined.field("user_id"), older, "{kind:?}");
        assert_eq!(joined.json()["is_new"], false);
        let other = login(&stack, OTHER_APP.0, "ann").await;
        assert_eq!(other.field("user_id"), older, "{kind:?}");
        let alias = database
            .sql("SELECT id, user_id FROM skeygate_aliases")
            .await;
        assert_eq!(alias, format!("{newer}\t{older}"), "{kind:?}");
    }
}

#[tokio::test]
async fn a_killed_database_refuses_logins_and_nobody_who_has_a_session() {
    let mut database = Database::start(Kind::MariaDb).await;
    let stack = Stack::start(setup(&database)).await;
    let skey = stack.login("ann").await;

    database.kill().await;
    let refused = stack.log_in(stack.address(), "bob").await;
    let session = stack.get("/x", &skey).await;

    assert_eq!(
        (refused.status, refused.error()),
        (503, Some("directory_unavailable"))
    );
    assert!(refused.headers.get("retry-after").is_some());
    assert_eq!(session.status, 200);
    database.restart().await;
    let back = stack.log_in(stack.address(), "bob").await;
    assert_eq!(back.status, 200, "{}", back.text());
}

#[tokio::test]
async fn a_frozen_database_refuses_logins_within_its_deadlines() {
    let mut database = Database::start(Kind::MariaDb).await;
    let stack = Stack::start(setup(&database)).await;
    let skey = stack.login("ann").await;

    database.pause();
    let refused = stack.log_in(stack.address(), "ann").await;
    let session = stack.get("/x", &skey).await;
    database.resume();

    assert_eq!(
        (refused.status, refused.error()),
        (503, Some("directory_unavailable"))
    );
    assert_eq!(session.status, 200);
    let back = stack.log_in(stack.address(), "ann").await;
    assert_eq!(back.status, 200, "{}", back.text());
}
