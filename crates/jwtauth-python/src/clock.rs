//! The database's clock.

use pyo3::prelude::*;

/// How far the database's clock is from this process's. Times are milliseconds since 1970.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct DatabaseClock(jwtauth::DatabaseClock);

#[pymethods]
impl DatabaseClock {
    #[new]
    fn new() -> Self {
        Self(jwtauth::DatabaseClock::new())
    }

    #[pyo3(signature = (*, asked, answered, theirs))]
    fn hear(&self, asked: i64, answered: i64, theirs: i64) {
        self.0.hear(asked, answered, theirs);
    }

    fn now(&self, local: i64) -> u64 {
        self.0.now(local)
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}
