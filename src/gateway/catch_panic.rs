//! A panic ends one request, not its connection's others and not the process.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use crate::error::Error;

/// Runs a request's steps; a panic in them is `Error::Internal`. The process's hook has reported it then.
///
/// What the steps share is behind locks that survive a panic, or changed in one step, so going on is safe.
///
/// No `async fn`: such a one has room for its argument twice, and this future is moved whole for every request.
pub(super) fn catch_panic<T>(
    steps: impl Future<Output = Result<T, Error>>,
) -> impl Future<Output = Result<T, Error>> {
    AssertUnwindSafe(steps).catch_unwind().map(|outcome| {
        outcome.unwrap_or_else(|_| {
            Err(Error::Internal(
                "the request panicked; please report this".to_owned(),
            ))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_the_steps_is_an_internal_error_and_the_task_goes_on() {
        let panics = async {
            tokio::task::yield_now().await;
            let empty: [u8; 0] = [];
            Ok(empty.first().copied().expect("on purpose"))
        };
        let error = catch_panic(panics).await.unwrap_err();
        assert_eq!(error.response().status, 500);
        assert_eq!(catch_panic(async { Ok(1) }).await.unwrap(), 1);
    }
}
