//! Handlers that need a recent or a stronger authentication.

use std::{marker::PhantomData, time::Duration};

use axum_core::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{Auth, Authenticated, Rejection};

/// The user must authenticate again: 403 with the code `reauthentication_required` and what is missing, as in Django.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the user must authenticate again")]
#[non_exhaustive]
pub struct ReauthenticationRequired {
    /// The most seconds that may have passed since the user last authenticated; `None` if any time will do.
    pub max_age: Option<u64>,
    /// The methods that the user has not used and must use, in alphabetical order.
    pub methods: Vec<String>,
}

impl ReauthenticationRequired {
    /// Return the stable code, as in the JSON body.
    pub fn code(&self) -> &'static str {
        "reauthentication_required"
    }

    pub(crate) fn body(&self) -> String {
        let Self { max_age, methods } = self;
        let detail = "Confirm that it is you.";
        serde_json::json!({"detail": detail, "code": self.code(), "max_age": max_age, "methods": methods}).to_string()
    }
}

impl IntoResponse for ReauthenticationRequired {
    fn into_response(self) -> Response {
        Rejection::from(self).into_response()
    }
}

/// The current user, who has proved who they are less than `SECONDS` ago: at login, or by [`Auth::reauthenticate`].
/// Otherwise rejects with 403 and the code `reauthentication_required`; an anonymous request, as [`Authenticated`] does.
///
/// Without `SECONDS`, the limit is `SENSITIVE_MAX_AGE`, and nothing more than a user is required if that is not set.
///
/// ```
/// use jwtauth_axum::RecentlySignedIn;
///
/// async fn change_address(recent: RecentlySignedIn<300>) -> String {
///     format!("user {} signed in less than five minutes ago", recent.user.user_id)
/// }
///
/// async fn delete_account(recent: RecentlySignedIn) -> String {
///     format!("user {} signed in less than SENSITIVE_MAX_AGE ago", recent.user.user_id)
/// }
/// # fn is_a_handler<T>(_: impl axum::handler::Handler<T, ()>) {}
/// # is_a_handler(change_address);
/// # is_a_handler(delete_account);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
#[must_use]
pub struct RecentlySignedIn<const SECONDS: u64 = 0> {
    /// The current user.
    pub user: Authenticated,
}

impl<S: Send + Sync, const SECONDS: u64> FromRequestParts<S> for RecentlySignedIn<SECONDS> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let user = <Authenticated as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let Auth(auth) = Auth::from_request_parts(parts, state).await?;
        if SECONDS == 0 {
            auth.check_sensitive().await?;
        } else {
            auth.require(Some(Duration::from_secs(SECONDS)), &[]).await?;
        }
        Ok(Self { user })
    }
}

/// Names the methods that [`SignedInWith`] requires.
pub trait RequiredMethods {
    /// The names, of RFC 8176 or of the site's own.
    const METHODS: &'static [&'static str];
}

/// The current user, who has used each of the methods that `M` names in this session. Otherwise rejects with 403 and the
/// code `reauthentication_required`; an anonymous request, as [`Authenticated`] does.
///
/// ```
/// use jwtauth_axum::{RequiredMethods, SignedInWith};
///
/// struct SecondFactor;
///
/// impl RequiredMethods for SecondFactor {
///     const METHODS: &'static [&'static str] = &["otp"];
/// }
///
/// async fn pay(with: SignedInWith<SecondFactor>) -> String {
///     format!("user {} has used a one-time password", with.user.user_id)
/// }
/// # fn is_a_handler<T>(_: impl axum::handler::Handler<T, ()>) {}
/// # is_a_handler(pay);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
#[must_use]
pub struct SignedInWith<M> {
    /// The current user.
    pub user: Authenticated,
    methods: PhantomData<fn() -> M>,
}

impl<S: Send + Sync, M: RequiredMethods> FromRequestParts<S> for SignedInWith<M> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let user = <Authenticated as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        Auth::from_request_parts(parts, state).await?.require_methods(M::METHODS).await?;
        Ok(Self { user, methods: PhantomData })
    }
}
