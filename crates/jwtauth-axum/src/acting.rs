//! Acting as another user.

use std::{future::Future, pin::Pin, sync::Arc};

use axum_core::extract::FromRequestParts;
use http::request::Parts;

use crate::{Auth, Rejection, StoreError};

/// A user who wants to act as another one, by their primary keys as text. See
/// [`AuthLayer::with_act_as`](crate::AuthLayer::with_act_as).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ActAs {
    /// The user who acts, or wants to.
    pub actor_id: String,
    /// The user as whom they act.
    pub user_id: String,
}

pub(crate) type MayActAs = Arc<dyn Fn(ActAs) -> Decided + Send + Sync>;
pub(crate) type Decided = Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send>>;

/// Reject a request in which another user acts as the current user, with 403 and the code `acting_refused`. For handlers
/// that change how the user signs in, issue API keys, or show what is none of the staff's business. An anonymous request
/// passes.
///
/// ```
/// use jwtauth_axum::{Authenticated, NotActing};
///
/// async fn private_messages(_: NotActing, user: Authenticated) -> String {
///     format!("for the eyes of user {} only", user.user_id)
/// }
/// # fn is_a_handler<T>(_: impl axum::handler::Handler<T, ()>) {}
/// # is_a_handler(private_messages);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NotActing;

impl<S: Send + Sync> FromRequestParts<S> for NotActing {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        Auth::from_request_parts(parts, state).await?.0.refuse_acting().await?;
        Ok(Self)
    }
}
