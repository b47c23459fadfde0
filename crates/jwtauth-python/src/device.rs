//! Device-bound sessions: challenges, and the proofs of browsers.

use jwtauth::{DeviceKey, Generation, ProofError, Purpose, UnixTime};
use pyo3::{exceptions::PyValueError, prelude::*, types::PyString};
use uuid::Uuid;

use crate::error::Error;

/// What a device signs to prove that it has its key.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Challenge(pub(crate) jwtauth::Challenge);

impl Challenge {
    /// Create a challenge. `session` is a UUID or its text.
    pub(crate) fn new(session: &Bound<'_, PyAny>, generation: u64, purpose: &str, expires_at: u64) -> PyResult<Self> {
        let session = match session.cast::<PyString>() {
            Ok(text) => Uuid::try_parse(&text.to_cow()?).map_err(|_| PyValueError::new_err("not a UUID"))?,
            Err(_) => session.extract()?,
        };
        let purpose = Purpose::parse(purpose).ok_or_else(|| PyValueError::new_err("unknown purpose"))?;
        let (generation, expires_at) = (Generation::new(generation), UnixTime::from_secs(expires_at));
        Ok(Self(jwtauth::Challenge::new(session, generation, purpose, expires_at)))
    }
}

#[pymethods]
impl Challenge {
    #[getter]
    fn session(&self) -> Uuid {
        self.0.session
    }

    #[getter]
    fn generation(&self) -> u64 {
        self.0.generation.get()
    }

    #[getter]
    fn purpose(&self) -> &'static str {
        self.0.purpose.as_str()
    }

    #[getter]
    fn expires_at(&self) -> u64 {
        self.0.expires_at.as_secs()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// A proof that a browser has the key of its device.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct DeviceProof(jwtauth::DeviceProof);

#[pymethods]
impl DeviceProof {
    /// Return the text of the key that the proof brings, and the challenge.
    fn registration(&self, py: Python<'_>) -> Result<(String, String), Error> {
        let (key, challenge) = py.detach(|| self.0.registration())?;
        Ok((key.to_text(), challenge.to_owned()))
    }

    /// Return the challenge. `key` is the text of the device's key.
    fn verify(&self, py: Python<'_>, key: &str) -> Result<String, Error> {
        Ok(py.detach(|| self.0.verify(&DeviceKey::parse(key)?).map(str::to_owned))?)
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// Parse the value of the header `Secure-Session-Response`.
#[pyfunction]
pub(crate) fn device_proof(value: &Bound<'_, PyAny>) -> PyResult<DeviceProof> {
    let parsed = match value.cast::<PyString>() {
        // A text with a lone surrogate cannot be a proof.
        Ok(text) => text
            .to_cow()
            .map_err(|_| ProofError::Malformed)
            .and_then(|text| jwtauth::DeviceProof::parse(text.as_bytes())),
        Err(_) => jwtauth::DeviceProof::parse(value.extract()?),
    };
    Ok(DeviceProof(parsed.map_err(Error::from)?))
}
