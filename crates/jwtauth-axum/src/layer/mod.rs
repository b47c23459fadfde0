//! The tower middleware: the layer, its service and its future.

mod future;
mod service;

use std::{net::IpAddr, sync::Arc, time::SystemTime};

pub use future::ResponseFuture;

use http::request::Parts;
use jwtauth::CustomClaims;
pub use service::AuthService;
use tower_layer::Layer;

use crate::{Config, Event, Health, SessionStore, clock::Clock, shared::Shared};

/// Authenticates every request by cookie or bearer, and writes the cookies of the response.
///
/// The service inside may answer with any body of bytes; the layer answers with axum's, by itself to requests that go no
/// further: 401 to a bad bearer, 403 to a page of another origin, 503 in contention, 500 where the store fails or a
/// token cannot be issued. A WebSocket handshake is refreshed like any request, and its cookies are on the `101`
/// response.
///
/// Clones of a layer around a nested router and around the whole count once: the outer one does the work. Of other
/// layers, each asks its own store, handlers have the [`Auth`](crate::Auth) of the nearest, and where two have a cookie
/// name in common, the inner one's cookies are set.
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
    /// Make a layer with this configuration, over these sessions.
    pub fn new(config: Config, store: impl SessionStore) -> Self {
        Self { shared: Arc::new(Shared::new(config, Arc::new(store))) }
    }

    /// Add claims of the service's own to access tokens, at login and refresh: of a user, by their primary key. Where
    /// Django issues tokens of the same sessions, the same as its `ACCESS_TOKEN_CLAIMS`.
    pub fn with_custom_claims(mut self, claims: impl Fn(&str) -> CustomClaims + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.shared).custom_claims = Some(Arc::new(claims));
        self
    }

    /// Tell the client's address, which the session notes at login, in this way: by axum's `ConnectInfo` in the
    /// extensions, or by a header that a proxy sets. Default: it is not noted.
    pub fn with_client_address(mut self, address: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.shared).address = Some(Arc::new(address));
        self
    }

    /// Wait until the logouts, logins, ends and refreshes that requests have begun are done.
    ///
    /// Each is a task of its own, which goes on where its client hangs up, but not where its runtime ends. So ask for it
    /// once the server has stopped, before `main` returns: a graceful shutdown waits for clients that are still there.
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

    /// Say what is wrong with the settings, the clock and the store: at the start of a service, and for who watches it.
    ///
    /// It asks the store, so a public route for it is better limited, or kept to the inside.
    pub async fn health(&self) -> Health {
        Health::of(&self.shared).await
    }

    /// Call this for each [`Event`](crate::Event), beside the receivers that there are.
    ///
    /// While there is one, sessions are ended one by one.
    pub fn with_receiver(mut self, receiver: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.shared).receivers.push(receiver);
        self
    }

    /// Go by another clock than the system's and the database's, for tests.
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
