//! `skeygate check --connect` on databases: sound tables, unsound ones, and the changes they need.

use crate::sql_users::{KINDS, for_kind, setup, teams_table};
use crate::support::database::{Database, Kind};
use crate::support::process::{GatewayProcess, run_to_end};
use crate::support::stack::Stack;

/// The output of `skeygate check --connect` about a table, and its exit status.
async fn checked(database: &Database, keys: &str) -> (Option<i32>, String) {
    let parts = setup(database).table("users.sql", keys).start().await;
    run_to_end("check --connect", &parts.toml).await
}

fn assert_says(said: &(Option<i32>, String), code: i32, parts: &[&str]) {
    assert_eq!(said.0, Some(code), "{}", said.1);
    for part in parts {
        assert!(said.1.contains(part), "no {part:?} in:\n{}", said.1);
    }
}

#[tokio::test]
async fn check_finds_good_tables_good_and_leaves_nothing_in_them() {
    for kind in KINDS {
        let database = Database::start(kind).await;
        let before = checked(&database, "").await;
        assert_says(
            &before,
            0,
            &["answers, version", "some managed tables do not exist yet"],
        );
        let stack = Stack::start(setup(&database)).await;
        stack.login("ann").await;

        let own = checked(&database, "").await;

        let trial = "a trial user was added and rolled back";
        assert_says(&own, 0, &["redis at 127.0.0.1:", "answers, version", trial]);
        assert!(!own.1.contains("not there yet"), "{}", own.1);
        for table in ["users", "openids"] {
            let count = format!("SELECT COUNT(*) FROM skeygate_{table}");
            assert_eq!(database.sql(&count).await, "1", "{kind:?} {table}");
        }
        let table = teams_table(&database).await;
        let adopted = checked(&database, table).await;
        assert_says(&adopted, 0, &["users.sql: table `user`", trial]);
        let count = for_kind(kind, "SELECT COUNT(*) FROM \"user\"");
        assert_eq!(database.sql(&count).await, "0", "{kind:?}");
    }
}

#[tokio::test]
async fn check_names_the_changes_an_unfit_table_needs() {
    for kind in KINDS {
        let database = Database::start(kind).await;
        let keys = "table = \"user\"\ncolumns = { created = \"create_time\" }";
        let said = checked(&database, keys).await;
        assert_says(&said, 78, &["error: users.sql: there is no table `user`"]);

        let sql = "CREATE TABLE \"user\" (id INT PRIMARY KEY, openid VARCHAR(64), phone VARCHAR(20) NOT NULL)";
        database.sql(&for_kind(kind, sql)).await;
        let said = checked(&database, keys).await;
        assert_says(&said, 78, &["table `user` has no column `create_time`"]);

        let said = checked(&database, "table = \"user\"").await;
        let cure = match kind {
            Kind::MariaDb => "ALTER TABLE `user` ADD UNIQUE KEY (`openid`)",
            Kind::Postgres | Kind::Sqlite => {
                "CREATE UNIQUE INDEX user_openid_key ON \"user\" (\"openid\")"
            }
        };
        assert_says(&said, 78, &["two rows with one `openid`", cure]);

        // As the output said; one fault is left: a column without a default.
        database.sql(cure).await;
        let said = checked(&database, "table = \"user\"").await;
        assert_says(
            &said,
            78,
            &["a user cannot be added", "other columns need a default"],
        );
    }
}

#[tokio::test]
async fn check_warns_of_columns_without_emoji_and_tables_without_transactions() {
    let database = Database::start(Kind::MariaDb).await;
    database
        .sql(
            "CREATE TABLE user (id INT AUTO_INCREMENT PRIMARY KEY, openid VARCHAR(64) UNIQUE, \
             nickname VARCHAR(64) CHARACTER SET utf8mb3 NOT NULL DEFAULT '') ENGINE = MyISAM",
        )
        .await;

    let said = checked(&database, "table = \"user\"").await;

    let engine = "ALTER TABLE `user` ENGINE = InnoDB";
    assert_says(
        &said,
        78,
        &["not utf8mb4, so emoji do not fit: ", "nickname", engine],
    );
    assert_eq!(database.sql("SELECT COUNT(*) FROM user").await, "0");
    for cure in [
        engine,
        "ALTER TABLE `user` CONVERT TO CHARACTER SET utf8mb4",
    ] {
        database.sql(cure).await;
    }
    let said = checked(&database, "table = \"user\"").await;
    assert_says(&said, 0, &["a trial user was added"]);
    assert!(!said.1.contains("emoji"), "{}", said.1);
}

#[tokio::test]
async fn check_distinguishes_an_unreachable_database_from_an_unfit_one() {
    let mut database = Database::start(Kind::MariaDb).await;
    database.kill().await;

    let said = checked(&database, "").await;

    assert_says(
        &said,
        69,
        &["error: mysql at 127.0.0.1:", "no connection within"],
    );
}

#[tokio::test]
async fn check_names_the_rights_that_are_missing_and_run_needs_none_to_create() {
    let database = Database::start(Kind::Postgres).await;
    let parts = setup(&database).start().await;
    let toml = parts.toml.replace("postgres://app@", "postgres://gate@");
    // The tables are created by a user with the right to do so.
    let made = Stack::start(setup(&database)).await;
    made.login("ann").await;
    database
        .sql("CREATE ROLE gate LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO gate")
        .await;

    let said = run_to_end("check --connect", &toml).await;
    let rights = "our user needs SELECT, INSERT and UPDATE on skeygate_users";
    assert_says(&said, 78, &["permission denied", rights]);

    database
        .sql("GRANT INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO gate")
        .await;
    let said = run_to_end("check --connect", &toml).await;
    assert_says(&said, 0, &["a trial user was added and rolled back"]);
    let gateway = GatewayProcess::start(&toml).await;
    let answer = parts.log_in(gateway.address, "ann").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}
