//! `service-bench WAY ADDRESS DATABASE`: an axum service with one page that returns the current user.
//!
//! `POST /login` signs user 1 in and sets the cookies of this way to authenticate. All ways use the same database, if
//! any, named by its URL. With a number as ADDRESS, the program itself makes that many requests, one after the other
//! and without a socket, for a profiler or to count instructions.

use std::{
    convert::Infallible,
    env,
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    routing::{get, post},
};
use axum_login::{
    AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, UserId, tower_sessions::SessionManagerLayer,
};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use jwtauth_axum::{
    Auth, AuthLayer, Authenticated, DjangoUsers, MariaDbStore, PostgresStore, Record, SessionStore, Settings,
    SqliteStore,
    jwtauth::{Session, Sid, UnixTime},
    sqlx::{self, MySqlPool, PgPool, SqlitePool, pool::PoolOptions},
};
use serde::{Deserialize, Serialize};
use tower::ServiceExt as _;
use tower_sessions_sqlx_store::{SqliteStore as TowerSessions, sqlx as sqlx_0_8};

const SECRET: &str = "a key for benchmarks only, long enough for SHA-256";

#[derive(Serialize)]
struct Me {
    user: String,
}

fn me(user: impl ToString) -> Json<Me> {
    Json(Me { user: user.to_string() })
}

/// Create the service for one of the ways that use a database, with its pool and store.
macro_rules! on_database {
    ($way:expr, $database:expr, $pool:ty, $store:ty, $parameter:literal) => {{
        // sqlx pings each connection before it hands it out. The stores do not need this.
        let options = PoolOptions::new().test_before_acquire($way != "jwtauth, no ping");
        let pool: $pool = options.connect(&$database).await.expect("a database that Django has migrated");
        if $way == "one query" {
            // The cost that every database lookup has: a handler with one query by primary key.
            let one_query = async |State(pool): State<$pool>| {
                let found =
                    sqlx::query_as(concat!("SELECT id, password, is_active FROM auth_user WHERE id = ", $parameter))
                        .bind(1)
                        .fetch_one(&pool)
                        .await;
                let (id, _password, _is_active): (i32, String, bool) = found.expect("user 1");
                me(id)
            };
            Router::new().route("/me", get(one_query)).with_state(pool)
        } else {
            let is_remembered = $way == "jwtauth, interval 10 s";
            let settings = settings(if is_remembered { Duration::from_secs(10) } else { Duration::ZERO });
            let users = DjangoUsers::new(settings.auth_hasher());
            let store = <$store>::new(pool, Some(users)).await.expect("Django's table");
            if $way == "the check's query" { checks_query(store).await } else { jwtauth(settings, store) }
        }
    }};
}

#[tokio::main]
async fn main() {
    let [way, address, database] = env::args().skip(1).collect::<Vec<_>>().try_into().expect("WAY ADDRESS DATABASE");
    let vendor = database.split(':').next().unwrap_or_default();
    let app = match (way.as_str(), vendor) {
        ("no authentication", _) => Router::new().route("/me", get(async || me(1))),
        ("jsonwebtoken", _) => json_web_token(),
        ("axum-login", "sqlite") => axum_login(&database).await,
        (_, "sqlite") => on_database!(way, database, SqlitePool, SqliteStore, "$1"),
        (_, "postgres") => on_database!(way, database, PgPool, PostgresStore, "$1"),
        (_, "mysql") => on_database!(way, database, MySqlPool, MariaDbStore, "?"),
        _ => panic!("unknown database {vendor}"),
    };
    let app = app.route("/ready", get(async || "")).route_layer(axum::middleware::from_fn(pass));
    if let Ok(times) = address.parse() {
        return repeat(app, times).await;
    }
    let listener = tokio::net::TcpListener::bind(address).await.expect("a free port");
    axum::serve(listener, app).await.expect("a server");
}

/// Sign in and request the page this many times.
async fn repeat(app: Router, times: usize) {
    let login = Request::post("/login").body(Body::empty()).expect("a request");
    let Ok(response) = app.clone().oneshot(login).await;
    let cookies: Vec<_> = response.headers().get_all(header::SET_COOKIE).iter().filter_map(pair).collect();
    let cookies = HeaderValue::try_from(cookies.join("; ")).expect("cookies");
    for _ in 0..times {
        // The headers that wrk sends.
        let request = Request::get("/me").header(header::HOST, "127.0.0.1:8000").header(header::COOKIE, &cookies);
        let Ok(response) = app.clone().oneshot(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(response.status(), StatusCode::OK);
    }
}

/// Return the name and value that a `Set-Cookie` sets.
fn pair(set_cookie: &HeaderValue) -> Option<&str> {
    set_cookie.to_str().ok()?.split(';').next()
}

/// Every way has this middleware.
async fn pass(request: Request, next: axum::middleware::Next) -> axum::response::Response {
    next.run(request).await
}

fn settings(interval: Duration) -> Settings {
    Settings::new(SECRET).with_session_check_interval(interval).with_access_token_lifetime(Duration::from_secs(3600))
}

fn jwtauth(settings: Settings, store: impl SessionStore) -> Router {
    Router::new()
        .route("/me", get(async |user: Authenticated| me(user.user_id)))
        .route("/login", post(async |auth: Auth| auth.login(1).await))
        .layer(AuthLayer::new(settings.build().expect("settings"), store))
}

/// Query a session and its user as the strict check does, without a token or the layer.
async fn checks_query<S: SessionStore + Clone>(store: S) -> Router {
    let (now, id) = (UnixTime::from(SystemTime::now()), Sid::from_bytes([7; 20]).session_id());
    let session = Session::new(now, now + Duration::from_secs(86_400));
    store.end(&[id]).await.expect("Django's table");
    store.insert(Record::new(id, "1", session), None, now).await.expect("user 1");
    let query = async move |State(store): State<S>| {
        let found = SessionStore::find(&store, id).await.expect("Django's table");
        me(found.expect("the session").record.user_id)
    };
    Router::new().route("/me", get(query)).with_state(store)
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

async fn axum_login(database: &str) -> Router {
    let pool = SqlitePool::connect(database).await.expect("a database that Django has migrated");
    let sessions = sqlx_0_8::SqlitePool::connect(database).await.expect("the same database");
    let store = TowerSessions::new(sessions);
    store.migrate().await.expect("a separate table");
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

/// The hand-written variant: a token in a cookie, verified by an extractor.
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
