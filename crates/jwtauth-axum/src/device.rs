//! Sessions that are bound to a key of the user's device: the settings, and the answers to browsers.

use axum_core::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use jwtauth::CookiePolicy;
use serde_json::{Value, json};

use crate::{Config, SettingsError};

const CHALLENGE: HeaderName = HeaderName::from_static("secure-session-challenge");

/// `DEVICE_BOUND_SESSIONS`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DeviceBound {
    Off,
    Offer,
    Require,
}

/// The paths at which a browser registers its key and refreshes its session.
#[derive(Clone, Debug)]
pub(crate) struct DevicePaths {
    pub(crate) register: String,
    pub(crate) refresh: String,
}

impl Default for DevicePaths {
    fn default() -> Self {
        Self { register: "/auth/device/register/".to_owned(), refresh: "/auth/device/refresh/".to_owned() }
    }
}

impl Config {
    /// Set the paths at which this service calls [`Auth::register_device`](crate::Auth::register_device) and
    /// [`Auth::refresh_device`](crate::Auth::refresh_device) for `DEVICE_BOUND_SESSIONS`, as browsers see them. Default:
    /// those of Django's views, `/auth/device/register/` and `/auth/device/refresh/`, so that a service beside the site
    /// needs no routes for them.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Value`]: a path does not start with `/`, or contains a quote, a backslash, a space or a character
    /// that is not ASCII.
    pub fn with_device_paths(
        mut self,
        register: impl Into<String>,
        refresh: impl Into<String>,
    ) -> Result<Self, SettingsError> {
        let paths = DevicePaths { register: register.into(), refresh: refresh.into() };
        let is_path = |path: &str| {
            path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
        };
        if !is_path(&paths.register) || !is_path(&paths.refresh) {
            let expected = "paths that start with \"/\", in ASCII without quotes, backslashes and spaces";
            return Err(SettingsError::Value { setting: "device_paths", expected });
        }
        self.device_paths = paths;
        Ok(self)
    }
}

/// The answer to a browser that registers the key of its device or proves it, as Django's views answer.
///
/// Returned by [`Auth::register_device`](crate::Auth::register_device) and
/// [`Auth::refresh_device`](crate::Auth::refresh_device), and by a handler as its response. The layer adds the cookies.
#[derive(Debug)]
#[must_use = "the browser needs the answer"]
pub struct DeviceAnswer {
    status: StatusCode,
    body: String,
    challenge: Option<HeaderValue>,
}

impl DeviceAnswer {
    /// Return the status: 200 if the session is bound or refreshed, or if the browser must forget its key; 403 with a
    /// challenge to sign or for a proof that is not valid; 401 for a registration without a session; 503 for a session that
    /// is locked.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::refused(StatusCode::UNAUTHORIZED, "not_authenticated", "No user is signed in by cookies.")
    }

    pub(crate) fn forbidden(code: &str, detail: &str) -> Self {
        Self::refused(StatusCode::FORBIDDEN, code, detail)
    }

    fn refused(status: StatusCode, code: &str, detail: &str) -> Self {
        Self { status, body: json!({"detail": detail, "code": code}).to_string(), challenge: None }
    }

    /// Tell the browser to forget its key: the request's tokens name no session that is bound to it.
    pub(crate) fn ended(named: Option<&str>) -> Self {
        Self::ok(&json!({"session_identifier": named.unwrap_or_default(), "continue": false}))
    }

    pub(crate) fn ok(body: &Value) -> Self {
        Self { status: StatusCode::OK, body: body.to_string(), challenge: None }
    }

    /// Add a challenge for the next proof.
    pub(crate) fn with_challenge(mut self, challenge: &str, identifier: &str) -> Self {
        self.challenge = sensitive(&format!("\"{challenge}\";id=\"{identifier}\""));
        self
    }
}

impl IntoResponse for DeviceAnswer {
    fn into_response(self) -> Response {
        let Self { status, body, challenge } = self;
        let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        response.headers_mut().extend(challenge.map(|challenge| (CHALLENGE, challenge)));
        response
    }
}

/// Return the value of a header that `Debug` does not show. `None` is impossible: challenges are base64url, and paths are
/// checked.
pub(crate) fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Return the session instructions: which cookie the browser keeps fresh, where, and for which requests.
///
/// The origin is the browser's own: a proxy may send another host. Browsers take a whole site from the host of its
/// registrable domain only.
pub(crate) fn instructions(cookies: &CookiePolicy, refresh_path: &str, host: &str, identifier: &str) -> Value {
    let domain = cookies.domain.as_deref().map_or(String::new(), |domain| format!("Domain={domain}; "));
    let (path, same_site) = (&cookies.path, cookies.same_site.as_str());
    let (host, _port) = host.rsplit_once(':').unwrap_or((host, ""));
    let is_domain = |domain: &str| domain.strip_prefix('.').unwrap_or(domain).eq_ignore_ascii_case(host);
    json!({
        "session_identifier": identifier,
        "refresh_url": refresh_path,
        "scope": {
            "include_site": cookies.domain.as_deref().is_some_and(is_domain),
            "scope_specification": [],
        },
        "credentials": [{
            "type": "cookie",
            "name": cookies.access_name,
            "attributes": format!("{domain}Path={path}; Secure; HttpOnly; SameSite={same_site}"),
        }],
    })
}
