//! Which connections are admitted, and which idle ones are evicted for them.

use super::*;

fn admission(max_connections: usize, max_per_address: usize) -> Arc<Admission> {
    Arc::new(Admission {
        limits: ArcSwap::from_pointee(AdmissionLimits {
            max_connections,
            max_per_address,
            trusted: vec!["10.0.0.0/8".parse().unwrap()],
        }),
        state: Mutex::default(),
        server_full: LogThrottle::new(LogThrottle::TEN_SECONDS),
        address_full: LogThrottle::new(LogThrottle::TEN_SECONDS),
    })
}

fn from(admission: &Arc<Admission>, address: &str) -> Result<ConnectionPermit, AdmissionRefusal> {
    let peer = Peer::ip(address.parse().unwrap());
    admission.admit(&peer, &CancellationToken::new())
}

fn refused(admission: &Arc<Admission>, address: &str) -> Option<AdmissionRefusal> {
    from(admission, address).err()
}

#[tokio::test(start_paused = true)]
async fn the_longest_idle_connection_is_evicted_and_a_busy_one_never() {
    let admission = admission(3, 3);
    let busy = from(&admission, "192.0.2.1").unwrap();
    let _request = busy.state.start_request();
    tokio::time::advance(Duration::from_secs(1)).await;
    let older = from(&admission, "192.0.2.2").unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    let newer = from(&admission, "192.0.2.3").unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    // Used again just now: the other one is the longest idle.
    drop(older.state.start_request());
    tokio::time::advance(Duration::from_secs(1)).await;

    let _new = from(&admission, "192.0.2.4").unwrap();

    let stopped = [&busy, &older, &newer].map(|permit| permit.stop.is_cancelled());
    assert_eq!(stopped, [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_refused_until_another_one_is_idle() {
    let admission = admission(1, 9);
    let first = from(&admission, "192.0.2.1").unwrap();
    let request = first.state.start_request();
    assert_eq!(
        refused(&admission, "192.0.2.2"),
        Some(AdmissionRefusal::ServerFull)
    );

    drop(request);
    tokio::time::advance(RESCAN_INTERVAL).await;
    let second = from(&admission, "192.0.2.2").unwrap();
    let _request = second.state.start_request();
    assert!(first.stop.is_cancelled());

    // The evicted connection frees no permit when it closes: the new one has it already.
    drop(first);
    assert_eq!(
        refused(&admission, "192.0.2.3"),
        Some(AdmissionRefusal::ServerFull)
    );
    drop(second);
    assert_eq!(refused(&admission, "192.0.2.3"), None);
}

#[tokio::test(start_paused = true)]
async fn the_address_limit_spares_other_addresses_and_trusted_proxies() {
    let admission = admission(100, 2);
    let both = [1, 2].map(|_| from(&admission, "192.0.2.1").unwrap());
    let _requests = both.each_ref().map(|permit| permit.state.start_request());
    assert_eq!(
        refused(&admission, "192.0.2.1"),
        Some(AdmissionRefusal::AddressFull)
    );

    let _other = from(&admission, "192.0.2.2").unwrap();
    let _proxy: Vec<_> = (0..9)
        .map(|_| from(&admission, "10.0.0.1").unwrap())
        .collect();
    let _socket: Vec<_> = (0..9)
        .map(|_| {
            admission
                .admit(&Peer::unix(), &CancellationToken::new())
                .ok()
        })
        .collect();
    let [one, _two] = both;
    drop(one);
    assert_eq!(refused(&admission, "192.0.2.1"), None);
}

#[tokio::test(start_paused = true)]
async fn at_the_address_limit_only_its_own_idle_connections_are_evicted() {
    let admission = admission(100, 1);
    let other = from(&admission, "192.0.2.2").unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    let own = from(&admission, "192.0.2.1").unwrap();

    let _new = from(&admission, "192.0.2.1").unwrap();

    assert!(own.stop.is_cancelled() && !other.stop.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn addresses_of_one_ipv6_subscriber_count_together() {
    let admission = admission(100, 1);
    let first = from(&admission, "2001:db8:0:1::1").unwrap();
    let _request = first.state.start_request();
    assert_eq!(
        refused(&admission, "2001:db8:0:1:ffff::2"),
        Some(AdmissionRefusal::AddressFull)
    );
    assert_eq!(refused(&admission, "2001:db8:0:2::1"), None);
}

#[tokio::test(start_paused = true)]
async fn evicted_connections_that_stay_are_bounded() {
    let admission = admission(1, usize::MAX);
    let stay: Vec<_> = (0..=MAX_LEAVING)
        .map(|_| from(&admission, "192.0.2.1").unwrap())
        .collect();
    assert_eq!(
        refused(&admission, "192.0.2.1"),
        Some(AdmissionRefusal::ServerFull)
    );

    drop(stay);
    let state = admission.state();
    assert_eq!((state.open, state.leaving), (0, 0));
    assert!(state.addresses.is_empty());
    assert_eq!(state.free.len(), state.slots.len());
}
