//! Users in databases: MariaDB, PostgreSQL and SQLite, read by their own clients.

use serde_json::json;

use crate::support::client::{Request, Response};
use crate::support::database::{Database, Kind};
use crate::support::setup::{ACCOUNT, APP, OTHER_APP, Setup, login_request};
use crate::support::stack::Stack;

pub(crate) const KINDS: [Kind; 3] = [Kind::MariaDb, Kind::Postgres, Kind::Sqlite];

/// A setup whose users are in this database. Deadlines are long: a busy machine is no outage.
pub(crate) fn setup(database: &Database) -> Setup {
    let setup = Setup::new();
    let setup = database
        .tables()
        .into_iter()
        .fold(setup, |setup, (table, keys)| setup.table(table, &keys));
    setup.table("users.sql", "timeout = \"4s\"")
}

/// A typical table of a team, and its keys in `[users.sql]`.
pub(crate) async fn teams_table(database: &Database) -> &'static str {
    let sql = match database.kind() {
        Kind::MariaDb => {
            "CREATE TABLE user (id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, openid VARCHAR(64) NOT NULL, \
             create_time DATETIME NOT NULL, UNIQUE KEY (openid)) DEFAULT CHARACTER SET utf8mb4"
        }
        Kind::Postgres => {
            "CREATE TABLE \"user\" (id SERIAL PRIMARY KEY, openid VARCHAR(64) NOT NULL UNIQUE, \
             create_time TIMESTAMP NOT NULL)"
        }
        Kind::Sqlite => {
            "CREATE TABLE user (id INTEGER PRIMARY KEY, openid TEXT NOT NULL UNIQUE, create_time BIGINT NOT NULL)"
        }
    };
    database.sql(sql).await;
    "table = \"user\"\ncolumns = { created = \"create_time\" }"
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

/// A hundred logins of one user at once, over two replicas: the user id and `is_new` of each
/// response.
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
async fn a_table_of_ten_thousand_users_is_used_and_each_keeps_its_id() {
    for kind in KINDS {
        let database = Database::start(kind).await;
        let table = teams_table(&database).await;
        let mut stack = Stack::start(setup(&database).table("users.sql", table)).await;
        let time = match kind {
            // The database's own time, as the team's service would have written it.
            Kind::MariaDb | Kind::Postgres => "'2021-05-06 07:08:09'",
            Kind::Sqlite => "1620284889000",
        };
        let users: Vec<usize> = (0..10_000).collect();
        for some in users.chunks(1000) {
            let rows: Vec<String> = some
                .iter()
                .map(|number| {
                    let openid = stack.wechat.openid(APP.0, &format!("user {number}"));
                    format!("({}, '{openid}', {time})", 100_000 - number)
                })
                .collect();
            let rows = rows.join(",");
            let sql = format!("INSERT INTO \"user\" (id, openid, create_time) VALUES {rows}");
            database.sql(&for_kind(kind, &sql)).await;
        }
        let count = for_kind(kind, "SELECT COUNT(*) FROM \"user\"");
        assert_eq!(database.sql(&count).await, "10000");

        for number in [0, 1, 4_711, 9_999] {
            let known = stack
                .log_in(stack.address(), &format!("user {number}"))
                .await;
            assert_eq!(known.status, 200, "{kind:?}: {}", known.text());
            assert_eq!(known.field("user_id"), (100_000 - number).to_string());
            assert_eq!(known.json()["is_new"], false);
        }
        assert_eq!(database.sql(&count).await, "10000", "{kind:?}");

        let seen = a_hundred_at_once(&mut stack, "a stranger").await;

        assert!(
            seen.iter().all(|(id, _)| *id == seen[0].0),
            "{kind:?}: {seen:?}"
        );
        assert_eq!(seen.iter().filter(|(_, is_new)| *is_new).count(), 1);
        assert_eq!(database.sql(&count).await, "10001", "{kind:?}");
        let openid = stack.wechat.openid(APP.0, "a stranger");
        let now = match kind {
            Kind::MariaDb => "ABS(TIMESTAMPDIFF(SECOND, create_time, NOW())) < 60",
            Kind::Postgres => "create_time > now() - interval '60 s'",
            // In milliseconds, as all the others.
            Kind::Sqlite => "ABS(create_time / 1000 - strftime('%s', 'now')) < 60",
        };
        let sql = format!("SELECT id FROM \"user\" WHERE openid = '{openid}' AND {now}");
        assert_eq!(database.sql(&for_kind(kind, &sql)).await, seen[0].0);
    }
}

#[tokio::test]
async fn an_adopted_table_with_a_unionid_keeps_the_older_id() {
    for kind in KINDS {
        let database = Database::start(kind).await;
        let serial = match kind {
            Kind::MariaDb => "INT AUTO_INCREMENT PRIMARY KEY",
            Kind::Postgres => "SERIAL PRIMARY KEY",
            Kind::Sqlite => "INTEGER PRIMARY KEY",
        };
        let sql = format!(
            "CREATE TABLE member (uid {serial}, app VARCHAR(32) NOT NULL, wx VARCHAR(64) NOT NULL, \
             uni VARCHAR(64) UNIQUE, UNIQUE (app, wx))"
        );
        database.sql(&sql).await;
        let names = "table = \"member\"\ncolumns = { id = \"uid\", openid = \"wx\", app = \"app\", unionid = \"uni\" }";
        let stack = Stack::start(setup(&database).table("users.sql", names).two_apps()).await;
        stack.wechat.set_account(APP.0, None);
        let older = login(&stack, APP.0, "ann").await.field("user_id");
        let newer = login(&stack, OTHER_APP.0, "ann").await.field("user_id");
        assert_eq!((older.as_str(), newer.as_str()), ("1", "2"), "{kind:?}");

        stack.wechat.set_account(APP.0, Some(ACCOUNT));
        let joined = login(&stack, APP.0, "ann").await;
        let other = login(&stack, OTHER_APP.0, "ann").await;

        assert_eq!(joined.field("user_id"), older, "{kind:?}");
        assert_eq!(other.field("user_id"), older, "{kind:?}");
        let rows = database
            .sql("SELECT uid FROM member WHERE uni IS NOT NULL")
            .await;
        assert_eq!(rows, "1", "{kind:?}");
    }
}

#[tokio::test]
async fn a_collation_never_confuses_two_users() {
    let database = Database::start(Kind::MariaDb).await;
    let table = teams_table(&database).await;
    let stack = Stack::start(setup(&database).table("users.sql", table)).await;
    let openid = stack.wechat.openid(APP.0, "ann");
    let swapped = openid.to_ascii_uppercase();
    assert_ne!(openid, swapped);
    let sql = format!("INSERT INTO user (openid, create_time) VALUES ('{swapped}', NOW())");
    database.sql(&sql).await;
    let found = format!("SELECT COUNT(*) FROM user WHERE openid = '{openid}'");
    assert_eq!(
        database.sql(&found).await,
        "1",
        "to the server both are one"
    );

    let answer = stack.log_in(stack.address(), "ann").await;

    assert_eq!(
        (answer.status, answer.error()),
        (503, Some("directory_unavailable"))
    );
}

#[tokio::test]
async fn a_table_that_could_hold_a_user_twice_is_not_adopted() {
    for kind in KINDS {
        let database = Database::start(kind).await;
        let sql = "CREATE TABLE \"user\" (id INT PRIMARY KEY, openid VARCHAR(64), create_time INT)";
        database.sql(&for_kind(kind, sql)).await;
        let stack = Stack::start(setup(&database).table("users.sql", "table = \"user\"")).await;

        let answer = stack.log_in(stack.address(), "ann").await;

        assert_eq!(
            (answer.status, answer.error()),
            (503, Some("directory_unavailable")),
            "{kind:?}"
        );
        let count = for_kind(kind, "SELECT COUNT(*) FROM \"user\"");
        assert_eq!(database.sql(&count).await, "0");
    }
}

/// SQL with names in double quotes, as MariaDB quotes them.
pub(crate) fn for_kind(kind: Kind, sql: &str) -> String {
    match kind {
        Kind::MariaDb => sql.replace('"', "`"),
        Kind::Postgres | Kind::Sqlite => sql.to_owned(),
    }
}
