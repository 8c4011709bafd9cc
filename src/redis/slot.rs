//! One shared connection. Commands clone it and report on it; the supervisor replaces it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use deadpool_redis::redis::aio::MultiplexedConnection;
use tokio::sync::Notify;

/// Commands without a reply on one connection after which a single ping without a reply condemns
/// it.
const SUSPICIOUS_COMMANDS: u32 = 3;

/// The state of a slot.
pub(super) enum SlotState {
    /// The connection, which commands clone.
    Live {
        connection: MultiplexedConnection,
        generation: u64,
    },
    /// The first attempt after the start or after a lost connection: commands wait for it.
    Connecting,
    /// An attempt failed: commands do not wait.
    Down(String),
}

pub(super) struct Slot {
    state: ArcSwap<SlotState>,
    generations: AtomicU64,
    silent: AtomicU32,
    useless: AtomicBool,
    suspected: Notify,
    settled: Notify,
}

impl Slot {
    pub(super) fn new() -> Self {
        Self {
            state: ArcSwap::from_pointee(SlotState::Connecting),
            generations: AtomicU64::new(0),
            silent: AtomicU32::new(0),
            useless: AtomicBool::new(false),
            suspected: Notify::new(),
            settled: Notify::new(),
        }
    }

    pub(super) fn state(&self) -> arc_swap::Guard<Arc<SlotState>> {
        self.state.load()
    }

    /// Waits until the slot leaves `Connecting`. Create the future before reading the state.
    pub(super) fn settled(&self) -> tokio::sync::futures::Notified<'_> {
        self.settled.notified()
    }

    // Called by commands.

    pub(super) fn answered(&self) {
        if self.silent.load(Ordering::Relaxed) != 0 {
            self.silent.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn unanswered(&self) {
        if self.silent.fetch_add(1, Ordering::Relaxed) + 1 >= SUSPICIOUS_COMMANDS {
            self.suspected.notify_one();
        }
    }

    /// Requests a ping now.
    pub(super) fn suspect(&self) {
        self.suspected.notify_one();
    }

    /// Reports that the connection of this generation is gone. A late report about an older one
    /// changes nothing.
    pub(super) fn lost(&self, generation: u64) {
        let connecting = Arc::new(SlotState::Connecting);
        self.state.rcu(|now| match &**now {
            SlotState::Live {
                generation: current,
                ..
            } if *current == generation => Arc::clone(&connecting),
            SlotState::Live { .. } | SlotState::Connecting | SlotState::Down(_) => Arc::clone(now),
        });
        self.suspected.notify_one();
    }

    /// Reports that the connection replies but is useless.
    pub(super) fn useless(&self) {
        self.useless.store(true, Ordering::Relaxed);
        self.suspected.notify_one();
    }

    // Called by the supervisor.

    pub(super) async fn suspected(&self) {
        self.suspected.notified().await;
    }

    pub(super) fn take_useless(&self) -> bool {
        self.useless.swap(false, Ordering::Relaxed)
    }

    pub(super) fn silent_commands_condemn(&self) -> bool {
        self.silent.load(Ordering::Relaxed) >= SUSPICIOUS_COMMANDS
    }

    pub(super) fn set_live(&self, connection: MultiplexedConnection) {
        self.silent.store(0, Ordering::Relaxed);
        self.useless.store(false, Ordering::Relaxed);
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        self.state.store(Arc::new(SlotState::Live {
            connection,
            generation,
        }));
        self.settled.notify_waiters();
    }

    pub(super) fn set_connecting(&self) {
        self.state.store(Arc::new(SlotState::Connecting));
    }

    pub(super) fn set_down(&self, cause: String) {
        self.state.store(Arc::new(SlotState::Down(cause)));
        self.settled.notify_waiters();
    }
}
