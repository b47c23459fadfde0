//! The rotation policy and its decisions.

use std::time::Duration;

use jwtauth::{Lifetimes, UnixTime};
use pyo3::prelude::*;

use crate::{error::Error, session::Session};

/// The rules of rotation, with durations in seconds.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct RotationPolicy(pub(crate) jwtauth::RotationPolicy);

#[pymethods]
impl RotationPolicy {
    #[new]
    #[pyo3(signature = (*, access, idle, absolute, grace))]
    fn new(access: u64, idle: u64, absolute: Option<u64>, grace: u64) -> Result<Self, Error> {
        let seconds = Duration::from_secs;
        Ok(Self(jwtauth::RotationPolicy::new(
            Lifetimes::new(seconds(access), seconds(idle), absolute.map(seconds))?,
            seconds(grace),
        )))
    }

    fn start(&self, now: u64) -> Session {
        Session(self.0.start(UnixTime::from_secs(now)))
    }

    fn start_for(&self, lifetime: u64, now: u64) -> Session {
        Session(self.0.start_for(Duration::from_secs(lifetime), UnixTime::from_secs(now)))
    }

    fn succeed(&self, session: &Bound<'_, Session>, now: u64) -> Session {
        Session(self.0.succeed(&session.get().0, UnixTime::from_secs(now)))
    }

    fn is_over(&self, session: &Bound<'_, Session>, now: u64) -> bool {
        self.0.lifetimes().is_over(&session.get().0, UnixTime::from_secs(now))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// The decision about a refresh token.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Decision {
    pub(crate) decision: jwtauth::Decision,
    pub(crate) session: jwtauth::Session,
}

#[pymethods]
impl Decision {
    #[getter]
    fn code(&self) -> &'static str {
        self.decision.code()
    }

    #[getter]
    fn admits(&self) -> bool {
        self.decision.admits()
    }

    #[getter]
    fn acknowledge(&self) -> bool {
        self.decision.acknowledges()
    }

    #[getter]
    fn warning(&self) -> Option<&'static str> {
        self.decision.warning()
    }

    /// The row to write, if any.
    #[getter]
    fn next(&self) -> Option<Session> {
        self.decision.next(&self.session).map(Session)
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.decision)
    }
}
