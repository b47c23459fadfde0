//! `jwtauth._engine`: the engine's interface for Python. It converts values and maps errors, in one file per engine
//! module. All rules are in the crate `jwtauth`.
//!
//! Classes are frozen and hold no interpreter state, so the module works without the global interpreter lock. Instances
//! cannot be pickled or copied, and no `repr` shows a token or a key. A second interpreter in the process is refused.
#![forbid(unsafe_code)]
#![expect(clippy::needless_pass_by_value, reason = "PyO3 passes arguments by value")]

mod cache;
mod cleanup;
mod clock;
mod cookie;
mod error;
mod interpreter;
mod key;
mod request;
mod rotation;
mod session;
mod token;

/// The jwtauth engine.
#[pyo3::pymodule(gil_used = false)]
mod _engine {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::{
        cache::{Asked, VerifiedSessions},
        cleanup::CleanupSchedule,
        clock::{DatabaseClock, stored_seconds},
        cookie::cookie_problems,
        key::{Keyring, SigningKey, VerifyingKey, algorithms, generate_key},
        request::{
            Answer, Grant, Identity, OriginPolicy, Outcome, Proof, Registration, RenderSecrets, Site, device_identifier,
        },
        rotation::{Decision, RotationPolicy},
        session::{Session, Sid},
        token::{Claims, TokenKind, Tokens, stored_methods},
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::interpreter::refuse_another(module.py())
    }

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "the name that Python uses")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_export]
    const MAX_TOKEN_LENGTH: usize = jwtauth::MAX_TOKEN_LENGTH;

    #[pymodule_export]
    const LAST_SEEN_INTERVAL: u64 = jwtauth::LAST_SEEN_INTERVAL.as_secs();
}
