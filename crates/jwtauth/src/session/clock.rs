//! One clock for all workers: that of the database, as last reported.

use std::{
    fmt,
    ops::RangeInclusive,
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime},
};

use crate::UnixTime;

/// The offset of the database's clock from this process's clock, to the millisecond.
///
/// The grace period and lifetimes compare times that one worker wrote with times that another worker reads. If the
/// workers' clocks were minutes apart, an honest token could be taken for a copied one. So each answer of the database
/// that looks up a session also reports the database's time. Between answers, the process advances that time with its
/// own clock. Before the first answer, it uses its own clock alone.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use jwtauth::{DatabaseClock, UnixTime};
///
/// let clock = DatabaseClock::new();
/// let asked = SystemTime::now();
/// let database = asked + Duration::from_secs(300); // SELECT now()
/// clock.hear(asked..=SystemTime::now(), database);
/// assert!(clock.now(SystemTime::now()) >= UnixTime::from(database));
/// ```
#[derive(Default)]
pub struct DatabaseClock {
    offset: AtomicI64,
}

impl DatabaseClock {
    /// Create a clock without any report of the database's time.
    pub const fn new() -> Self {
        Self { offset: AtomicI64::new(0) }
    }

    /// Record that the database's clock showed `database` at some moment within the local times `asked..=answered`.
    ///
    /// If the known offset is consistent with the report, it stays unchanged, so that slow answers have no effect. An
    /// empty range is ignored; it means that the local clock was set back in between.
    pub fn hear(&self, local: RangeInclusive<SystemTime>, database: SystemTime) {
        let (asked, answered) = local.into_inner();
        let (asked, answered, database) = (milliseconds(asked), milliseconds(answered), milliseconds(database));
        let (least, most) = (database.saturating_sub(answered), database.saturating_sub(asked));
        if least <= most {
            let known = self.offset.load(Ordering::Relaxed);
            self.offset.store(known.clamp(least, most), Ordering::Relaxed);
        }
    }

    /// Return the database's time at the local time `local`.
    pub fn now(&self, local: SystemTime) -> UnixTime {
        let now = milliseconds(local).saturating_add(self.offset.load(Ordering::Relaxed));
        UnixTime::from_secs(now.div_euclid(1000).try_into().unwrap_or(0))
    }
}

impl fmt::Debug for DatabaseClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseClock").field("offset_ms", &self.offset.load(Ordering::Relaxed)).finish()
    }
}

/// Return the milliseconds since 1970, negative for earlier times.
fn milliseconds(time: SystemTime) -> i64 {
    let whole = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => whole(since),
        Err(before) => -whole(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOCAL: i64 = 1_700_000_000_000;

    /// Return the time at this number of milliseconds after 1970, or before it if negative.
    fn at(milliseconds: i64) -> SystemTime {
        let duration = Duration::from_millis(milliseconds.unsigned_abs());
        if milliseconds < 0 { SystemTime::UNIX_EPOCH - duration } else { SystemTime::UNIX_EPOCH + duration }
    }

    fn hear(clock: &DatabaseClock, asked: i64, answered: i64, database: i64) {
        clock.hear(at(asked)..=at(answered), at(database));
    }

    fn now(clock: &DatabaseClock, local: i64) -> u64 {
        clock.now(at(local)).as_secs()
    }

    #[test]
    fn local_clock_is_used_before_the_first_answer() {
        assert_eq!(now(&DatabaseClock::new(), LOCAL + 999), 1_700_000_000);
        assert_eq!(now(&DatabaseClock::new(), -1), 0);
    }

    #[test]
    fn worker_with_a_wrong_clock_returns_the_time_of_the_database() {
        for off in [-300_000, 300_000] {
            let clock = DatabaseClock::new();
            hear(&clock, LOCAL + off, LOCAL + off + 2, LOCAL + 1);
            assert_eq!(now(&clock, LOCAL + off + 60_500), 1_700_000_060);
        }
    }

    #[test]
    fn slow_answer_consistent_with_the_offset_changes_nothing() {
        let clock = DatabaseClock::new();
        hear(&clock, LOCAL, LOCAL + 20_000, LOCAL + 100);
        hear(&clock, LOCAL, LOCAL + 20_000, LOCAL + 19_900);
        assert_eq!(format!("{clock:?}"), "DatabaseClock { offset_ms: 0 }");
    }

    #[test]
    fn adjusted_database_clock_is_followed() {
        let clock = DatabaseClock::new();
        hear(&clock, LOCAL, LOCAL + 2, LOCAL + 300_000);
        hear(&clock, LOCAL, LOCAL + 2, LOCAL + 1);
        assert_eq!(now(&clock, LOCAL), 1_700_000_000);
    }

    #[test]
    fn answer_is_ignored_if_the_local_clock_was_set_back() {
        let clock = DatabaseClock::new();
        hear(&clock, LOCAL, LOCAL - 1000, LOCAL + 300_000);
        assert_eq!(now(&clock, LOCAL), 1_700_000_000);
    }

    proptest! {
        #[test]
        fn error_is_at_most_the_duration_of_the_quickest_answer(
            skew in -400_000..400_000i64, answers in prop::collection::vec((0..5_000i64, 0..=100i64), 1..20),
        ) {
            let clock = DatabaseClock::new();
            for &(took, share) in &answers {
                let database = LOCAL + skew + took * share / 100;
                hear(&clock, LOCAL, LOCAL + took, database);
            }
            let quickest = answers.iter().map(|(took, _)| *took).min().unwrap();
            let off = clock.offset.load(Ordering::Relaxed) - skew;
            prop_assert!(off.abs() <= quickest, "{off} ms off after an answer in {quickest} ms");
        }

        #[test]
        fn any_report_is_handled_without_panic(asked: i64, answered: i64, database: i64, local: i64) {
            let clock = DatabaseClock::new();
            hear(&clock, asked, answered, database);
            let _ = now(&clock, local);
        }
    }
}
