//! The parts around the gateway: real Redis, real backends, the fake WeChat, an upstream that
//! records every byte, a client that sends any byte, a slow network. Everything listens on
//! 127.0.0.1, gets its port by itself and stops with its value. Nothing here sleeps to "let things
//! settle": each part reports readiness and events.

pub(crate) mod backend;
pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod database;
pub(crate) mod fault;
pub(crate) mod fields;
pub(crate) mod h2;
pub(crate) mod h2_frames;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod redis;
pub(crate) mod service;
pub(crate) mod setup;
pub(crate) mod sites;
pub(crate) mod stack;
pub(crate) mod steps;
pub(crate) mod traffic;
pub(crate) mod upstream;
pub(crate) mod wire;

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Time limit for an event that is going to happen, on a busy machine.
pub(crate) const EVENT_TIMEOUT: Duration = Duration::from_secs(20);

/// Waits for `future`, at most `EVENT_TIMEOUT`; `what` names it in the failure.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    within_limit(EVENT_TIMEOUT, what, future).await
}

/// As `within`, for events that would come in the end without the tested cause, too: `limit` is
/// below the deadline that applies by default.
pub(crate) async fn within_limit<F: Future>(limit: Duration, what: &str, future: F) -> F::Output {
    let Ok(output) = tokio::time::timeout(limit, future).await else {
        panic!("waited {limit:?} in vain for {what}");
    };
    output
}

/// A loopback port without a listener that the kernel hands to no outgoing connection.
///
/// Below the ephemeral range, so a port stays free while its owner is down and about to return to
/// it.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        let offset = TAKEN.fetch_add(1, Ordering::Relaxed);
        // Test binaries may run side by side: each starts elsewhere.
        let port = FIRST + (std::process::id().wrapping_mul(131) + offset) % COUNT;
        let port = u16::try_from(port).expect("a port below 32000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}
