//! Profiles in databases, as their own clients read them: every name whole, or refused.

use serde_json::{Value, json};

use crate::profile::{AVATAR, NAMES, me, named, patch, setup_in};
use crate::support::command::skeygate;
use crate::support::database::{Database, Kind};
use crate::support::stack::Stack;

const KINDS: [Kind; 3] = [Kind::MariaDb, Kind::Postgres, Kind::Sqlite];

#[tokio::test]
async fn databases_keep_names_byte_for_byte_as_their_own_clients_read_them() {
    for kind in KINDS {
        let database = Database::start(kind).await;
        let stack = Stack::start(setup_in(&database)).await;
        let sql = "SELECT nickname, avatar FROM skeygate_profiles";
        let skey = stack.login("ann").await;
        for name in NAMES {
            let body = json!({ "nickname": name, "avatar": AVATAR });
            let changed = patch(&stack, &skey, &body).await;
            assert_eq!(changed.status, 200, "{kind:?}: {}", changed.text());

            let read = database.sql(sql).await;

            assert_eq!(read.as_bytes(), format!("{name}\t{AVATAR}").as_bytes());
            assert_eq!(me(&stack, &skey).await["nickname"], name, "{kind:?}");
        }
        // The longest, all of four bytes.
        let longest = "\u{1f600}".repeat(64);
        let changed = patch(&stack, &skey, &named(&longest)).await;
        assert_eq!(changed.field("nickname"), longest, "{kind:?}");
        let deleted = patch(&stack, &skey, &json!({ "nickname": null, "avatar": "" })).await;
        assert_eq!(deleted.json()["nickname"], Value::Null, "{kind:?}");
        let again = stack.log_in(stack.address(), "ann").await;
        patch(&stack, &again.field("skey"), &named(NAMES[6])).await;
        let user = again.field("user_id");
        let shown = skeygate(&stack, &["users", "show", &user, "--json"]).await;
        let expected = json!({ "nickname": NAMES[6], "avatar": null, "phone": null });
        assert_eq!(shown.json()[0]["profile"], expected, "{kind:?}");
    }
}
