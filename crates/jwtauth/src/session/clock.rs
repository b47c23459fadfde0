//! One clock for all workers: the database's, as last heard.

use std::{
    fmt,
    sync::atomic::{AtomicI64, Ordering},
};

use crate::NumericDate;

/// How far the database's clock is from this process's.
///
/// Grace and lifetimes are told by comparing what one worker wrote with what another reads, so workers whose clocks are
/// minutes apart would take an honest token for a copied one. Each answer of the database that looks up a session also
/// tells its time; between the answers the process counts on with its own clock. Until the first answer its own clock
/// is all there is. All times here are milliseconds since 1970-01-01T00:00:00Z.
#[derive(Default)]
pub struct DatabaseClock {
    offset: AtomicI64,
}

impl DatabaseClock {
    /// A clock that has heard nothing yet.
    pub const fn new() -> Self {
        Self { offset: AtomicI64::new(0) }
    }

    /// The database read its clock at some moment between the local times `asked` and `answered`.
    ///
    /// Clocks that may agree with what was known stay as they are, so that a slow answer moves nothing.
    pub fn hear(&self, asked: i64, answered: i64, theirs: i64) {
        let (least, most) = (theirs.saturating_sub(answered), theirs.saturating_sub(asked));
        if least <= most {
            let known = self.offset.load(Ordering::Relaxed);
            self.offset.store(known.clamp(least, most), Ordering::Relaxed);
        }
    }

    /// The database's time at the local time `local`, in whole seconds.
    pub fn now(&self, local: i64) -> NumericDate {
        let now = local.saturating_add(self.offset.load(Ordering::Relaxed));
        now.div_euclid(1000).try_into().unwrap_or(0)
    }
}

impl fmt::Debug for DatabaseClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseClock").field("offset_ms", &self.offset.load(Ordering::Relaxed)).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOCAL: i64 = 1_700_000_000_000;

    #[test]
    fn before_the_first_answer_it_is_the_local_clock() {
        assert_eq!(DatabaseClock::new().now(LOCAL + 999), 1_700_000_000);
        assert_eq!(DatabaseClock::new().now(-1), 0);
    }

    #[test]
    fn a_worker_that_is_minutes_off_tells_the_database_s_time() {
        for off in [-300_000, 300_000] {
            let clock = DatabaseClock::new();
            clock.hear(LOCAL + off, LOCAL + off + 2, LOCAL + 1);
            assert_eq!(clock.now(LOCAL + off + 60_500), 1_700_000_060);
        }
    }

    #[test]
    fn a_slow_answer_that_fits_what_is_known_moves_nothing() {
        let clock = DatabaseClock::new();
        clock.hear(LOCAL, LOCAL + 20_000, LOCAL + 100);
        clock.hear(LOCAL, LOCAL + 20_000, LOCAL + 19_900);
        assert_eq!(format!("{clock:?}"), "DatabaseClock { offset_ms: 0 }");
    }

    #[test]
    fn a_clock_that_was_set_in_between_is_followed() {
        let clock = DatabaseClock::new();
        clock.hear(LOCAL, LOCAL + 2, LOCAL + 300_000);
        clock.hear(LOCAL, LOCAL + 2, LOCAL + 1);
        assert_eq!(clock.now(LOCAL), 1_700_000_000);
    }

    #[test]
    fn a_local_clock_that_was_set_back_while_it_waited_is_not_heard() {
        let clock = DatabaseClock::new();
        clock.hear(LOCAL, LOCAL - 1000, LOCAL + 300_000);
        assert_eq!(clock.now(LOCAL), 1_700_000_000);
    }

    proptest! {
        #[test]
        fn it_is_off_by_no_more_than_the_answer_took(
            skew in -400_000..400_000i64, answers in prop::collection::vec((0..5_000i64, 0..=100i64), 1..20),
        ) {
            let clock = DatabaseClock::new();
            for &(took, share) in &answers {
                let theirs = LOCAL + skew + took * share / 100;
                clock.hear(LOCAL, LOCAL + took, theirs);
            }
            let quickest = answers.iter().map(|(took, _)| *took).min().unwrap();
            let off = clock.offset.load(Ordering::Relaxed) - skew;
            prop_assert!(off.abs() <= quickest, "{off} ms off after an answer in {quickest} ms");
        }

        #[test]
        fn nothing_that_is_heard_panics(asked: i64, answered: i64, theirs: i64, local: i64) {
            let clock = DatabaseClock::new();
            clock.hear(asked, answered, theirs);
            let _ = clock.now(local);
        }
    }
}
