//! Operations on users in databases.

use tempfile::TempDir;

use super::SqlUsers;
use crate::config::{Config, UserStore};
use crate::identity::Holder;
use crate::users::{Ban, Bans, CreateUsers, Entry, EntryKind, UserLookup};

const EXISTING: &str = "table = \"member\"\ncolumns = { unionid = \"uni\" }";
const MEMBER: &str =
    "CREATE TABLE member (id INTEGER PRIMARY KEY, openid TEXT UNIQUE, uni TEXT UNIQUE)";

fn users(folder: &TempDir, keys: &str) -> (SqlUsers, Bans) {
    let file = folder.path().join("users.db");
    let toml = format!(
        "[[apps]]\nappid = \"wx1234567890abcdef\"\nsecret = \"0123456789abcdef\"\n\
         [[routes]]\npath = \"/*\"\nrespond = {{ status = 204 }}\n\
         [users]\nstore = \"sql\"\n[users.sql]\nurl = \"sqlite:{}\"\n{keys}\n",
        file.display()
    );
    let loaded = Config::parse("gateway.toml", &toml, &|_| None);
    let UserStore::Sql(sql) = loaded.unwrap().config.users.store else {
        panic!("users.store is sql");
    };
    let bans = Bans::memory();
    (SqlUsers::new(&sql, bans.clone()), bans)
}

async fn id(users: &SqlUsers, appid: &str, openid: &str, unionid: Option<&str>) -> String {
    let found = users.find_or_create(appid, openid, unionid, CreateUsers::Yes);
    match found.await.unwrap() {
        UserLookup::User { user_id, .. } => user_id,
        _ => panic!("a user is made"),
    }
}

/// The older and the newer id of two strangers, with their openids and unionids.
async fn two(users: &SqlUsers) -> [(String, &'static str, &'static str); 2] {
    let one = (id(users, "wx1", "o1", None).await, "wx1", "o1");
    let other = (id(users, "wx2", "o2", None).await, "wx2", "o2");
    let number = |id: &str| id.parse::<u64>().unwrap();
    match number(&one.0) < number(&other.0) {
        true => [one, other],
        false => [other, one],
    }
}

#[tokio::test]
async fn a_ban_of_the_newer_id_survives_a_merge() {
    for keys in ["", EXISTING] {
        let folder = tempfile::tempdir().unwrap();
        let (users, bans) = users(&folder, keys);
        if !keys.is_empty() {
            users.database.change(MEMBER, &[]).await.unwrap();
        }
        let [older, newer] = two(&users).await;
        let ban = Ban::new("sells stolen goods", None);
        let holder = |id: &str| Holder::User(id.to_owned());
        bans.set(&holder(&newer.0), &ban).await.unwrap();

        id(&users, older.1, older.2, Some("u1")).await;
        assert_eq!(bans.find(&holder(&older.0)).await.unwrap(), None);
        let stays = id(&users, newer.1, newer.2, Some("u1")).await;

        assert_eq!(stays, older.0, "{keys}");
        assert_eq!(bans.find(&holder(&stays)).await.unwrap(), Some(ban));
        bans.lift(&holder(&stays)).await.unwrap();
        assert_eq!(id(&users, newer.1, newer.2, Some("u1")).await, stays);
        assert_eq!(bans.find(&holder(&stays)).await.unwrap(), None, "{keys}");
    }
}

#[tokio::test]
async fn an_id_that_was_merged_leads_to_the_one_that_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (users, _) = users(&folder, "");
    let [older, newer] = two(&users).await;
    id(&users, older.1, older.2, Some("u1")).await;
    id(&users, newer.1, newer.2, Some("u1")).await;

    assert_eq!(users.current_id(&newer.0).await.unwrap(), older.0);
    assert_eq!(users.current_id(&older.0).await.unwrap(), older.0);
    assert_eq!(users.current_id("17x").await.unwrap(), "17x");
    let page = users.entries(EntryKind::Merged, "").await.unwrap();
    let merged = Entry::Merged {
        user_id: newer.0,
        into: older.0,
    };
    assert_eq!((page.entries, page.next), (vec![merged], None));
}
