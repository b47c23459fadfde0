//! Login options and errors.

use std::time::Duration;

use axum_core::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use jwtauth::{Methods, MethodsError, OriginError};

use crate::{AuthError, InsertError, Rejection, error::Failure};

/// The user to sign in, and for how long.
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
    pub(crate) methods: Result<Methods, MethodsError>,
    pub(crate) device_bound: bool,
}

impl Login {
    /// Create a login for the user with this primary key.
    #[expect(clippy::needless_pass_by_value, reason = "a key is a number or a short string")]
    pub fn new(user_id: impl ToString) -> Self {
        Self {
            user_id: user_id.to_string(),
            remember: true,
            lifetime: None,
            cross_origin: false,
            methods: Ok(Methods::default()),
            device_bound: false,
        }
    }

    /// Set whether the cookies outlive the browser. Default: `true`.
    pub fn with_remember(mut self, remember: bool) -> Self {
        self.remember = remember;
        self
    }

    /// End the session after this lifetime, in use or not, instead of by `REFRESH_TOKEN_LIFETIME` and
    /// `SESSION_LIFETIME`. In whole seconds, at least one: [`LoginError::Lifetime`].
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Set whether a cross-origin request may sign the user in. Default: `false`, because a form on another site could
    /// sign the visitor in as another user. Meant for callbacks that verify the request themselves (SAML, `OpenID`
    /// Connect's `form_post`).
    pub fn with_cross_origin(mut self, cross_origin: bool) -> Self {
        self.cross_origin = cross_origin;
        self
    }

    /// Set how the user has proved who they are, by the names of RFC 8176, such as `["pwd", "otp"]`, or by other names of
    /// up to 16 letters, digits and `-_.:/+`: [`LoginError::Methods`]. They become the claim `amr`.
    pub fn with_methods<N: AsRef<str>>(mut self, methods: impl IntoIterator<Item = N>) -> Self {
        self.methods = Methods::new(methods);
        self
    }

    /// Set whether the browser must bind the session to a key of its device within 5 minutes. If it does not, the session
    /// ends with its first access token, as with `DEVICE_BOUND_SESSIONS = "require"`. Default: `false`.
    /// [`LoginError::DeviceBindingOff`] if that setting is `off`.
    pub fn with_device_bound(mut self, device_bound: bool) -> Self {
        self.device_bound = device_bound;
        self
    }
}

/// Why a login, another [authentication](crate::Auth::reauthenticate), or [acting as another user](crate::Auth::act_as)
/// failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The user does not exist or is inactive.
    #[error("this account is not active")]
    UnknownUser,
    /// The user has `MAX_SESSIONS_PER_USER` sessions, and `MAX_SESSIONS_POLICY` is to refuse another.
    #[error("too many sessions; sign out on another device first")]
    SessionLimit,
    /// The request is cross-origin.
    #[error(transparent)]
    CrossOrigin(#[from] OriginError),
    /// The response head has been sent, so no cookie can be set.
    #[error("the response has been sent, so no cookie can be set")]
    ResponseSent,
    /// [`Login::with_lifetime`] is less than one second, or more than about 3 000 years.
    #[error("the lifetime of a login must be between 1 and 100 000 000 000 seconds")]
    Lifetime,
    /// The names of the methods are not valid, or too many.
    #[error(transparent)]
    Methods(MethodsError),
    /// [`Login::with_device_bound`] with `DEVICE_BOUND_SESSIONS = "off"`.
    #[error("no session can be bound to a device while DEVICE_BOUND_SESSIONS is off")]
    DeviceBindingOff,
    /// [`Auth::reauthenticate`](crate::Auth::reauthenticate): the request's session has ended, belongs to another
    /// user, or is one of acting.
    #[error("this is not the user who is signed in")]
    OtherUser,
    /// [`Auth::act_as`](crate::Auth::act_as): the request has no session of cookies, the user is not active, or
    /// [`AuthLayer::with_act_as`](crate::AuthLayer::with_act_as) does not allow it.
    #[error("this user may not be acted as")]
    MayNotAct,
    /// [`Auth::stop_acting`](crate::Auth::stop_acting): the request's user does not act as another one.
    #[error("the user does not act as another one")]
    NotActing,
    /// Anything else.
    #[error(transparent)]
    Auth(AuthError),
}

impl LoginError {
    /// Return the stable code, as in the JSON body.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownUser => "no_active_account",
            Self::SessionLimit => "session_limit",
            Self::CrossOrigin(_) => "cross_origin",
            Self::ResponseSent => "response_sent",
            Self::Lifetime => "invalid_lifetime",
            Self::Methods(error) => error.code(),
            Self::DeviceBindingOff => "device_binding_off",
            Self::OtherUser | Self::MayNotAct | Self::NotActing => "permission_denied",
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
    /// Answer as Django's `login/` does: 401 for an unknown user, 403 for too many sessions, for another user, for what a
    /// user who acts may not do, and for a cross-origin request.
    fn into_response(self) -> Response {
        let (status, detail) = match self {
            Self::UnknownUser => (StatusCode::UNAUTHORIZED, "No active account found with the given credentials."),
            Self::SessionLimit => (StatusCode::FORBIDDEN, "Too many sessions. Sign out on another device first."),
            Self::OtherUser => (StatusCode::FORBIDDEN, "This is not the user who is signed in."),
            Self::MayNotAct => (StatusCode::FORBIDDEN, "You may not act as this user."),
            Self::NotActing => (StatusCode::FORBIDDEN, "You do not act as another user."),
            Self::CrossOrigin(error) => return Rejection::from(error).into_response(),
            Self::Auth(error) => return error.into_response(),
            Self::ResponseSent | Self::Lifetime | Self::Methods(_) | Self::DeviceBindingOff => {
                tracing::error!(error = &self as &dyn std::error::Error, code = self.code(), "a login failed");
                (StatusCode::INTERNAL_SERVER_ERROR, "Server error.")
            }
        };
        let body = serde_json::json!({"detail": detail, "code": self.code()}).to_string();
        let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            // A 401 response names a scheme (RFC 9110 §11.6.1).
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"api\""));
        }
        response
    }
}
