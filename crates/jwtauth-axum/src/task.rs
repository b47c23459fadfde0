//! Work that goes on although the client has gone.

use std::{future::Future, panic};

use tokio::sync::oneshot;
use tracing::Instrument as _;

use crate::{AuthError, StoreError, error::Failure};

/// Do `work` in a task of its own, and wait for it.
///
/// A server drops the future of a request whose client has gone, wherever it waits. What has been decided by then (a
/// logout, a theft, a refresh) is done all the same, and logged where it fails: only the waiting for it ends.
///
/// # Errors
///
/// What `work` fails with; [`StoreError::Failed`] where the runtime shuts down.
pub(crate) async fn uninterrupted<T, E>(work: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: Failure + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let work = async move {
        if let Err(Err(error)) = answer.send(work.await) {
            error.log();
        }
    };
    let task = tokio::spawn(work.in_current_span());
    if let Ok(done) = answered.await {
        return done;
    }
    match task.await.map_err(tokio::task::JoinError::try_into_panic) {
        Err(Ok(panic)) => panic::resume_unwind(panic),
        _ => Err(AuthError::from(StoreError::Failed("the runtime shuts down".into())).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_answer_of_the_work_is_returned() {
        let done: Result<u8, AuthError> = uninterrupted(async { Ok(7) }).await;
        assert_eq!(done.unwrap(), 7);
        let failed: Result<u8, AuthError> = uninterrupted(async { Err(AuthError::Contention) }).await;
        assert!(matches!(failed, Err(AuthError::Contention)));
    }

    #[tokio::test]
    #[should_panic(expected = "a store's bug")]
    async fn a_panic_of_the_work_is_the_request_s() {
        let _: Result<(), AuthError> = uninterrupted(async { panic!("a store's bug") }).await;
    }
}
