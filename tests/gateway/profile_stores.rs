//! Profiles in databases, as their own clients read them: every name whole, or refused.

use serde_json::{Value, json};

use crate::profile::{AVATAR, NAMES, assert_refused, me, named, patch, setup_in, teams_table};
use crate::support::command::skeygate;
use crate::support::database::{Database, Kind};
use crate::support::process::run_to_end;
use crate::support::stack::Stack;

const KINDS: [Kind; 3] = [Kind::MariaDb, Kind::Postgres, Kind::Sqlite];

#[tokio::test]
async fn databases_keep_names_byte_for_byte_as_their_own_clients_read_them() {
    for kind in KINDS {
        let database = Database::start(kind).await;
        let own = Stack::start(setup_in(&database, "")).await;
        let column = match kind {
            Kind::MariaDb => "VARCHAR(64) CHARACTER SET utf8mb4",
            Kind::Postgres | Kind::Sqlite => "VARCHAR(64)",
        };
        let keys = teams_table(&database, column).await;
        let adopted = Stack::start(setup_in(&database, keys)).await;
        for (stack, sql) in [
            (&own, "SELECT nickname, avatar FROM skeygate_profiles"),
            (&adopted, "SELECT name, head FROM member"),
        ] {
            let skey = stack.login("ann").await;
            for name in NAMES {
                let body = json!({ "nickname": name, "avatar": AVATAR });
                let changed = patch(stack, &skey, &body).await;
                assert_eq!(changed.status, 200, "{kind:?}: {}", changed.text());

                let read = database.sql(sql).await;

                assert_eq!(read.as_bytes(), format!("{name}\t{AVATAR}").as_bytes());
                assert_eq!(me(stack, &skey).await["nickname"], name, "{kind:?}");
            }
            // The longest, all of four bytes.
            let longest = "\u{1f600}".repeat(64);
            let changed = patch(stack, &skey, &named(&longest)).await;
            assert_eq!(changed.field("nickname"), longest, "{kind:?}");
            let deleted = patch(stack, &skey, &json!({ "nickname": null, "avatar": "" })).await;
            assert_eq!(deleted.json()["nickname"], Value::Null, "{kind:?}");
            let again = stack.log_in(stack.address(), "ann").await;
            patch(stack, &again.field("skey"), &named(NAMES[6])).await;
            let user = again.field("user_id");
            let shown = skeygate(stack, &["users", "show", &user, "--json"]).await;
            let expected = json!({ "nickname": NAMES[6], "avatar": null, "phone": null });
            assert_eq!(shown.json()[0]["profile"], expected, "{kind:?}");
            patch(stack, &skey, &named(" ")).await;
        }
        // The column of names is never NULL.
        let rows = database.sql("SELECT COUNT(*) FROM member WHERE name = '' AND head IS NULL");
        assert_eq!(rows.await, "1", "{kind:?}");
    }
}

#[tokio::test]
async fn a_column_that_has_no_emoji_refuses_them_and_holds_no_question_marks() {
    for (charset, strict) in [
        ("utf8mb3", true),
        ("latin1", true),
        ("utf8mb3", false),
        ("latin1", false),
    ] {
        let database = Database::start(Kind::MariaDb).await;
        if !strict {
            database.sql("SET GLOBAL sql_mode = ''").await;
        }
        let column = format!("VARCHAR(20) CHARACTER SET {charset}");
        let keys = teams_table(&database, &column).await;
        let stack = Stack::start(setup_in(&database, keys)).await;
        let skey = stack.login("ann").await;
        let kept = patch(&stack, &skey, &named("Zo\u{eb}")).await;
        assert_eq!(kept.status, 200, "{charset}: {}", kept.text());

        // Only the first fits one of the two.
        for (name, fits) in [
            ("小明", charset == "utf8mb3"),
            ("\u{1f600}", false),
            (&"a".repeat(21), false),
        ] {
            let answer = patch(
                &stack,
                &skey,
                &json!({ "nickname": name, "avatar": "/new.png" }),
            )
            .await;
            if fits {
                assert_eq!(answer.status, 200, "{charset}: {}", answer.text());
                patch(
                    &stack,
                    &skey,
                    &json!({ "nickname": "Zo\u{eb}", "avatar": null }),
                )
                .await;
            } else {
                assert_refused(&answer, 400, "bad_request");
                assert!(answer.text().contains("cannot hold"), "{}", answer.text());
            }
            let row = database.sql("SELECT name, head IS NULL FROM member").await;
            assert_eq!(row, "Zo\u{eb}\t1", "{charset} {strict} {name}");
            assert_eq!(me(&stack, &skey).await["nickname"], "Zo\u{eb}");
        }
        let said = run_to_end("check --connect", &stack.toml).await;
        assert_eq!(said.0, Some(78), "{}", said.1);
        for part in [
            &format!("column `name` of table `member` is {charset}, which has no emoji")[..],
            "column `name` of table `member` holds 20 characters of the up to 64 of a nickname",
            "ALTER TABLE `member` CONVERT TO CHARACTER SET utf8mb4",
        ] {
            assert!(said.1.contains(part), "no {part:?} in:\n{}", said.1);
        }
        for cure in [
            "ALTER TABLE `member` CONVERT TO CHARACTER SET utf8mb4",
            "ALTER TABLE member MODIFY name VARCHAR(64) NOT NULL DEFAULT ''",
        ] {
            database.sql(cure).await;
        }
        let said = run_to_end("check --connect", &stack.toml).await;
        assert_eq!(said.0, Some(0), "{}", said.1);
        let kept = patch(&stack, &skey, &named("\u{1f600}")).await;
        assert_eq!(kept.status, 200, "{}", kept.text());
        assert_eq!(
            database.sql("SELECT HEX(name) FROM member").await,
            "F09F9880"
        );
    }
}

#[tokio::test]
async fn a_short_column_of_postgres_refuses_long_names_and_any_kind_of_id_is_found() {
    for id in [
        "CHAR(8) PRIMARY KEY DEFAULT substr(md5(random()::text), 1, 8)",
        "UUID PRIMARY KEY DEFAULT gen_random_uuid()",
        "BIGSERIAL PRIMARY KEY",
    ] {
        let database = Database::start(Kind::Postgres).await;
        let sql = format!(
            "CREATE TABLE member (id {id}, openid TEXT UNIQUE, name VARCHAR(20), head TEXT, tel TEXT)"
        );
        database.sql(&sql).await;
        let keys = "table = \"member\"\ncolumns = { nickname = \"name\", avatar = \"head\", phone = \"tel\" }";
        let stack = Stack::start(setup_in(&database, keys)).await;
        let (skey, _) = (stack.login("ann").await, stack.login("bob").await);

        let long = patch(&stack, &skey, &named(&"\u{1f600}".repeat(21))).await;
        let kept = patch(&stack, &skey, &named(&"\u{1f600}".repeat(20))).await;
        database.sql("DELETE FROM member WHERE name IS NULL").await;
        let read = database.sql("SELECT name FROM member").await;
        let said = run_to_end("check --connect", &stack.toml).await;
        database.sql("DELETE FROM member").await;
        let gone = patch(&stack, &skey, &named("x")).await;

        assert_refused(&long, 400, "bad_request");
        assert_eq!(kept.status, 200, "{id}: {}", kept.text());
        assert_eq!(read, "\u{1f600}".repeat(20));
        assert_eq!(said.0, Some(78), "{}", said.1);
        assert!(
            said.1.contains("holds 20 characters of the up to 64"),
            "{}",
            said.1
        );
        assert_refused(&gone, 403, "unknown_user");
    }
}
