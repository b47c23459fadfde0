//! The handle by which a handler signs users in and out.

use std::sync::Arc;

use axum_core::extract::FromRequestParts;
use http::request::Parts;
use uuid::Uuid;

use crate::{AuthError, EndReason, Login, LoginError, Record, request::RequestAuth};

/// Signs in and out, and ends sessions. An extractor; cheap to clone.
///
/// What it is asked to start or to end is done although the client goes away meanwhile.
///
/// ```
/// use jwtauth_axum::{Auth, AuthError, LoginError};
///
/// async fn sign_in(auth: Auth) -> Result<(), LoginError> {
///     auth.login(42).await // whose password has been checked
/// }
///
/// async fn devices(auth: Auth) -> Result<String, AuthError> {
///     let devices = auth.sessions().await?.into_iter().map(|session| session.user_agent);
///     Ok(devices.collect::<Vec<_>>().join("\n"))
/// }
///
/// async fn sign_out_elsewhere(auth: Auth) -> Result<String, AuthError> {
///     Ok(format!("{} sessions ended", auth.end_others().await?))
/// }
/// # fn is_a_handler<T>(_: impl axum::handler::Handler<T, ()>) {}
/// # is_a_handler(sign_in);
/// # is_a_handler(devices);
/// # is_a_handler(sign_out_elsewhere);
/// ```
#[derive(Clone, Debug)]
pub struct Auth(pub(crate) Arc<RequestAuth>);

impl Auth {
    /// Sign this user in: start a session, end the one that the request came with, and have the response set the
    /// cookies. That the user is who they say is for the caller to have checked.
    ///
    /// Cookies can be set until the head of the response is complete, which is when the layer's service has answered.
    /// Later, as in a WebSocket, a streamed body or a task that outlives the handler, a login is refused.
    ///
    /// A request of another origin is refused: a form elsewhere could sign the visitor in as another user. See
    /// [`Login::with_cross_origin`].
    ///
    /// # Errors
    ///
    /// [`LoginError`]; no session has been started then.
    pub async fn login(&self, user_id: impl ToString) -> Result<(), LoginError> {
        self.login_with(Login::new(user_id)).await
    }

    /// Sign a user in as this [`Login`] says.
    ///
    /// # Errors
    ///
    /// [`LoginError`]; no session has been started then.
    pub async fn login_with(&self, login: Login) -> Result<(), LoginError> {
        let request = Arc::clone(&self.0);
        self.0.shared.tasks.uninterrupted(async move { request.login(login).await }).await
    }

    /// End the session now, also one that only expired cookies name, and have the response clear the cookies, if the
    /// request brought one.
    ///
    /// Once the head of the response is complete, the session ends, and the cookies stay in the browser, good for
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`AuthError::CrossOrigin`] where a page of another origin asks for it. Another [`AuthError`]: the store failed,
    /// and the session may live.
    pub async fn logout(&self) -> Result<(), AuthError> {
        let request = Arc::clone(&self.0);
        self.0.shared.tasks.uninterrupted(async move { request.logout().await }).await
    }

    /// Return the session of this request, asked of the store the first time; the new one after a login, and none after
    /// a logout. Whether it lives at a later time: [`is_live`](Self::is_live).
    ///
    /// # Errors
    ///
    /// [`AuthError`]: it is not known.
    pub async fn session(&self) -> Result<Option<Record>, AuthError> {
        Ok(self.0.resolve().await?.map(|user| user.record.clone()))
    }

    /// Return whether the session of this request lives now: one query each time, whatever was answered before and
    /// whatever `SESSION_CHECK_INTERVAL` is.
    ///
    /// A WebSocket, an event stream or a long download outlives the request that began it. Ask before what matters, or now
    /// and then, and close it where the answer is no: after a logout, a revocation, a new password, a deactivation, or
    /// the session's end. `false` where the request is anonymous.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use jwtauth_axum::{Auth, AuthError};
    ///
    /// async fn watch(auth: Auth) -> Result<(), AuthError> {
    ///     while auth.is_live().await? {
    ///         tokio::time::sleep(Duration::from_secs(60)).await;
    ///     }
    ///     Ok(()) // close the WebSocket
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AuthError`]: it is not known.
    pub async fn is_live(&self) -> Result<bool, AuthError> {
        self.0.is_live().await
    }

    /// Return the live sessions of the user who is signed in, the newest first; none for an anonymous request.
    ///
    /// # Errors
    ///
    /// [`AuthError`]: the store failed.
    pub async fn sessions(&self) -> Result<Vec<Record>, AuthError> {
        let Some(record) = self.session().await? else { return Ok(Vec::new()) };
        Ok(self.0.shared.store.of_user(&record.user_id, self.0.shared.clock.now()).await?)
    }

    /// End one session of the user who is signed in. Returns whether there was one of this id.
    ///
    /// # Errors
    ///
    /// [`AuthError`]: the store failed.
    pub async fn end(&self, session_id: Uuid) -> Result<bool, AuthError> {
        let auth = self.clone();
        let done = self.0.shared.tasks.uninterrupted(async move {
            let is_own = auth.sessions().await?.iter().any(|record| record.id == session_id);
            Ok(is_own && auth.0.end([session_id], EndReason::Revoked).await? > 0)
        });
        done.await
    }

    /// End all sessions of the user who is signed in but this one. Returns how many there were.
    ///
    /// # Errors
    ///
    /// [`AuthError`]: the store failed.
    pub async fn end_others(&self) -> Result<u64, AuthError> {
        let auth = self.clone();
        let done = self.0.shared.tasks.uninterrupted(async move {
            let Some(own) = auth.session().await? else { return Ok(0) };
            let others = auth.sessions().await?.into_iter().map(|record| record.id).filter(|id| *id != own.id);
            auth.0.end(others, EndReason::Revoked).await
        });
        done.await
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Auth {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, AuthError> {
        parts.extensions.get().cloned().ok_or(AuthError::MissingLayer)
    }
}
