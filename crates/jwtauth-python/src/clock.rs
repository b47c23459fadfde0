//! The database's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pyo3::{exceptions::PyValueError, prelude::*};

/// The offset of the database's clock from this process's clock. Times are in milliseconds since 1970.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct DatabaseClock(jwtauth::DatabaseClock);

#[pymethods]
impl DatabaseClock {
    #[new]
    fn new() -> Self {
        Self(jwtauth::DatabaseClock::new())
    }

    fn hear(&self, asked: i64, answered: i64, reported: i64) {
        self.0.hear(at(asked)..=at(answered), at(reported));
    }

    fn now(&self, local: i64) -> u64 {
        self.0.now(at(local)).as_secs()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// Return the time at this number of milliseconds since 1970, or 1970 itself if the system cannot represent the time.
fn at(milliseconds: i64) -> SystemTime {
    let distance = Duration::from_millis(milliseconds.unsigned_abs());
    let time = if milliseconds < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
    time.unwrap_or(UNIX_EPOCH)
}

/// Parse a UTC time as Django stores it in `SQLite`, such as `2026-01-31 23:59:59.250000`, and return the Unix seconds.
#[pyfunction]
pub(crate) fn stored_seconds(text: &str) -> PyResult<u64> {
    parse(text).ok_or_else(|| PyValueError::new_err("not a time as Django stores it"))
}

fn parse(text: &str) -> Option<u64> {
    // humantime reads any offset after a fraction as UTC. Django writes no offset.
    let time = humantime::parse_rfc3339_weak(text).ok().filter(|_| !text.contains('+'))?;
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}
