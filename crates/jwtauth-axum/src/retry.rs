//! Retries operations after database conflicts and lost swaps.

use std::{
    future::Future,
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use tokio::time::Instant;

use crate::{AuthError, StoreError, error::Failure};

/// The most attempts, and the time after which a busy database is not tried again. A lost swap is not limited by time:
/// the row usually needs no swap on the next attempt, however long the worker was suspended.
const ATTEMPTS: u32 = 6;
const PATIENCE: Duration = Duration::from_secs(3);
/// The pause after failure n is random, up to 2ⁿ times this, so that requests that collided do not collide again.
const PAUSE: Duration = Duration::from_millis(4);

/// Return whether a retry may succeed.
fn is_transient(error: &impl Failure) -> bool {
    matches!(error.of_the_service(), Some(AuthError::Contention | AuthError::Store(StoreError::Busy(_))))
}

/// Return the result of `attempt`, which is repeated while its error is transient, within limits.
///
/// # Errors
///
/// The error of `attempt`, or [`AuthError::Contention`] when the limits are reached.
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

/// Return a random pause after this many failures.
fn pause(failures: u32) -> Duration {
    PAUSE * (1 << failures) * random() / u32::MAX
}

/// Return a random number. Not for secrets.
pub(crate) fn random() -> u32 {
    (RandomState::new().hash_one(()) >> 32) as u32
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
    async fn contention_is_returned_after_all_attempts_have_failed() {
        let attempts = Cell::new(0);
        let done: Result<(), AuthError> = retrying(|| async {
            attempts.set(attempts.get() + 1);
            Err(busy())
        })
        .await;
        assert!(matches!(done, Err(AuthError::Contention)), "{done:?}");
        assert_eq!(attempts.get(), ATTEMPTS);
    }

    /// A worker that was suspended between reading and writing has not waited for the database.
    #[tokio::test(start_paused = true)]
    async fn lost_swap_is_retried_however_long_it_took() {
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
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_millis(32)));
        let distinct: std::collections::HashSet<_> = pauses.iter().collect();
        assert!(distinct.len() > 50, "pauses after a collision differ");
    }
}
