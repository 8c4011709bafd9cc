//! A database that is away: logins fail within their deadlines, and sessions are not affected.

use std::time::Duration;

use crate::sql_users::setup;
use crate::support::client::Response;
use crate::support::database::{Database, Kind};
use crate::support::stack::Stack;
use crate::support::within_limit;

const SERVERS: [Kind; 2] = [Kind::MariaDb, Kind::Postgres];

fn assert_away(answer: &Response, kind: Kind) {
    assert_eq!(
        (answer.status, answer.error()),
        (503, Some("directory_unavailable")),
        "{kind:?}"
    );
    assert_eq!(answer.headers.get("retry-after"), Some("1"), "{kind:?}");
}

#[tokio::test]
async fn a_killed_database_refuses_logins_and_leaves_sessions_alone() {
    for kind in SERVERS {
        let mut database = Database::start(kind).await;
        let stack = Stack::start(setup(&database)).await;
        let skey = stack.login("ann").await;

        database.kill().await;
        let refused = stack.log_in(stack.address(), "bob").await;
        let session = stack.get("/x", &skey).await;

        assert_away(&refused, kind);
        assert_eq!(session.status, 200, "{kind:?}");
        database.restart().await;
        let back = stack.log_in(stack.address(), "bob").await;
        assert_eq!(back.status, 200, "{kind:?}: {}", back.text());
    }
}

#[tokio::test]
async fn a_frozen_database_refuses_logins_within_its_deadlines() {
    for kind in SERVERS {
        let mut database = Database::start(kind).await;
        let stack = Stack::start(setup(&database)).await;
        let skey = stack.login("ann").await;

        database.pause();
        // 4 s each for a connection and a statement, and 5 s for the whole login.
        let limit = Duration::from_secs(10);
        let login = stack.log_in(stack.address(), "ann");
        let refused = within_limit(limit, "a refusal", login).await;
        let session = stack.get("/x", &skey).await;
        database.resume();

        assert_away(&refused, kind);
        assert_eq!(session.status, 200, "{kind:?}");
        let back = stack.log_in(stack.address(), "ann").await;
        assert_eq!(back.status, 200, "{kind:?}: {}", back.text());
    }
}

#[tokio::test]
async fn a_locked_file_delays_new_users_only() {
    let database = Database::start(Kind::Sqlite).await;
    let stack = Stack::start(setup(&database)).await;
    let skey = stack.login("ann").await;

    let holder = database.hold().await;
    let refused = stack.log_in(stack.address(), "bob").await;
    let known = stack.log_in(stack.address(), "ann").await;
    let session = stack.get("/x", &skey).await;
    drop(holder);

    assert_away(&refused, Kind::Sqlite);
    assert_eq!(known.status, 200, "{}", known.text());
    assert_eq!(session.status, 200);
    let back = stack.log_in(stack.address(), "bob").await;
    assert_eq!(back.status, 200, "{}", back.text());
}
