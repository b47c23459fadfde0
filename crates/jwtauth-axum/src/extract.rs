//! Extractors for who is there.

use axum_core::extract::FromRequestParts;
use http::request::Parts;
use jwtauth::Claims;
use uuid::Uuid;

use crate::{Auth, Rejection, resource_server::Recognised};

/// Somebody who is signed in. Rejects with 403 where nobody is, as Django REST framework does.
///
/// ```
/// use jwtauth_axum::Authenticated;
///
/// async fn me(user: Authenticated) -> String {
///     format!("user {}, of session {}", user.user_id, user.session_id)
/// }
/// # fn is_a_handler<T>(_: impl axum::handler::Handler<T, ()>) {}
/// # is_a_handler(me);
/// ```
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// The user's primary key, as text.
    pub user_id: String,
    /// The session's id, which may be shown.
    pub session_id: Uuid,
    /// The claims of the access token in force.
    pub claims: Claims,
}

/// Whoever is signed in, or nobody.
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
pub struct MaybeAuthenticated(pub Option<Authenticated>);

/// The claims of a verified access token, without asking whether its session has been ended meanwhile: at most
/// `ACCESS_TOKEN_LIFETIME` old. Rejects as [`Authenticated`] does.
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
pub struct AccessClaims(pub Claims);

async fn authenticated(parts: &mut Parts) -> Result<Option<Authenticated>, Rejection> {
    let auth = Auth::from_request_parts(parts, &()).await?;
    let found = auth.0.user_id().await?;
    Ok(found.map(|(user_id, claims)| Authenticated { user_id, session_id: claims.sid.session_id(), claims }))
}

impl<S: Send + Sync> FromRequestParts<S> for Authenticated {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        authenticated(parts).await?.ok_or(Rejection::NotAuthenticated)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MaybeAuthenticated {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        Ok(Self(authenticated(parts).await?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AccessClaims {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        if let Some(Recognised(claims)) = parts.extensions.get() {
            return claims.clone().map(Self).ok_or(Rejection::NotAuthenticated);
        }
        let auth = Auth::from_request_parts(parts, state).await?;
        auth.0.claims().map(Self).ok_or(Rejection::NotAuthenticated)
    }
}
