//! The memory of sessions that this process has verified.

use std::time::Duration;

use pyo3::prelude::*;
use uuid::Uuid;

use crate::token::Claims;

/// When, and in which scope, the database was queried for a session.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Asked(jwtauth::Asked);

#[pymethods]
impl Asked {
    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// A bounded memory of verified sessions. Times are in monotonic milliseconds.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct VerifiedSessions(jwtauth::VerifiedSessions);

// No method releases the interpreter. So when a thread forks, no other thread holds a lock inside a method.
#[pymethods]
impl VerifiedSessions {
    #[new]
    fn new(capacity: usize) -> Self {
        Self(jwtauth::VerifiedSessions::new(capacity))
    }

    #[pyo3(signature = (session, *, scope, now))]
    fn asking(&self, session: Uuid, scope: u64, now: u64) -> Asked {
        Asked(self.0.asking(session, scope, Duration::from_millis(now)))
    }

    fn remember(&self, claims: &Bound<'_, Claims>, asked: &Bound<'_, Asked>) {
        self.0.remember(&claims.get().0, asked.get().0);
    }

    #[pyo3(signature = (claims, *, scope, now, interval))]
    fn is_fresh(&self, claims: &Bound<'_, Claims>, scope: u64, now: u64, interval: Option<u64>) -> bool {
        self.0.is_fresh(&claims.get().0, scope, Duration::from_millis(now), interval.map(Duration::from_millis))
    }

    fn forget(&self, session: Uuid) {
        self.0.forget(session);
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}
