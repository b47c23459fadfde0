//! The check of cookie names and attributes.

use jwtauth::{CookiePolicy, SameSite};
use pyo3::prelude::*;

/// Return every reason for which browsers would drop cookies with these names and attributes, or confuse one with the
/// other, as pairs of a message and a code. Return `None` if `same_site` is not a value of that attribute.
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
