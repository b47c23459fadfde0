//! Removes expired sessions from the store in small batches after logins and refreshes.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{clock::Clock, retry::random_below, store::ErasedStore};

/// The largest batch.
const BATCH: u32 = 200;

/// Batches shrink after two in a row have taken longer than this; a single slow one may have waited for the CPU. With
/// ids, users and expiry times in different orders, each removed row touches a page of the table and of each index.
const TARGET: Duration = Duration::from_millis(1);
const LEAST: u32 = 5;

/// The pause between two batches of a process, once a batch was not full.
const PAUSE: Duration = Duration::from_secs(60);

/// Sessions are removed only this long after they expired, so that a clock that is minutes fast does not remove
/// sessions that other servers still accept.
const MARGIN: Duration = Duration::from_secs(3600);

/// Schedules the next batch of a layer, and its size.
#[derive(Debug)]
pub(crate) struct Cleanup(Mutex<Next>);

#[derive(Debug)]
struct Next {
    /// On the layer's monotonic clock.
    at: Duration,
    size: u32,
    was_slow: bool,
}

/// Start at a random time, so that processes started together do not all begin at once.
impl Default for Cleanup {
    fn default() -> Self {
        Self(Mutex::new(Next { at: random_below(PAUSE), size: BATCH, was_slow: false }))
    }
}

impl Cleanup {
    /// Return the size of the next batch if one is due, and schedule the one after it.
    pub(crate) fn take_up(&self, clock: &Clock) -> Option<u32> {
        let now = clock.monotonic();
        let mut next = self.next();
        (now >= next.at).then(|| {
            next.at = now + PAUSE / 2 + random_below(PAUSE / 2);
            next.size
        })
    }

    /// Remove a batch. An error is only logged. After a full batch, the next login or refresh continues.
    pub(crate) async fn remove_batch(&self, size: u32, store: &dyn ErasedStore, clock: &Clock) {
        let started = clock.monotonic();
        let removed = store.remove_expired(size, clock.now() - MARGIN).await;
        let mut next = self.next();
        match removed {
            Ok(removed) if removed >= u64::from(size) => next.at = Duration::ZERO,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "expired sessions were not removed");
            }
        }
        next.has_taken(clock.monotonic().saturating_sub(started));
    }

    fn next(&self) -> MutexGuard<'_, Next> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Next {
    fn has_taken(&mut self, took: Duration) {
        let is_slow = took > TARGET;
        if is_slow && self.was_slow {
            self.size = LEAST.max(self.size / 2);
        } else if took < TARGET / 2 {
            self.size = BATCH.min(self.size * 2);
        }
        self.was_slow = is_slow;
    }
}

#[cfg(test)]
mod tests {
    use std::{iter, sync::Arc, time::UNIX_EPOCH};

    use aws_lc_rs::rand::SystemRandom;
    use jwtauth::{Lifetimes, RotationPolicy, Sid, UnixTime};

    use super::*;
    use crate::{MemoryStore, Record, SessionStore};

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
    /// Return a store with `sessions` sessions that expired `over` ago.
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
        let cleanup = Cleanup::default();
        cleanup.next().at = Duration::ZERO;
        cleanup
    }

    /// Return a clock that stands still.
    fn clock() -> Clock {
        Clock::new(Arc::new(|| UNIX_EPOCH + Duration::from_secs(1_800_000_000)))
    }

    async fn remove_batch(cleanup: &Cleanup, store: &MemoryStore, clock: &Clock) {
        if let Some(size) = cleanup.take_up(clock) {
            cleanup.remove_batch(size, store, clock).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn full_batches_follow_each_other_until_one_is_not_full() {
        let (cleanup, clock, store) = (due(), clock(), store(450, MARGIN).await);
        for expected in [250, 50, 0] {
            remove_batch(&cleanup, &store, &clock).await;
            assert_eq!(left(&store).await, expected);
        }
        let waits = cleanup.next().at.saturating_sub(clock.monotonic());
        assert!(waits > PAUSE / 3 && waits <= PAUSE, "{waits:?}");
        assert_eq!(cleanup.take_up(&clock), None, "the last batch was not full");
    }

    #[tokio::test(start_paused = true)]
    async fn session_that_another_clock_may_accept_is_kept() {
        let store = store(1, Duration::from_secs(3599)).await;
        remove_batch(&due(), &store, &clock()).await;
        assert_eq!(left(&store).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn only_one_of_many_requests_removes_a_batch() {
        let (cleanup, clock) = (due(), clock());
        let taken_up = iter::repeat_with(|| cleanup.take_up(&clock)).take(10).flatten();
        assert_eq!(taken_up.collect::<Vec<_>>(), [BATCH]);
    }

    #[test]
    fn slow_batches_shrink_and_fast_ones_grow_again() {
        let mut next = Next { at: Duration::ZERO, size: BATCH, was_slow: false };
        let mut sizes = |took, count| -> Vec<u32> {
            let size = || {
                next.has_taken(took);
                next.size
            };
            iter::repeat_with(size).take(count).collect()
        };
        assert_eq!(sizes(TARGET * 2, 7), [200, 100, 50, 25, 12, 6, 5]);
        assert_eq!(sizes(TARGET, 1), [5], "neither slow nor fast");
        assert_eq!(sizes(TARGET * 2, 1), [5]);
        assert_eq!(sizes(TARGET / 4, 6), [10, 20, 40, 80, 160, 200]);
        assert_eq!(sizes(TARGET * 2, 1), [200], "a single slow batch does not count");
    }

    #[test]
    fn processes_start_cleanup_at_different_times() {
        let starts: Vec<_> = iter::repeat_with(|| Cleanup::default().next().at).take(50).collect();
        assert!(starts.iter().all(|start| *start <= PAUSE));
        assert!(starts.iter().max().unwrap().abs_diff(*starts.iter().min().unwrap()) > PAUSE / 4, "{starts:?}");
    }
}
