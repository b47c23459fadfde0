//! The tower middleware: layer, service and response future.

mod future;
mod service;

use std::{future::Future, net::IpAddr, sync::Arc, time::SystemTime};

pub use future::ResponseFuture;

use http::request::Parts;
use jwtauth::CustomClaims;
pub use service::AuthService;
use tower_layer::Layer;

use crate::{
    ActAs, Config, Event, Health, SessionStore, StoreError, acting::MayActAs, clock::Clock, head::dpop_prefix,
    shared::Shared,
};

/// Authenticate every request by cookie or bearer token, and write the cookies of the response.
///
/// The inner service may use any body of bytes; the layer returns axum's body type. The layer itself answers requests
/// that it rejects: 401 for an access token or proof in `Authorization` that is not valid, 403 for a cross-origin request,
/// 503 under contention, 500 if the store fails or a token cannot be issued. A WebSocket handshake is refreshed like any
/// request; its cookies are set on the `101` response.
///
/// If clones of one layer wrap both a nested router and the whole router, only the outer one does the work. Different
/// layers each query their own store. Handlers get the [`Auth`](crate::Auth) of the innermost layer, and if two layers
/// share a cookie name, the inner layer's cookies are set.
///
/// ```
/// use std::net::SocketAddr;
///
/// use axum::{Router, extract::ConnectInfo, routing::get};
/// use jwtauth_axum::{AuthLayer, Authenticated, Config, MemoryStore, jwtauth::CustomClaims};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = AuthLayer::new(Config::new("a secret of at least thirty-two bytes")?, MemoryStore::default())
///     .with_client_address(|head| head.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.ip()))
///     .with_custom_claims(|user_id| CustomClaims::from_json(r#"{"plan": "free"}"#).unwrap_or_default());
/// let app: Router = Router::new().route("/me", get(async |user: Authenticated| user.user_id)).layer(layer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct AuthLayer {
    shared: Arc<Shared>,
}

impl AuthLayer {
    /// Create a layer with this configuration and store.
    pub fn new(config: Config, store: impl SessionStore) -> Self {
        Self { shared: Arc::new(Shared::new(config, Arc::new(store))) }
    }

    /// Add custom claims to access tokens at login and refresh. The function receives the user's primary key. If Django
    /// issues tokens for the same sessions, return the same claims as its `ACCESS_TOKEN_CLAIMS`.
    pub fn with_custom_claims(mut self, claims: impl Fn(&str) -> CustomClaims + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.shared).custom_claims = Some(Arc::new(claims));
        self
    }

    /// Set the function that decides who may [act as another user](crate::Auth::act_as). It is asked when a user begins to
    /// act and at each refresh of such a session, also of one that Django has started, so its answer applies within
    /// `ACCESS_TOKEN_LIFETIME`. It is never asked whether users may act as themselves, which is never allowed.
    ///
    /// Decide by what the users are now, and never allow to act as a user with rights that the first one must not get,
    /// such as another staff member. Default: no user may begin to act, and sessions that Django has started continue.
    ///
    /// ```
    /// use jwtauth_axum::{AuthLayer, Config, MemoryStore};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = Config::new("a secret of at least thirty-two bytes")?;
    /// let layer = AuthLayer::new(config, MemoryStore::default())
    ///     .with_act_as(|asked| async move { Ok(asked.actor_id == "1" && asked.user_id != "2") });
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_act_as<F>(mut self, may_act_as: impl Fn(ActAs) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<bool, StoreError>> + Send + 'static,
    {
        let may_act_as: MayActAs = Arc::new(move |asked| Box::pin(may_act_as(asked)));
        Arc::make_mut(&mut self.shared).may_act_as = Some(may_act_as);
        self
    }

    /// Set the function that returns the client's address, which the session records at login: from axum's
    /// `ConnectInfo` in the extensions, or from a header that a proxy sets. Default: no address is recorded.
    pub fn with_client_address(mut self, address: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.shared).address = Some(Arc::new(address));
        self
    }

    /// Set what the layer does not see of the path of a request: what a proxy removes before it passes the request on, or
    /// the prefix of the `nest` inside which the layer is added. A proof of a client (`DPoP`, RFC 9449) names the whole path.
    ///
    /// Around the whole router, the layer sees the whole path, and needs no prefix for a `nest`. Default: none.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use jwtauth_axum::{AuthLayer, Authenticated, Config, MemoryStore};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = Config::new("a secret of at least thirty-two bytes")?;
    /// let layer = AuthLayer::new(config, MemoryStore::default()).with_dpop_prefix("/api");
    /// let api = Router::new().route("/me", get(async |user: Authenticated| user.user_id)).layer(layer);
    /// let app: Router = Router::new().nest("/api", api);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_dpop_prefix(mut self, prefix: &str) -> Self {
        Arc::make_mut(&mut self.shared).dpop_prefix = dpop_prefix(prefix);
        self
    }

    /// Set the function that names the requests that are not an activity of the user, such as those of a page that
    /// polls. They are authenticated, and their tokens refreshed, as any other, but the session ends or locks as if they
    /// had not been made. A page can also mark a single request, by the header `X-Jwtauth-Activity: none`.
    ///
    /// The layer asks before the handler runs. It sees the path as it is where the layer is added: without the prefix of
    /// `nest` if that is outside.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use jwtauth_axum::{AuthLayer, Config, MemoryStore};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = Config::new("a secret of at least thirty-two bytes")?;
    /// let layer = AuthLayer::new(config, MemoryStore::default()).with_no_activity(|head| head.uri.path() == "/news");
    /// let app: Router = Router::new().route("/news", get(async || "none")).layer(layer);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_no_activity(mut self, is_poll: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.shared).is_poll = Some(Arc::new(is_poll));
        self
    }

    /// Wait until all logouts, logins, ends and refreshes that requests have started are done.
    ///
    /// Each runs in its own task, which continues if the client disconnects but not after the runtime has shut down.
    /// Call this after the server has stopped, before `main` returns: a graceful shutdown only waits for clients that
    /// are still connected.
    ///
    /// ```no_run
    /// # use axum::Router;
    /// # use jwtauth_axum::AuthLayer;
    /// # async fn serve(layer: AuthLayer, app: Router, told_to_stop: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:9000").await?;
    /// axum::serve(listener, app.layer(layer.clone())).with_graceful_shutdown(told_to_stop).await?;
    /// layer.done().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn done(&self) {
        self.shared.tasks.done().await;
    }

    /// Check the settings, the clock and the store, at startup and for health checks.
    ///
    /// This queries the store, so limit requests to a public route, or make the route internal.
    pub async fn health(&self) -> Health {
        Health::of(&self.shared).await
    }

    /// Call this function for each [`Event`](crate::Event), in addition to earlier receivers.
    ///
    /// With a receiver, sessions are ended one statement each.
    pub fn with_receiver(mut self, receiver: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.shared).receivers.push(receiver);
        self
    }

    /// Use this clock instead of the system's and the database's, for tests.
    pub fn with_clock(mut self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.shared).clock = Clock::new(Arc::new(now));
        self
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthService::new(inner, Arc::clone(&self.shared))
    }
}
