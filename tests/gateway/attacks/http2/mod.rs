//! Attacks over HTTP/2 with prior knowledge (RFC 9113): a request that cannot become one clean
//! HTTP/1.1 request is refused on its stream, and a protocol violation ends the connection.
//! Upgrades from HTTP/1.1 are in `streams`.

mod case;
mod frames;
mod hpack;
mod requests;
mod run;

/// The names of all attacks.
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
