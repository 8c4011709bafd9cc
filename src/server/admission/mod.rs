//! Connection limits, in total and per client address. At a limit the longest-idle connections are
//! closed to make room, as nginx does; a new connection is refused only when none is idle. A
//! connection with a request in flight, a partial head or an open tunnel is never closed for this.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection_state::ConnectionState;
use crate::config::Server;
use crate::http::address::{Peer, subscriber};
use crate::log_throttle::LogThrottle;

/// Evicted connections that have not closed yet, at most. They do not count as open: most close
/// before the new connection has sent a byte, but a request may have started at the same moment,
/// and that one is served.
const MAX_LEAVING: usize = 256;
/// How long an evicted connection may take for such a request; then it is cut.
const EVICTION_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections evicted at once, at most, and of the idle ones no more than one in eight: finding
/// them costs a walk over all connections.
const MAX_EVICTION_BATCH: usize = 32;
/// How long the result of a walk that found no idle connection is reused.
const RESCAN_INTERVAL: Duration = Duration::from_millis(50);

/// Connection limits of one configuration.
struct AdmissionLimits {
    max_connections: usize,
    max_per_address: usize,
    trusted: Vec<IpNet>,
}

impl AdmissionLimits {
    fn new(server: &Server) -> Self {
        Self {
            max_connections: server.max_connections,
            max_per_address: server.connections_of_one_address(),
            trusted: server.trusted_proxies.clone(),
        }
    }
}

/// The connection limits of one server, over all its listeners.
pub(super) struct Admission {
    limits: ArcSwap<AdmissionLimits>,
    state: Mutex<State>,
    server_full: LogThrottle,
    address_full: LogThrottle,
}

/// The permit of an open connection; dropping it releases it. A tunnel keeps its permit when the
/// connection's task has ended.
pub(super) struct ConnectionPermit {
    admission: Arc<Admission>,
    slot: usize,
    pub(super) state: Arc<ConnectionState>,
    /// Cancelled when the connection has to close: it is evicted, or its listener stops.
    pub(super) stop: CancellationToken,
    /// Cancelled when its listener stops.
    drain: CancellationToken,
}

/// Why a new connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AdmissionRefusal {
    /// `max_connections` are open and none is idle.
    ServerFull,
    /// `max_connections_per_address` are open from its address and none of them is idle.
    AddressFull,
}

#[derive(Default)]
struct State {
    open: usize,
    leaving: usize,
    slots: Vec<Slot>,
    free: Vec<usize>,
    addresses: HashMap<IpAddr, AddressConnections>,
    /// When a walk found no idle connection.
    none_idle_at: Option<Instant>,
    /// Connections evicted since the last warning.
    evicted: u64,
}

/// The connections of one address.
#[derive(Default)]
struct AddressConnections {
    open: usize,
    none_idle_at: Option<Instant>,
}

enum Slot {
    Free,
    Open {
        /// `None` when the address is not counted.
        address: Option<IpAddr>,
        state: Arc<ConnectionState>,
        stop: CancellationToken,
    },
    Leaving,
}

impl Admission {
    pub(super) fn new(server: &Server) -> Arc<Self> {
        Arc::new(Self {
            limits: ArcSwap::from_pointee(AdmissionLimits::new(server)),
            state: Mutex::default(),
            server_full: LogThrottle::new(LogThrottle::TEN_SECONDS),
            address_full: LogThrottle::new(LogThrottle::TEN_SECONDS),
        })
    }

    /// Follows other limits. Open connections stay, also above a lower limit.
    pub(super) fn reconfigure(&self, server: &Server) {
        self.limits.store(Arc::new(AdmissionLimits::new(server)));
    }

    /// Admits a connection from this peer, which closes when `stop` is cancelled.
    ///
    /// # Errors
    /// A limit is reached and no connection under it is idle.
    pub(super) fn admit(
        self: &Arc<Self>,
        peer: &Peer,
        stop: &CancellationToken,
    ) -> Result<ConnectionPermit, AdmissionRefusal> {
        let address = self.counted_address(peer);
        let (permit, evicted) = {
            let mut state = self.state();
            let mut evicted = Vec::new();
            let room = self.make_room(&mut state, address, &mut evicted);
            let permit = room.map(|()| self.occupy(&mut state, address, stop));
            if let Err(refusal) = permit {
                self.warn(&mut state, refusal, peer);
            }
            (permit, evicted)
        };
        // Outside of the lock: it wakes their tasks, which take it.
        evicted.iter().for_each(CancellationToken::cancel);
        permit
    }

    /// The address that a connection is counted under; `None` for trusted proxies and Unix sockets,
    /// which many clients share.
    pub(super) fn counted_address(&self, peer: &Peer) -> Option<IpAddr> {
        let address = peer.address()?;
        (!peer.is_trusted(&self.limits.load().trusted)).then(|| subscriber(address))
    }

    fn make_room(
        &self,
        state: &mut State,
        address: Option<IpAddr>,
        evicted: &mut Vec<CancellationToken>,
    ) -> Result<(), AdmissionRefusal> {
        let connections = address.and_then(|address| state.addresses.get(&address));
        if connections.is_some_and(|it| it.open >= self.limits.load().max_per_address)
            && !state.evict_idle(address, evicted)
        {
            return Err(AdmissionRefusal::AddressFull);
        }
        if state.open >= self.limits.load().max_connections && !state.evict_idle(None, evicted) {
            return Err(AdmissionRefusal::ServerFull);
        }
        Ok(())
    }

    fn occupy(
        self: &Arc<Self>,
        state: &mut State,
        address: Option<IpAddr>,
        stop: &CancellationToken,
    ) -> ConnectionPermit {
        let connection = ConnectionState::new();
        let drain = stop.clone();
        let stop = stop.child_token();
        let open = Slot::Open {
            address,
            state: Arc::clone(&connection),
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
            *free = open;
        }
        ConnectionPermit {
            admission: Arc::clone(self),
            slot,
            state: connection,
            stop,
            drain,
        }
    }

    /// Warns that connections are refused; throttled, since any client can cause refusals.
    fn warn(&self, state: &mut State, refusal: AdmissionRefusal, peer: &Peer) {
        let throttle = match refusal {
            AdmissionRefusal::ServerFull => &self.server_full,
            AdmissionRefusal::AddressFull => &self.address_full,
        };
        let Some(refusals) = throttle.count() else {
            return;
        };
        match refusal {
            AdmissionRefusal::ServerFull => {
                let evicted = std::mem::take(&mut state.evicted);
                tracing::warn!(
                    refusals,
                    idle_ended = evicted,
                    max_connections = self.limits.load().max_connections,
                    "connections are refused: server.max_connections are open and none is idle"
                );
            }
            AdmissionRefusal::AddressFull => tracing::warn!(
                refusals,
                client.address = peer.text().and_then(|text| text.to_str().ok()),
                max_connections_per_address = self.limits.load().max_per_address,
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
    /// Completes when the connection has had its time to close after `stop`: `EVICTION_TIMEOUT` for
    /// an evicted connection, never while its listener drains.
    pub(super) async fn eviction_deadline(&self) {
        if self.drain.is_cancelled() {
            std::future::pending::<()>().await;
        } else {
            tokio::time::sleep(EVICTION_TIMEOUT).await;
        }
    }
}

impl State {
    /// Marks the longest-idle connections, of one address or of all, as leaving; whether there was
    /// one.
    fn evict_idle(&mut self, of: Option<IpAddr>, evicted: &mut Vec<CancellationToken>) -> bool {
        let room = MAX_LEAVING.saturating_sub(self.leaving);
        if room == 0 || self.found_none_idle(of) {
            return false;
        }
        let mut idle = self.idle(of);
        let count = (idle.len() / 8).clamp(1, MAX_EVICTION_BATCH).min(room);
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
                self.evicted = self.evicted.saturating_add(1);
                self.release_address(address);
                evicted.push(stop);
            }
        }
        if idle.is_empty() {
            self.set_none_idle(of);
        }
        !idle.is_empty()
    }

    /// The slots of idle connections, with the time since when each has been idle.
    fn idle(&self, of: Option<IpAddr>) -> Vec<(Instant, usize)> {
        let slots = self.slots.iter().enumerate();
        let idle = slots.filter_map(|(index, slot)| match slot {
            Slot::Open { address, state, .. } if of.is_none() || *address == of => {
                Some((state.evictable_since()?, index))
            }
            Slot::Open { .. } | Slot::Free | Slot::Leaving => None,
        });
        idle.collect()
    }

    fn found_none_idle(&self, of: Option<IpAddr>) -> bool {
        let found_at = match of {
            None => self.none_idle_at,
            Some(address) => self.addresses.get(&address).and_then(|it| it.none_idle_at),
        };
        found_at.is_some_and(|found_at| found_at.elapsed() < RESCAN_INTERVAL)
    }

    fn set_none_idle(&mut self, of: Option<IpAddr>) {
        let now = Some(Instant::now());
        match of {
            None => self.none_idle_at = now,
            Some(address) => {
                if let Some(connections) = self.addresses.get_mut(&address) {
                    connections.none_idle_at = now;
                }
            }
        }
    }

    fn release_address(&mut self, address: Option<IpAddr>) {
        let Some(address) = address else { return };
        if let Some(connections) = self.addresses.get_mut(&address) {
            connections.open = connections.open.saturating_sub(1);
            if connections.open == 0 {
                self.addresses.remove(&address);
            }
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        let Some(slot) = state.slots.get_mut(self.slot) else {
            return;
        };
        match std::mem::replace(slot, Slot::Free) {
            Slot::Open { address, .. } => {
                state.open = state.open.saturating_sub(1);
                state.release_address(address);
            }
            Slot::Leaving => state.leaving = state.leaving.saturating_sub(1),
            Slot::Free => return,
        }
        state.free.push(self.slot);
    }
}

#[cfg(test)]
mod tests;
