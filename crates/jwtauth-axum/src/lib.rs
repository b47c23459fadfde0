//! Sign-in sessions for axum and tower: the login of a Django site with `jwtauth`, in a Rust service beside it.
//!
//! [`AuthLayer`] reads the same cookies by the same rules on the same table: it verifies the access token, refreshes
//! the session in the request that finds it expired, and writes the cookies. All rules are the [`jwtauth`] engine's.
//!
//! | extractor | gives |
//! | --- | --- |
//! | [`Authenticated`] | who is signed in, asked of the store; else 403, or 401 for a bad bearer, as Django answers |
//! | `Option<Authenticated>`, [`MaybeAuthenticated`] | the same, or `None` where the request is anonymous |
//! | [`AccessClaims`] | the claims of the access token, without a query |
//! | [`Auth`] | the handle: [`login`](Auth::login), [`logout`](Auth::logout), [`sessions`](Auth::sessions), [`end`](Auth::end) |
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
//!     // Here the password is checked.
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
//! [`ResourceLayer`] is for services that recognise users and sign none in. Every event of target `jwtauth.security`
//! carries, as `event`, the name that Django's log record has; none has a token.
//!
//! | feature | adds |
//! | --- | --- |
//! | `sqlite`, `postgres`, `mariadb` | `SqliteStore`, `PostgresStore`, `MariaDbStore`: sessions in the table that Django migrates |
//! | `toml` | `Settings::read`, `Settings::from_env`: from TOML and the environment |
//! | `jwks` | `RemoteKeys`: a site's public keys, by HTTP |
//! | `conformance` | `conformance`: what every store has to do, as checks for yours |
//!
//! Without a store's feature, the crate compiles with Rust 1.85; with one, with what sqlx needs: 1.94.
//!
//! A pool or client passed to the crate has to be of the version that the crate uses. So it exports `sqlx` and
//! `reqwest`: a service that names them through it compiles with each release. A new major version of either is a
//! breaking release of this crate, as are those of [`jwtauth`], `http` and `axum-core`.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod auth;
mod cleanup;
mod clock;
mod config;
mod error;
mod event;
mod extract;
mod head;
mod health;
mod layer;
mod login;
mod request;
mod resource_server;
mod response;
mod retry;
mod settings;
mod shared;
mod store;
mod task;

pub use auth::Auth;
pub use config::Config;
pub use error::{AuthError, Rejection};
pub use event::{EndReason, Event};
pub use extract::{AccessClaims, Authenticated, MaybeAuthenticated};
pub use health::{Health, HealthProblem};
pub use jwtauth;
pub use layer::{AuthLayer, AuthService, ResponseFuture};
pub use login::{Login, LoginError};
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
