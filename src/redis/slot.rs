//! One shared connection: what commands see of it. The supervisor replaces it; commands clone it and report.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use deadpool_redis::redis::aio::MultiplexedConnection;
use tokio::sync::Notify;

/// Unanswered commands on one connection after which a single unanswered ping condemns it.
const SILENT_COMMANDS: u32 = 3;

/// What a slot can do now.
pub(super) enum State {
    /// Commands clone this.
    Live {
        connection: MultiplexedConnection,
        generation: u64,
    },
    /// The first attempt since the start, or since the last connection went: worth waiting for.
    Connecting,
    /// An attempt failed: not worth waiting for.
    Down(String),
}

pub(super) struct Slot {
    state: ArcSwap<State>,
    generations: AtomicU64,
    silent: AtomicU32,
    useless: AtomicBool,
    suspected: Notify,
    settled: Notify,
}

impl Slot {
    pub(super) fn new() -> Self {
        Self {
            state: ArcSwap::from_pointee(State::Connecting),
            generations: AtomicU64::new(0),
            silent: AtomicU32::new(0),
            useless: AtomicBool::new(false),
            suspected: Notify::new(),
            settled: Notify::new(),
        }
    }

    pub(super) fn state(&self) -> arc_swap::Guard<Arc<State>> {
        self.state.load()
    }

    /// Waits until the slot has left `Connecting` once more. Create the future before looking at the state.
    pub(super) fn settled(&self) -> tokio::sync::futures::Notified<'_> {
        self.settled.notified()
    }

    // What commands report.

    pub(super) fn answered(&self) {
        if self.silent.load(Ordering::Relaxed) != 0 {
            self.silent.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn unanswered(&self) {
        if self.silent.fetch_add(1, Ordering::Relaxed) + 1 >= SILENT_COMMANDS {
            self.suspected.notify_one();
        }
    }

    /// Asks for a ping now.
    pub(super) fn suspect(&self) {
        self.suspected.notify_one();
    }

    /// The connection of that generation is gone. A late report about an older one changes nothing.
    pub(super) fn lost(&self, generation: u64) {
        let connecting = Arc::new(State::Connecting);
        self.state.rcu(|now| match &**now {
            State::Live {
                generation: current,
                ..
            } if *current == generation => Arc::clone(&connecting),
            State::Live { .. } | State::Connecting | State::Down(_) => Arc::clone(now),
        });
        self.suspected.notify_one();
    }

    /// The connection answers, but will never serve us.
    pub(super) fn useless(&self) {
        self.useless.store(true, Ordering::Relaxed);
        self.suspected.notify_one();
    }

    // What the supervisor asks and sets.

    pub(super) async fn suspected(&self) {
        self.suspected.notified().await;
    }

    pub(super) fn take_useless(&self) -> bool {
        self.useless.swap(false, Ordering::Relaxed)
    }

    pub(super) fn silent_commands_condemn(&self) -> bool {
        self.silent.load(Ordering::Relaxed) >= SILENT_COMMANDS
    }

    pub(super) fn set_live(&self, connection: MultiplexedConnection) {
        self.silent.store(0, Ordering::Relaxed);
        self.useless.store(false, Ordering::Relaxed);
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        self.state.store(Arc::new(State::Live {
            connection,
            generation,
        }));
        self.settled.notify_waiters();
    }

    pub(super) fn set_connecting(&self) {
        self.state.store(Arc::new(State::Connecting));
    }

    pub(super) fn set_down(&self, cause: String) {
        self.state.store(Arc::new(State::Down(cause)));
        self.settled.notify_waiters();
    }
}
