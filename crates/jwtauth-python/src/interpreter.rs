//! One interpreter a process.

use pyo3::{exceptions::PyImportError, prelude::*, sync::PyOnceLock};

/// `sys` of the interpreter that imported the engine first. Kept, so that no later one gets its address.
static SYS: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

const REFUSED: &str = "jwtauth works in one interpreter of a process, and another one has imported it already. Under \
    mod_wsgi, give each site a process group of its own (WSGIDaemonProcess, WSGIProcessGroup) and set \
    WSGIApplicationGroup %{GLOBAL}. Elsewhere, run each site in a process of its own.";

/// Raise `ImportError` in every interpreter of the process but the first.
///
/// `PyO3` has one copy of a class in a process, of this module's classes and of those that it imports. A second interpreter
/// would get the copies of the first: `except TokenError` would not match, and an id would not be its `uuid.UUID`. From
/// Python 3.12, whose interpreters number the versions of classes each for itself, it would read attributes by the layout
/// of another class, and crash. `PyO3` has the same rule, but not for modules that Python itself imports.
pub(crate) fn refuse_another(py: Python<'_>) -> PyResult<()> {
    let sys = py.import("sys")?;
    let first = SYS.get_or_init(py, || sys.clone().unbind());
    if first.is(&sys) { Ok(()) } else { Err(PyImportError::new_err(REFUSED)) }
}
