//! The schedule of the removal of expired sessions.

use std::time::Duration;

use pyo3::prelude::*;

/// When to remove expired sessions, and how many at once. Times are in monotonic nanoseconds.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct CleanupSchedule(jwtauth::CleanupSchedule);

// No method releases the interpreter. So when a thread forks, no other thread holds the lock inside a method.
#[pymethods]
impl CleanupSchedule {
    #[classattr]
    const MARGIN: u64 = jwtauth::CleanupSchedule::MARGIN.as_secs();

    #[new]
    #[pyo3(signature = (now, *, random))]
    fn new(now: u64, random: u32) -> Self {
        Self(jwtauth::CleanupSchedule::new(Duration::from_nanos(now), random))
    }

    fn is_due(&self, now: u64) -> bool {
        self.0.is_due(Duration::from_nanos(now))
    }

    #[pyo3(signature = (now, *, random))]
    fn begin(&self, now: u64, random: u32) -> Option<u32> {
        self.0.begin(Duration::from_nanos(now), random)
    }

    #[pyo3(signature = (*, began, now, is_full))]
    fn end(&self, began: u64, now: u64, is_full: bool) {
        self.0.end(Duration::from_nanos(began), Duration::from_nanos(now), is_full);
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}
