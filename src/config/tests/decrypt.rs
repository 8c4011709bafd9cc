//! `[decrypt]`.

use super::{assert_reports, good_with};

const CASES: &[(&str, &[&str])] = &[
    (
        "[decrypt]\ndeliver = \"backend\"",
        &[
            "10:11 decrypt.deliver: `backend` is not known here | write one of \"client\", \"upstream\"",
        ],
    ),
    (
        "[decrypt]\nupstream = \"api\"\npath = \"/phone\"",
        &[
            "10:12 decrypt.upstream: says something only where deliver = \"upstream\" | leave it out",
            "11:8 decrypt.path: says something only where deliver = \"upstream\" | leave it out",
        ],
    ),
    (
        "[decrypt]\ndeliver = \"upstream\"",
        &[
            "9:1 decrypt: `upstream` is missing",
            "9:1 decrypt: `path` is missing",
        ],
    ),
    (
        "[decrypt]\ndeliver = \"upstream\"\nupstream = \"apu\"\npath = \"/phone\"\n[server]\npath_policy = \"raw\"",
        &[
            "11:12 decrypt.upstream: there is no upstream `apu` | did you mean `api`?",
            "12:8 decrypt.path: clients could write it in ways that only the upstream understands | write server.path_policy = \"strict\", or deliver = \"client\"",
        ],
    ),
    (
        "[decrypt]\ndeliver = \"upstream\"\nupstream = \"api\"\npath = \"/phone/*\"",
        &["12:8 decrypt.path: `/phone/*` has a `*`, where one exact path is needed"],
    ),
];

#[test]
fn each_mistake_in_a_delivery_is_reported_with_its_cure() {
    assert_reports(CASES);
}

#[test]
fn decrypted_data_goes_to_the_client_unless_the_file_names_a_path() {
    assert!(good_with("").decrypt.delivery.is_none());
    let keys = "[decrypt]\ndeliver = \"upstream\"\nupstream = \"api\"\npath = \"/phone\"";
    let delivery = good_with(keys).decrypt.delivery.unwrap();
    assert_eq!(
        (delivery.upstream.as_str(), delivery.path.as_str()),
        ("api", "/phone")
    );
}
