//! Session names and rows.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use jwtauth::{Authentication, DeviceBinding, Generation, UnixTime};
use pyo3::{exceptions::PyValueError, prelude::*};
use uuid::Uuid;

use crate::{clock::StoredTime, error::Error, token::Claims};

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

    /// Return the name of the session that replaces the acting session of this name.
    fn after_acting(&self, generation: u64) -> Self {
        Self(self.0.after_acting(Generation::new(generation)))
    }

    #[getter]
    fn session_id(&self) -> Uuid {
        self.0.session_id()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// A boolean as a database driver returns it: `bool`, or 0 or 1 where the database has no such type.
struct StoredFlag(bool);

impl<'a, 'py> FromPyObject<'a, 'py> for StoredFlag {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match value.extract() {
            Ok(0_u8) => Ok(Self(false)),
            Ok(1) => Ok(Self(true)),
            _ => Err(PyValueError::new_err("not a boolean as Django stores it")),
        }
    }
}

/// The columns of a session's row that the rules need.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Session(pub(crate) jwtauth::Session);

#[pymethods]
impl Session {
    #[new]
    #[pyo3(signature = (*, generation, acknowledged_at, rotated_at, created_at, expires_at, end_is_fixed,
                        auth_time = None, locks_at = None, device_key = None))]
    #[expect(clippy::too_many_arguments, reason = "they are keyword arguments in Python")]
    fn new(
        generation: u64,
        acknowledged_at: Option<u64>,
        rotated_at: u64,
        created_at: u64,
        expires_at: u64,
        end_is_fixed: bool,
        auth_time: Option<u64>,
        locks_at: Option<u64>,
        device_key: Option<&str>,
    ) -> Self {
        let at = UnixTime::from_secs;
        let session = jwtauth::Session::new(at(created_at), at(expires_at))
            .with_generation(Generation::new(generation), at(rotated_at))
            .with_acknowledged_at(acknowledged_at.map(at))
            .with_fixed_end(end_is_fixed)
            .with_auth_time(auth_time.map(at))
            .with_locks_at(locks_at.map(at))
            .with_device(DeviceBinding::from_stored(device_key));
        Self(session)
    }

    /// Create the row from the columns as the database driver returns them.
    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "they are the columns, in their order")]
    fn stored(
        generation: u64,
        end_is_fixed: StoredFlag,
        acknowledged_at: Option<StoredTime>,
        auth_time: Option<StoredTime>,
        locks_at: Option<StoredTime>,
        device_key: Option<&str>,
        rotated_at: StoredTime,
        created_at: StoredTime,
        expires_at: StoredTime,
    ) -> Self {
        let optional = |time: Option<StoredTime>| time.map(|time| time.0);
        Self::new(
            generation,
            optional(acknowledged_at),
            rotated_at.0,
            created_at.0,
            expires_at.0,
            end_is_fixed.0,
            optional(auth_time),
            optional(locks_at),
            device_key,
        )
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
    fn auth_time(&self) -> Option<u64> {
        self.0.auth_time.map(UnixTime::as_secs)
    }

    /// Return what the tokens with these claims say of when the user authenticated.
    fn auth_time_of(&self, claims: &Bound<'_, Claims>) -> u64 {
        Authentication::of(&claims.get().0, &self.0).time.as_secs()
    }

    /// Return whether that was less than `within` seconds ago.
    fn is_recent(&self, claims: &Bound<'_, Claims>, within: u64, now: u64) -> bool {
        let authentication = Authentication::of(&claims.get().0, &self.0);
        authentication.is_recent(Duration::from_secs(within), UnixTime::from_secs(now))
    }

    #[getter]
    fn locks_at(&self) -> Option<u64> {
        self.0.locks_at.map(UnixTime::as_secs)
    }

    /// Return whether the session is, or must be, bound to a key.
    #[getter]
    fn needs_device(&self) -> bool {
        self.0.device.needs_proof()
    }

    /// Return the session as a request shows it that brings a token of this generation.
    fn as_shown_by(&self, presented: u64) -> Self {
        Self(self.0.as_shown_by(Generation::new(presented)))
    }

    /// Return whether a token of this generation may stop acting in this session.
    fn may_stop_acting(&self, presented: u64) -> bool {
        self.0.may_stop_acting(Generation::new(presented))
    }

    /// Return whether no token of this session was used yet.
    #[getter]
    fn is_unused(&self) -> bool {
        self.0.is_unused()
    }

    #[getter]
    fn end_is_fixed(&self) -> bool {
        self.0.end_is_fixed
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}
