//! Sessions that are over, removed from the store a few at a time beside logins and refreshes.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jwtauth::UnixTime;

use crate::{retry::random_below, store::ErasedStore};

/// Beside a login or a refresh: some two milliseconds.
const BATCH: u32 = 200;

/// Between two batches of a process, once a batch has found fewer than it may take.
const PAUSE: Duration = Duration::from_secs(60);

/// Expired for so long, so that a clock that is minutes fast removes nothing that others honour.
const MARGIN: Duration = Duration::from_secs(3600);

/// When a layer removes the next batch, by its monotonic clock.
#[derive(Debug)]
pub(crate) struct Cleanup {
    next_at: Mutex<Duration>,
}

/// Processes that start together do not all begin at once.
impl Default for Cleanup {
    fn default() -> Self {
        Self { next_at: Mutex::new(random_below(PAUSE)) }
    }
}

impl Cleanup {
    /// Remove a batch, if one is due: upkeep, whose error is only logged. While batches are full, the next login or
    /// refresh goes on.
    pub(crate) async fn remove_batch(&self, store: &dyn ErasedStore, monotonic: Duration, now: UnixTime) {
        if !self.is_taken_up(monotonic) {
            return;
        }
        match store.remove_expired(BATCH, now - MARGIN).await {
            Ok(removed) if removed >= u64::from(BATCH) => *self.next_at() = Duration::ZERO,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "expired sessions were not removed");
            }
        }
    }

    /// Whether a batch is due; then the next one is not for a while.
    fn is_taken_up(&self, now: Duration) -> bool {
        let mut next_at = self.next_at();
        let is_due = now >= *next_at;
        if is_due {
            *next_at = now + PAUSE / 2 + random_below(PAUSE / 2);
        }
        is_due
    }

    fn next_at(&self) -> MutexGuard<'_, Duration> {
        self.next_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use aws_lc_rs::rand::SystemRandom;
    use jwtauth::{Lifetimes, RotationPolicy, Sid};

    use super::*;
    use crate::{MemoryStore, Record, SessionStore};

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
    /// By the monotonic clock.
    const LATER: Duration = PAUSE;

    /// A store with so many sessions that have been over for so long.
    async fn store(sessions: usize, over: Duration) -> MemoryStore {
        let store = MemoryStore::default();
        let second = Duration::from_secs(1);
        let policy = RotationPolicy::new(Lifetimes::new(second, second, None).unwrap(), second);
        for _ in 0..sessions {
            let began = NOW - over - second;
            let sid = Sid::generate(&SystemRandom::new(), began).unwrap();
            let record = Record::new(sid.session_id(), "42", policy.start(began));
            SessionStore::insert(&store, record, None, began).await.unwrap();
        }
        store
    }

    async fn left(store: &MemoryStore) -> usize {
        SessionStore::of_user(store, "42", UnixTime::EPOCH).await.unwrap().len()
    }

    fn due() -> Cleanup {
        Cleanup { next_at: Mutex::default() }
    }

    #[tokio::test]
    async fn full_batches_follow_each_other_and_then_there_is_a_pause() {
        let (cleanup, store) = (due(), store(450, MARGIN).await);
        for expected in [250, 50, 0] {
            cleanup.remove_batch(&store, LATER, NOW).await;
            assert_eq!(left(&store).await, expected);
        }
        let waits = cleanup.next_at().saturating_sub(LATER);
        assert!(waits > PAUSE / 3 && waits <= PAUSE, "{waits:?}");
        assert!(!cleanup.is_taken_up(LATER), "the last one was not full");
    }

    #[tokio::test]
    async fn what_another_clock_may_honour_stays() {
        let (cleanup, store) = (due(), store(1, Duration::from_secs(3599)).await);
        cleanup.remove_batch(&store, LATER, NOW).await;
        assert_eq!(left(&store).await, 1);
    }

    #[test]
    fn one_of_many_requests_removes_a_batch() {
        let cleanup = due();
        let taken_up = iter::repeat_with(|| cleanup.is_taken_up(LATER)).take(10).filter(|is_taken_up| *is_taken_up);
        assert_eq!(taken_up.count(), 1);
    }

    #[test]
    fn processes_do_not_all_begin_at_once() {
        let starts: Vec<_> = iter::repeat_with(|| *Cleanup::default().next_at()).take(50).collect();
        assert!(starts.iter().all(|start| *start <= PAUSE));
        assert!(starts.iter().max().unwrap().abs_diff(*starts.iter().min().unwrap()) > PAUSE / 4, "{starts:?}");
    }
}
