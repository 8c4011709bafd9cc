//! Commands that several modules send.

use std::time::Duration;

use deadpool_redis::redis::{Cmd, cmd};

pub(crate) fn get(name: &str) -> Cmd {
    let mut get = Cmd::with_capacity(2, "GET".len() + name.len());
    get.arg("GET").arg(name);
    get
}

/// A script on one key, which the caller appends arguments to.
pub(crate) fn eval(script: &str, key: &str) -> Cmd {
    eval_over(script, &[key])
}

/// A script on several keys of one cluster slot.
pub(crate) fn eval_over<K: AsRef<str>>(script: &str, keys: &[K]) -> Cmd {
    let mut eval = cmd("EVAL");
    eval.arg(script).arg(keys.len());
    for key in keys {
        eval.arg(key.as_ref());
    }
    eval
}

/// A duration for `PX` and for scripts.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
