//! Session names and rows.

use aws_lc_rs::rand::SystemRandom;
use jwtauth::{Generation, UnixTime};
use pyo3::prelude::*;
use uuid::Uuid;

use crate::{clock::stored_seconds, error::Error};

/// The secret name of a session.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Sid(pub(crate) jwtauth::Sid);

#[pymethods]
impl Sid {
    #[staticmethod]
    fn generate(now: u64) -> Result<Self, Error> {
        Ok(Self(jwtauth::Sid::generate(&SystemRandom::new(), UnixTime::from_secs(now))?))
    }

    #[staticmethod]
    fn derived(secret: [u8; 16], now: u64) -> Self {
        Self(jwtauth::Sid::derived(secret, UnixTime::from_secs(now)))
    }

    #[getter]
    fn session_id(&self) -> Uuid {
        self.0.session_id()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// The columns of a session's row that the rules need.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Session(pub(crate) jwtauth::Session);

#[pymethods]
impl Session {
    #[new]
    #[pyo3(signature = (*, generation, acknowledged_at, rotated_at, created_at, expires_at, end_is_fixed))]
    fn new(
        generation: u64,
        acknowledged_at: Option<u64>,
        rotated_at: u64,
        created_at: u64,
        expires_at: u64,
        end_is_fixed: bool,
    ) -> Self {
        let at = UnixTime::from_secs;
        let session = jwtauth::Session::new(at(created_at), at(expires_at))
            .with_generation(Generation::new(generation), at(rotated_at))
            .with_acknowledged_at(acknowledged_at.map(at))
            .with_fixed_end(end_is_fixed);
        Self(session)
    }

    /// Create the row from the columns that Python's sqlite3 returns, with times as Django stores them.
    #[staticmethod]
    fn stored(
        generation: u64,
        end_is_fixed: bool,
        acknowledged_at: Option<&str>,
        rotated_at: &str,
        created_at: &str,
        expires_at: &str,
    ) -> PyResult<Self> {
        let [rotated_at, created_at, expires_at] = [rotated_at, created_at, expires_at].map(stored_seconds);
        let acknowledged_at = acknowledged_at.map(stored_seconds).transpose()?;
        Ok(Self::new(generation, acknowledged_at, rotated_at?, created_at?, expires_at?, end_is_fixed))
    }

    #[getter]
    fn generation(&self) -> u64 {
        self.0.generation.get()
    }

    #[getter]
    fn acknowledged_at(&self) -> Option<u64> {
        self.0.acknowledged_at.map(UnixTime::as_secs)
    }

    #[getter]
    fn rotated_at(&self) -> u64 {
        self.0.rotated_at.as_secs()
    }

    #[getter]
    fn created_at(&self) -> u64 {
        self.0.created_at.as_secs()
    }

    #[getter]
    fn expires_at(&self) -> u64 {
        self.0.expires_at.as_secs()
    }

    #[getter]
    fn end_is_fixed(&self) -> bool {
        self.0.end_is_fixed
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}
