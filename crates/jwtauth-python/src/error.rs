//! Errors: one exception class per decision of the caller, declared in `jwtauth.exceptions`. Each carries the engine's
//! `code`.

use jwtauth::{
    ClaimsError, CookieError, IssueError, KeyError, LifetimesError, OriginError, OriginPolicyError, ProfileError,
    ProofError, RandomnessError, RenderSecretError, VerifyError,
};
use pyo3::{exceptions::PyOSError, prelude::*};

mod imported {
    pyo3::import_exception!(jwtauth.exceptions, ClaimsRefused);
    pyo3::import_exception!(jwtauth.exceptions, CrossOriginRefused);
    pyo3::import_exception!(jwtauth.exceptions, EngineConfigurationError);
    pyo3::import_exception!(jwtauth.exceptions, TokenError);
    pyo3::import_exception!(jwtauth.exceptions, TokenExpired);
}
use imported::{ClaimsRefused, CrossOriginRefused, EngineConfigurationError, TokenError, TokenExpired};

/// Any error of the engine, to be raised in Python.
pub(crate) enum Error {
    Claims(String, &'static str),
    Configuration(String, &'static str),
    Origin(OriginError),
    Proof(ProofError),
    Randomness(RandomnessError),
    Verify(VerifyError),
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::Claims(message, code) => ClaimsRefused::new_err((message, code)),
            Error::Configuration(message, code) => EngineConfigurationError::new_err((message, code)),
            Error::Origin(error) => CrossOriginRefused::new_err((error.to_string(), error.code())),
            Error::Proof(error) => TokenError::new_err((error.to_string(), error.code())),
            Error::Randomness(error) => PyOSError::new_err(error.to_string()),
            Error::Verify(error @ VerifyError::Expired(_)) => TokenExpired::new_err((error.to_string(), error.code())),
            Error::Verify(error) => TokenError::new_err((error.to_string(), error.code())),
        }
    }
}

macro_rules! texts {
    ($variant:ident: $($error:ty),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$variant(error.to_string(), error.code())
            }
        }
    )*};
}
texts!(Claims: ClaimsError, IssueError);
texts!(Configuration: CookieError, KeyError, LifetimesError, OriginPolicyError, ProfileError, RenderSecretError);

impl From<OriginError> for Error {
    fn from(error: OriginError) -> Self {
        Self::Origin(error)
    }
}

impl From<ProofError> for Error {
    fn from(error: ProofError) -> Self {
        Self::Proof(error)
    }
}

impl From<RandomnessError> for Error {
    fn from(error: RandomnessError) -> Self {
        Self::Randomness(error)
    }
}

impl From<VerifyError> for Error {
    fn from(error: VerifyError) -> Self {
        Self::Verify(error)
    }
}
