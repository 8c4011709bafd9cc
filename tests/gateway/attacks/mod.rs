//! Attacks, byte for byte: each case has the bytes sent, the response due to the client, and the
//! requests the upstream may see: none, or requests that are clean in every header. Bytes that are
//! not HTTP by RFC 9110, 9112 and 9113, or that two servers could read differently, are refused.
//!
//! `case` and `http2::case` define a case, `run` and `http2::run` run it, `responses` checks the
//! client's side and `judge` the upstream's; the other files are the tables.

mod bodies;
mod case;
mod chunks;
mod codings;
mod fields;
mod heads;
mod http2;
mod identity;
mod judge;
mod lengths;
mod lines;
mod responses;
mod run;
mod skeys;
mod streams;
mod targets;

use std::collections::BTreeSet;

use self::case::Case;

/// A request hidden in a body, which must never be executed.
const SMUGGLED: &str = "GET /open/smuggled HTTP/1.1\r\nHost: g\r\nX-Openid: forged\r\n\r\n";

/// A POST to a route without auth, with further header lines and the bytes after the head.
fn post(lines: &str, behind: &str) -> String {
    format!("POST /open/a HTTP/1.1\r\nHost: g\r\n{lines}\r\n{behind}")
}

/// A GET to the same route, with further header lines.
fn get(lines: &str) -> String {
    format!("GET /open/a HTTP/1.1\r\nHost: g\r\n{lines}\r\n")
}

#[tokio::test]
async fn a_length_is_one_plain_number_or_the_request_is_refused() {
    run::run(lengths::cases()).await;
}

#[tokio::test]
async fn two_framings_for_one_message_are_refused() {
    run::run(bodies::cases()).await;
}

#[tokio::test]
async fn a_transfer_coding_is_one_plain_chunked_or_the_request_is_refused() {
    run::run(codings::named()).await;
}

#[tokio::test]
async fn no_byte_around_a_transfer_coding_hides_it() {
    run::run(codings::mutated()).await;
}

#[tokio::test]
async fn a_damaged_chunk_never_makes_a_whole_request() {
    run::run(chunks::cases()).await;
}

#[tokio::test]
async fn a_head_with_a_line_or_a_name_that_servers_read_differently_is_refused() {
    run::run(heads::cases()).await;
}

#[tokio::test]
async fn a_request_line_is_read_in_one_way_or_refused() {
    run::run(lines::cases()).await;
}

#[tokio::test]
async fn a_target_and_a_host_name_one_thing_or_are_refused() {
    run::run(targets::cases()).await;
}

#[tokio::test]
async fn no_byte_of_one_request_becomes_another() {
    run::run(streams::cases()).await;
}

#[tokio::test]
async fn fields_about_the_connection_never_pass() {
    run::run(fields::cases()).await;
}

#[tokio::test]
async fn a_forged_identity_never_arrives_in_any_bytes() {
    run::run(identity::cases()).await;
}

#[tokio::test]
async fn redis_is_asked_once_for_a_possible_skey_and_never_otherwise() {
    run::run_counting(skeys::cases()).await;
}

#[test]
fn there_are_enough_attacks_and_each_has_a_name_of_its_own() {
    let groups: [Vec<Case>; 11] = [
        lengths::cases(),
        bodies::cases(),
        codings::named(),
        codings::mutated(),
        chunks::cases(),
        heads::cases(),
        lines::cases(),
        targets::cases(),
        streams::cases(),
        fields::cases(),
        identity::cases(),
    ];
    let names: Vec<String> = groups.into_iter().flatten().map(|case| case.name).collect();
    let skeys = skeys::cases().into_iter().map(|(case, _)| case.name);
    let names = [names, skeys.collect(), http2::names()].concat();
    let distinct: BTreeSet<&String> = names.iter().collect();
    for name in &distinct {
        let count = names.iter().filter(|other| other == name).count();
        assert_eq!(count, 1, "{name}");
    }
    assert!(names.len() > 1000, "only {} cases", names.len());
}
