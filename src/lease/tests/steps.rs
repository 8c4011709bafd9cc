//! Random orders of operations on leases, against a model of the rules.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tokio::time::{Instant, advance};

use super::{LEASE_TIMEOUT, RESULT_TTL, copy, work};
use crate::lease::{HeldLease, LeaseState, Leases};

/// An operation of one of two holders, or the passing of time.
#[derive(Debug, Clone)]
enum Step {
    Look,
    Publish(usize),
    Fail(usize),
    Release(usize),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Look),
        2 => (0_usize..4).prop_map(Step::Publish),
        1 => (0_usize..4).prop_map(Step::Fail),
        1 => (0_usize..4).prop_map(Step::Release),
        2 => (1_u64..9).prop_map(Step::Advance),
    ]
}

/// Runs the steps. Every granted lease is kept and may be used repeatedly, at any time.
async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let leases = Leases::memory();
    let work = work("code");
    let mut held: Vec<HeldLease> = Vec::new();
    // The number of the granted lease, and the time until which no other is granted.
    let mut turn: Option<(Option<usize>, Instant)> = None;
    let mut last: Option<(usize, Instant)> = None;
    for step in steps {
        let now = Instant::now();
        turn.take_if(|(_, ends)| *ends <= now);
        last.take_if(|(_, ends)| *ends <= now);
        let is_held = |number: usize| turn.is_some_and(|(holder, _)| holder == Some(number));
        match step {
            Step::Advance(seconds) => advance(Duration::from_secs(seconds)).await,
            Step::Look => match leases.look(&work, Duration::ZERO).await {
                Ok(look) => {
                    let result = look
                        .result
                        .as_deref()
                        .and_then(|bytes| bytes.first().copied());
                    prop_assert_eq!(result.map(usize::from), last.map(|(number, _)| number));
                    match look.state {
                        LeaseState::Fresh => prop_assert!(last.is_some()),
                        LeaseState::Granted(lease) => {
                            prop_assert!(last.is_none() && turn.is_none());
                            turn = Some((Some(held.len()), now + LEASE_TIMEOUT));
                            held.push(lease);
                        }
                        LeaseState::Busy => {
                            prop_assert!(turn.is_some_and(|(holder, _)| holder.is_some()));
                        }
                        LeaseState::Failed => prop_assert_eq!(turn.map(|turn| turn.0), Some(None)),
                    }
                }
                Err(error) => prop_assert!(false, "{error}"),
            },
            Step::Publish(number) => {
                let Some(lease) = held.get(number).map(copy) else {
                    continue;
                };
                let value = [u8::try_from(number).unwrap_or(u8::MAX)];
                leases.publish(lease, &value, RESULT_TTL).await.unwrap();
                if is_held(number) || turn.is_none() && last.is_none() {
                    turn = None;
                    last = Some((number, now + RESULT_TTL));
                }
            }
            Step::Fail(number) => {
                let Some(lease) = held.get(number).map(copy) else {
                    continue;
                };
                leases.fail(lease, LEASE_TIMEOUT / 2).await.unwrap();
                if is_held(number) {
                    turn = Some((None, now + LEASE_TIMEOUT / 2));
                }
            }
            Step::Release(number) => {
                let Some(lease) = held.get(number).map(copy) else {
                    continue;
                };
                leases.release(lease).await.unwrap();
                if is_held(number) {
                    turn = None;
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn in_any_order_of_steps_one_holder_works_and_no_late_one_is_heard(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(steps))?;
    }
}
