//! The clock: the database's, as far as it has been heard.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use jwtauth::{DatabaseClock, NumericDate};

/// Milliseconds since 1970-01-01T00:00:00Z.
type Local = Arc<dyn Fn() -> i64 + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Clock {
    local: Local,
    /// `None` where the local clock is a test's.
    database: Option<Arc<DatabaseClock>>,
}

impl Clock {
    /// A test's.
    pub(crate) fn new(local: Local) -> Self {
        Self { local, database: None }
    }

    pub(crate) fn now(&self) -> NumericDate {
        let local = self.local_ms();
        match &self.database {
            Some(database) => database.now(local),
            None => (local / 1000).try_into().unwrap_or(0),
        }
    }

    pub(crate) fn local_ms(&self) -> i64 {
        (self.local)()
    }

    /// What the database's clock said between `asked` and now.
    pub(crate) fn hear(&self, asked: i64, theirs: Option<i64>) {
        if let (Some(database), Some(theirs)) = (&self.database, theirs) {
            database.hear(asked, self.local_ms(), theirs);
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        let local = || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        };
        Self { local: Arc::new(local), database: Some(Arc::default()) }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("database", &self.database).finish_non_exhaustive()
    }
}

/// Milliseconds that only ever rise.
pub(crate) fn monotonic_ms() -> u64 {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    u64::try_from(STARTED.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX)
}
