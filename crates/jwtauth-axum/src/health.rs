//! Health checks of a service: its settings, clock and store.

use std::{fmt, time::Duration};

use axum_core::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use crate::{StoreError, shared::Shared};

/// The largest accepted difference between the clocks of service and database.
const TOLERANCE: Duration = Duration::from_secs(5);

/// The shortest access token lifetime that slow requests do not outlast.
const SHORT: Duration = Duration::from_secs(60);

/// The result of [`AuthLayer::health`](crate::AuthLayer::health). As a response it is 200, or 503 if there is an
/// [error](Self::is_ok), with a JSON body of codes and messages. None of them is secret.
///
/// ```
/// use axum::{Router, routing::get};
/// use jwtauth_axum::{AuthLayer, Config, Health, MemoryStore};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = AuthLayer::new(Config::new("a secret of at least thirty-two bytes")?, MemoryStore::default());
/// let checked = layer.clone();
/// let health = async move || -> Health { checked.health().await };
/// let app: Router = Router::new().layer(layer).route("/healthz", get(health));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Health {
    problems: Vec<HealthProblem>,
}

impl Health {
    /// Check the store, compare the clocks and inspect the settings.
    pub(crate) async fn of(shared: &Shared) -> Self {
        let mut problems = Vec::new();
        match shared.store.check().await {
            Ok(()) => {
                let asked = shared.clock.local();
                match shared.store.database_time().await {
                    Ok(None) => {}
                    Ok(Some(database_time)) => {
                        let apart = apart(asked, database_time).min(apart(shared.clock.local(), database_time));
                        if apart > TOLERANCE {
                            problems.push(HealthProblem::Clock(apart));
                        }
                    }
                    Err(error) => problems.push(HealthProblem::Store(error)),
                }
            }
            Err(error) => problems.push(HealthProblem::Store(error)),
        }
        problems.extend(of_settings(shared));
        for problem in &problems {
            problem.log();
        }
        Self { problems }
    }

    /// Return whether the service can serve users. Other problems are warnings.
    pub fn is_ok(&self) -> bool {
        !self.problems.iter().any(HealthProblem::is_error)
    }

    /// Return all problems.
    pub fn problems(&self) -> &[HealthProblem] {
        &self.problems
    }
}

/// Return the difference between two times.
fn apart(one: std::time::SystemTime, other: std::time::SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|error| error.duration())
}

/// Return the settings problems that `manage.py check --deploy` also warns about.
fn of_settings(shared: &Shared) -> impl Iterator<Item = HealthProblem> {
    let (site, cookies) = (&shared.config.site, &shared.config.site.transport().cookies);
    let has_prefix = |name: &str| name.get(..7).is_some_and(|prefix| prefix.eq_ignore_ascii_case("__Host-"));
    let warnings = [
        (site.policy().lifetimes().access() < SHORT, HealthProblem::ShortAccessLifetime),
        (!cookies.secure, HealthProblem::InsecureCookies),
        (![&cookies.access_name, &cookies.refresh_name].iter().all(|it| has_prefix(it)), HealthProblem::CookiePrefix),
    ];
    warnings.into_iter().filter_map(|(is_so, problem)| is_so.then_some(problem))
}

/// A problem with a service.
#[derive(Debug)]
#[non_exhaustive]
pub enum HealthProblem {
    /// The store is unreachable, fails, or has the wrong tables: an error.
    Store(StoreError),
    /// The clocks of service and database differ by this much. The layer uses the database's time; services that only
    /// verify tokens use their own.
    Clock(Duration),
    /// `ACCESS_TOKEN_LIFETIME` is below 60 seconds, so slow requests may outlast a token: jwtauth.W001 in Django's
    /// checks.
    ShortAccessLifetime,
    /// `COOKIE_SECURE` is off, so tokens travel over plain HTTP: jwtauth.W002.
    InsecureCookies,
    /// The cookie names lack the `__Host-` prefix, so another host of the domain can set its own cookies: jwtauth.W003.
    CookiePrefix,
}

impl HealthProblem {
    /// Return the stable code, as in the JSON body.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(StoreError::Schema(_)) => "store_schema",
            Self::Store(StoreError::NoConnection(_)) => "store_unavailable",
            Self::Store(_) => "store_error",
            Self::Clock(_) => "clock_apart",
            Self::ShortAccessLifetime => "short_access_lifetime",
            Self::InsecureCookies => "insecure_cookies",
            Self::CookiePrefix => "cookie_prefix",
        }
    }

    /// Return whether this is an error, so that users cannot be served; otherwise it is a warning.
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Store(_))
    }

    fn log(&self) {
        match self {
            Self::Store(error) => {
                tracing::error!(error = error as &dyn std::error::Error, code = self.code(), "the store is unusable");
            }
            problem => tracing::warn!(code = problem.code(), "{problem}"),
        }
    }
}

impl fmt::Display for HealthProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Clock(apart) => write!(f, "the clocks of service and database are {} seconds apart", apart.as_secs()),
            Self::ShortAccessLifetime => f.write_str("ACCESS_TOKEN_LIFETIME is below 60 seconds"),
            Self::InsecureCookies => f.write_str("COOKIE_SECURE is off: tokens travel over plain HTTP"),
            Self::CookiePrefix => f.write_str("the token cookies are not named __Host-..."),
        }
    }
}

impl IntoResponse for Health {
    fn into_response(self) -> Response {
        let problems = self.problems.iter().map(|problem| {
            let level = if problem.is_error() { "error" } else { "warning" };
            serde_json::json!({"code": problem.code(), "level": level, "detail": problem.to_string()})
        });
        let problems: Vec<_> = problems.collect();
        let status = if self.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let body = serde_json::json!({"ok": self.is_ok(), "problems": problems}).to_string();
        let mut response = (status, body).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
