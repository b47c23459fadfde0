//! Tasks that continue after the client has disconnected.

use std::{future::Future, panic};

use tokio::sync::{oneshot, watch};
use tracing::Instrument as _;

use crate::{AuthError, StoreError, error::Failure};

/// Work that requests have started and that must be completed even if their clients disconnect. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks(watch::Sender<usize>);

impl Tasks {
    /// Run `work` in its own task and wait for it.
    ///
    /// A server drops a request's future at any await point if the client disconnects. What has been decided by then (a
    /// logout, a theft, a refresh) is still completed, and a failure is logged.
    ///
    /// # Errors
    ///
    /// The error of `work`, or [`StoreError::Failed`] if the runtime shuts down.
    pub(crate) async fn uninterrupted<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Failure + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let running = Running::new(self);
        let work = async move {
            let _running = running;
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
            _ => Err(AuthError::from(StoreError::Failed("the runtime is shutting down".into())).into()),
        }
    }

    /// Start `work` for which no request waits.
    pub(crate) fn begin(&self, work: impl Future<Output = ()> + Send + 'static) {
        let running = Running::new(self);
        let work = async move {
            let _running = running;
            work.await;
        };
        drop(tokio::spawn(work.in_current_span()));
    }

    /// Wait until no task is running.
    pub(crate) async fn done(&self) {
        // The sender is not dropped meanwhile.
        let _ = self.0.subscribe().wait_for(|running| *running == 0).await;
    }
}

/// Counts a running task until it ends, even by a panic.
struct Running(Tasks);

impl Running {
    fn new(tasks: &Tasks) -> Self {
        tasks.0.send_modify(|running| *running += 1);
        Self(tasks.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.send_modify(|running| *running -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    #[tokio::test]
    async fn result_of_the_work_is_returned() {
        let tasks = Tasks::default();
        let done: Result<u8, AuthError> = tasks.uninterrupted(ready(Ok(7))).await;
        assert_eq!(done.unwrap(), 7);
        let failed: Result<u8, AuthError> = tasks.uninterrupted(ready(Err(AuthError::Contention))).await;
        assert!(matches!(failed, Err(AuthError::Contention)));
    }

    #[tokio::test]
    #[should_panic(expected = "a store's bug")]
    async fn panic_of_the_work_reaches_the_request() {
        let _: Result<(), AuthError> = Tasks::default().uninterrupted(async { panic!("a store's bug") }).await;
    }

    /// Start this work, then disconnect its client.
    fn abandon(tasks: &Tasks, work: impl Future<Output = Result<(), AuthError>> + Send + 'static) {
        let mut waiting = Box::pin(tasks.uninterrupted(work));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
    }

    #[tokio::test]
    async fn done_waits_for_abandoned_work() {
        let tasks = Tasks::default();
        tasks.done().await;
        let (finish, finished) = oneshot::channel::<()>();
        abandon(&tasks, async {
            let _ = finished.await;
            Ok(())
        });
        let mut done = Box::pin(tasks.done());
        tokio::select! {
            biased;
            () = &mut done => panic!("the work is still running"),
            () = tokio::task::yield_now() => {}
        }
        finish.send(()).unwrap();
        done.await;
    }

    #[tokio::test]
    async fn done_waits_for_background_work() {
        let (tasks, (finish, finished)) = (Tasks::default(), oneshot::channel::<()>());
        let (done, is_done) = oneshot::channel();
        tasks.begin(async move {
            let _ = finished.await;
            done.send(()).unwrap();
        });
        finish.send(()).unwrap();
        tasks.done().await;
        is_done.await.unwrap();
    }

    #[tokio::test]
    async fn done_does_not_wait_for_abandoned_work_that_panicked() {
        let tasks = Tasks::default();
        abandon(&tasks, async { panic!("a store's bug") });
        tasks.done().await;
    }

    #[test]
    fn done_does_not_wait_for_work_dropped_by_the_runtime() {
        let tasks = Tasks::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { abandon(&tasks, std::future::pending()) });
        drop(runtime);
        assert_eq!(*tasks.0.borrow(), 0);
    }
}
