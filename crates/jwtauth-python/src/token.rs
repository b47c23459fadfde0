//! Tokens.

use std::time::Duration;

use jwtauth::{Generation, UnixTime};
use pyo3::{
    exceptions::PyValueError,
    intern,
    prelude::*,
    types::{PyDict, PyString},
};
use uuid::Uuid;

use crate::{error::Error, key::Keyring, session::Sid};

/// The two kinds of token.
#[pyclass(frozen, eq, eq_int, hash, module = "jwtauth._engine", rename_all = "SCREAMING_SNAKE_CASE", from_py_object)]
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub(crate) enum TokenKind {
    Access,
    Refresh,
}

impl From<TokenKind> for jwtauth::TokenKind {
    fn from(kind: TokenKind) -> Self {
        match kind {
            TokenKind::Access => Self::Access,
            TokenKind::Refresh => Self::Refresh,
        }
    }
}

impl From<jwtauth::TokenKind> for TokenKind {
    fn from(kind: jwtauth::TokenKind) -> Self {
        match kind {
            jwtauth::TokenKind::Access => Self::Access,
            jwtauth::TokenKind::Refresh => Self::Refresh,
        }
    }
}

/// Return these names of methods as a session stores them.
#[pyfunction]
pub(crate) fn stored_methods(names: Vec<String>) -> PyResult<String> {
    let methods = jwtauth::Methods::new(names).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(methods.as_str().to_owned())
}

/// The claims of a token.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Claims(pub(crate) jwtauth::Claims);

#[pymethods]
impl Claims {
    #[new]
    #[pyo3(signature = (*, subject, sid, generation, issued_at, expires_at, custom = None))]
    fn new(
        subject: String,
        sid: &Bound<'_, Sid>,
        generation: u64,
        issued_at: u64,
        expires_at: u64,
        custom: Option<&str>,
    ) -> Result<Self, Error> {
        let custom = custom_claims(custom)?;
        let (issued_at, expires_at) = (UnixTime::from_secs(issued_at), UnixTime::from_secs(expires_at));
        let claims = jwtauth::Claims::new(subject, sid.get().0, Generation::new(generation), issued_at, expires_at);
        Ok(Self(claims.with_custom(custom)))
    }

    #[getter]
    fn subject(&self) -> &str {
        &self.0.subject
    }

    #[getter]
    fn sid(&self) -> Sid {
        Sid(self.0.sid)
    }

    #[getter]
    fn session_id(&self) -> Uuid {
        self.0.sid.session_id()
    }

    #[getter]
    fn generation(&self) -> u64 {
        self.0.generation.get()
    }

    #[getter]
    fn issued_at(&self) -> u64 {
        self.0.issued_at.as_secs()
    }

    #[getter]
    fn expires_at(&self) -> u64 {
        self.0.expires_at.as_secs()
    }

    /// `auth_time`, if the token has it.
    #[getter]
    fn auth_time(&self) -> Option<u64> {
        self.0.auth_time.map(UnixTime::as_secs)
    }

    /// `amr`.
    #[getter]
    fn methods(&self) -> Vec<&str> {
        self.0.methods.iter().collect()
    }

    /// The thumbprint of the key to which the token is bound.
    #[getter]
    fn confirmation(&self) -> Option<String> {
        self.0.confirmation.map(|key| key.to_string())
    }

    /// The subject of who acts as the user, if another user does.
    #[getter]
    fn actor(&self) -> Option<&str> {
        self.0.actor.as_deref()
    }

    /// Return the claims that the site added, as a new dictionary each time.
    #[getter]
    fn custom<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if self.0.custom.is_empty() {
            return Ok(PyDict::new(py).into_any());
        }
        py.import(intern!(py, "json"))?.call_method1(intern!(py, "loads"), (self.0.custom.to_json(),))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// Issues and verifies tokens.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct Tokens(pub(crate) jwtauth::Tokens);

#[pymethods]
impl Tokens {
    #[new]
    #[pyo3(signature = (keyring, *, issuer = None, issuer_fallbacks = Vec::new(), audience = Vec::new(),
                        audience_fallbacks = Vec::new(), leeway = 0, subject_claim = "sub"))]
    fn new(
        keyring: &Bound<'_, Keyring>,
        issuer: Option<String>,
        issuer_fallbacks: Vec<Option<String>>,
        audience: Vec<String>,
        audience_fallbacks: Vec<Option<String>>,
        leeway: u64,
        subject_claim: &str,
    ) -> Result<Self, Error> {
        let mut profile = jwtauth::Profile::default()
            .with_issuer_fallbacks(issuer_fallbacks)
            .with_audience(audience)
            .with_audience_fallbacks(audience_fallbacks)
            .with_leeway(Duration::from_secs(leeway))
            .with_subject_claim(subject_claim);
        profile.issuer = issuer;
        Ok(Self(jwtauth::Tokens::new(keyring.get().0.clone(), profile)?))
    }

    fn issue(&self, py: Python<'_>, kind: TokenKind, claims: &Bound<'_, Claims>) -> Result<String, Error> {
        let claims = &claims.get().0;
        Ok(without_interpreter(&self.0, py, || self.0.issue(kind.into(), claims))?)
    }

    fn verify(&self, kind: TokenKind, token: &Bound<'_, PyString>, now: u64) -> Result<Claims, Error> {
        let (py, token) = (token.py(), utf8(token)?);
        Ok(Claims(without_interpreter(&self.0, py, || self.0.verify(kind.into(), &token, UnixTime::from_secs(now)))?))
    }

    fn verify_ignoring_time(&self, kind: TokenKind, token: &Bound<'_, PyString>) -> Result<Claims, Error> {
        let (py, token) = (token.py(), utf8(token)?);
        Ok(Claims(without_interpreter(&self.0, py, || self.0.verify_ignoring_time(kind.into(), &token))?))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// Return whether a signature takes longer than releasing the interpreter and attaching again.
pub(crate) fn is_slow(tokens: &jwtauth::Tokens) -> bool {
    !tokens.signing_key().algorithm().is_symmetric()
}

/// Run `work` with the interpreter released if signatures are slow, so that other threads can run.
pub(crate) fn without_interpreter<T: Send>(
    tokens: &jwtauth::Tokens,
    py: Python<'_>,
    work: impl FnOnce() -> T + Send,
) -> T {
    if is_slow(tokens) { py.detach(work) } else { work() }
}

/// Read the site's custom claims, a JSON object.
pub(crate) fn custom_claims(json: Option<&str>) -> Result<jwtauth::CustomClaims, Error> {
    Ok(json.map(jwtauth::CustomClaims::from_json).transpose()?.unwrap_or_default())
}

/// Return the token as UTF-8. A text with a lone surrogate cannot be a token.
fn utf8<'a>(token: &'a Bound<'_, PyString>) -> Result<std::borrow::Cow<'a, str>, Error> {
    token.to_cow().map_err(|_| Error::Verify(jwtauth::VerifyError::Malformed))
}
