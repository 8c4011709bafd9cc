//! TLS to a database: `users.sql.tls` and `ca_file`, with certificates of a test's own authority.

use std::path::Path;

use crate::sql_users;
use crate::support::certificates::Authority;
use crate::support::database::{Database, Kind};
use crate::support::process::run_to_end;
use crate::support::setup::Setup;
use crate::support::stack::Stack;

const SERVERS: [Kind; 2] = [Kind::MariaDb, Kind::Postgres];

fn setup(database: &Database, keys: &str) -> Setup {
    sql_users::setup(database).table("users.sql", keys).memory()
}

fn verify(ca_file: &Path) -> String {
    format!("tls = \"verify\"\nca_file = \"{}\"", ca_file.display())
}

/// The output of `skeygate check --connect` for the database under this name.
async fn checked(database: &Database, name: &str, keys: &str) -> (Option<i32>, String) {
    let parts = setup(database, keys).start().await;
    let (before, after) = parts.toml.split_once("@127.0.0.1:").expect("a url");
    run_to_end("check --connect", &format!("{before}@{name}:{after}")).await
}

#[tokio::test]
async fn a_connection_is_encrypted_by_default_and_verify_checks_the_server() {
    let authority = Authority::new();
    let certificate = authority.certificate("IP:127.0.0.1,DNS:localhost");
    let verify = verify(&authority.file());
    for kind in SERVERS {
        let database = Database::start_with(kind, Some(&certificate)).await;
        for (name, keys, expected) in [
            ("127.0.0.1", "", ", encrypted"),
            ("127.0.0.1", "tls = \"off\"", ", in clear"),
            ("127.0.0.1", &verify, ", encrypted"),
            ("localhost", &verify, ", encrypted"),
        ] {
            let (code, said) = checked(&database, name, keys).await;
            assert_eq!(code, Some(0), "{kind:?} {keys}: {said}");
            assert!(said.contains(expected), "{kind:?} {keys}: {said}");
        }

        let stack = Stack::start(setup(&database, &verify)).await;
        stack.login("ann").await;
        let users = database.sql("SELECT COUNT(*) FROM skeygate_users").await;
        assert_eq!(users, "1", "{kind:?}");
    }
}

#[tokio::test]
async fn an_unverified_database_is_refused_and_the_error_names_the_reason() {
    let authority = Authority::new();
    let certificate = authority.certificate("DNS:localhost");
    let (known, other) = (verify(&authority.file()), Authority::new());
    let other = verify(&other.file());
    let unknown = "from no authority that is trusted here; name its authority in users.sql.ca_file";
    for kind in SERVERS {
        let with_tls = Database::start_with(kind, Some(&certificate)).await;
        let without = Database::start(kind).await;
        for (database, name, keys, words) in [
            (&with_tls, "localhost", other.as_str(), unknown),
            // The public authorities.
            (&with_tls, "localhost", "tls = \"verify\"", unknown),
            (
                &with_tls,
                "127.0.0.1",
                &known,
                "certificate not valid for name \"127.0.0.1\"",
            ),
            (
                &without,
                "localhost",
                &known,
                "server does not support TLS (users.sql.tls)",
            ),
        ] {
            let (code, said) = checked(database, name, keys).await;
            assert_eq!(code, Some(69), "{kind:?} {keys}: {said}");
            assert!(said.contains(words), "{kind:?} {keys}: {said}");
        }
        // By default any server is accepted, even one without TLS.
        let (code, said) = checked(&without, "localhost", "").await;
        assert_eq!(code, Some(0), "{kind:?}: {said}");
        assert!(said.contains(", in clear"), "{kind:?}: {said}");

        let stack = Stack::start(setup(&with_tls, &known)).await;
        let login = stack.log_in(stack.address(), "ann").await;
        assert_eq!(
            (login.status, login.error()),
            (503, Some("directory_unavailable")),
            "{kind:?}"
        );
    }
}
