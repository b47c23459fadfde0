//! The time of the database, and the clocks of workers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use jwtauth_axum::jwtauth::{DatabaseClock, UnixTime};

/// The true time in milliseconds since 1970, which the database uses.
#[derive(Clone)]
pub struct Time(Arc<AtomicU64>);

impl Time {
    pub fn new(now: u64) -> Self {
        Self(Arc::new(AtomicU64::new(now)))
    }

    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn unix(&self) -> UnixTime {
        UnixTime::from_secs(self.now() / 1000)
    }

    /// Let this much time pass, also for tasks that wait on tokio's clock.
    pub async fn pass(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
        tokio::time::advance(Duration::from_millis(by)).await;
    }
}

/// A worker's clock, which may be wrong, and the database time that the worker has read.
#[derive(Clone)]
pub struct WorkerClock {
    time: Time,
    ahead: Arc<AtomicI64>,
    database: Arc<DatabaseClock>,
}

impl WorkerClock {
    pub fn new(time: Time) -> Self {
        Self { time, ahead: Arc::default(), database: Arc::default() }
    }

    /// Set the clock this far ahead of the true time, or behind.
    pub fn jump(&self, ahead: i64) {
        self.ahead.store(ahead, Ordering::Relaxed);
    }

    fn local(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
            + Duration::from_millis(self.time.now().saturating_add_signed(self.ahead.load(Ordering::Relaxed)))
    }

    /// Read the database's time without delay.
    pub fn hear(&self) {
        let local = self.local();
        self.database.hear(local..=local, SystemTime::UNIX_EPOCH + Duration::from_millis(self.time.now()));
    }

    /// Return the time that the layer uses.
    pub fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.database.now(self.local()).as_secs())
    }
}
