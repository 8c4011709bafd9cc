//! TLS to a database: `users.sql.tls` and `ca_file`, with certificates of a test's own authority.

use std::path::Path;

use crate::support::certificates::Authority;
use crate::support::database::{Database, Kind};
use crate::support::process::run_to_end;
use crate::support::setup::{Parts, Setup};
use crate::support::stack::Stack;

const SERVERS: [Kind; 2] = [Kind::MariaDb, Kind::Postgres];

/// What the database is called by, which its certificate has to be good for.
const HERE: &str = "IP:127.0.0.1,DNS:localhost";

fn setup(database: &Database, keys: &str) -> Setup {
    let setup = database
        .tables()
        .into_iter()
        .fold(Setup::new(), |setup, (table, keys)| {
            setup.table(table, &keys)
        });
    let deadlines = "connect_timeout = \"4s\"\ntimeout = \"4s\"";
    setup
        .table("users.sql", deadlines)
        .table("users.sql", keys)
        .memory()
}

fn verify(ca_file: &Path) -> String {
    format!("tls = \"verify\"\nca_file = \"{}\"", ca_file.display())
}

/// The same, calling the database by another name.
fn by_name(parts: &Parts, name: &str) -> String {
    let (before, after) = parts.toml.split_once("://app@127.0.0.1:").expect("a url");
    format!("{before}://app@{name}:{after}")
}

#[tokio::test]
async fn a_certificate_that_leads_to_ca_file_is_good_by_name_and_by_address() {
    let authority = Authority::new();
    let certificate = authority.certificate(HERE);
    for kind in SERVERS {
        let database = Database::start_with(kind, Some(&certificate)).await;
        let keys = verify(&authority.file());
        let parts = setup(&database, &keys).start().await;

        for toml in [parts.toml.clone(), by_name(&parts, "localhost")] {
            let (code, said) = run_to_end("check --connect", &toml).await;
            assert_eq!(code, Some(0), "{kind:?}: {said}");
            assert!(said.contains(", encrypted"), "{kind:?}: {said}");
        }

        let stack = Stack::start(setup(&database, &keys)).await;
        stack.login("ann").await;
        let users = database.sql("SELECT COUNT(*) FROM skeygate_users").await;
        assert_eq!(users, "1", "{kind:?}");
    }
}

#[tokio::test]
async fn whoever_is_not_the_database_is_refused_and_the_words_say_why() {
    let authority = Authority::new();
    let other = Authority::new();
    let here = authority.certificate(HERE);
    let names = "DNS:db.example.com,IP:127.0.0.9";
    let elsewhere = other.certificate(names);
    let unknown = "from no authority that is trusted here";
    let wrong = "certificate not valid for name \"127.0.0.1\"; certificate is only valid for";
    for kind in SERVERS {
        for (what, certificate, ca, words) in [
            ("another authority", Some(&here), &other, unknown),
            ("another host", Some(&elsewhere), &other, wrong),
            (
                "no TLS",
                None,
                &authority,
                "server does not support TLS (users.sql.tls)",
            ),
        ] {
            let database = Database::start_with(kind, certificate).await;
            let keys = verify(&ca.file());
            let stack = Stack::start(setup(&database, &keys)).await;

            let (code, said) = run_to_end("check --connect", &stack.toml).await;
            let login = stack.log_in(stack.address(), "ann").await;

            assert_eq!(code, Some(69), "{kind:?} {what}: {said}");
            assert!(said.contains(words), "{kind:?} {what}: {said}");
            assert_eq!(
                (login.status, login.error()),
                (503, Some("directory_unavailable")),
                "{kind:?} {what}"
            );
        }
    }
}

#[tokio::test]
async fn the_public_authorities_are_believed_where_no_ca_file_is_named() {
    let authority = Authority::new();
    let certificate = authority.certificate(HERE);
    for kind in SERVERS {
        let database = Database::start_with(kind, Some(&certificate)).await;
        let parts = setup(&database, "tls = \"verify\"").start().await;

        let (code, said) = run_to_end("check --connect", &parts.toml).await;

        assert_eq!(code, Some(69), "{kind:?}: {said}");
        assert!(
            said.contains("name its authority in users.sql.ca_file"),
            "{kind:?}: {said}"
        );
    }
}

#[tokio::test]
async fn auto_is_encrypted_where_it_can_be_and_off_is_not() {
    let authority = Authority::new();
    let certificate = authority.certificate("DNS:db.example.com");
    for kind in SERVERS {
        for (offered, keys, expected) in [
            (Some(&certificate), "", ", encrypted"),
            (None, "", ", in clear"),
            (Some(&certificate), "tls = \"off\"", ", in clear"),
        ] {
            let database = Database::start_with(kind, offered).await;
            let parts = setup(&database, keys).start().await;

            let (code, said) = run_to_end("check --connect", &parts.toml).await;

            assert_eq!(code, Some(0), "{kind:?}: {said}");
            assert!(said.contains(expected), "{kind:?} {keys:?}: {said}");
        }
    }
}
