//! Tokens of one process, with the rules of those in Redis.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::store::{Due, Lease, Look, Turn};
use super::{DAY, FORCE_PAUSE, MOST_FORCED, PAUSE, PAUSE_AFTER_FAILURE, RENEW_BEFORE, TURN};
use crate::secret::Secret;
use crate::store_error::StoreError;

#[derive(Default)]
pub(super) struct MemoryTokens {
    apps: Mutex<HashMap<String, Held>>,
}

#[derive(Default)]
struct Held {
    token: Option<(Secret, Instant)>,
    /// Whose turn it is until when; without a mark after a failure.
    turn: Option<(Option<[u8; 16]>, Instant)>,
    paused: Option<Instant>,
    /// How often, and until when that counts.
    forced: Option<(u32, Instant)>,
}

impl MemoryTokens {
    pub(super) fn look(&self, appid: &str, due: Due) -> Result<Look, StoreError> {
        let lease = Lease::new(appid)?;
        let now = Instant::now();
        let mut apps = self.apps();
        let held = apps.entry(appid.to_owned()).or_default();
        held.token.take_if(|(_, ends)| *ends <= now);
        held.turn.take_if(|(_, ends)| *ends <= now);
        let fresh = |(_, ends): &(Secret, Instant)| *ends - now > RENEW_BEFORE;
        let turn = match &held.turn {
            _ if due == Due::Soon && held.token.as_ref().is_some_and(fresh) => Turn::Nobodys,
            Some((Some(_), _)) => Turn::Others,
            Some((None, _)) => Turn::Failed,
            None => {
                held.turn = Some((Some(lease.mark), now + TURN));
                Turn::Ours(lease)
            }
        };
        let token = held.token.as_ref().map(|(token, _)| token.clone());
        Ok(Look { token, turn })
    }

    pub(super) fn keep(&self, lease: &Lease, token: &Secret, lasts: Duration) {
        let now = Instant::now();
        self.end_turn(lease, |held| {
            held.token = Some((token.clone(), now + lasts));
            held.turn = (lasts <= RENEW_BEFORE).then_some((Some(lease.mark), now + PAUSE));
        });
    }

    pub(super) fn fail(&self, lease: &Lease) {
        let until = Instant::now() + PAUSE_AFTER_FAILURE;
        self.end_turn(lease, |held| held.turn = Some((None, until)));
    }

    pub(super) fn release(&self, lease: &Lease) {
        self.end_turn(lease, |held| held.turn = None);
    }

    pub(super) fn may_force(&self, appid: &str) -> bool {
        let now = Instant::now();
        let mut apps = self.apps();
        let held = apps.entry(appid.to_owned()).or_default();
        held.paused.take_if(|until| *until <= now);
        held.forced.take_if(|(_, until)| *until <= now);
        let (times, until) = held.forced.unwrap_or((0, now + DAY));
        if held.paused.is_some() || times >= MOST_FORCED {
            return false;
        }
        held.paused = Some(now + FORCE_PAUSE);
        held.forced = Some((times + 1, until));
        true
    }

    /// Does nothing when the turn is not the lease's any more.
    fn end_turn(&self, lease: &Lease, end: impl FnOnce(&mut Held)) {
        let mut apps = self.apps();
        if let Some(held) = apps.get_mut(&lease.appid)
            && held
                .turn
                .is_some_and(|(mark, ends)| mark == Some(lease.mark) && ends > Instant::now())
        {
            end(held);
        }
    }

    fn apps(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        // Each change is complete before the next statement that could panic.
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
