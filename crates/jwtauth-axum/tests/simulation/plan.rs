//! The decisions of a seed before its run: settings, actors and faults.

use std::time::Duration;

use jwtauth_axum::Settings;

use crate::{common::settings, random::Random};

pub const SECOND: u64 = 1000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;
/// The step in which time passes: longer than the layer's longest random pause between two attempts.
pub const TICK: u64 = SECOND / 4;
/// The time by which requests are answered before the grace ends: for truncated seconds, and for forced steps.
const SLACK: u64 = 4 * SECOND;

/// The plan of a run. All times are in milliseconds.
#[derive(Clone, Debug)]
pub struct Plan {
    pub access: u64,
    pub grace: u64,
    pub idle: u64,
    pub absolute: Option<u64>,
    /// `SESSION_CHECK_INTERVAL`.
    pub interval: Option<u64>,
    pub reuse_ends_all: bool,
    pub processes: usize,
    pub users: usize,
    pub browsers: usize,
    /// The most concurrent requests of a browser.
    pub tabs: u64,
    pub thieves: usize,
    /// How many of a thousand store calls fail.
    pub failures: u64,
    /// How many of a thousand responses are lost.
    pub losses: u64,
    /// At how many of a thousand moments a client disconnects or a process dies.
    pub departures: u64,
    /// Whether responses take as long as possible, which is longer than the grace.
    pub late_answers: bool,
    /// The largest clock error of a worker.
    pub skew: u64,
    /// Whether browsers occasionally lose their access cookies.
    pub forgets_access: bool,
}

impl Plan {
    /// Return how wrong a process can be about the database's time, in milliseconds.
    ///
    /// Its clock was slow by `skew` when the database last answered, and has since become fast by as much.
    pub fn clock_error(&self) -> u64 {
        2 * self.skew
    }

    pub fn new(random: &mut Random) -> Self {
        let access = random.pick(&[MINUTE, 5 * MINUTE, 5 * MINUTE, 15 * MINUTE]);
        let grace = random.pick(&[10, 30, 30, 60]) * SECOND;
        let late_answers = access > 2 * grace && random.one_in(5);
        let skew = if random.one_in(5) { 5 * MINUTE } else { 0 };
        Self {
            access,
            grace,
            idle: random.pick(&[HOUR, DAY, DAY, 14 * DAY]),
            absolute: random.pick(&[None, Some(14 * DAY), Some(30 * DAY)]),
            interval: random.pick(&[Some(0), Some(0), Some(0), Some(5 * SECOND), Some(MINUTE), None]),
            reuse_ends_all: random.one_in(6),
            processes: random.pick(&[1, 2, 2]),
            users: 1 + random.index(3),
            browsers: 1 + random.index(4),
            tabs: 1 + random.below(6),
            thieves: random.pick(&[0, 0, 1, 2]),
            failures: random.pick(&[0, 0, 4, 60]),
            losses: random.pick(&[0, 20, 150]),
            departures: random.pick(&[0, 50, 300]),
            late_answers,
            skew,
            forgets_access: !late_answers && random.one_in(3),
        }
    }

    pub fn settings(&self) -> Settings {
        let duration = Duration::from_millis;
        settings()
            .with_access_token_lifetime(duration(self.access))
            .with_refresh_token_grace_period(duration(self.grace))
            .with_refresh_token_lifetime(duration(self.idle))
            .with_session_lifetime(self.absolute.map(duration))
            .with_session_check_interval(self.interval.map(duration))
            .with_reuse_ends_all_sessions(self.reuse_ends_all)
    }

    /// Return the longest time of an ordinary request, from the browser to the end of all its effects.
    pub fn slowest(&self) -> u64 {
        self.grace - SLACK
    }

    /// Return the longest time until an ordinary request is answered.
    pub fn latest(&self) -> u64 {
        if self.late_answers { self.access - self.grace - SLACK } else { self.slowest() }
    }
}
