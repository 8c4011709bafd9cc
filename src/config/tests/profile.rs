//! `users.profile`.

use super::{GOOD, good_with, reports};
use crate::config::ProfileField;

/// What is said of these tables, without the places.
fn said(tables: &str) -> Vec<String> {
    let said = reports(&format!("{GOOD}\n{tables}\n"));
    said.iter()
        .map(|line| line.split_once(' ').expect("a place").1.to_owned())
        .collect()
}

#[test]
fn nothing_is_kept_by_default_and_each_field_once() {
    assert_eq!(good_with("").users.profile, []);
    let config = good_with("[users]\nprofile = [\"avatar\", \"nickname\", \"avatar\"]\n");
    let expected = [ProfileField::Nickname, ProfileField::Avatar];
    assert_eq!(config.users.profile, expected);
}

#[test]
fn profile_fields_no_directory_can_store_are_refused() {
    assert_eq!(
        said("[users]\nprofile = [\"nicknam\"]"),
        ["users.profile: `nicknam` is not known here | did you mean `nickname`?"]
    );
    assert_eq!(
        said("[users]\nstore = \"off\"\nprofile = [\"nickname\"]"),
        [
            "users.profile: there is no directory of the gateway's that could keep it | write users.store = \"redis\" or \"sql\", or leave the profile out"
        ]
    );
    let webhook = "[users]\nstore = \"webhook\"\nprofile = [\"nickname\"]\n[users.webhook]\nurl = \"http://127.0.0.1:1/\"\nsecret = \"0123456789abcdef0123456789abcdef\"";
    assert_eq!(said(webhook).len(), 1, "{:?}", said(webhook));
    assert!(said(webhook)[0].starts_with("users.profile: there is no directory"));
    let adopted = "[users]\nstore = \"sql\"\nprofile = [\"nickname\"]\n[users.sql]\nurl = \"mysql://gate@host/app\"\ntable = \"user\"";
    assert_eq!(
        said(adopted),
        [
            "users.profile: users.sql.table keeps no profiles | leave the profile out, or users.sql.table: tables of the gateway's own keep it"
        ]
    );
}

#[test]
fn attributes_that_never_have_a_value_draw_a_warning() {
    let header = "[identity]\nheaders = { \"X-Name\" = \"n:{nickname}\" }";
    assert_eq!(
        said(header),
        [
            "warning users.profile: the header `x-name` of identity.headers tells the nickname, which is not kept | add \"nickname\" here"
        ]
    );
    assert_eq!(
        said("[identity]\nheaders = { \"X-Role\" = \"{claim.role}\" }"),
        [
            "warning users.store: the header `x-role` of identity.headers tells a claim, and only a webhook makes any | write users.store = \"webhook\", or leave the header out"
        ]
    );
    let kept = format!("[users]\nprofile = [\"nickname\"]\n{header}");
    assert_eq!(said(&kept), [] as [String; 0]);
    let phone = "[users]\nprofile = [\"phone\"]\n";
    assert_eq!(
        said(phone),
        [
            "warning users.profile: no phone number is ever set | write phone.enabled = true: numbers come from WeChat alone"
        ]
    );
    assert_eq!(
        said(&format!("{phone}[phone]\nenabled = true")),
        [] as [String; 0]
    );
}
