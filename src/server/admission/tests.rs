//! Who gets a place, and who has to give his up.

use super::*;

fn places(most: usize, most_of_one_address: usize) -> Arc<Admission> {
    Arc::new(Admission {
        most,
        most_of_one_address,
        trusted: vec!["10.0.0.0/8".parse().unwrap()],
        state: Mutex::default(),
    })
}

fn from(places: &Arc<Admission>, address: &str) -> Result<ConnectionPermit, Refused> {
    let peer = Peer::ip(address.parse().unwrap());
    places.take(&peer, &CancellationToken::new())
}

fn refused(places: &Arc<Admission>, address: &str) -> Option<Refused> {
    from(places, address).err()
}

#[tokio::test(start_paused = true)]
async fn the_one_that_has_idled_longest_goes_first_and_a_busy_one_never() {
    let places = places(3, 3);
    let busy = from(&places, "192.0.2.1").unwrap();
    let _request = busy.activity.begin();
    tokio::time::advance(Duration::from_secs(1)).await;
    let older = from(&places, "192.0.2.2").unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    let newer = from(&places, "192.0.2.3").unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    // Used again just now: it is the other that idles longest.
    drop(older.activity.begin());
    tokio::time::advance(Duration::from_secs(1)).await;

    let _newcomer = from(&places, "192.0.2.4").unwrap();

    let stopped = [&busy, &older, &newer].map(|place| place.stop.is_cancelled());
    assert_eq!(stopped, [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn when_nobody_idles_the_newcomer_is_refused_until_somebody_does() {
    let places = places(1, 9);
    let first = from(&places, "192.0.2.1").unwrap();
    let request = first.activity.begin();
    assert_eq!(refused(&places, "192.0.2.2"), Some(Refused::Full));

    drop(request);
    tokio::time::advance(NOBODY_IDLE_FOR).await;
    let second = from(&places, "192.0.2.2").unwrap();
    let _request = second.activity.begin();
    assert!(first.stop.is_cancelled());

    // What it leaves is nobody's place: somebody has it already.
    drop(first);
    assert_eq!(refused(&places, "192.0.2.3"), Some(Refused::Full));
    drop(second);
    assert_eq!(refused(&places, "192.0.2.3"), None);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_is_held_back_and_others_and_trusted_proxies_are_not() {
    let places = places(100, 2);
    let crowd = [1, 2].map(|_| from(&places, "192.0.2.1").unwrap());
    let _requests = crowd.each_ref().map(|place| place.activity.begin());
    assert_eq!(refused(&places, "192.0.2.1"), Some(Refused::PerAddress));

    let _other = from(&places, "192.0.2.2").unwrap();
    let _proxy: Vec<_> = (0..9).map(|_| from(&places, "10.0.0.1").unwrap()).collect();
    let _socket: Vec<_> = (0..9)
        .map(|_| places.take(&Peer::unix(), &CancellationToken::new()).ok())
        .collect();
    let [one, _two] = crowd;
    drop(one);
    assert_eq!(refused(&places, "192.0.2.1"), None);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_gives_up_its_own_idle_connections_and_nobody_elses() {
    let places = places(100, 1);
    let other = from(&places, "192.0.2.2").unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    let own = from(&places, "192.0.2.1").unwrap();

    let _newcomer = from(&places, "192.0.2.1").unwrap();

    assert!(own.stop.is_cancelled() && !other.stop.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn addresses_of_one_ipv6_subscriber_count_together() {
    let places = places(100, 1);
    let first = from(&places, "2001:db8:0:1::1").unwrap();
    let _request = first.activity.begin();
    assert_eq!(
        refused(&places, "2001:db8:0:1:ffff::2"),
        Some(Refused::PerAddress)
    );
    assert_eq!(refused(&places, "2001:db8:0:2::1"), None);
}

#[tokio::test(start_paused = true)]
async fn those_that_were_told_to_end_and_stay_are_bounded() {
    let places = places(1, usize::MAX);
    let stay: Vec<_> = (0..=MOST_LEAVING)
        .map(|_| from(&places, "192.0.2.1").unwrap())
        .collect();
    assert_eq!(refused(&places, "192.0.2.1"), Some(Refused::Full));

    drop(stay);
    let state = places.state();
    assert_eq!((state.open, state.leaving), (0, 0));
    assert!(state.addresses.is_empty());
    assert_eq!(state.free.len(), state.slots.len());
}
