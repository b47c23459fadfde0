//! Keys and key rings.

use jwtauth::{Algorithm, GeneratedKey};
use pyo3::prelude::*;

use crate::error::Error;

/// A key that signs.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct SigningKey(pub(crate) jwtauth::SigningKey);

#[pymethods]
impl SigningKey {
    /// Read the key. Raise `EngineConfigurationError` if it is not valid.
    #[staticmethod]
    #[pyo3(signature = (key, *, algorithm))]
    fn read(key: &[u8], algorithm: &str) -> Result<Self, Error> {
        Ok(Self(jwtauth::SigningKey::read(algorithm.parse()?, key)?))
    }

    #[getter]
    fn algorithm(&self) -> &'static str {
        self.0.algorithm().as_str()
    }

    #[getter]
    fn id(&self) -> &str {
        self.0.id()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// A key that verifies signatures.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct VerifyingKey(pub(crate) jwtauth::VerifyingKey);

#[pymethods]
impl VerifyingKey {
    /// Read the key. Raise `EngineConfigurationError` if it is not valid.
    #[staticmethod]
    #[pyo3(signature = (key, *, algorithm))]
    fn read(key: &[u8], algorithm: &str) -> Result<Self, Error> {
        Ok(Self(jwtauth::VerifyingKey::read(algorithm.parse()?, key)?))
    }

    #[getter]
    fn algorithm(&self) -> &'static str {
        self.0.algorithm().as_str()
    }

    #[getter]
    fn id(&self) -> &str {
        self.0.id()
    }

    #[getter]
    fn public_jwk(&self) -> Option<String> {
        self.0.public_jwk()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// One signing key, and the other keys whose signatures are accepted.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Keyring(pub(crate) jwtauth::Keyring);

#[pymethods]
impl Keyring {
    #[new]
    #[pyo3(signature = (signing, verifying = Vec::new()))]
    fn new(signing: &Bound<'_, SigningKey>, verifying: Vec<Py<VerifyingKey>>) -> Result<Self, Error> {
        let others = verifying.iter().map(|key| key.get().0.clone());
        Ok(Self(jwtauth::Keyring::new(signing.get().0.clone(), others)?))
    }

    #[getter]
    fn keys(&self) -> Vec<VerifyingKey> {
        self.0.verifying_keys().iter().cloned().map(VerifyingKey).collect()
    }

    #[getter]
    fn jwk_set(&self) -> String {
        self.0.verifying_keys().to_jwk_set()
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// Return the names of all algorithms.
#[pyfunction]
pub(crate) fn algorithms() -> Vec<&'static str> {
    Algorithm::ALL.map(Algorithm::as_str).to_vec()
}

/// Generate a key. Return it as a PEM (`None` for a secret), as a JWK, and its public JWK (`None` for a secret).
#[pyfunction]
#[pyo3(signature = (algorithm, *, key_id = None))]
pub(crate) fn generate_key(
    py: Python<'_>,
    algorithm: &str,
    key_id: Option<&str>,
) -> Result<(Option<String>, String, Option<String>), Error> {
    let algorithm: Algorithm = algorithm.parse()?;
    let made = py.detach(|| GeneratedKey::new(algorithm, key_id))?;
    let text = |text: Option<&str>| text.map(str::to_owned);
    Ok((text(made.expose_pem()), made.expose_jwk().to_owned(), text(made.public_jwk())))
}
