//! `service-bench WAY ADDRESS DATABASE`: an axum service whose one page says who is there.
//!
//! `POST /login` signs user 1 in and sets the cookies that the way goes by. All ways ask the same SQLite database, if any.

use std::{convert::Infallible, env, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{FromRequestParts, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    routing::{get, post},
};
use axum_login::{
    AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, UserId, tower_sessions::SessionManagerLayer,
};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use jwtauth_axum::{
    Auth, AuthLayer, Authenticated, DjangoUsers, Settings, SqliteStore,
    sqlx::{self, SqlitePool, sqlite::SqliteConnectOptions},
};
use serde::{Deserialize, Serialize};
use tower_sessions_sqlx_store::{SqliteStore as TowerSessions, sqlx as sqlx_0_8};

const SECRET: &str = "a key for benchmarks only, long enough for SHA-256";

#[derive(Serialize)]
struct Me {
    user: String,
}

fn me(user: impl ToString) -> Json<Me> {
    Json(Me { user: user.to_string() })
}

#[tokio::main]
async fn main() {
    let [way, address, database] = env::args().skip(1).collect::<Vec<_>>().try_into().expect("WAY ADDRESS DATABASE");
    let options = SqliteConnectOptions::new().filename(&database);
    let pool = SqlitePool::connect_with(options).await.expect("a database that Django has migrated");
    let app = match way.as_str() {
        "no authentication" => Router::new().route("/me", get(async || me(1))),
        "one query" => Router::new().route("/me", get(one_query)).with_state(pool),
        "jwtauth" => jwtauth(pool, Duration::ZERO).await,
        "jwtauth, interval 10 s" => jwtauth(pool, Duration::from_secs(10)).await,
        "axum-login" => axum_login(pool, &database).await,
        "jsonwebtoken" => json_web_token(),
        other => panic!("no way is called {other}"),
    };
    let app = app.route("/ready", get(async || "")).route_layer(axum::middleware::from_fn(pass));
    let listener = tokio::net::TcpListener::bind(address).await.expect("a free port");
    axum::serve(listener, app).await.expect("a server");
}

/// Every way has this much middleware.
async fn pass(request: axum::extract::Request, next: axum::middleware::Next) -> axum::response::Response {
    next.run(request).await
}

/// What anybody who asks a database pays: a handler with one query by primary key.
async fn one_query(State(pool): State<SqlitePool>) -> Json<Me> {
    let query = sqlx::query_as("SELECT id, password, is_active FROM auth_user WHERE id = $1").bind(1);
    let (id, _password, _is_active): (i64, String, bool) = query.fetch_one(&pool).await.expect("user 1");
    me(id)
}

async fn jwtauth(pool: SqlitePool, interval: Duration) -> Router {
    let settings = Settings::new(SECRET)
        .with_session_check_interval(interval)
        .with_access_token_lifetime(Duration::from_secs(3600));
    let users = DjangoUsers::new(settings.auth_hasher());
    let store = SqliteStore::new(pool, Some(users)).await.expect("Django's table");
    Router::new()
        .route("/me", get(async |user: Authenticated| me(user.user_id)))
        .route("/login", post(async |auth: Auth| auth.login(1).await))
        .layer(AuthLayer::new(settings.build().expect("settings"), store))
}

#[derive(Clone, Debug)]
struct User {
    id: i64,
    password: String,
}

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.password.as_bytes()
    }
}

#[derive(Clone)]
struct Users(SqlitePool);

impl AuthnBackend for Users {
    type User = User;
    type Credentials = ();
    type Error = Infallible;

    async fn authenticate(&self, (): ()) -> Result<Option<User>, Infallible> {
        self.get_user(&1).await
    }

    async fn get_user(&self, id: &UserId<Self>) -> Result<Option<User>, Infallible> {
        let query = sqlx::query_as("SELECT id, password FROM auth_user WHERE id = $1 AND is_active").bind(id);
        let found: Option<(i64, String)> = query.fetch_optional(&self.0).await.expect("Django's table");
        Ok(found.map(|(id, password)| User { id, password }))
    }
}

async fn axum_login(pool: SqlitePool, database: &str) -> Router {
    let options = sqlx_0_8::sqlite::SqliteConnectOptions::new().filename(database);
    let sessions = sqlx_0_8::SqlitePool::connect_with(options).await.expect("the same database");
    let store = TowerSessions::new(sessions);
    store.migrate().await.expect("a table of its own");
    let layer = AuthManagerLayerBuilder::new(Users(pool), SessionManagerLayer::new(store).with_secure(false)).build();
    let who = async |session: AuthSession<Users>| session.user.map(|user| me(user.id)).ok_or(StatusCode::FORBIDDEN);
    let login = async |mut session: AuthSession<Users>| {
        let user = session.authenticate(()).await.expect("a backend").expect("user 1");
        session.login(&user).await.expect("a session");
    };
    Router::new().route("/me", get(who)).route("/login", post(login)).layer(layer)
}

#[derive(Deserialize, Serialize)]
struct Claims {
    sub: String,
    exp: u64,
}

#[derive(Clone)]
struct Keys(Arc<(EncodingKey, DecodingKey, Validation)>);

/// What services write themselves: a token in a cookie, verified by an extractor.
struct Verified(Claims);

impl FromRequestParts<Keys> for Verified {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, Keys(keys): &Keys) -> Result<Self, StatusCode> {
        let header = parts.headers.get(header::COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut cookies = cookie::Cookie::split_parse(header).flatten();
        let token = cookies.find(|cookie| cookie.name() == "token").ok_or(StatusCode::FORBIDDEN)?;
        let (_, decoding, validation) = &**keys;
        let found = jsonwebtoken::decode(token.value(), decoding, validation).map_err(|_| StatusCode::FORBIDDEN)?;
        Ok(Self(found.claims))
    }
}

fn json_web_token() -> Router {
    let (encoding, decoding) =
        (EncodingKey::from_secret(SECRET.as_bytes()), DecodingKey::from_secret(SECRET.as_bytes()));
    let keys = Keys(Arc::new((encoding, decoding, Validation::default())));
    let login = async |State(Keys(keys)): State<Keys>| {
        let claims = Claims { sub: "1".to_owned(), exp: 4_000_000_000 };
        let token = jsonwebtoken::encode(&Header::default(), &claims, &keys.0).expect("a token");
        let mut headers = HeaderMap::new();
        headers.insert(header::SET_COOKIE, format!("token={token}; HttpOnly").parse().expect("a header"));
        headers
    };
    Router::new()
        .route("/me", get(async |Verified(claims): Verified| me(claims.sub)))
        .route("/login", post(login))
        .with_state(keys)
}
