//! Sessions that are over, removed from the store a few at a time after logins and refreshes.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{clock::Clock, retry::random_below, store::ErasedStore};

/// After a login or a refresh, at most.
const BATCH: u32 = 200;

/// Where two batches have taken longer than this, the next ones are smaller: one may have waited for the machine. Where
/// keys, users and ends are in different orders, each row that is removed changes a page of the table and of each index.
const TARGET: Duration = Duration::from_millis(1);
const LEAST: u32 = 5;

/// Between two batches of a process, once a batch has found fewer than it may take.
const PAUSE: Duration = Duration::from_secs(60);

/// Expired for so long, so that a clock that is minutes fast removes nothing that others honour.
const MARGIN: Duration = Duration::from_secs(3600);

/// When a layer removes the next batch, and how large that is.
#[derive(Debug)]
pub(crate) struct Cleanup(Mutex<Next>);

#[derive(Debug)]
struct Next {
    /// By the layer's monotonic clock.
    at: Duration,
    size: u32,
    was_slow: bool,
}

/// Processes that start together do not all begin at once.
impl Default for Cleanup {
    fn default() -> Self {
        Self(Mutex::new(Next { at: random_below(PAUSE), size: BATCH, was_slow: false }))
    }
}

impl Cleanup {
    /// Return how many the next batch may take, if one is due; then the next one is not for a while.
    pub(crate) fn take_up(&self, clock: &Clock) -> Option<u32> {
        let now = clock.monotonic();
        let mut next = self.next();
        (now >= next.at).then(|| {
            next.at = now + PAUSE / 2 + random_below(PAUSE / 2);
            next.size
        })
    }

    /// Remove a batch that was taken up: upkeep, whose error is only logged. While batches are full, the next login or
    /// refresh goes on.
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
        let cleanup = Cleanup::default();
        cleanup.next().at = Duration::ZERO;
        cleanup
    }

    /// A clock that stands still.
    fn clock() -> Clock {
        Clock::new(Arc::new(|| UNIX_EPOCH + Duration::from_secs(1_800_000_000)))
    }

    async fn remove_batch(cleanup: &Cleanup, store: &MemoryStore, clock: &Clock) {
        if let Some(size) = cleanup.take_up(clock) {
            cleanup.remove_batch(size, store, clock).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn full_batches_follow_each_other_and_then_there_is_a_pause() {
        let (cleanup, clock, store) = (due(), clock(), store(450, MARGIN).await);
        for expected in [250, 50, 0] {
            remove_batch(&cleanup, &store, &clock).await;
            assert_eq!(left(&store).await, expected);
        }
        let waits = cleanup.next().at.saturating_sub(clock.monotonic());
        assert!(waits > PAUSE / 3 && waits <= PAUSE, "{waits:?}");
        assert_eq!(cleanup.take_up(&clock), None, "the last one was not full");
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_clock_may_honour_stays() {
        let store = store(1, Duration::from_secs(3599)).await;
        remove_batch(&due(), &store, &clock()).await;
        assert_eq!(left(&store).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_many_requests_removes_a_batch() {
        let (cleanup, clock) = (due(), clock());
        let taken_up = iter::repeat_with(|| cleanup.take_up(&clock)).take(10).flatten();
        assert_eq!(taken_up.collect::<Vec<_>>(), [BATCH]);
    }

    #[test]
    fn batches_that_take_long_become_smaller_and_then_larger_again() {
        let mut next = Next { at: Duration::ZERO, size: BATCH, was_slow: false };
        let mut sizes = |took, count| -> Vec<u32> {
            let size = || {
                next.has_taken(took);
                next.size
            };
            iter::repeat_with(size).take(count).collect()
        };
        assert_eq!(sizes(TARGET * 2, 7), [200, 100, 50, 25, 12, 6, 5]);
        assert_eq!(sizes(TARGET, 1), [5], "neither long nor short");
        assert_eq!(sizes(TARGET * 2, 1), [5]);
        assert_eq!(sizes(TARGET / 4, 6), [10, 20, 40, 80, 160, 200]);
        assert_eq!(sizes(TARGET * 2, 1), [200], "one may have waited for the machine");
    }

    #[test]
    fn processes_do_not_all_begin_at_once() {
        let starts: Vec<_> = iter::repeat_with(|| Cleanup::default().next().at).take(50).collect();
        assert!(starts.iter().all(|start| *start <= PAUSE));
        assert!(starts.iter().max().unwrap().abs_diff(*starts.iter().min().unwrap()) > PAUSE / 4, "{starts:?}");
    }
}
