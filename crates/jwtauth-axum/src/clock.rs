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
    database: Arc<DatabaseClock>,
}

impl Clock {
    pub(crate) fn new(local: Local) -> Self {
        Self { local, database: Arc::default() }
    }

    pub(crate) fn now(&self) -> NumericDate {
        self.database.now(self.local_ms())
    }

    pub(crate) fn local_ms(&self) -> i64 {
        (self.local)()
    }

    /// What the database's clock said between `asked` and now.
    pub(crate) fn hear(&self, asked: i64, theirs: Option<i64>) {
        if let Some(theirs) = theirs {
            self.database.hear(asked, self.local_ms(), theirs);
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(Arc::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        }))
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
