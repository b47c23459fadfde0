//! Removes expired sessions from the store in small batches after logins and refreshes.

use std::sync::Arc;

use jwtauth::CleanupSchedule;

use crate::{StoreError, retry::random, shared::Shared};

impl Shared {
    /// Remove a batch of expired sessions, if one is due. It runs in its own task, so the response does not wait. An
    /// error is only logged; not even that if another removal was in the way, since a later login tries again.
    pub(crate) fn remove_expired(&self) {
        let Some(size) = self.cleanup.begin(self.clock.monotonic(), random()) else { return };
        let (schedule, store, clock) = (Arc::clone(&self.cleanup), Arc::clone(&self.store), self.clock.clone());
        self.tasks.begin(async move {
            let began = clock.monotonic();
            let removed = store.remove_expired(size, clock.now() - CleanupSchedule::MARGIN).await;
            match &removed {
                Ok(_) | Err(StoreError::Busy(_)) => {}
                Err(error) => {
                    tracing::warn!(error = error as &dyn std::error::Error, "expired sessions were not removed");
                }
            }
            let is_full = removed.is_ok_and(|removed| removed >= u64::from(size));
            schedule.end(began, clock.monotonic(), is_full);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use aws_lc_rs::rand::SystemRandom;
    use jwtauth::{Lifetimes, RotationPolicy, Sid, UnixTime};

    use super::*;
    use crate::{MemoryStore, Record, SessionStore, Settings, clock::Clock};

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    /// Return a store with `sessions` sessions that expired `over` ago, and a layer on it that is due to remove them.
    async fn layer(sessions: usize, over: Duration) -> (MemoryStore, Shared) {
        let store = MemoryStore::default();
        let second = Duration::from_secs(1);
        let policy = RotationPolicy::new(Lifetimes::new(second, second, None).unwrap(), second);
        for _ in 0..sessions {
            let began = NOW - over - second;
            let sid = Sid::generate(&SystemRandom::new(), began).unwrap();
            let record = Record::new(sid.session_id(), "42", policy.start(began));
            SessionStore::insert(&store, record, None, began).await.unwrap();
        }
        let config = Settings::new("a secret of at least thirty-two bytes").build().unwrap();
        let shared = Shared {
            clock: Clock::new(Arc::new(|| UNIX_EPOCH + Duration::from_secs(NOW.as_secs()))),
            cleanup: Arc::new(CleanupSchedule::new(Duration::ZERO, 0)),
            ..Shared::new(config, Arc::new(store.clone()))
        };
        (store, shared)
    }

    /// Return the number of sessions that are left after the layer has removed a batch, if one is due.
    async fn left(store: &MemoryStore, shared: &Shared) -> usize {
        shared.remove_expired();
        shared.tasks.done().await;
        SessionStore::of_user(store, "42", UnixTime::EPOCH).await.unwrap().len()
    }

    #[tokio::test(start_paused = true)]
    async fn full_batches_follow_each_other_until_one_is_not_full() {
        let (store, shared) = layer(450, CleanupSchedule::MARGIN).await;
        for expected in [250, 50, 0] {
            assert_eq!(left(&store, &shared).await, expected);
        }
        assert!(!shared.cleanup.is_due(shared.clock.monotonic()), "the last batch was not full");
    }

    #[tokio::test(start_paused = true)]
    async fn session_that_another_clock_may_accept_is_kept() {
        let (store, shared) = layer(1, Duration::from_secs(3599)).await;
        assert_eq!(left(&store, &shared).await, 1);
    }
}
