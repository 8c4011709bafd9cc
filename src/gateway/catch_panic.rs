//! A panic fails one request; other requests of the connection and the process continue.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use crate::error::Error;

/// Runs the steps of a request; a panic in them is `Error::Internal`. The panic hook has already
/// logged it.
///
/// Continuing is safe: state shared by the steps is behind locks that survive a panic, or changes
/// in one step.
///
/// Not an `async fn`, which would store its argument twice: this future is moved for every request.
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
