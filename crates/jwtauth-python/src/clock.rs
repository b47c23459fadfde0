//! The database's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pyo3::{exceptions::PyValueError, intern, prelude::*, types::PyString};

/// The `toordinal()` of the first of January 1970.
const ORDINAL_OF_1970: i64 = 719_163;

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

/// A time as a database driver returns it, in Unix seconds: text as Django stores it in `SQLite`, such as
/// `2026-01-31 23:59:59.250000`, or a `datetime`. Without a time zone it is UTC.
pub(crate) struct StoredTime(pub(crate) u64);

impl<'a, 'py> FromPyObject<'a, 'py> for StoredTime {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let seconds = match value.cast::<PyString>() {
            Ok(text) => parse(text.to_str()?).map_or_else(refused, Ok),
            Err(_) => since_epoch(&value).or_else(|_| refused()), // not a `datetime`
        };
        seconds.map(Self)
    }
}

/// Return the Unix seconds of a time as a database driver returns it.
#[pyfunction]
pub(crate) fn stored_seconds(time: StoredTime) -> u64 {
    time.0
}

/// Return the Unix seconds of a `datetime`, whose offset from UTC is of whole seconds.
fn since_epoch(time: &Bound<'_, PyAny>) -> PyResult<u64> {
    let py = time.py();
    let days: i32 = time.call_method0(intern!(py, "toordinal"))?.extract()?;
    let hours: u8 = time.getattr(intern!(py, "hour"))?.extract()?;
    let minutes: u8 = time.getattr(intern!(py, "minute"))?.extract()?;
    let seconds: u8 = time.getattr(intern!(py, "second"))?.extract()?;
    let hours = (i64::from(days) - ORDINAL_OF_1970) * 24 + i64::from(hours);
    let local = (hours * 60 + i64::from(minutes)) * 60 + i64::from(seconds);
    let offset = time.call_method0(intern!(py, "utcoffset"))?;
    let ahead = if offset.is_none() {
        0
    } else {
        let days: i32 = offset.getattr(intern!(py, "days"))?.extract()?;
        let seconds: i32 = offset.getattr(intern!(py, "seconds"))?.extract()?;
        i64::from(days) * 86_400 + i64::from(seconds)
    };
    u64::try_from(local - ahead).or_else(|_| refused())
}

fn refused() -> PyResult<u64> {
    Err(PyValueError::new_err("not a time as Django stores it"))
}

fn parse(text: &str) -> Option<u64> {
    // humantime reads any offset after a fraction as UTC. Django writes no offset.
    let time = humantime::parse_rfc3339_weak(text).ok().filter(|_| !text.contains('+'))?;
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}
