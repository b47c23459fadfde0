//! Sessions that this process has asked the database about.

use pyo3::prelude::*;
use uuid::Uuid;

use crate::token::Claims;

/// A bounded memory of verified sessions. Times are monotonic milliseconds.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct VerifiedSessions(jwtauth::VerifiedSessions);

#[pymethods]
impl VerifiedSessions {
    #[new]
    fn new(capacity: usize) -> Self {
        Self(jwtauth::VerifiedSessions::new(capacity))
    }

    fn remember(&self, claims: &Bound<'_, Claims>, at: u64) {
        self.0.remember(&claims.get().0, at);
    }

    #[pyo3(signature = (claims, *, now, interval))]
    fn is_fresh(&self, claims: &Bound<'_, Claims>, now: u64, interval: Option<u64>) -> bool {
        self.0.is_fresh(&claims.get().0, now, interval)
    }

    fn forget(&self, session: Uuid) {
        self.0.forget(session);
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}
