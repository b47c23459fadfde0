//! Extractors for the current user.

use std::sync::atomic::Ordering;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use jwtauth::{Claims, Methods, UnixTime};
use uuid::Uuid;

use crate::{Auth, Rejection, resource_server::Recognised};

/// The current user. Rejects an anonymous request with 403, as Django REST framework does; `Option<Authenticated>` is
/// `None` instead.
///
/// ```
/// use jwtauth_axum::Authenticated;
///
/// async fn me(user: Authenticated) -> String {
///     format!("user {}, of session {}", user.user_id, user.session_id)
/// }
///
/// async fn greet(user: Option<Authenticated>) -> String {
///     user.map_or_else(|| "Hello!".to_owned(), |user| format!("Hello, user {}!", user.user_id))
/// }
/// # fn is_a_handler<T>(_: impl axum::handler::Handler<T, ()>) {}
/// # is_a_handler(me);
/// # is_a_handler(greet);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
#[must_use]
pub struct Authenticated {
    /// The user's primary key, as text.
    pub user_id: String,
    /// The session's id. It is not a secret.
    pub session_id: Uuid,
    /// The claims of the current access token.
    pub claims: Claims,
}

/// The current user, or `None`: `Option<Authenticated>` as a pattern.
///
/// ```
/// use jwtauth_axum::MaybeAuthenticated;
///
/// async fn greet(MaybeAuthenticated(user): MaybeAuthenticated) -> String {
///     user.map_or_else(|| "Hello!".to_owned(), |user| format!("Hello, user {}!", user.user_id))
/// }
/// # fn is_a_handler<T>(_: impl axum::handler::Handler<T, ()>) {}
/// # is_a_handler(greet);
/// ```
#[derive(Clone, Debug)]
#[must_use]
#[expect(clippy::exhaustive_structs, reason = "handlers destructure it in their arguments")]
pub struct MaybeAuthenticated(pub Option<Authenticated>);

/// The claims of a verified access token, without a query. The session may have been ended since the token was issued,
/// at most `ACCESS_TOKEN_LIFETIME` ago. Rejects as [`Authenticated`] does.
///
/// ```
/// use jwtauth_axum::AccessClaims;
///
/// async fn plan(AccessClaims(claims): AccessClaims) -> String {
///     claims.custom.get("plan").and_then(|plan| plan.as_str()).unwrap_or("none").to_owned()
/// }
/// # fn is_a_handler<T>(_: impl axum::handler::Handler<T, ()>) {}
/// # is_a_handler(plan);
/// ```
#[derive(Clone, Debug)]
#[must_use]
#[expect(clippy::exhaustive_structs, reason = "handlers destructure it in their arguments")]
pub struct AccessClaims(pub Claims);

async fn authenticated(parts: &mut Parts) -> Result<Option<Authenticated>, Rejection> {
    let auth = Auth::from_request_parts(parts, &()).await?;
    Ok(auth.0.live().await?)
}

impl Authenticated {
    /// Create the value that the extractor returns for these claims, to call a handler in a test.
    pub fn new(claims: Claims) -> Self {
        Self { user_id: claims.subject.clone(), session_id: claims.sid.session_id(), claims }
    }

    /// Create the value for the session with this id, which saves its digest.
    pub(crate) fn of(claims: &Claims, session_id: Uuid) -> Self {
        Self { user_id: claims.subject.clone(), session_id, claims: claims.clone() }
    }

    /// Return when the user last proved who they are (`auth_time`), by the request's tokens. `None` if an earlier version
    /// has issued them. To require a recent time, use [`RecentlySignedIn`](crate::RecentlySignedIn).
    pub fn auth_time(&self) -> Option<UnixTime> {
        self.claims.auth_time
    }

    /// Return how the user has proved who they are (`amr`), by the request's tokens.
    pub fn methods(&self) -> &Methods {
        &self.claims.methods
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Authenticated {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        let Auth(auth) = Auth::from_request_parts(parts, &()).await?;
        auth.live().await?.ok_or_else(|| auth.anonymous())
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Authenticated {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Rejection> {
        authenticated(parts).await
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MaybeAuthenticated {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        Ok(Self(authenticated(parts).await?))
    }
}

/// `None` for an anonymous request. An invalid bearer token has already been rejected.
impl<S: Send + Sync> OptionalFromRequestParts<S> for AccessClaims {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Rejection> {
        match <Self as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(claims) => Ok(Some(claims)),
            Err(Rejection::NotAuthenticated | Rejection::LateUpload | Rejection::Locked | Rejection::Unproven) => {
                Ok(None)
            }
            Err(rejection) => Err(rejection),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AccessClaims {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        if let Some(Recognised { claims, was_asked }) = parts.extensions.get() {
            was_asked.store(true, Ordering::Relaxed);
            return claims.clone().map(Self).ok_or(Rejection::NotAuthenticated);
        }
        let auth = Auth::from_request_parts(parts, state).await?;
        auth.0.claims().map(Self).ok_or_else(|| auth.0.anonymous())
    }
}
