//! Frames that RFC 9113, 5 and 6, do not allow: on wrong streams, in wrong order, of wrong sizes.

use super::case::{
    Attack, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR,
    GOAWAY, HEADERS, PADDED, PING, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, data, frame, get, headers, post, request,
};
use super::hpack;
use crate::attacks::case::Clean;

/// The group.
pub(in crate::attacks) fn attacks() -> Vec<Attack> {
    [
        streams(),
        continuations(),
        padding(),
        sizes(),
        compression(),
        control(),
        harmless(),
    ]
    .concat()
}

fn block(target: &str) -> Vec<u8> {
    let fields = request("GET", target, &[]);
    let bytes: Vec<(&[u8], &[u8])> = fields
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    hpack::block(&bytes)
}

fn on(stream: u32) -> Vec<u8> {
    headers(stream, END_STREAM, &request("GET", "/open/a", &[]))
}

/// A valid request for an endpoint of the gateway itself, so that the upstream sees nothing.
fn nobodys(stream: u32) -> Vec<u8> {
    headers(stream, END_STREAM, &request("GET", "/known/a", &[]))
}

fn streams() -> Vec<Attack> {
    vec![
        Attack::new("HEADERS on stream 0", &[on(0)]).go_away(PROTOCOL_ERROR),
        Attack::new("HEADERS on an even stream", &[on(2)]).go_away(PROTOCOL_ERROR),
        Attack::new("DATA on stream 0", &[data(0, END_STREAM, "abc")]).go_away(PROTOCOL_ERROR),
        Attack::new(
            "DATA on a stream that is idle",
            &[data(1, END_STREAM, "abc")],
        )
        .go_away(PROTOCOL_ERROR),
        Attack::new(
            "a reset of a stream that is idle",
            &[frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])],
        )
        .go_away(PROTOCOL_ERROR),
        Attack::new(
            "more window for a stream that is idle",
            &[frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])],
        )
        .go_away(PROTOCOL_ERROR),
        Attack::new(
            "a reset of stream 0",
            &[frame(RST_STREAM, 0, 0, &[0, 0, 0, 8])],
        )
        .go_away(PROTOCOL_ERROR),
        Attack::new(
            "a promise by the client",
            &[frame(
                PUSH_PROMISE,
                END_HEADERS,
                1,
                &[[0, 0, 0, 2].as_slice(), &block("/open/a")].concat(),
            )],
        )
        .go_away(PROTOCOL_ERROR),
    ]
}

fn continuations() -> Vec<Attack> {
    let half = block("/open/a");
    let (first, second) = half.split_at(20);
    let open = frame(HEADERS, END_STREAM, 1, first);
    let rest = frame(CONTINUATION, END_HEADERS, 1, second);
    let between = |name: &str, frame: Vec<u8>| {
        Attack::new(name, &[open.clone(), frame, rest.clone()]).go_away(PROTOCOL_ERROR)
    };
    vec![
        Attack::new("CONTINUATION without HEADERS", std::slice::from_ref(&rest))
            .go_away(PROTOCOL_ERROR),
        Attack::new(
            "CONTINUATION behind a whole head",
            &[nobodys(1), rest.clone()],
        )
        .go_away(PROTOCOL_ERROR),
        Attack::new(
            "CONTINUATION on stream 0",
            &[open.clone(), frame(CONTINUATION, END_HEADERS, 0, second)],
        )
        .go_away(PROTOCOL_ERROR),
        Attack::new(
            "CONTINUATION on another stream",
            &[open.clone(), frame(CONTINUATION, END_HEADERS, 3, second)],
        )
        .go_away(PROTOCOL_ERROR),
        between("PING inside a head", frame(PING, 0, 0, &[0; 8])),
        between("SETTINGS inside a head", frame(SETTINGS, 0, 0, &[])),
        between("DATA inside a head", data(1, END_STREAM, "abc")),
        between("HEADERS inside a head", on(3)),
        between(
            "a reset inside a head",
            frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]),
        ),
        between(
            "more window inside a head",
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        ),
        between("an unknown frame inside a head", frame(0xee, 0, 1, b"x")),
        Attack::new("a head in two frames", &[open.clone(), rest.clone()])
            .passed(1, Clean::get("/open/a")),
        Attack::new(
            "an empty CONTINUATION",
            &[open.clone(), frame(CONTINUATION, 0, 1, b""), rest.clone()],
        )
        .passed(1, Clean::get("/open/a")),
    ]
}

fn padding() -> Vec<Attack> {
    let padded = |pad: u8, fill: usize| {
        let payload = [&[pad], block("/open/a").as_slice(), &vec![0; fill]].concat();
        frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, &payload)
    };
    let body =
        |pad: u8, bytes: &[u8]| frame(DATA, END_STREAM | PADDED, 1, &[&[pad], bytes].concat());
    vec![
        Attack::new("a head with more padding than bytes", &[padded(255, 3)])
            .go_away(PROTOCOL_ERROR),
        Attack::new(
            "a head of nothing with padding",
            &[frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, &[])],
        )
        .go_away(PROTOCOL_ERROR),
        Attack::new(
            "a body with more padding than bytes",
            &[post(&[]), body(9, b"abc")],
        )
        .gone(PROTOCOL_ERROR),
        Attack::new(
            "a body of nothing with padding",
            &[post(&[]), frame(DATA, END_STREAM | PADDED, 1, &[])],
        )
        .gone(PROTOCOL_ERROR),
        Attack::new("a head with padding", &[padded(3, 3)]).passed(1, Clean::get("/open/a")),
        Attack::new("a body with padding", &[post(&[]), body(3, b"abc\0\0\0")])
            .passed(1, Clean::post("/open/a", "abc").chunked()),
        Attack::new(
            "a length that the padding would fill",
            &[post(&[("content-length", "7")]), body(3, b"abc\0\0\0")],
        )
        .damaged(),
    ]
}

fn sizes() -> Vec<Attack> {
    vec![
        Attack::new("SETTINGS of 5 bytes", &[frame(SETTINGS, 0, 0, &[0; 5])])
            .go_away(PROTOCOL_ERROR),
        Attack::new(
            "an acknowledgement with bytes",
            &[frame(SETTINGS, 1, 0, &[0, 1, 0, 0, 0, 0])],
        )
        .go_away(PROTOCOL_ERROR),
        Attack::new("SETTINGS on a stream", &[frame(SETTINGS, 0, 1, &[])]).go_away(PROTOCOL_ERROR),
        Attack::new("PING of 7 bytes", &[frame(PING, 0, 0, &[0; 7])]).go_away(PROTOCOL_ERROR),
        Attack::new("PING on a stream", &[frame(PING, 0, 1, &[0; 8])]).go_away(PROTOCOL_ERROR),
        Attack::new(
            "a reset of 3 bytes",
            &[post(&[]), frame(RST_STREAM, 0, 1, &[0; 3])],
        )
        .gone(PROTOCOL_ERROR),
        Attack::new(
            "more window of 3 bytes",
            &[frame(WINDOW_UPDATE, 0, 0, &[0; 3])],
        )
        .go_away(PROTOCOL_ERROR),
        Attack::new("GOAWAY on a stream", &[frame(GOAWAY, 0, 1, &[0; 8])]).go_away(PROTOCOL_ERROR),
        Attack::new(
            "a frame of more than 16 KiB",
            &[post(&[]), frame(DATA, 0, 1, &[b'x'; 16385])],
        )
        .gone(FRAME_SIZE_ERROR),
        Attack::new(
            "a length of 16 MiB",
            &[vec![0xff, 0xff, 0xff, HEADERS, 0, 0, 0, 0, 1]],
        )
        .go_away(FRAME_SIZE_ERROR),
        Attack::new(
            "a priority that breaks off",
            &[frame(
                HEADERS,
                END_STREAM | END_HEADERS | PRIORITY,
                1,
                &[0; 4],
            )],
        )
        .go_away(PROTOCOL_ERROR),
    ]
}

fn compression() -> Vec<Attack> {
    let head = |bytes: &[u8]| [frame(HEADERS, END_STREAM | END_HEADERS, 1, bytes)];
    vec![
        Attack::new("entry 0 of the table", &head(&[0x80])).go_away(PROTOCOL_ERROR),
        Attack::new("an entry that is not in the table", &head(&[0xbe])).go_away(PROTOCOL_ERROR),
        Attack::new("a name that is not in the table", &head(&[0x7e, 1, b'x']))
            .go_away(PROTOCOL_ERROR),
        Attack::new("a table of 16 MiB", &head(&[0x3f, 0xe1, 0xff, 0xff, 0x07]))
            .go_away(PROTOCOL_ERROR),
        Attack::new(
            "a number without an end",
            &head(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        )
        .go_away(PROTOCOL_ERROR),
        Attack::new(
            "a text longer than its block",
            &head(&[0, 0x7f, 0x7f, b'x']),
        )
        .go_away(PROTOCOL_ERROR),
        Attack::new(
            "a text that is no Huffman code",
            &head(&[0, 0x84, 0xff, 0xff, 0xff, 0xff, 0]),
        )
        .go_away(PROTOCOL_ERROR),
    ]
}

fn control() -> Vec<Attack> {
    let setting = |id: u8, value: u32| {
        [frame(
            SETTINGS,
            0,
            0,
            &[[0, id].as_slice(), &value.to_be_bytes()].concat(),
        )]
    };
    // The library does not insist on them; the request is one like any.
    let no_table = frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]);
    let mut first = Attack::new("a request before SETTINGS", &[on(1), no_table])
        .passed(1, Clean::get("/open/a"));
    first.no_settings = true;
    vec![
        Attack::new("ENABLE_PUSH of 2", &setting(2, 2)).go_away(PROTOCOL_ERROR),
        Attack::new("a window of 2^31", &setting(4, 1 << 31)).go_away(PROTOCOL_ERROR),
        Attack::new("frames of at most 1 byte", &setting(5, 1)).go_away(PROTOCOL_ERROR),
        Attack::new("frames of at most 2^24 bytes", &setting(5, 1 << 24)).go_away(PROTOCOL_ERROR),
        Attack::new("no more window", &[frame(WINDOW_UPDATE, 0, 0, &[0; 4])])
            .go_away(PROTOCOL_ERROR),
        Attack::new(
            "too much window",
            &[frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])],
        )
        .go_away(FLOW_CONTROL_ERROR),
        first,
        Attack::new(
            "DATA behind the end of a stream",
            &[nobodys(1), data(1, END_STREAM, "abc")],
        )
        .go_away(PROTOCOL_ERROR),
        Attack::new(
            "HEADERS behind the end of a stream",
            &[nobodys(1), nobodys(1)],
        )
        .go_away(PROTOCOL_ERROR),
        Attack::new(
            "a stream number that was passed by",
            &[nobodys(3), nobodys(1)],
        )
        .go_away(PROTOCOL_ERROR),
    ]
}

/// Frames to be ignored.
fn harmless() -> Vec<Attack> {
    let clean = || Clean::get("/open/a");
    vec![
        Attack::new("an unknown frame", &[frame(0xee, 0xff, 0, b"x"), on(1)]).passed(1, clean()),
        Attack::new(
            "an unknown frame on a stream",
            &[frame(0xee, 0xff, 1, b"x"), on(1)],
        )
        .passed(1, clean()),
        Attack::new(
            "an unknown setting",
            &[frame(SETTINGS, 0, 0, &[0xee, 0xee, 0, 0, 0, 1]), on(1)],
        )
        .passed(1, clean()),
        Attack::new(
            "PING before a request",
            &[frame(PING, 0, 0, &[7; 8]), on(1)],
        )
        .passed(1, clean()),
        Attack::new(
            "a head with a priority",
            &[frame(
                HEADERS,
                END_STREAM | END_HEADERS | PRIORITY,
                1,
                &[[0, 0, 0, 0, 9].as_slice(), &block("/open/a")].concat(),
            )],
        )
        .passed(1, clean()),
        Attack::new(
            "two streams at once",
            &[
                get("/open/a", &[]),
                headers(3, END_STREAM, &request("GET", "/open/b", &[])),
            ],
        )
        .passed(1, clean())
        .passed(3, Clean::get("/open/b")),
    ]
}
