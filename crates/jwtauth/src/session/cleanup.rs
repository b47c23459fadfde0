//! When a process removes expired sessions, and how many at once.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The sizes of the largest and smallest batch.
const LARGEST: u32 = 200;
const SMALLEST: u32 = 5;

/// The time that a batch may take.
const TARGET: Duration = Duration::from_millis(1);

/// The longest pause after a batch that was not full, and the longest wait before the first one.
const PAUSE: Duration = Duration::from_secs(60);

/// The schedule by which a process removes expired sessions: one small batch after a login or refresh.
///
/// After a full batch, the next login or refresh continues. After any other, the next batch is due half a minute to a
/// minute later. A batch has at most 200 sessions. Two in a row that take longer than a millisecond halve the size, down
/// to 5, since a single one may have waited for the machine; fast ones double it again. If ids, users and expiry times
/// are in different orders, each removed row changes a page of the table and of each index.
///
/// Times are [`Duration`]s since any fixed moment, by a clock that is never set back, such as
/// [`Instant::elapsed`](std::time::Instant::elapsed). `random` is any number, drawn anew for each call, so that processes
/// that start together do not remove together. It is not a secret.
///
/// ```
/// use std::time::Instant;
/// use jwtauth::{CleanupSchedule, UnixTime};
///
/// # fn example(now: UnixTime, random: impl Fn() -> u32, remove_expired: impl Fn(u32, UnixTime) -> u32) {
/// let started = Instant::now();
/// let schedule = CleanupSchedule::new(started.elapsed(), random());
/// // After each login and refresh:
/// let began = started.elapsed();
/// if let Some(size) = schedule.begin(began, random()) {
///     let removed = remove_expired(size, now - CleanupSchedule::MARGIN);
///     schedule.end(began, started.elapsed(), removed == size);
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct CleanupSchedule(Mutex<Next>);

/// The next batch.
#[derive(Debug)]
struct Next {
    at: Duration,
    size: u32,
    was_slow: bool,
}

impl CleanupSchedule {
    /// How long after its expiry a session is removed. A worker whose clock is minutes fast must not remove sessions that
    /// others still accept.
    pub const MARGIN: Duration = Duration::from_secs(3600);

    /// Create the schedule of a process that starts at `now`. The first batch is due within a minute.
    pub fn new(now: Duration, random: u32) -> Self {
        let at = now.saturating_add(part(PAUSE, random));
        Self(Mutex::new(Next { at, size: LARGEST, was_slow: false }))
    }

    /// Return whether a batch is due.
    pub fn is_due(&self, now: Duration) -> bool {
        now >= self.next().at
    }

    /// Return the size of the next batch if one is due, and schedule the one after it.
    pub fn begin(&self, now: Duration, random: u32) -> Option<u32> {
        let mut next = self.next();
        (now >= next.at).then(|| {
            next.at = now.saturating_add(PAUSE / 2 + part(PAUSE / 2, random));
            next.size
        })
    }

    /// Record the end of a batch that began at `began`, and whether it was full. A batch that failed was not full.
    pub fn end(&self, began: Duration, now: Duration, is_full: bool) {
        let mut next = self.next();
        if is_full {
            next.at = Duration::ZERO;
        }
        let took = now.saturating_sub(began);
        let is_slow = took > TARGET;
        if is_slow && next.was_slow {
            next.size = SMALLEST.max(next.size / 2);
        } else if took < TARGET / 2 {
            next.size = LARGEST.min(next.size * 2);
        }
        next.was_slow = is_slow;
    }

    fn next(&self) -> MutexGuard<'_, Next> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Return a random part of this duration, up to the whole.
fn part(whole: Duration, random: u32) -> Duration {
    whole * random / u32::MAX
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn due() -> CleanupSchedule {
        CleanupSchedule::new(NOW, 0)
    }

    /// Return the seconds from `NOW` until a batch is due.
    fn seconds_until_due(schedule: &CleanupSchedule) -> u64 {
        (0..100).find(|seconds| schedule.is_due(NOW + Duration::from_secs(*seconds))).unwrap()
    }

    #[test]
    fn processes_start_cleanup_at_different_times_of_the_first_minute() {
        let waits = [0, u32::MAX / 4, u32::MAX].map(|random| seconds_until_due(&CleanupSchedule::new(NOW, random)));
        assert_eq!(waits, [0, 15, 60]);
    }

    #[test]
    fn batch_that_is_not_full_is_followed_by_a_random_pause() {
        let pauses = [0, u32::MAX / 3, u32::MAX].map(|random| {
            let schedule = due();
            assert_eq!(schedule.begin(NOW, random), Some(LARGEST));
            schedule.end(NOW, NOW, false);
            seconds_until_due(&schedule)
        });
        assert_eq!(pauses, [30, 40, 60]);
    }

    #[test]
    fn only_one_of_many_requests_removes_a_batch_until_a_full_one_has_ended() {
        let schedule = due();
        for _ in 0..2 {
            assert_eq!([(); 4].map(|()| schedule.begin(NOW, 0)), [Some(LARGEST), None, None, None]);
            schedule.end(NOW, NOW, true);
        }
    }

    #[test]
    fn slow_batches_shrink_and_fast_ones_grow_again() {
        let schedule = due();
        let sizes = |took, count| -> Vec<u32> {
            let batch = || {
                let size = schedule.begin(NOW, 0).unwrap();
                schedule.end(NOW, NOW + took, true);
                size
            };
            iter::repeat_with(batch).take(count).collect()
        };
        assert_eq!(sizes(TARGET * 2, 8), [200, 200, 100, 50, 25, 12, 6, 5]);
        assert_eq!(sizes(TARGET, 2), [5, 5], "neither slow nor fast");
        assert_eq!(sizes(TARGET * 2, 1), [5]);
        assert_eq!(sizes(TARGET / 4, 7), [5, 10, 20, 40, 80, 160, 200]);
        assert_eq!(sizes(TARGET * 2, 1), [200]);
        assert_eq!(sizes(TARGET, 1), [200], "a single slow batch does not count");
    }

    #[test]
    fn every_time_is_handled_without_panic() {
        let times = [Duration::ZERO, NOW, Duration::MAX];
        for (began, now) in times.into_iter().flat_map(|began| times.map(|now| (began, now))) {
            let schedule = CleanupSchedule::new(began, u32::MAX);
            schedule.end(began, now, true);
            assert!(schedule.begin(now, u32::MAX).is_some());
            assert_eq!(schedule.is_due(now), now == Duration::MAX);
        }
    }
}
