//! Errors and their responses. Status, code and body match the Django side.

use axum_core::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Method, StatusCode, header};

use jwtauth::{DpopError, IdentifyError, IssueError, OriginError, RandomnessError};

use crate::{ReauthenticationRequired, StoreError};

/// Why a request's session could not be determined, or an operation on it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// No [`AuthLayer`](crate::AuthLayer) wraps this handler.
    #[error("no AuthLayer around this handler")]
    MissingLayer,
    /// A cross-origin request asked for a logout: 403.
    #[error(transparent)]
    CrossOrigin(#[from] OriginError),
    /// The user must authenticate again: 403.
    #[error(transparent)]
    Reauthentication(#[from] ReauthenticationRequired),
    /// Only the user may do this, and another user acts as the user: 403.
    #[error("only the user can do this")]
    ActingRefused,
    /// Every attempt lost to a concurrent request.
    #[error("the database is busy, try again")]
    Contention,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system returned no random bytes.
    #[error("no session id could be generated: {0}")]
    Randomness(RandomnessError),
    /// The custom claims are too long, or signing failed.
    #[error("no token could be issued: {0}")]
    Issue(IssueError),
}

impl AuthError {
    /// Return the stable code, as in the JSON body.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingLayer => "missing_layer",
            Self::CrossOrigin(_) => "cross_origin",
            Self::Reauthentication(error) => error.code(),
            Self::ActingRefused => "acting_refused",
            Self::Contention | Self::Store(StoreError::Busy(_)) => "session_contention",
            Self::Store(StoreError::NoConnection(_)) => "store_unavailable",
            Self::Store(_) => "store_error",
            Self::Randomness(_) => "no_randomness",
            Self::Issue(error) => error.code(),
        }
    }

    /// Return whether the same request may succeed a moment later.
    fn is_passing(&self) -> bool {
        matches!(self, Self::Contention | Self::Store(StoreError::Busy(_) | StoreError::NoConnection(_)))
    }
}

/// An error that may be a failure of the service instead of a rejected request.
pub(crate) trait Failure: From<AuthError> {
    fn of_the_service(&self) -> Option<&AuthError>;

    /// Log a service failure, once, where it is answered.
    fn log(&self) {
        if let Some(error) = self.of_the_service() {
            tracing::error!(error = error as &dyn std::error::Error, code = error.code(), "a request failed");
        }
    }
}

impl Failure for AuthError {
    fn of_the_service(&self) -> Option<&AuthError> {
        if let Self::CrossOrigin(_) | Self::Reauthentication(_) | Self::ActingRefused = self {
            None
        } else {
            Some(self)
        }
    }
}

impl Failure for Rejection {
    fn of_the_service(&self) -> Option<&AuthError> {
        if let Self::Auth(error) = self { error.of_the_service() } else { None }
    }
}

/// Why a request was rejected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The request is anonymous: 403, which is what Django REST framework answers without a challenge.
    #[error("authentication credentials were not provided")]
    NotAuthenticated,
    /// The `Authorization: Bearer` value is not an access token of a live session: 401 (RFC 6750 §3.1).
    #[error("the access token is invalid or expired, or its session has ended")]
    InvalidToken,
    /// `Authorization: DPoP` does not hold a valid access token, or the proof in the header `DPoP` is not valid: 401 (RFC
    /// 9449 §7.1).
    #[error(transparent)]
    Dpop(#[from] DpopError),
    /// The tokens of an upload, or of a request from the render server, were replaced while it was in flight: 403. An
    /// ordinary request fetches the newest tokens; then retry.
    #[error("the tokens of this request have been replaced")]
    LateUpload,
    /// The session is locked, because it was not used for `LOCK_AFTER`: 403, until
    /// [`Auth::reauthenticate`](crate::Auth::reauthenticate).
    #[error("the session is locked")]
    Locked,
    /// The session is bound to a device, whose browser has not proved its key in time: 403. A page can try again.
    #[error("the session is bound to a device that has not proved its key")]
    Unproven,
    /// The user must authenticate again: 403.
    #[error(transparent)]
    Reauthentication(#[from] ReauthenticationRequired),
    /// Only the user may do this, and [another user acts](crate::Auth::act_as) as the user: 403.
    #[error("only the user can do this")]
    ActingRefused,
    /// A cross-origin request may not use the cookies: 403.
    #[error(transparent)]
    CrossOrigin(#[from] OriginError),
    /// The keys that a [`ResourceLayer`](crate::ResourceLayer) needs are unavailable: 503.
    #[error(transparent)]
    Keys(#[from] crate::KeysError),
    /// The session could not be determined: 503 under contention or without a database connection, otherwise 500.
    #[error(transparent)]
    Auth(AuthError),
}

impl From<AuthError> for Rejection {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::CrossOrigin(error) => Self::CrossOrigin(error),
            AuthError::Reauthentication(error) => Self::Reauthentication(error),
            AuthError::ActingRefused => Self::ActingRefused,
            error => Self::Auth(error),
        }
    }
}

impl From<IdentifyError> for Rejection {
    fn from(error: IdentifyError) -> Self {
        match error {
            IdentifyError::CrossOrigin(error) => Self::CrossOrigin(error),
            IdentifyError::Dpop(error) => Self::Dpop(error),
            _ => Self::InvalidToken,
        }
    }
}

const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer error=\"invalid_token\"");

impl Rejection {
    /// Return the status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotAuthenticated
            | Self::LateUpload
            | Self::Locked
            | Self::Unproven
            | Self::Reauthentication(_)
            | Self::ActingRefused
            | Self::CrossOrigin(_) => StatusCode::FORBIDDEN,
            Self::InvalidToken | Self::Dpop(_) => StatusCode::UNAUTHORIZED,
            Self::Auth(error) if error.is_passing() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Keys(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Auth(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Return the stable code, as in the JSON body.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAuthenticated => "not_authenticated",
            Self::LateUpload => "late_upload",
            Self::Locked => "session_locked",
            Self::Unproven => "device_proof_required",
            Self::Reauthentication(error) => error.code(),
            Self::ActingRefused => "acting_refused",
            Self::InvalidToken => "token_not_valid",
            Self::Dpop(error) => error.code(),
            Self::CrossOrigin(_) => "cross_origin",
            Self::Keys(_) => "keys_unavailable",
            Self::Auth(error) => error.code(),
        }
    }

    /// Return the JSON body.
    pub(crate) fn body(&self) -> String {
        let detail = match self {
            Self::NotAuthenticated => "Authentication credentials were not provided.".to_owned(),
            Self::LateUpload => {
                "The tokens of this request have been replaced. Send an ordinary request, then try again.".to_owned()
            }
            Self::Locked => "The session is locked. Confirm that it is you.".to_owned(),
            Self::Unproven => {
                "The session is bound to a device, whose browser has not renewed it. Try again.".to_owned()
            }
            Self::Reauthentication(error) => return error.body(),
            Self::ActingRefused => "Only the user can do this.".to_owned(),
            Self::InvalidToken | Self::Dpop(DpopError::Token(_)) => {
                "The access token is invalid or expired, or its session has ended.".to_owned()
            }
            Self::Dpop(error) => format!("The DPoP proof is not valid: {error}."),
            Self::CrossOrigin(error) => format!("CSRF Failed: {error}."),
            Self::Auth(AuthError::Contention | AuthError::Store(StoreError::Busy(_))) => {
                "The database is busy. Try again.".to_owned()
            }
            Self::Auth(AuthError::Store(StoreError::NoConnection(_))) => {
                "The database is unavailable. Try again.".to_owned()
            }
            Self::Keys(_) => "The access token cannot be verified now. Try again.".to_owned(),
            Self::Auth(_) => "Server error.".to_owned(),
        };
        serde_json::json!({"detail": detail, "code": self.code()}).to_string()
    }

    /// Log this rejection if it is a failure of the service.
    #[must_use]
    pub(crate) fn logged(self) -> Self {
        self.log();
        self
    }

    /// Return the response.
    pub(crate) fn response(&self) -> Response {
        let body = self.body();
        let length = HeaderValue::from(body.len());
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_LENGTH, length);
        match self {
            Self::InvalidToken => drop(headers.insert(header::WWW_AUTHENTICATE, CHALLENGE)),
            Self::Dpop(error) => {
                headers.extend(HeaderValue::try_from(error.challenge()).map(|it| (header::WWW_AUTHENTICATE, it)));
            }
            Self::Keys(error) => {
                let whole = error.retry_after().as_millis().div_ceil(1000).max(1);
                headers.insert(header::RETRY_AFTER, HeaderValue::from(u64::try_from(whole).unwrap_or(u64::MAX)));
            }
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }

    /// Return the response to a request with this method: without a body for `HEAD` (RFC 9110 §9.3.2).
    pub(crate) fn response_to(&self, method: &Method) -> Response {
        let response = self.response();
        if method == Method::HEAD { response.map(|_| Body::empty()) } else { response }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.logged().response()
    }
}

impl IntoResponse for AuthError {
    fn into_response(self) -> Response {
        Rejection::from(self).into_response()
    }
}
