//! Login sessions for axum and tower: share the login of a Django site that uses `jwtauth` with a Rust service.
//!
//! [`AuthLayer`] uses the same cookies, rules and table as Django. It verifies the access token, refreshes the session
//! in the request that finds the token expired, and writes the cookies. The rules come from the [`jwtauth`] engine.
//!
//! | extractor | gives |
//! | --- | --- |
//! | [`Authenticated`] | the current user, checked against the store; otherwise 403, or 401 for a token or proof in `Authorization` that is not valid, as in Django |
//! | `Option<Authenticated>`, [`MaybeAuthenticated`] | the same, or `None` for an anonymous request |
//! | [`RecentlySignedIn`], [`SignedInWith`] | the current user, who has authenticated a short time ago, or by certain methods; otherwise 403 |
//! | [`NotActing`] | rejects a request in which [another user acts](Auth::act_as) as the current one |
//! | [`AccessClaims`] | the claims of the access token, without a query |
//! | [`Auth`] | the handle: [`login`](Auth::login), [`logout`](Auth::logout), [`reauthenticate`](Auth::reauthenticate), [`sessions`](Auth::sessions), [`end`](Auth::end) |
//!
//! ```
//! use axum::{Json, Router, routing::{get, post}};
//! use jwtauth_axum::{Auth, AuthLayer, Authenticated, Config, LoginError, MemoryStore};
//!
//! async fn me(user: Authenticated) -> String {
//!     user.user_id
//! }
//!
//! async fn sign_in(auth: Auth) -> Result<(), LoginError> {
//!     // Check the password here.
//!     auth.login("42").await
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::new("a secret of at least thirty-two bytes")?;
//! let app: Router = Router::new()
//!     .route("/me", get(me))
//!     .route("/login", post(sign_in))
//!     .layer(AuthLayer::new(config, MemoryStore::default()));
//! # Ok(())
//! # }
//! ```
//!
//! [`ResourceLayer`] is for services that verify access tokens and have no login. Log events of target
//! `jwtauth.security` carry the name of Django's log record in the field `event`. No event contains a token.
//!
//! | feature | adds |
//! | --- | --- |
//! | `sqlite`, `postgres`, `mariadb` | `SqliteStore`, `PostgresStore`, `MariaDbStore`: sessions in the table that Django migrates |
//! | `toml` | `Settings::read`, `Settings::from_env`: from TOML and environment variables |
//! | `jwks` | `RemoteKeys`: a site's public keys over HTTP |
//! | `conformance` | `conformance`: the checks that every store must pass |
//!
//! The crate compiles with Rust 1.85, or with Rust 1.94 if a sqlx store is enabled (sqlx requires it).
//!
//! A pool or client passed to this crate must be of the version that the crate uses. The crate re-exports `sqlx` and
//! `reqwest` for this: a service that uses them through the crate compiles with every release. A new major version of
//! either is a breaking release of this crate, as are those of [`jwtauth`], `http` and `axum-core`.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod acting;
mod auth;
mod cleanup;
mod clock;
mod config;
mod device;
mod error;
mod event;
mod extract;
mod head;
mod health;
mod layer;
mod login;
mod reauthentication;
mod request;
mod resource_server;
mod response;
mod retry;
mod settings;
mod shared;
mod store;
mod task;

pub use acting::{ActAs, NotActing};
pub use auth::Auth;
pub use config::Config;
pub use device::DeviceAnswer;
pub use error::{AuthError, Rejection};
pub use event::{EndReason, Event};
pub use extract::{AccessClaims, Authenticated, MaybeAuthenticated};
pub use health::{Health, HealthProblem};
pub use jwtauth;
pub use layer::{AuthLayer, AuthService, ResponseFuture};
pub use login::{Login, LoginError};
pub use reauthentication::{ReauthenticationRequired, RecentlySignedIn, RequiredMethods, SignedInWith};
#[cfg(feature = "jwks")]
pub use reqwest;
#[cfg(feature = "jwks")]
pub use resource_server::RemoteKeys;
pub use resource_server::{FixedKeys, KeysError, ResourceLayer, ResourceService, VerifierSource};
pub use settings::{Secret, Settings, SettingsError, VerifyingKeySetting};
#[cfg(any(feature = "mariadb", feature = "postgres", feature = "sqlite"))]
pub use sqlx;
#[cfg(any(feature = "mariadb", feature = "postgres", feature = "sqlite"))]
pub use store::DjangoUsers;
#[cfg(feature = "conformance")]
pub use store::conformance;
pub use store::{FoundSession, InsertError, Limit, LimitPolicy, MemoryStore, Record, SessionStore, StoreError};
#[cfg(feature = "mariadb")]
pub use store::{MARIADB_SCHEMA, MariaDbStore};
#[cfg(feature = "postgres")]
pub use store::{POSTGRES_SCHEMA, PostgresStore};
#[cfg(feature = "sqlite")]
pub use store::{SQLITE_SCHEMA, SqliteStore};
