//! The cross-origin rule.

use jwtauth::{Origin, RequestHeaders};
use pyo3::{prelude::*, pybacked::PyBackedStr, types::PyString};

use crate::error::Error;

/// Which origins besides our own may make requests with cookies.
#[pyclass(frozen, module = "jwtauth._engine")]
pub(crate) struct OriginPolicy(jwtauth::OriginPolicy);

#[pymethods]
impl OriginPolicy {
    #[new]
    fn new(trusted: Vec<PyBackedStr>) -> Self {
        Self(jwtauth::OriginPolicy::new(trusted.iter().map(|entry| &**entry)))
    }

    /// Raises `CrossOriginRefused`. `own` is called only where the answer depends on it.
    #[pyo3(signature = (*, method, websocket, sec_fetch_site, origin, own))]
    fn check(
        &self,
        method: &str,
        websocket: bool,
        sec_fetch_site: Option<&Bound<'_, PyString>>,
        origin: Option<&Bound<'_, PyString>>,
        own: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        // What is no Unicode text is no value that could pass, and still a value.
        let (sec_fetch_site, origin) =
            (sec_fetch_site.map(|v| v.to_string_lossy()), origin.map(|v| v.to_string_lossy()));
        let request =
            RequestHeaders { method, websocket, sec_fetch_site: sec_fetch_site.as_deref(), origin: origin.as_deref() };
        let mut failure = None;
        let verdict = self.0.check(request, || {
            let own = own.call0().and_then(|own| own.extract::<Option<PyBackedStr>>());
            own.unwrap_or_else(|error| {
                failure = Some(error);
                None
            })
            .and_then(|own| Origin::parse(&own))
        });
        match failure {
            Some(error) => Err(error),
            None => Ok(verdict.map_err(Error::from)?),
        }
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}
