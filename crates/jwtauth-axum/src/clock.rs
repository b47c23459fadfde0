//! The clock: the database's, as far as it has been heard.

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
    /// `None` where the local clock is a test's.
    database: Option<Arc<DatabaseClock>>,
    started: Instant,
}

impl Clock {
    /// Make a test's.
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

    /// Return the time since this clock was made, which only ever rises.
    pub(crate) fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    /// Hear what the database's clock said between `asked` and now.
    pub(crate) fn hear(&self, asked: SystemTime, theirs: Option<SystemTime>) {
        if let (Some(database), Some(theirs)) = (&self.database, theirs) {
            database.hear(asked..=self.local(), theirs);
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
