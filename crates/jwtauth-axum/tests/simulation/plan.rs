//! What a seed decides before its run begins: the settings, the actors and the troubles.

use std::time::Duration;

use jwtauth_axum::Settings;

use crate::{common::settings, random::Random};

pub const SECOND: u64 = 1000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;
/// Time passes in steps of so much: longer than the longest pause of the layer between two tries, which is random.
pub const TICK: u64 = SECOND / 4;
/// How much sooner than the grace a request is answered: the seconds that are cut off, and what forced steps take.
const SLACK: u64 = 4 * SECOND;

/// All times are in milliseconds.
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
    /// How many requests of a browser are under way at once, at most.
    pub tabs: u64,
    pub thieves: usize,
    /// Of a thousand steps of the store, how many fail.
    pub failures: u64,
    /// Of a thousand answers, how many get lost.
    pub losses: u64,
    /// Of a thousand moments, at how many a client goes, or a process dies.
    pub departures: u64,
    /// Answers take as long as they may, which is longer than the grace.
    pub late_answers: bool,
    /// How far a worker's clock is off, at most.
    pub skew: u64,
    /// Browsers lose their access cookies now and then.
    pub forgets_access: bool,
}

impl Plan {
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

    /// Return how long an ordinary request takes at most, from the browser to the end of all that it causes.
    pub fn slowest(&self) -> u64 {
        self.grace - SLACK
    }

    /// Return how long the answer to an ordinary request takes at most, from when the request was sent.
    pub fn latest(&self) -> u64 {
        if self.late_answers { self.access - self.grace - SLACK } else { self.slowest() }
    }
}
