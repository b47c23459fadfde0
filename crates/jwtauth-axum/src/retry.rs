//! Trying again where a database asks for it, or where another request was first.

use std::{
    future::Future,
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use tokio::time::Instant;

use crate::{AuthError, StoreError, error::Failure};

/// Tried this often, and where the database asked for it, not again once so much time has gone. After a lost swap the row
/// is in a state that mostly needs none, however long the worker was suspended.
const ATTEMPTS: u32 = 6;
const PATIENCE: Duration = Duration::from_secs(3);
/// After failure n, at most 2ⁿ times this is waited: those who collided do not meet again.
const PAUSE: Duration = Duration::from_millis(4);

/// Whether the same may succeed when it is done again.
fn is_transient(error: &impl Failure) -> bool {
    matches!(error.of_the_service(), Some(AuthError::Contention | AuthError::Store(StoreError::Busy(_))))
}

/// Return what `attempt` does, made again while its error is transient; within bounds.
///
/// # Errors
///
/// What `attempt` fails with; [`AuthError::Contention`] once the bounds are reached.
pub(crate) async fn retrying<T, E, F>(attempt: impl Fn() -> F) -> Result<T, E>
where
    E: Failure,
    F: Future<Output = Result<T, E>>,
{
    let started = Instant::now();
    for failures in 1..=ATTEMPTS {
        let is_lost_swap = match attempt().await {
            Err(error) if is_transient(&error) => matches!(error.of_the_service(), Some(AuthError::Contention)),
            done => return done,
        };
        if failures == ATTEMPTS || (!is_lost_swap && started.elapsed() > PATIENCE) {
            break;
        }
        tokio::time::sleep(pause(failures)).await;
    }
    Err(AuthError::Contention.into())
}

/// Return a random time to wait after so many failures.
fn pause(failures: u32) -> Duration {
    random_below(PAUSE * (1 << failures))
}

/// Return a random time below `limit`, in whole microseconds. No secret depends on it.
pub(crate) fn random_below(limit: Duration) -> Duration {
    let micros = limit.as_micros().try_into().unwrap_or(u64::MAX).max(1);
    Duration::from_micros(RandomState::new().hash_one(()) % micros)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::LoginError;

    fn busy() -> AuthError {
        StoreError::Busy("locked".into()).into()
    }

    #[tokio::test(start_paused = true)]
    async fn transient_errors_are_retried_until_one_attempt_succeeds() {
        let attempts = Cell::new(0);
        let done = retrying(|| async {
            attempts.set(attempts.get() + 1);
            if attempts.get() < 3 { Err(busy()) } else { Ok(attempts.get()) }
        });
        assert_eq!(done.await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn contention_is_the_answer_once_all_attempts_have_failed() {
        let attempts = Cell::new(0);
        let done: Result<(), AuthError> = retrying(|| async {
            attempts.set(attempts.get() + 1);
            Err(busy())
        })
        .await;
        assert!(matches!(done, Err(AuthError::Contention)), "{done:?}");
        assert_eq!(attempts.get(), ATTEMPTS);
    }

    /// A worker that was suspended for long between reading and writing has not waited for the database.
    #[tokio::test(start_paused = true)]
    async fn a_lost_swap_is_decided_again_however_long_it_took() {
        let attempts = Cell::new(0);
        let done = retrying(|| async {
            attempts.set(attempts.get() + 1);
            if attempts.get() > 1 {
                return Ok(attempts.get());
            }
            tokio::time::sleep(2 * PATIENCE).await;
            Err(AuthError::Contention)
        });
        assert_eq!(done.await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn other_errors_are_not_retried() {
        let attempts = Cell::new(0);
        let done: Result<(), LoginError> = retrying(|| async {
            attempts.set(attempts.get() + 1);
            Err(LoginError::UnknownUser)
        })
        .await;
        assert!(matches!(done, Err(LoginError::UnknownUser)) && attempts.get() == 1);
    }

    #[test]
    fn pauses_are_random_and_bounded() {
        let pauses: Vec<Duration> = (0..100).map(|_| pause(3)).collect();
        assert!(pauses.iter().all(|pause| *pause < Duration::from_millis(32)));
        let distinct: std::collections::HashSet<_> = pauses.iter().collect();
        assert!(distinct.len() > 50, "those who collided wait for different times");
    }
}
