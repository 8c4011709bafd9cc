//! Attacks over HTTP/2 with prior knowledge (RFC 9113): what cannot go to an HTTP/1.1 upstream as one clean request is refused on
//! its stream, and what breaks the protocol ends the connection. Nobody upgrades from HTTP/1.1: `streams` has that.

mod case;
mod frames;
mod hpack;
mod requests;
mod run;

/// What every attack is called.
pub(super) fn names() -> Vec<String> {
    let attacks = [requests::attacks(), frames::attacks()].concat();
    attacks.into_iter().map(|attack| attack.case.name).collect()
}

#[tokio::test]
async fn a_malformed_http2_request_is_refused_on_its_stream() {
    run::run(requests::attacks()).await;
}

#[tokio::test]
async fn http2_frames_out_of_order_make_no_request() {
    run::run(frames::attacks()).await;
}
