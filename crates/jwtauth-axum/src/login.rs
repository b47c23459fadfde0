//! What a login asks for, and why it may not happen.

use std::time::Duration;

use axum_core::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use jwtauth::OriginError;

use crate::{AuthError, InsertError, Rejection, error::Failure};

/// Who is to be signed in, and for how long.
///
/// ```
/// use std::time::Duration;
///
/// use jwtauth_axum::{Auth, Login, LoginError};
///
/// async fn sign_in_on_a_shared_machine(auth: Auth) -> Result<(), LoginError> {
///     auth.login_with(Login::new(42).with_remember(false).with_lifetime(Duration::from_secs(8 * 3600))).await
/// }
/// # fn is_a_handler<T>(_: impl axum::handler::Handler<T, ()>) {}
/// # is_a_handler(sign_in_on_a_shared_machine);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Login {
    pub(crate) user_id: String,
    pub(crate) remember: bool,
    pub(crate) lifetime: Option<Duration>,
    pub(crate) cross_origin: bool,
}

impl Login {
    /// Make a login of the user with this primary key.
    #[expect(clippy::needless_pass_by_value, reason = "a key is a number or a short text")]
    pub fn new(user_id: impl ToString) -> Self {
        Self { user_id: user_id.to_string(), remember: true, lifetime: None, cross_origin: false }
    }

    /// Say whether the cookies outlive the browser. Default: they do.
    pub fn with_remember(mut self, remember: bool) -> Self {
        self.remember = remember;
        self
    }

    /// End the session so long after now, in use or not, in place of `REFRESH_TOKEN_LIFETIME` and `SESSION_LIFETIME`.
    /// In whole seconds, at least one: [`LoginError::Lifetime`].
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Say whether a page of another origin may ask for it. Default: it may not, for a form elsewhere could sign the
    /// visitor in as another user. For callbacks that check the request in their own way (SAML, `OpenID` Connect's
    /// `form_post`).
    pub fn with_cross_origin(mut self, cross_origin: bool) -> Self {
        self.cross_origin = cross_origin;
        self
    }
}

/// Why a login did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The user does not exist, or is not active.
    #[error("this account is not active")]
    UnknownUser,
    /// Beyond `MAX_SESSIONS_PER_USER`, where the policy is to refuse.
    #[error("too many sessions, sign out on another device")]
    SessionLimit,
    /// A page of another origin asks for it.
    #[error(transparent)]
    CrossOrigin(#[from] OriginError),
    /// The head of the response is complete, so that no cookie can be set.
    #[error("the response has been sent, so that no cookie can be set")]
    ResponseSent,
    /// [`Login::with_lifetime`] is less than a second, or some 3 000 years.
    #[error("the lifetime of a login is at least one second, and at most 100 000 000 000")]
    Lifetime,
    /// Anything else.
    #[error(transparent)]
    Auth(AuthError),
}

impl LoginError {
    /// Return the stable name, as in the JSON body.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownUser => "no_active_account",
            Self::SessionLimit => "session_limit",
            Self::CrossOrigin(_) => "cross_origin",
            Self::ResponseSent => "response_sent",
            Self::Lifetime => "invalid_lifetime",
            Self::Auth(error) => error.code(),
        }
    }
}

impl From<AuthError> for LoginError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::CrossOrigin(error) => Self::CrossOrigin(error),
            error => Self::Auth(error),
        }
    }
}

impl From<InsertError> for LoginError {
    fn from(error: InsertError) -> Self {
        match error {
            InsertError::UnknownUser => Self::UnknownUser,
            InsertError::LimitReached => Self::SessionLimit,
            InsertError::Store(error) => Self::Auth(error.into()),
        }
    }
}

impl Failure for LoginError {
    fn of_the_service(&self) -> Option<&AuthError> {
        if let Self::Auth(error) = self { error.of_the_service() } else { None }
    }
}

impl IntoResponse for LoginError {
    /// Answer with 401 for an unknown user, 403 beyond the limit and for a page of another origin, as Django's
    /// `login/`.
    fn into_response(self) -> Response {
        let (status, detail) = match self {
            Self::UnknownUser => (StatusCode::UNAUTHORIZED, "No active account found with the given credentials."),
            Self::SessionLimit => (StatusCode::FORBIDDEN, "Too many sessions, sign out on another device."),
            Self::CrossOrigin(error) => return Rejection::from(error).into_response(),
            Self::Auth(error) => return error.into_response(),
            Self::ResponseSent | Self::Lifetime => {
                tracing::error!(error = &self as &dyn std::error::Error, code = self.code(), "a login failed");
                (StatusCode::INTERNAL_SERVER_ERROR, "Server error.")
            }
        };
        let body = serde_json::json!({"detail": detail, "code": self.code()}).to_string();
        let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §11.6.1: a 401 names a scheme.
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"api\""));
        }
        response
    }
}
