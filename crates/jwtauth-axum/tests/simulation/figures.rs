//! The counters of the runs.

use std::fmt;

use crate::oracle::Longest;

#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub seeds: u64,
    pub refreshes: u64,
    pub requests: u64,
    pub losses: u64,
    pub failures: u64,
    pub departures: u64,
    pub deaths: u64,
    pub jumps: u64,
    pub thefts: u64,
    pub lockouts: u64,
    pub longest: Longest,
}

impl Figures {
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.refreshes += other.refreshes;
        self.requests += other.requests;
        self.losses += other.losses;
        self.failures += other.failures;
        self.departures += other.departures;
        self.deaths += other.deaths;
        self.jumps += other.jumps;
        self.thefts += other.thefts;
        self.lockouts += other.lockouts;
        self.longest.by_access = self.longest.by_access.max(other.longest.by_access);
        self.longest.by_upload = self.longest.by_upload.max(other.longest.by_upload);
        self.longest.beyond = self.longest.beyond.max(other.longest.beyond);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |milliseconds: u64| milliseconds / 1000;
        write!(
            f,
            "{} refreshes, {} requests, {} seeds; {} answers lost, {} failures of the store, {} clients left, {} processes \
             died, {} clocks jumped; {} thieves found, {} locked out, then served for {} s by an access token and {} s by \
             uploads at most, {} s beyond the bound",
            self.refreshes,
            self.requests,
            self.seeds,
            self.losses,
            self.failures,
            self.departures,
            self.deaths,
            self.jumps,
            self.thefts,
            self.lockouts,
            seconds(self.longest.by_access),
            seconds(self.longest.by_upload),
            seconds(self.longest.beyond)
        )
    }
}
