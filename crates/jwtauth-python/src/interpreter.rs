//! The restriction to one interpreter per process.

use pyo3::{exceptions::PyImportError, prelude::*, sync::PyOnceLock};

/// The `sys` module of the interpreter that imported the engine first. It is kept alive, so that no later interpreter's
/// `sys` gets the same address.
static SYS: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

const REFUSED: &str = "jwtauth works in one interpreter per process, and another one has already imported it. Under \
    mod_wsgi, give each site its own process group (WSGIDaemonProcess, WSGIProcessGroup) and set \
    WSGIApplicationGroup %{GLOBAL}. Elsewhere, run each site in its own process.";

/// Raise `ImportError` in every interpreter of the process except the first.
///
/// `PyO3` keeps one copy per process of every class that this module defines or imports. A second interpreter would get
/// the copies of the first: `except TokenError` would not match, and an ID would not be an instance of its `uuid.UUID`.
/// Since Python 3.12, each interpreter numbers class versions separately, so a second one would read attributes by the
/// layout of another class and crash. `PyO3` has the same restriction, but not for modules that Python itself imports.
pub(crate) fn refuse_another(py: Python<'_>) -> PyResult<()> {
    let sys = py.import("sys")?;
    let first = SYS.get_or_init(py, || sys.clone().unbind());
    if first.is(&sys) { Ok(()) } else { Err(PyImportError::new_err(REFUSED)) }
}
