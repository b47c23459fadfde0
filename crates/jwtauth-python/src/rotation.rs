//! The rotation policy and its decisions.

use jwtauth::{Lifetimes, Presented};
use pyo3::{prelude::*, types::PyString};

use crate::{error::Error, session::Session, token::Kind};

/// Lifetimes and grace, in seconds.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Policy(jwtauth::RotationPolicy);

#[pymethods]
impl Policy {
    #[new]
    #[pyo3(signature = (*, access, idle, absolute, grace))]
    fn new(access: u64, idle: u64, absolute: Option<u64>, grace: u64) -> Result<Self, Error> {
        Ok(Self(jwtauth::RotationPolicy::new(Lifetimes::new(access, idle, absolute)?, grace)))
    }

    fn start(&self, now: u64) -> Session {
        Session(self.0.start(now))
    }

    fn start_for(&self, lifetime: u64, now: u64) -> Session {
        Session(self.0.start_for(lifetime, now))
    }

    fn succeed(&self, session: &Bound<'_, Session>, now: u64) -> Session {
        Session(self.0.succeed(&session.get().0, now))
    }

    #[pyo3(signature = (session, generation, *, upload, now))]
    fn decide(&self, session: &Bound<'_, Session>, generation: u64, upload: bool, now: u64) -> Decision {
        let session = &session.get().0;
        let decision = self.0.decide(session, Presented { generation, upload }, now);
        Decision { decision, session: *session }
    }

    fn acknowledges(&self, session: &Bound<'_, Session>, generation: u64) -> bool {
        self.0.acknowledges(&session.get().0, generation)
    }

    fn is_over(&self, session: &Bound<'_, Session>, now: u64) -> bool {
        self.0.lifetimes().is_over(&session.get().0, now)
    }

    fn access_end(&self, now: u64, session_end: u64) -> u64 {
        self.0.lifetimes().access_end(now, session_end)
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// The answer to a refresh token.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Decision {
    decision: jwtauth::Decision,
    session: jwtauth::Session,
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
    fn issues(&self) -> Vec<Kind> {
        self.decision.issues().iter().copied().map(Kind::from).collect()
    }

    #[getter]
    fn acknowledge(&self) -> bool {
        self.decision.acknowledges()
    }

    #[getter]
    fn warning(&self) -> Option<&'static str> {
        self.decision.warning()
    }

    /// The row as it is to be written.
    #[getter]
    fn next(&self) -> Option<Session> {
        self.decision.next(&self.session).map(Session)
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.decision)
    }
}

/// Whether a request's cookies may honestly be old.
#[pyfunction]
#[pyo3(signature = (*, content_length, transfer_encoding))]
pub(crate) fn is_upload(
    content_length: Option<&Bound<'_, PyString>>,
    transfer_encoding: Option<&Bound<'_, PyString>>,
) -> bool {
    let text = |value: Option<&Bound<'_, PyString>>| value.map(|value| value.to_string_lossy().into_owned());
    jwtauth::is_upload(text(content_length).as_deref(), text(transfer_encoding).as_deref())
}
