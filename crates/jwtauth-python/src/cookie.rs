//! Cookies: what a browser would drop.

use jwtauth::{CookiePolicy, SameSite};
use pyo3::prelude::*;

/// Everything that would make a browser drop cookies of these names and attributes, or mix them up, as pairs of a
/// message and a code; `None` if `same_site` is no value of that attribute.
#[pyfunction]
#[pyo3(signature = (*, access_name, refresh_name, secure, same_site, domain, path, partitioned))]
pub(crate) fn cookie_problems(
    access_name: String,
    refresh_name: String,
    secure: bool,
    same_site: &str,
    domain: Option<String>,
    path: String,
    partitioned: bool,
) -> Option<Vec<(String, &'static str)>> {
    let same_site: SameSite = same_site.parse().ok()?;
    let mut policy = CookiePolicy::default().with_names(access_name, refresh_name);
    (policy.secure, policy.same_site, policy.domain) = (secure, same_site, domain);
    (policy.path, policy.partitioned) = (path, partitioned);
    Some(policy.problems().iter().map(|problem| (problem.to_string(), problem.code())).collect())
}
