//! Who may be connected: so many connections in all, so many of one address. Who comes when all places are taken gets the place of the
//! connection that has idled longest, as in nginx; only when none idles is he refused. A connection with a request, half a head or
//! an open tunnel is never ended for a newcomer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection_state::ConnectionState;
use super::seldom::Seldom;
use crate::config::Server;
use crate::http::address::{Peer, subscriber};

/// Connections that were told to end and have not yet. They do not count among the open ones: most are gone before the newcomer
/// has said a word, but a request may have begun at the same moment, and that one is served.
const MOST_LEAVING: usize = 256;
/// How long such a connection may take for a request that it began at that moment; then it is cut.
const LEAVES_WITHIN: Duration = Duration::from_secs(5);
/// Connections ended at once at most, and of those that idle no more than one in eight: looking for them costs a walk over all.
const BATCH: usize = 32;
/// How long a walk that found nobody idle stands for the next.
const NOBODY_IDLE_FOR: Duration = Duration::from_millis(50);

/// The places of one server, over all its listeners.
pub(super) struct Admission {
    most: usize,
    most_of_one_address: usize,
    trusted: Vec<IpNet>,
    state: Mutex<State>,
}

/// A connection's place; dropping it gives it back. A tunnel keeps it when the connection's task has ended.
pub(super) struct ConnectionPermit {
    places: Arc<Admission>,
    slot: usize,
    /// What its connection is doing.
    pub(super) activity: Arc<ConnectionState>,
    /// Cancelled when the connection is to end: its place is needed, or the server stops.
    pub(super) stop: CancellationToken,
    /// Cancelled when the server stops.
    drain: CancellationToken,
}

/// Why there is no place for a newcomer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// `max_connections` are open and none idles.
    Full,
    /// `max_connections_per_address` are open from his address and none of them idles.
    PerAddress,
}

#[derive(Default)]
struct State {
    open: usize,
    leaving: usize,
    slots: Vec<Slot>,
    free: Vec<usize>,
    addresses: HashMap<IpAddr, PerAddress>,
    nobody_idle: Option<Instant>,
    refused: Seldom,
    crowds: Seldom,
    ended: u64,
}

/// The connections of one address.
#[derive(Default)]
struct PerAddress {
    open: usize,
    nobody_idle: Option<Instant>,
}

enum Slot {
    Free,
    Open {
        /// `None` when its address does not count.
        address: Option<IpAddr>,
        activity: Arc<ConnectionState>,
        stop: CancellationToken,
    },
    Leaving,
}

impl Admission {
    pub(super) fn new(server: &Server) -> Arc<Self> {
        Arc::new(Self {
            most: server.max_connections,
            most_of_one_address: server.connections_of_one_address(),
            trusted: server.trusted_proxies.clone(),
            state: Mutex::default(),
        })
    }

    /// A place for a connection from this peer, which ends when `stop` is cancelled.
    ///
    /// # Errors
    /// There is none, and none of those that could be given up idles.
    pub(super) fn take(
        self: &Arc<Self>,
        peer: &Peer,
        stop: &CancellationToken,
    ) -> Result<ConnectionPermit, Refused> {
        let address = self.counted(peer);
        let (place, ended) = {
            let mut state = self.state();
            let mut ended = Vec::new();
            let found = self.find(&mut state, address, &mut ended);
            let place = found.map(|()| self.occupy(&mut state, address, stop));
            if let Err(refused) = place {
                self.tell(&mut state, refused, peer);
            }
            (place, ended)
        };
        // Wakes their tasks, which want the lock.
        ended.iter().for_each(CancellationToken::cancel);
        place
    }

    /// What the address is counted under; `None` for those behind which many callers are known to be.
    pub(super) fn counted(&self, peer: &Peer) -> Option<IpAddr> {
        let address = peer.address()?;
        (!peer.is_trusted(&self.trusted)).then(|| subscriber(address))
    }

    fn find(
        &self,
        state: &mut State,
        address: Option<IpAddr>,
        ended: &mut Vec<CancellationToken>,
    ) -> Result<(), Refused> {
        let crowd = address.and_then(|address| state.addresses.get(&address));
        if crowd.is_some_and(|crowd| crowd.open >= self.most_of_one_address)
            && !state.end_idle(address, ended)
        {
            return Err(Refused::PerAddress);
        }
        if state.open >= self.most && !state.end_idle(None, ended) {
            return Err(Refused::Full);
        }
        Ok(())
    }

    fn occupy(
        self: &Arc<Self>,
        state: &mut State,
        address: Option<IpAddr>,
        stop: &CancellationToken,
    ) -> ConnectionPermit {
        let activity = ConnectionState::new();
        let drain = stop.clone();
        let stop = stop.child_token();
        let taken = Slot::Open {
            address,
            activity: Arc::clone(&activity),
            stop: stop.clone(),
        };
        state.open += 1;
        if let Some(address) = address {
            state.addresses.entry(address).or_default().open += 1;
        }
        let slot = match state.free.pop() {
            Some(slot) => slot,
            None => {
                state.slots.push(Slot::Free);
                state.slots.len() - 1
            }
        };
        if let Some(free) = state.slots.get_mut(slot) {
            *free = taken;
        }
        ConnectionPermit {
            places: Arc::clone(self),
            slot,
            activity,
            stop,
            drain,
        }
    }

    /// Says that connections are refused: a stranger decides how many, so not for each.
    fn tell(&self, state: &mut State, refused: Refused, peer: &Peer) {
        let told = match refused {
            Refused::Full => &mut state.refused,
            Refused::PerAddress => &mut state.crowds,
        };
        let Some(refusals) = told.count() else { return };
        match refused {
            Refused::Full => {
                let ended = std::mem::take(&mut state.ended);
                tracing::warn!(
                    refusals,
                    idle_ended = ended,
                    max_connections = self.most,
                    "connections are refused: server.max_connections are open and none idles"
                );
            }
            Refused::PerAddress => tracing::warn!(
                refusals,
                client.address = peer.text().and_then(|text| text.to_str().ok()),
                max_connections_per_address = self.most_of_one_address,
                "connections are refused: one address has server.max_connections_per_address; if it is your own proxy, add \
                 it to server.trusted_proxies"
            ),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionPermit {
    /// How long the connection may take once `stop` is cancelled: as the drain takes, or little where its place is needed.
    pub(super) async fn leaves(&self) {
        if self.drain.is_cancelled() {
            std::future::pending::<()>().await;
        } else {
            tokio::time::sleep(LEAVES_WITHIN).await;
        }
    }
}

impl State {
    /// Marks those that have idled longest, of one address or of all, as leaving; whether there was one.
    fn end_idle(&mut self, of: Option<IpAddr>, ended: &mut Vec<CancellationToken>) -> bool {
        let room = MOST_LEAVING.saturating_sub(self.leaving);
        if room == 0 || self.nobody_was_idle(of) {
            return false;
        }
        let mut idle = self.idle(of);
        let count = (idle.len() / 8).clamp(1, BATCH).min(room);
        if idle.len() > count {
            idle.select_nth_unstable(count);
        }
        for &(_, slot) in idle.iter().take(count) {
            let Some(slot) = self.slots.get_mut(slot) else {
                continue;
            };
            if let Slot::Open { address, stop, .. } = std::mem::replace(slot, Slot::Leaving) {
                self.open = self.open.saturating_sub(1);
                self.leaving += 1;
                self.ended = self.ended.saturating_add(1);
                self.leave_crowd(address);
                ended.push(stop);
            }
        }
        if idle.is_empty() {
            self.remember_nobody_idle(of);
        }
        !idle.is_empty()
    }

    /// Since when who idles.
    fn idle(&self, of: Option<IpAddr>) -> Vec<(Instant, usize)> {
        let slots = self.slots.iter().enumerate();
        let idle = slots.filter_map(|(index, slot)| match slot {
            Slot::Open {
                address, activity, ..
            } if of.is_none() || *address == of => Some((activity.idles_since()?, index)),
            Slot::Open { .. } | Slot::Free | Slot::Leaving => None,
        });
        idle.collect()
    }

    fn nobody_was_idle(&self, of: Option<IpAddr>) -> bool {
        let known = match of {
            None => self.nobody_idle,
            Some(address) => self.addresses.get(&address).and_then(|it| it.nobody_idle),
        };
        known.is_some_and(|known| known.elapsed() < NOBODY_IDLE_FOR)
    }

    fn remember_nobody_idle(&mut self, of: Option<IpAddr>) {
        let now = Some(Instant::now());
        match of {
            None => self.nobody_idle = now,
            Some(address) => {
                if let Some(crowd) = self.addresses.get_mut(&address) {
                    crowd.nobody_idle = now;
                }
            }
        }
    }

    fn leave_crowd(&mut self, address: Option<IpAddr>) {
        let Some(address) = address else { return };
        if let Some(crowd) = self.addresses.get_mut(&address) {
            crowd.open = crowd.open.saturating_sub(1);
            if crowd.open == 0 {
                self.addresses.remove(&address);
            }
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut state = self.places.state();
        let Some(slot) = state.slots.get_mut(self.slot) else {
            return;
        };
        match std::mem::replace(slot, Slot::Free) {
            Slot::Open { address, .. } => {
                state.open = state.open.saturating_sub(1);
                state.leave_crowd(address);
            }
            Slot::Leaving => state.leaving = state.leaving.saturating_sub(1),
            Slot::Free => return,
        }
        state.free.push(self.slot);
    }
}

#[cfg(test)]
mod tests;
