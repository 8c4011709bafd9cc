//! Keys of earlier versions.

use super::{GOOD, assert_reports, reports};
use crate::config::keys;
use crate::config::removed::REMOVED;

const CASES: &[(&str, &[&str])] = &[(
    "[decrypt]\ndeliver = \"upstream\"\nupstream = \"api\"",
    &[
        "10:1 decrypt.deliver: is no longer a key | leave it out: `POST /_gateway/decrypt` responds to the client, which passes the data on",
        "11:1 decrypt.upstream: is no longer a key | leave it out: `POST /_gateway/decrypt` responds to the client, which passes the data on",
    ],
)];

#[test]
fn a_removed_key_is_refused_with_what_to_write_instead() {
    assert_reports(CASES);
}

#[test]
fn every_removed_key_is_refused_in_its_table_and_is_no_key_of_today() {
    for (table, key, cure) in REMOVED {
        let header = table.replace("NAME", "x");
        let said = reports(&format!("{GOOD}\n[{header}]\n{key} = \"1\"\n"));
        let end = format!("{key}: is no longer a key | {cure}");
        assert!(said.iter().any(|line| line.ends_with(&end)), "{said:?}");
        let is_key = |info: &crate::config::KeyInfo| info.table == *table && info.key == *key;
        assert!(!keys().iter().any(is_key), "{table}.{key}");
    }
}
