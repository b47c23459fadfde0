//! The current time, corrected by the database's clock.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use jwtauth::{DatabaseClock, UnixTime};
use tokio::time::Instant;

type Local = Arc<dyn Fn() -> SystemTime + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Clock {
    local: Local,
    /// `None` if a test sets the clock.
    database: Option<Arc<DatabaseClock>>,
    started: Instant,
}

impl Clock {
    /// Return a clock for tests.
    pub(crate) fn new(local: Local) -> Self {
        Self { local, database: None, started: Instant::now() }
    }

    pub(crate) fn now(&self) -> UnixTime {
        let local = self.local();
        self.database.as_ref().map_or_else(|| local.into(), |database| database.now(local))
    }

    pub(crate) fn local(&self) -> SystemTime {
        (self.local)()
    }

    /// Return the monotonic time since this clock was created.
    pub(crate) fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    /// Record the database time that was read between `asked` and now.
    pub(crate) fn hear(&self, asked: SystemTime, database_time: Option<SystemTime>) {
        if let (Some(database), Some(time)) = (&self.database, database_time) {
            database.hear(asked..=self.local(), time);
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self { local: Arc::new(SystemTime::now), database: Some(Arc::default()), started: Instant::now() }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("database", &self.database).finish_non_exhaustive()
    }
}
