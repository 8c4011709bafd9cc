//! `skeygate users export` of directories in databases: more rows than one page has, in every kind
//! of key.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::command::{CommandOutput, skeygate_with};
use crate::support::database::{Database, Kind};
use crate::support::setup::Setup;

const KINDS: [Kind; 3] = [Kind::MariaDb, Kind::Postgres, Kind::Sqlite];

/// The output of `users export --json` for a database with these keys of `[users.sql]`.
async fn exported(database: &Database, keys: &str) -> CommandOutput {
    let setup = Setup::new();
    let setup = database
        .tables()
        .into_iter()
        .fold(setup, |setup, (table, keys)| setup.table(table, &keys));
    let parts = setup
        .table("users.sql", "timeout = \"4s\"")
        .table("users.sql", keys)
        .start()
        .await;
    skeygate_with(&parts.toml, &["users", "export", "--json"]).await
}

/// Adds rows, many at a time.
async fn fill(database: &Database, table: &str, rows: &[String]) {
    for some in rows.chunks(1000) {
        let sql = format!("INSERT INTO {table} VALUES {}", some.join(","));
        database.sql(&sql).await;
    }
}

fn assert_exported(said: &CommandOutput, expected: &[Value], kind: Kind) {
    assert_eq!(said.code, Some(0), "{kind:?}: {}", said.stderr);
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{kind:?}");
    let seen: BTreeSet<String> = said.json().iter().map(Value::to_string).collect();
    let expected: BTreeSet<String> = expected.iter().map(Value::to_string).collect();
    let missing: Vec<&String> = expected.difference(&seen).take(3).collect();
    assert!(missing.is_empty(), "{kind:?}: {missing:?}");
    assert_eq!(seen.len(), expected.len(), "{kind:?}");
    let audit = said.audit();
    assert_eq!(audit.len(), 1, "{audit:?}");
    assert_eq!(audit[0]["event"], "users.exported");
    assert_eq!(audit[0]["entries"], expected.len());
}

#[tokio::test]
async fn our_tables_are_written_out_to_their_last_row() {
    for kind in KINDS {
        let database = Database::start(kind).await;
        // Makes the tables.
        assert_exported_nothing(&exported(&database, "").await);
        let mut expected = Vec::new();
        let (mut openids, mut unionids, mut merged) = (Vec::new(), Vec::new(), Vec::new());
        for number in 1..=1700 {
            // Two apps with openids in common; the middle of a page is where the first one ends.
            for appid in ["wx00000000000000a1", "wx00000000000000b2"] {
                let openid = format!("o{number}-_X");
                openids.push(format!("('{appid}', '{openid}', {number})"));
                expected.push(
                    json!({ "user_id": number.to_string(), "appid": appid, "openid": openid }),
                );
            }
        }
        for number in 1..=1001 {
            unionids.push(format!("('u{number}', {number})"));
            expected
                .push(json!({ "user_id": number.to_string(), "unionid": format!("u{number}") }));
        }
        for number in 1..=1000 {
            let newer = 9_007_199_254_000_000_u64 + number;
            merged.push(format!("({newer}, {number})"));
            expected
                .push(json!({ "user_id": newer.to_string(), "merged_into": number.to_string() }));
        }
        fill(
            &database,
            "skeygate_openids (appid, openid, user_id)",
            &openids,
        )
        .await;
        fill(&database, "skeygate_unionids (unionid, user_id)", &unionids).await;
        fill(&database, "skeygate_aliases (id, user_id)", &merged).await;

        let said = exported(&database, "").await;

        assert_exported(&said, &expected, kind);
    }
}

fn assert_exported_nothing(said: &CommandOutput) {
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (Some(0), ""),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn an_existing_table_is_exported_row_by_row_with_any_ids() {
    // The type of the id, and the id of a number.
    type Id = (&'static str, fn(u32) -> String);
    let number: fn(u32) -> String = |number| number.to_string();
    let word: fn(u32) -> String = |number| format!("Nr-{number}");
    let uuid: fn(u32) -> String = |number| format!("00000000-0000-4000-8000-{number:012x}");
    for kind in KINDS {
        let ids: &[Id] = match kind {
            Kind::MariaDb => &[("INT UNSIGNED", number), ("VARCHAR(20)", word)],
            Kind::Postgres => &[
                ("INT", number),
                ("TEXT", word),
                ("CHAR(7)", word),
                ("UUID", uuid),
            ],
            Kind::Sqlite => &[("INTEGER", number), ("TEXT", word)],
        };
        let database = Database::start(kind).await;
        for (table, (column, id)) in (0..).map(|number| format!("member{number}")).zip(ids) {
            database
                .sql(&format!(
                    "CREATE TABLE {table} (uid {column} PRIMARY KEY, wx VARCHAR(64) UNIQUE, uni VARCHAR(64) UNIQUE)"
                ))
                .await;
            let (mut rows, mut expected) = (Vec::new(), Vec::new());
            for number in 1..=2100 {
                let (id, openid) = (id(number), format!("o{number}"));
                // Some registered by phone, and some have a unionid.
                if number % 7 == 0 {
                    rows.push(format!("('{id}', NULL, NULL)"));
                    continue;
                }
                expected.push(json!({ "user_id": id, "appid": null, "openid": openid }));
                if number % 5 == 0 {
                    rows.push(format!("('{id}', '{openid}', 'u{number}')"));
                    expected.push(json!({ "user_id": id, "unionid": format!("u{number}") }));
                } else {
                    rows.push(format!("('{id}', '{openid}', NULL)"));
                }
            }
            fill(&database, &table, &rows).await;
            let keys = format!(
                "table = \"{table}\"\ncolumns = {{ id = \"uid\", openid = \"wx\", unionid = \"uni\" }}"
            );

            let said = exported(&database, &keys).await;

            assert_exported(&said, &expected, kind);
        }
    }
}
