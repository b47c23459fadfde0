//! Sessions that this process has asked the database about.

use pyo3::prelude::*;
use uuid::Uuid;

/// A bounded memory of verified sessions. Times are monotonic milliseconds.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct VerifiedSessions(jwtauth::VerifiedSessions);

#[pymethods]
impl VerifiedSessions {
    #[new]
    fn new(capacity: usize) -> Self {
        Self(jwtauth::VerifiedSessions::new(capacity))
    }

    fn remember(&self, session: Uuid, generation: u64, at: u64) {
        self.0.remember(session, generation, at);
    }

    #[pyo3(signature = (session, generation, *, now, interval))]
    fn is_fresh(&self, session: Uuid, generation: u64, now: u64, interval: Option<u64>) -> bool {
        self.0.is_fresh(session, generation, now, interval)
    }

    fn forget(&self, session: Uuid) {
        self.0.forget(session);
    }

    fn clear(&self) {
        self.0.clear();
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}
