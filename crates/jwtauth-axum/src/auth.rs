//! The `Auth` extractor, with which a handler signs users in and out.

use std::{sync::Arc, time::Duration};

use axum_core::extract::FromRequestParts;
use http::request::Parts;
use jwtauth::{Grant, Methods, UnixTime};
use uuid::Uuid;

use crate::{AuthError, DeviceAnswer, EndReason, Login, LoginError, Record, Rejection, request::RequestAuth};

/// Sign users in and out, and end sessions. An extractor; cheap to clone.
///
/// A login, a logout or an end that has begun is completed even if the client disconnects.
///
/// ```
/// use jwtauth_axum::{Auth, AuthError, LoginError};
///
/// async fn sign_in(auth: Auth) -> Result<(), LoginError> {
///     auth.login(42).await // after checking the password
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
    /// Sign a user in: start a session, end the session that the request came with, and set the cookies on the
    /// response. The caller must have verified the user's identity.
    ///
    /// Cookies can be set until the layer's service has returned the response head. After that, for example in a
    /// WebSocket, a streamed body or a task that outlives the handler, a login fails.
    ///
    /// A cross-origin request is rejected: a form on another site could sign the visitor in as another user. See
    /// [`Login::with_cross_origin`].
    ///
    /// # Errors
    ///
    /// [`LoginError`]; no session has been started.
    pub async fn login(&self, user_id: impl ToString) -> Result<(), LoginError> {
        self.login_with(Login::new(user_id)).await
    }

    /// Sign a user in with the options of a [`Login`].
    ///
    /// # Errors
    ///
    /// [`LoginError`]; no session has been started.
    pub async fn login_with(&self, login: Login) -> Result<(), LoginError> {
        let request = Arc::clone(&self.0);
        self.0.shared.tasks.uninterrupted(async move { request.login(login).await }).await
    }

    /// Record that the user of this session has just proved again who they are, for example by their password. The caller
    /// must have verified it. `methods` are names as for [`Login::with_methods`].
    ///
    /// The session goes on with new tokens, which say the new time and all methods used so far. Copies of the older tokens
    /// never say so, and requests of other tabs stay signed in. A locked session is unlocked. The response sets the
    /// cookies; a client with a bearer token must be given the tokens of the returned [`Grant`], signed by
    /// [`Config::tokens`](crate::Config::tokens).
    ///
    /// ```
    /// use jwtauth_axum::{Auth, LoginError};
    ///
    /// async fn confirm(auth: Auth) -> Result<(), LoginError> {
    ///     auth.reauthenticate(42, ["pwd"]).await?; // after checking the password of user 42
    ///     Ok(())
    /// }
    /// # fn is_a_handler<T>(_: impl axum::handler::Handler<T, ()>) {}
    /// # is_a_handler(confirm);
    /// ```
    ///
    /// # Errors
    ///
    /// [`LoginError`]. [`LoginError::OtherUser`]: the session has ended, belongs to another user, or is one of acting.
    pub async fn reauthenticate<N: AsRef<str>>(
        &self,
        user_id: impl ToString,
        methods: impl IntoIterator<Item = N>,
    ) -> Result<Grant, LoginError> {
        let (request, user_id) = (Arc::clone(&self.0), user_id.to_string());
        let methods = Methods::new(methods).map_err(LoginError::Methods)?;
        self.0.shared.tasks.uninterrupted(async move { request.reauthenticate(&user_id, methods).await }).await
    }

    /// Return when the current user last proved who they are, by the tokens of this request: `auth_time`. `None` for an
    /// anonymous request. The store is queried on the first call.
    ///
    /// # Errors
    ///
    /// [`AuthError`]: the session could not be determined.
    pub async fn auth_time(&self) -> Result<Option<UnixTime>, AuthError> {
        Ok(self.0.authentication().await?.map(|found| found.time))
    }

    /// Return how the current user has proved who they are, by the tokens of this request: `amr`. Empty for an anonymous
    /// request. The store is queried on the first call.
    ///
    /// # Errors
    ///
    /// [`AuthError`]: the session could not be determined.
    pub async fn methods(&self) -> Result<Methods, AuthError> {
        Ok(self.0.authentication().await?.map(|found| found.methods).unwrap_or_default())
    }

    /// Return the user who acts as the current user, or `None`. The store is queried on the first call.
    ///
    /// # Errors
    ///
    /// [`AuthError`]: the session could not be determined.
    pub async fn actor(&self) -> Result<Option<String>, AuthError> {
        Ok(self.0.resolve().await?.and_then(|user| user.actor.clone()))
    }

    /// Return whether the session is locked, because it was not used for `LOCK_AFTER`. The request is then anonymous until
    /// [`reauthenticate`](Self::reauthenticate).
    pub fn is_locked(&self) -> bool {
        self.0.is_locked()
    }

    /// Require that the current user has proved who they are less than `max_age` ago, in whole seconds.
    ///
    /// # Errors
    ///
    /// [`Rejection::Reauthentication`]: it was earlier. Otherwise as [`Authenticated`](crate::Authenticated) rejects.
    pub async fn require_recent(&self, max_age: Duration) -> Result<(), Rejection> {
        self.0.require(Some(max_age), &[]).await
    }

    /// Require that the current user has used each of these methods in this session.
    ///
    /// # Errors
    ///
    /// [`Rejection::Reauthentication`]: one is missing. Otherwise as [`Authenticated`](crate::Authenticated) rejects.
    pub async fn require_methods(&self, methods: &[&str]) -> Result<(), Rejection> {
        self.0.require(None, methods).await
    }

    /// Let the current user act as another one, until [`stop_acting`](Self::stop_acting), [`logout`](Self::logout) or
    /// `ACT_AS_LIFETIME`. [`AuthLayer::with_act_as`](crate::AuthLayer::with_act_as) decides whether the user may.
    ///
    /// The response sets the cookies of a session of its own, whose user is the other one, and whose tokens name the
    /// current user as [`actor`](Self::actor) (`act`, RFC 8693 §4.1). It ends with the session of the user who acts, and
    /// cannot authenticate again, sign in as the same user, or end the user's other sessions:
    /// [`AuthError::ActingRefused`].
    ///
    /// ```
    /// use axum::extract::Path;
    /// use jwtauth_axum::{Auth, LoginError};
    ///
    /// async fn act(auth: Auth, Path(user_id): Path<String>) -> Result<(), LoginError> {
    ///     auth.act_as(user_id).await
    /// }
    ///
    /// async fn stop(auth: Auth) -> Result<(), LoginError> {
    ///     auth.stop_acting().await
    /// }
    /// # fn is_a_handler<T>(_: impl axum::handler::Handler<T, ()>) {}
    /// # is_a_handler(act);
    /// # is_a_handler(stop);
    /// ```
    ///
    /// # Errors
    ///
    /// [`LoginError`]; no session has been started. [`LoginError::MayNotAct`]: it is not allowed.
    /// [`AuthError::Reauthentication`]: the current user must authenticate again, because of `SENSITIVE_MAX_AGE`.
    /// [`AuthError::ActingRefused`]: the request acts already.
    pub async fn act_as(&self, user_id: impl ToString) -> Result<(), LoginError> {
        let (request, user_id) = (Arc::clone(&self.0), user_id.to_string());
        self.0.shared.tasks.uninterrupted(async move { request.act_as(&user_id).await }).await
    }

    /// Sign the user who acts as another one in as themselves again.
    ///
    /// The response sets the cookies of a new session, which replaces the one from which [`act_as`](Self::act_as) was
    /// called: with the time of its login, its absolute limit, and what its tokens said of the authentication. Call it
    /// again if the response is lost: it gives the same session, until one of its tokens is used. If the user's own
    /// session has ended, or the session of acting is locked, the user is signed out.
    ///
    /// # Errors
    ///
    /// [`LoginError::NotActing`]: the request's user does not act as another one. Any other [`LoginError`]: the session
    /// may have ended; call it again.
    pub async fn stop_acting(&self) -> Result<(), LoginError> {
        let request = Arc::clone(&self.0);
        self.0.shared.tasks.uninterrupted(async move { request.stop_acting().await }).await
    }

    /// Answer a browser that registers the key of its device: bind the session to it (`DEVICE_BOUND_SESSIONS`). For a
    /// handler of `POST` at the first of [`Config::with_device_paths`](crate::Config::with_device_paths).
    ///
    /// A login or [`reauthenticate`](Self::reauthenticate) offers it, once, for 5 minutes. Afterwards only
    /// [`refresh_device`](Self::refresh_device) refreshes the session. A second key ends the session:
    /// [`Event::DeviceProofFailed`](crate::Event::DeviceProofFailed).
    ///
    /// ```
    /// use axum::{Router, routing::post};
    /// use jwtauth_axum::{Auth, AuthLayer, Config, MemoryStore, Settings};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let settings = Settings::new("a secret of at least thirty-two bytes").with_device_bound_sessions("offer");
    /// let config = settings.build()?.with_device_paths("/device/register", "/device/refresh")?;
    /// let app: Router = Router::new()
    ///     .route("/device/register", post(async |auth: Auth| auth.register_device().await))
    ///     .route("/device/refresh", post(async |auth: Auth| auth.refresh_device().await))
    ///     .layer(AuthLayer::new(config, MemoryStore::default()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AuthError::CrossOrigin`] for a cross-origin request. With any other [`AuthError`] the session may be bound; the
    /// browser asks again.
    pub async fn register_device(&self) -> Result<DeviceAnswer, AuthError> {
        let request = Arc::clone(&self.0);
        self.0.shared.tasks.uninterrupted(async move { request.register_device().await }).await
    }

    /// Answer a browser that proves the key of its device: refresh the session that is bound to it. For a handler of
    /// `POST` at the second of [`Config::with_device_paths`](crate::Config::with_device_paths).
    ///
    /// Without a proof of the newest challenge, the answer is a challenge (403). A wrong signature ends the session:
    /// [`Event::DeviceProofFailed`](crate::Event::DeviceProofFailed).
    ///
    /// # Errors
    ///
    /// [`AuthError::CrossOrigin`] for a cross-origin request. With any other [`AuthError`] the browser asks again.
    pub async fn refresh_device(&self) -> Result<DeviceAnswer, AuthError> {
        let request = Arc::clone(&self.0);
        self.0.shared.tasks.uninterrupted(async move { request.refresh_device().await }).await
    }

    /// End the session immediately and clear the request's cookies on the response. A session named only by expired
    /// cookies is ended too, and so is the own session of a user who [acts as another one](Self::act_as).
    ///
    /// After the response head has been sent, the session still ends. The cookies then stay in the browser, but are
    /// invalid.
    ///
    /// # Errors
    ///
    /// [`AuthError::CrossOrigin`] for a cross-origin request. With any other [`AuthError`] the store failed, and the
    /// session may still be live.
    pub async fn logout(&self) -> Result<(), AuthError> {
        let request = Arc::clone(&self.0);
        self.0.shared.tasks.uninterrupted(async move { request.logout().await }).await
    }

    /// Return the session of this request. The store is queried on the first call. After a login this is the new
    /// session, after a logout `None`. To check later whether the session is still live, use
    /// [`is_live`](Self::is_live).
    ///
    /// # Errors
    ///
    /// [`AuthError`]: the session could not be determined.
    pub async fn session(&self) -> Result<Option<Record>, AuthError> {
        Ok(self.0.resolve().await?.map(|user| user.record.clone()))
    }

    /// Return whether the session of this request is live now. Every call runs one query, regardless of earlier answers
    /// and of `SESSION_CHECK_INTERVAL`.
    ///
    /// A WebSocket, an event stream or a long download outlives the request that started it. Check before sensitive
    /// operations or at intervals, and close the connection when the answer is `false`: after a logout, a revocation, a
    /// password change, a deactivation or the session's end. Also `false` for an anonymous request.
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
    /// [`AuthError`]: the session could not be determined.
    pub async fn is_live(&self) -> Result<bool, AuthError> {
        self.0.is_live().await
    }

    /// Return the live sessions of the current user, newest first. Empty for an anonymous request.
    ///
    /// # Errors
    ///
    /// [`AuthError`]: the store failed.
    pub async fn sessions(&self) -> Result<Vec<Record>, AuthError> {
        let Some(record) = self.session().await? else { return Ok(Vec::new()) };
        Ok(self.0.shared.store.of_user(&record.user_id, self.0.shared.clock.now()).await?)
    }

    /// End one session of the current user. Returns whether the user had a session with this id.
    ///
    /// # Errors
    ///
    /// [`AuthError::Reauthentication`]: the user must authenticate again before ending another session, because of
    /// `SENSITIVE_MAX_AGE`. [`AuthError::ActingRefused`]: [another user acts](Self::act_as) as the current one. Any other
    /// [`AuthError`]: the store failed.
    pub async fn end(&self, session_id: Uuid) -> Result<bool, AuthError> {
        let auth = self.clone();
        let done = self.0.shared.tasks.uninterrupted(async move {
            let is_own = auth.sessions().await?.iter().any(|record| record.id == session_id);
            let is_current = || auth.0.claims().is_some_and(|claims| claims.sid.session_id() == session_id);
            if is_own && !is_current() {
                auth.0.check_sensitive().await?;
            }
            Ok(is_own && auth.0.end([session_id], EndReason::Revoked).await? > 0)
        });
        done.await
    }

    /// End all other sessions of the current user. Returns how many were ended.
    ///
    /// # Errors
    ///
    /// [`AuthError::Reauthentication`]: the user must authenticate again, because of `SENSITIVE_MAX_AGE`.
    /// [`AuthError::ActingRefused`]: [another user acts](Self::act_as) as the current one. Any other [`AuthError`]: the
    /// store failed.
    pub async fn end_others(&self) -> Result<u64, AuthError> {
        let auth = self.clone();
        let done = self.0.shared.tasks.uninterrupted(async move {
            let Some(own) = auth.session().await? else { return Ok(0) };
            auth.0.check_sensitive().await?;
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
