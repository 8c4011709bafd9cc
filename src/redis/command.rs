//! Commands that more than one module sends.

use std::time::Duration;

use deadpool_redis::redis::{Cmd, cmd};

pub(crate) fn get(name: &str) -> Cmd {
    let mut get = Cmd::with_capacity(2, "GET".len() + name.len());
    get.arg("GET").arg(name);
    get
}

/// A script over one key; its arguments come behind it.
pub(crate) fn eval(script: &str, key: &str) -> Cmd {
    eval_over(script, &[key])
}

/// A script over several keys, all of one cluster slot.
pub(crate) fn eval_over<K: AsRef<str>>(script: &str, keys: &[K]) -> Cmd {
    let mut eval = cmd("EVAL");
    eval.arg(script).arg(keys.len());
    for key in keys {
        eval.arg(key.as_ref());
    }
    eval
}

/// A time as `PX` and scripts take it.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
