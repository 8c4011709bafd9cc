//! Leases in Redis and in memory, by the same rules.

mod steps;

use deadpool_redis::redis::cmd;
use tokio::time::advance;

use super::*;
use crate::testing::{RedisServer, app, eventually};

/// Lease time and result time of a login.
const LEASE_TIMEOUT: Duration = Duration::from_secs(6);
const RESULT_TTL: Duration = Duration::from_secs(10);

fn redis(server: &RedisServer) -> Leases {
    let sealer = Sealer::new(&[], &[app("wx1"), app("wx2")]);
    Leases::redis(server.link(), "gate:", sealer)
}

/// Two handles on one store, as two replicas or two tasks have: in Redis, and in memory.
async fn handles() -> (RedisServer, [[Leases; 2]; 2]) {
    let server = RedisServer::start().await;
    let memory = Leases::memory();
    let pairs = [[redis(&server), redis(&server)], [memory.clone(), memory]];
    (server, pairs)
}

fn work(subject: &str) -> Work {
    Work::about("test", "wx1", &[subject], LEASE_TIMEOUT)
}

async fn state(leases: &Leases, work: &Work) -> LeaseState {
    leases.look(work, Duration::ZERO).await.unwrap().state
}

async fn granted(leases: &Leases, work: &Work) -> HeldLease {
    match state(leases, work).await {
        LeaseState::Granted(lease) => lease,
        other => panic!("the work is {other:?}"),
    }
}

async fn claim(leases: &Leases, work: &Work, deadline: Instant) -> Result<Claim, ClaimError> {
    let mut waited = Duration::ZERO;
    leases.claim(work, deadline, &mut waited).await
}

async fn result(leases: &Leases, work: &Work) -> Option<String> {
    let look = leases.look(work, Duration::ZERO).await.unwrap();
    look.result.map(|bytes| String::from_utf8(bytes).unwrap())
}

fn copy(lease: &HeldLease) -> HeldLease {
    HeldLease {
        work: lease.work.clone(),
        mark: lease.mark,
    }
}

#[test]
fn parts_of_a_subject_are_kept_apart() {
    assert_ne!(hash(&["a", "bc"]), hash(&["ab", "c"]));
    assert_ne!(hash(&["a"]), hash(&["a", ""]));
    assert_eq!(hash(&["wx1", "code"]).len(), 43);
}

#[tokio::test]
async fn of_many_claims_of_one_work_one_wins_and_all_get_its_result() {
    let (_server, stores) = handles().await;
    for handles in stores {
        let claims = (0..50).map(|number| {
            let leases = handles[number % 2].clone();
            tokio::spawn(async move { state(&leases, &work("code")).await })
        });
        let mut held = Vec::new();
        for claim in claims.collect::<Vec<_>>() {
            match claim.await.unwrap() {
                LeaseState::Granted(lease) => held.push(lease),
                LeaseState::Busy => {}
                other => panic!("no holder has finished: {other:?}"),
            }
        }
        assert_eq!(held.len(), 1);
        let [here, there] = handles;
        let lease = held.pop().unwrap();
        here.publish(lease, b"answer", RESULT_TTL).await.unwrap();
        for leases in [&here, &there] {
            assert_eq!(result(leases, &work("code")).await.unwrap(), "answer");
            assert!(matches!(
                state(leases, &work("code")).await,
                LeaseState::Fresh
            ));
        }
        granted(&there, &work("other code")).await;
        let other_kind = Work::about("other", "wx1", &["code"], LEASE_TIMEOUT);
        granted(&there, &other_kind).await;
    }
}

#[tokio::test]
async fn a_waiter_gets_the_result_of_the_other_holder_and_not_after_its_deadline() {
    let (_server, stores) = handles().await;
    for [here, there] in stores {
        let lease = granted(&here, &work("code")).await;
        let mut waited = Duration::ZERO;
        let soon = Instant::now() + Duration::from_millis(120);
        let late = there.claim(&work("code"), soon, &mut waited).await;
        assert!(matches!(late, Err(ClaimError::Late)), "{late:?}");
        assert!(Instant::now() < soon);

        let waiting = tokio::spawn(async move {
            let mut waited = Duration::ZERO;
            let deadline = Instant::now() + Duration::from_secs(10);
            let claim = there.claim(&work("code"), deadline, &mut waited).await;
            (claim, waited)
        });
        sleep(2 * POLL_INTERVAL).await;
        here.publish(lease, b"answer", RESULT_TTL).await.unwrap();
        let (claim, waited) = waiting.await.unwrap();
        assert!(
            matches!(&claim, Ok(Claim::Result(result)) if result == b"answer"),
            "{claim:?}"
        );
        assert!(waited >= POLL_INTERVAL, "{waited:?}");
    }
}

#[tokio::test]
async fn a_failure_is_told_to_the_others_until_its_time_is_over() {
    let (_server, stores) = handles().await;
    for [here, there] in stores {
        let lease = granted(&here, &work("code")).await;
        here.fail(lease, Duration::from_millis(150)).await.unwrap();
        assert!(matches!(
            state(&there, &work("code")).await,
            LeaseState::Failed
        ));
        let deadline = Instant::now() + Duration::from_secs(10);
        let claim = claim(&there, &work("code"), deadline).await;
        assert!(matches!(claim, Ok(Claim::Failed)), "{claim:?}");
        eventually("the work may be done again", async || {
            matches!(state(&there, &work("code")).await, LeaseState::Granted(_))
        })
        .await;
    }
}

#[tokio::test]
async fn released_work_can_be_claimed_again_and_a_late_holder_changes_nothing() {
    let (_server, stores) = handles().await;
    for [here, there] in stores {
        let work = work("code");
        let first = granted(&here, &work).await;
        let (late, too_late, far_too_late) = (copy(&first), copy(&first), copy(&first));
        here.release(first).await.unwrap();
        let second = granted(&there, &work).await;
        here.release(late).await.unwrap();
        here.fail(too_late, RESULT_TTL).await.unwrap();
        let older = copy(&far_too_late);
        here.publish(far_too_late, b"old", RESULT_TTL)
            .await
            .unwrap();
        assert_eq!(result(&here, &work).await, None);
        assert!(matches!(state(&here, &work).await, LeaseState::Busy));
        there.publish(second, b"new", RESULT_TTL).await.unwrap();
        here.publish(older, b"old", RESULT_TTL).await.unwrap();
        assert_eq!(result(&here, &work).await.unwrap(), "new");
    }
}

#[tokio::test]
async fn a_holder_that_was_cancelled_is_followed_by_the_next_after_its_time() {
    let (_server, stores) = handles().await;
    for [here, there] in stores {
        let work = Work::about("test", "", &["code"], Duration::from_millis(200));
        let (took, mut taken) = tokio::sync::mpsc::channel(1);
        let holder = tokio::spawn({
            let work = work.clone();
            async move {
                let lease = granted(&here, &work).await;
                took.send(()).await.unwrap();
                std::future::pending::<()>().await;
                drop(lease);
            }
        });
        taken.recv().await.unwrap();
        holder.abort();
        assert!(holder.await.unwrap_err().is_cancelled());
        let deadline = Instant::now() + Duration::from_secs(10);
        let claim = claim(&there, &work, deadline).await;
        let Ok(Claim::Granted(lease)) = claim else {
            panic!("the next holder: {claim:?}")
        };
        there.publish(lease, b"answer", RESULT_TTL).await.unwrap();
        assert_eq!(result(&there, &work).await.unwrap(), "answer");
    }
}

#[tokio::test]
async fn a_holder_that_is_late_and_was_not_followed_still_tells_its_result() {
    let (_server, stores) = handles().await;
    for [here, there] in stores {
        let work = Work::about("test", "wx1", &["code"], Duration::from_millis(1));
        let lease = granted(&here, &work).await;
        sleep(Duration::from_millis(20)).await;
        here.publish(lease, b"answer", RESULT_TTL).await.unwrap();
        assert_eq!(result(&there, &work).await.unwrap(), "answer");
    }
}

#[tokio::test]
async fn a_result_that_is_due_is_used_on_while_one_holder_renews_it() {
    let (_server, stores) = handles().await;
    for [here, there] in stores {
        let work = Work::named("t:{wx1}".to_owned(), "wx1", LEASE_TIMEOUT);
        let first = granted(&here, &work).await;
        here.publish(first, b"first", RESULT_TTL).await.unwrap();
        let look = async |leases: &Leases, ahead| leases.look(&work, ahead).await.unwrap();
        assert!(matches!(
            look(&there, RESULT_TTL / 2).await.state,
            LeaseState::Fresh
        ));

        let due = look(&there, RESULT_TTL).await;
        assert_eq!(due.result.as_deref(), Some(b"first".as_slice()));
        let LeaseState::Granted(second) = due.state else {
            panic!("it is due")
        };
        let meanwhile = look(&here, Duration::MAX).await;
        assert_eq!(meanwhile.result.as_deref(), Some(b"first".as_slice()));
        assert!(matches!(meanwhile.state, LeaseState::Busy));

        there
            .publish_and_hold(second, b"second", RESULT_TTL, LEASE_TIMEOUT)
            .await
            .unwrap();
        let held = look(&here, Duration::MAX).await;
        assert_eq!(held.result.as_deref(), Some(b"second".as_slice()));
        assert!(matches!(held.state, LeaseState::Busy), "{held:?}");
    }
}

#[tokio::test]
async fn turns_and_results_end_by_themselves_in_redis() {
    let server = RedisServer::start().await;
    let leases = redis(&server);
    let (link, work) = (server.link(), work("code"));
    let left = async |what: &str| -> i64 {
        let name = format!("gate:{}{what}", work.name);
        link.read(cmd("PTTL").arg(name)).await.unwrap()
    };
    let lease = granted(&leases, &work).await;
    assert!((5000..=6000).contains(&left(":turn").await));
    leases.publish(lease, b"answer", RESULT_TTL).await.unwrap();
    assert!((9000..=10_000).contains(&left("").await));
    assert_eq!(left(":turn").await, -2);
}

/// The response to a look may be lost with its connection, and the look repeated.
#[tokio::test]
async fn a_renewal_turn_may_be_claimed_twice_by_its_holder() {
    let server = RedisServer::start().await;
    let link = server.link();
    let look = async |mark: &str| {
        let look = crate::redis::eval_over(redis::LOOK, &["t:{a}", "t:{a}:turn"])
            .arg(0)
            .arg(mark)
            .arg(6000)
            .to_owned();
        link.read::<(Option<String>, u8)>(&look).await.unwrap()
    };
    assert_eq!(look("mine").await, (None, 1));
    assert_eq!(look("mine").await, (None, 1));
    assert_eq!(look("another's").await, (None, 2));
}

#[tokio::test]
async fn a_result_that_does_not_open_is_made_again_only_for_repeatable_work() {
    let server = RedisServer::start().await;
    let leases = redis(&server);
    let lease = granted(&leases, &work("code")).await;
    leases.publish(lease, b"answer", RESULT_TTL).await.unwrap();
    let link = server.link();
    let name = format!("gate:{}", work("code").name);
    let value: Vec<u8> = link.read(&crate::redis::get(&name)).await.unwrap();
    assert!(!value.windows(6).any(|window| window == b"answer"));
    assert!(!name.contains("code"), "{name}");

    let other = Leases::redis(server.link(), "gate:", Sealer::new(&[], &[app("wx3")]));
    let look = other.look(&work("code"), Duration::ZERO).await.unwrap();
    assert_eq!(look.result, None);
    assert!(matches!(look.state, LeaseState::Busy), "{look:?}");
    let repeatable = work("code").repeatable();
    let look = other.look(&repeatable, Duration::ZERO).await.unwrap();
    assert_eq!(look.result, None);
    assert!(matches!(look.state, LeaseState::Granted(_)), "{look:?}");
}

#[tokio::test(start_paused = true)]
async fn in_memory_a_lost_holder_frees_its_work_and_a_result_is_kept_its_time() {
    let leases = Leases::memory();
    let _lost = granted(&leases, &work("code")).await;
    advance(LEASE_TIMEOUT).await;
    let lease = granted(&leases, &work("code")).await;
    leases.publish(lease, b"answer", RESULT_TTL).await.unwrap();
    advance(Duration::from_millis(9900)).await;
    assert!(result(&leases, &work("code")).await.is_some());
    advance(Duration::from_millis(100)).await;
    granted(&leases, &work("code")).await;
}

#[tokio::test(start_paused = true)]
async fn in_memory_no_more_work_is_taken_than_there_is_room_for() {
    let leases = Leases::memory_for(3);
    for subject in ["a", "b", "c"] {
        granted(&leases, &work(subject)).await;
    }
    assert!(matches!(
        state(&leases, &work("d")).await,
        LeaseState::Failed
    ));
    assert!(matches!(state(&leases, &work("a")).await, LeaseState::Busy));
    advance(LEASE_TIMEOUT).await;
    granted(&leases, &work("d")).await;
    assert_eq!(leases.len(), 1);
}
