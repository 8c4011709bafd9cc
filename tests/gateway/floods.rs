//! HTTP/2 floods: each such connection is closed, and others are served meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::client::Request;
use crate::support::h2_frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS,
    INITIAL_WINDOW_SIZE, PING, PRIORITY, PROTOCOL_ERROR, REFUSED_STREAM, RST_STREAM, RawH2,
    SETTINGS, block, cancel, frame, get, integer, post, request_block, settings, streams,
    window_update,
};
use crate::support::process::GatewayProcess;
use crate::support::setup::Setup;
use crate::support::stack::Stack;
use crate::support::steps::{Answer, Step};

const OPEN: &str = "[[routes]]\npath = \"/*\"\nupstream = \"api\"\nauth = \"off\"\n";

/// A gateway whose upstream never answers `/hang`.
async fn stack() -> Stack {
    let stack = Stack::start(Setup::new().memory().routes(OPEN)).await;
    stack.upstream.always(|head| match head.target() {
        "/hang" => Answer(vec![Step::ReadBody, Step::Hang]),
        _ => Answer::ok(),
    });
    stack
}

/// A flood is cut for its frames: connections of both protocols are served meanwhile.
async fn assert_others_are_served(stack: &Stack) {
    assert_eq!(stack.send(Request::get("/a")).await.status, 200);
    let mut other = RawH2::connect(stack.address()).await;
    assert!(other.write(get(1, "/a")).await);
    assert_eq!(other.next_of(HEADERS).await.status(), Some(200));
}

#[tokio::test]
async fn frames_that_carry_nothing_end_the_connection() {
    let stack = stack().await;
    let own_setting = [0, 4, 0, 1, 0, 0];
    for (what, nothing) in [
        ("PING", frame(PING, 0, 0, [0; 8])),
        ("PING, answered", frame(PING, ACK, 0, [0; 8])),
        ("SETTINGS", settings(&[(INITIAL_WINDOW_SIZE, 65_535)])),
        ("SETTINGS without any", frame(SETTINGS, 0, 0, [])),
        ("PRIORITY", frame(PRIORITY, 0, 1, [0, 0, 0, 0, 1])),
        ("WINDOW_UPDATE", window_update(0, 1)),
        ("an unknown kind", frame(0xbe, 0, 0, own_setting)),
        ("END_STREAM again", frame(RST_STREAM, 0, 1, [0, 0, 0, 8])),
    ] {
        let mut flood = RawH2::connect(stack.address()).await;
        // One stream is open and has a request, as a client's would.
        assert!(flood.write(get(1, "/hang")).await, "{what}");

        let taken = flood.flood(1000, nothing.repeat(100)).await;

        assert_others_are_served(&stack).await;
        flood.end().await;
        assert!(taken < 900, "{what}: {taken}");
    }
}

#[tokio::test]
async fn empty_data_ends_the_connection() {
    let stack = stack().await;
    let mut flood = RawH2::connect(stack.address()).await;
    assert!(flood.write(post(1, "/a")).await);

    flood.flood(1000, frame(DATA, 0, 1, []).repeat(100)).await;

    assert_others_are_served(&stack).await;
    flood.end().await;
}

#[tokio::test]
async fn data_of_a_byte_a_frame_costs_a_request_and_nothing_more() {
    let setup = Setup::new().memory().routes(OPEN);
    let stack = Stack::start(setup.table("server", "max_body = \"32KiB\"")).await;
    let mut flood = RawH2::connect(stack.address()).await;
    assert!(flood.write(post(1, "/a")).await);

    let bytes = frame(DATA, 0, 1, b"x").repeat(1024);
    for _ in 0..60 {
        if !flood.write(&bytes).await {
            break;
        }
    }

    // Refused for its size, or cut for its frames.
    let mut status = None;
    while status.is_none() {
        let Some(frame) = flood.next().await else {
            break;
        };
        status = frame.status();
    }
    assert!(matches!(status, None | Some(413)), "{status:?}");
    assert_others_are_served(&stack).await;
}

#[tokio::test]
async fn requests_taken_back_at_once_end_the_connection() {
    // CVE-2023-44487, rapid reset.
    let stack = stack().await;
    let mut flood = RawH2::connect(stack.address()).await;
    let attack: Vec<u8> = streams()
        .take(2000)
        .flat_map(|stream| [get(stream, "/hang"), cancel(stream)].concat())
        .collect();

    flood.write(attack).await;

    assert_eq!(flood.end().await, Some(ENHANCE_YOUR_CALM));
    assert_others_are_served(&stack).await;
    let forwarded = stack.upstream.requests();
    assert!(forwarded < 300, "{forwarded}");
}

#[tokio::test]
async fn requests_taken_back_once_the_upstream_has_them_end_the_connection() {
    // Each is in flight when it is reset: the library limits only streams that were not accepted
    // yet.
    let mut stack = stack().await;
    let mut flood = RawH2::connect(stack.address()).await;
    let mut taken_back = 0;
    for stream in streams().take(2000) {
        if !flood.write(get(stream, "/hang")).await {
            break;
        }
        tokio::select! {
            _ = stack.upstream.head() => {}
            () = ended(&mut flood) => break,
        }
        taken_back += 1;
        flood.write(cancel(stream)).await;
    }

    assert!((150..400).contains(&taken_back), "{taken_back}");
    assert_others_are_served(&stack).await;
}

async fn ended(connection: &mut RawH2) {
    while connection.next().await.is_some() {}
}

#[tokio::test]
async fn a_client_that_cancels_some_requests_continues() {
    let mut stack = stack().await;
    let mut client = RawH2::connect(stack.address()).await;
    let mut numbers = streams();
    for _ in 0..300 {
        let (hangs, answered) = (numbers.next().unwrap(), numbers.next().unwrap());
        assert!(client.write(get(hangs, "/hang")).await);
        while stack.upstream.head().await.target() != "/hang" {}
        assert!(
            client
                .write([cancel(hangs), get(answered, "/a")].concat())
                .await
        );
        while client.next_of(HEADERS).await.stream != answered {}
    }
}

#[tokio::test]
async fn a_trusted_proxy_may_cancel_requests_of_its_many_users() {
    let setup = Setup::new().memory().routes(OPEN);
    let trusted = "trusted_proxies = [\"127.0.0.1/32\"]";
    let mut stack = Stack::start(setup.table("server", trusted)).await;
    stack
        .upstream
        .always(|_| Answer(vec![Step::ReadBody, Step::Hang]));
    let mut proxy = RawH2::connect(stack.address()).await;
    for stream in streams().take(300) {
        assert!(proxy.write(get(stream, "/hang")).await);
        stack.upstream.head().await;
        assert!(proxy.write(cancel(stream)).await);
    }

    stack.upstream.always(|_| Answer::ok());
    proxy.write(get(1001, "/a")).await;
    assert_eq!(proxy.next_of(HEADERS).await.status(), Some(200));
}

#[tokio::test]
async fn streams_that_we_are_made_to_reset_end_the_connection() {
    // CVE-2025-8671, MadeYouReset: a window opened by nothing is the stream's error.
    let stack = stack().await;
    let mut flood = RawH2::connect(stack.address()).await;
    let attack: Vec<u8> = streams()
        .take(2000)
        .flat_map(|stream| [get(stream, "/hang"), window_update(stream, 0)].concat())
        .collect();

    flood.write(attack).await;

    flood.end().await;
    assert_others_are_served(&stack).await;
    let forwarded = stack.upstream.requests();
    assert!(forwarded < 600, "{forwarded}");
}

#[tokio::test]
async fn a_header_block_that_never_ends_ends_the_connection() {
    // CVE-2024-27316 and others: CONTINUATION flood.
    let stack = stack().await;
    let mut flood = RawH2::connect(stack.address()).await;
    flood
        .write(frame(HEADERS, END_STREAM, 1, request_block("GET", "/a")))
        .await;

    let more = block(&[("a", "b")]);
    let taken = flood
        .flood(1000, frame(CONTINUATION, 0, 1, more).repeat(100))
        .await;

    assert!(taken < 900, "{taken}");
    assert_eq!(flood.end().await, Some(ENHANCE_YOUR_CALM));
    assert_others_are_served(&stack).await;
    // Those of the others.
    assert_eq!(stack.upstream.requests(), 2);
}

#[tokio::test]
async fn a_header_list_over_the_limit_is_431_and_the_connection_goes_on() {
    let stack = stack().await;
    let mut client = RawH2::connect(stack.address()).await;
    let long = "x".repeat(8000);
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/a"),
        (":authority", "g"),
    ];
    let mut fields = fields.to_vec();
    fields.extend([("long", long.as_str()); 6]);
    let list = block(&fields);
    let (first, rest) = list.split_at(16_000);
    let mut attack = frame(HEADERS, END_STREAM, 1, first);
    for (number, piece) in rest.chunks(16_000).enumerate() {
        let last = (number + 1) * 16_000 >= rest.len();
        let flags = if last { END_HEADERS } else { 0 };
        attack.extend(frame(CONTINUATION, flags, 1, piece));
    }

    client.write(attack).await;

    assert_eq!(client.next_of(HEADERS).await.status(), Some(431));
    client.write(get(3, "/a")).await;
    assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
    assert_eq!(stack.upstream.requests(), 1);
}

#[tokio::test]
async fn an_hpack_bomb_ends_the_connection() {
    let parts = Setup::new().memory().routes(OPEN).start().await;
    let gateway = GatewayProcess::start(&parts.toml).await;
    let mut client = RawH2::connect(gateway.address).await;
    assert_eq!(Request::get("/a").send(gateway.address).await.status, 200);
    let before = gateway.program.rss_kib();
    let value = "x".repeat(4000);
    // Into the table once (6.2.1), and then named again by one byte each (6.1): 60 MiB in 16 KiB.
    let mut list = request_block("GET", "/a");
    list.push(0x40);
    for text in ["bomb", &value] {
        list.extend(integer(text.len(), 7, 0));
        list.extend(text.as_bytes());
    }
    list.extend([0x80 | 62].repeat(16_000 - list.len()));

    let bomb = frame(HEADERS, END_STREAM | END_HEADERS, 1, &list);
    client.write(bomb).await;

    assert_eq!(client.end().await, Some(ENHANCE_YOUR_CALM));
    assert_eq!(Request::get("/a").send(gateway.address).await.status, 200);
    let grown = gateway.program.rss_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB");
}

#[tokio::test]
async fn streams_over_the_limit_are_refused_one_by_one() {
    let mut stack = stack().await;
    let mut client = RawH2::connect(stack.address()).await;
    // The SETTINGS are acknowledged first: before that a client may open more streams.
    client.write(frame(SETTINGS, ACK, 0, [])).await;
    client.write(get(1, "/a")).await;
    client.next_of(HEADERS).await;
    let attack: Vec<u8> = streams()
        .skip(1)
        .take(200)
        .flat_map(|stream| get(stream, "/hang"))
        .collect();

    client.write(attack).await;

    for _ in 0..72 {
        assert_eq!(
            client.next_of(RST_STREAM).await.code(),
            Some(REFUSED_STREAM)
        );
    }
    for _ in 0..128 {
        while stack.upstream.head().await.target() != "/hang" {}
    }
    assert_others_are_served(&stack).await;
}

#[tokio::test]
async fn a_body_of_another_length_than_was_said_is_broken_off() {
    let mut stack = stack().await;
    for (body, flags) in [("123456", END_STREAM), ("12", END_STREAM), ("123456", 0)] {
        let mut client = RawH2::connect(stack.address()).await;
        let mut fields = request_block("POST", "/a");
        fields.extend(block(&[("content-length", "4")]));
        let head = frame(HEADERS, END_HEADERS, 1, fields);

        client
            .write([head, frame(DATA, flags, 1, body)].concat())
            .await;

        assert_eq!(
            client.next_of(RST_STREAM).await.code(),
            Some(PROTOCOL_ERROR)
        );
    }
    assert_others_are_served(&stack).await;
    // Nothing was taken for a whole request but the last one.
    assert_eq!(stack.upstream.request().await.head.target(), "/a");
}

#[tokio::test]
async fn unread_responses_take_little_memory() {
    let setup = Setup::new().memory().routes(OPEN);
    // An upstream takes a while to write all this; how long does not matter here.
    let setup = setup.table("upstreams.api", "response_timeout = \"5m\"");
    let parts = setup.start().await;
    let asked_for = Arc::new(AtomicUsize::new(0));
    let large = Arc::clone(&asked_for);
    parts.upstream.always(move |head| match head.target() {
        "/large" => {
            large.fetch_add(1, Ordering::Relaxed);
            Answer::text(200, &"x".repeat(1 << 20))
        }
        _ => Answer::ok(),
    });
    let gateway = GatewayProcess::start(&parts.toml).await;
    assert_eq!(Request::get("/a").send(gateway.address).await.status, 200);
    let before = gateway.program.rss_kib();

    // The widest windows, and the socket is not read.
    let mut unread = Vec::new();
    for _ in 0..2 {
        let stream = tokio::net::TcpStream::connect(gateway.address)
            .await
            .unwrap();
        let asked: Vec<u8> = streams()
            .take(100)
            .flat_map(|stream| get(stream, "/large"))
            .collect();
        let most = (1 << 31) - 1;
        let hello = [
            crate::support::h2_frames::PREFACE,
            &settings(&[(INITIAL_WINDOW_SIZE, most)]),
            &window_update(0, most - 65_535),
            &asked,
        ]
        .concat();
        let mut stream = stream;
        tokio::io::AsyncWriteExt::write_all(&mut stream, &hello)
            .await
            .unwrap();
        unread.push(stream);
    }
    let all_asked = async {
        while asked_for.load(Ordering::Relaxed) < 200 {
            assert_eq!(Request::get("/b").send(gateway.address).await.status, 200);
        }
    };
    crate::support::within("all to be asked for", all_asked).await;
    for _ in 0..50 {
        assert_eq!(Request::get("/a").send(gateway.address).await.status, 200);
    }

    // With the send buffers that are the default of the library: over 150 MiB.
    let grown = gateway.program.rss_kib().saturating_sub(before);
    assert!(grown < 50 * 1024, "{grown} KiB");
    drop(unread);
}
