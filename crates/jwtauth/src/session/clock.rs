//! One clock for all workers: the database's, as last heard.

use std::{
    fmt,
    ops::RangeInclusive,
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime},
};

use crate::UnixTime;

/// How far the database's clock is from this process's, to the millisecond.
///
/// Grace and lifetimes are told by comparing what one worker wrote with what another reads, so workers whose clocks are
/// minutes apart would take an honest token for a copied one. Each answer of the database that looks up a session also
/// tells its time; between the answers the process counts on with its own clock. Until the first answer its own clock
/// is all there is.
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
    /// Make a clock that has heard nothing yet.
    pub const fn new() -> Self {
        Self { offset: AtomicI64::new(0) }
    }

    /// Hear that the database's clock said `database` at some moment of the local times `asked..=answered`.
    ///
    /// What is known stays as it is where it may be true, so that a slow answer moves nothing. An empty range, of a local
    /// clock that was set back in between, is ignored.
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

/// Return the milliseconds since 1970, negative before.
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

    /// So many milliseconds after 1970, or before.
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
    fn before_the_first_answer_it_is_the_local_clock() {
        assert_eq!(now(&DatabaseClock::new(), LOCAL + 999), 1_700_000_000);
        assert_eq!(now(&DatabaseClock::new(), -1), 0);
    }

    #[test]
    fn a_worker_that_is_minutes_off_tells_the_database_s_time() {
        for off in [-300_000, 300_000] {
            let clock = DatabaseClock::new();
            hear(&clock, LOCAL + off, LOCAL + off + 2, LOCAL + 1);
            assert_eq!(now(&clock, LOCAL + off + 60_500), 1_700_000_060);
        }
    }

    #[test]
    fn a_slow_answer_that_fits_what_is_known_moves_nothing() {
        let clock = DatabaseClock::new();
        hear(&clock, LOCAL, LOCAL + 20_000, LOCAL + 100);
        hear(&clock, LOCAL, LOCAL + 20_000, LOCAL + 19_900);
        assert_eq!(format!("{clock:?}"), "DatabaseClock { offset_ms: 0 }");
    }

    #[test]
    fn a_clock_that_was_set_in_between_is_followed() {
        let clock = DatabaseClock::new();
        hear(&clock, LOCAL, LOCAL + 2, LOCAL + 300_000);
        hear(&clock, LOCAL, LOCAL + 2, LOCAL + 1);
        assert_eq!(now(&clock, LOCAL), 1_700_000_000);
    }

    #[test]
    fn a_local_clock_that_was_set_back_while_it_waited_is_not_heard() {
        let clock = DatabaseClock::new();
        hear(&clock, LOCAL, LOCAL - 1000, LOCAL + 300_000);
        assert_eq!(now(&clock, LOCAL), 1_700_000_000);
    }

    proptest! {
        #[test]
        fn it_is_off_by_no_more_than_the_answer_took(
            skew in -400_000..400_000i64, answers in prop::collection::vec((0..5_000i64, 0..=100i64), 1..20),
        ) {
            let clock = DatabaseClock::new();
            for &(took, share) in &answers {
                let theirs = LOCAL + skew + took * share / 100;
                hear(&clock, LOCAL, LOCAL + took, theirs);
            }
            let quickest = answers.iter().map(|(took, _)| *took).min().unwrap();
            let off = clock.offset.load(Ordering::Relaxed) - skew;
            prop_assert!(off.abs() <= quickest, "{off} ms off after an answer in {quickest} ms");
        }

        #[test]
        fn nothing_that_is_heard_panics(asked: i64, answered: i64, theirs: i64, local: i64) {
            let clock = DatabaseClock::new();
            hear(&clock, asked, answered, theirs);
            let _ = now(&clock, local);
        }
    }
}
