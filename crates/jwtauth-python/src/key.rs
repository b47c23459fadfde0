//! Keys and the ring of keys.

use pyo3::prelude::*;

use crate::error::Error;

/// A secret for one algorithm.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Key(pub(crate) jwtauth::Key);

#[pymethods]
impl Key {
    /// An HMAC key. Raises `EngineConfigurationError`.
    #[staticmethod]
    #[pyo3(signature = (secret, *, algorithm))]
    fn from_secret(secret: &[u8], algorithm: &str) -> Result<Self, Error> {
        Ok(Self(jwtauth::Key::from_secret(algorithm.parse()?, secret)?))
    }

    #[getter]
    fn algorithm(&self) -> &'static str {
        self.0.algorithm().name()
    }

    #[getter]
    fn id(&self) -> &str {
        self.0.id()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// One signing key and the older keys still accepted.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Keyring(pub(crate) jwtauth::Keyring);

#[pymethods]
impl Keyring {
    #[new]
    #[pyo3(signature = (signing, verifying = Vec::new()))]
    fn new(signing: &Bound<'_, Key>, verifying: Vec<Py<Key>>) -> Result<Self, Error> {
        let older = verifying.iter().map(|key| key.get().0.clone());
        Ok(Self(jwtauth::Keyring::new(signing.get().0.clone(), older)?))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}
