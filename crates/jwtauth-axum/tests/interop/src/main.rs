//! A service for the tests beside Django: it uses the table that Django created and the settings that Django printed.
//!
//! `jwtauth-interop ADDRESS SETTINGS DATABASE CLOCK USERS`: the clock is a file of eight bytes that holds the seconds
//! in native byte order. Users are in the table of this name, by their `id`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::{
    collections::HashMap,
    env,
    fmt::Write as _,
    fs,
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    extract::Query,
    routing::{get, post},
};
use jwtauth_axum::{
    Auth, AuthError, AuthLayer, DjangoUsers, Login, LoginError, MariaDbStore, MaybeAuthenticated, PostgresStore,
    SessionStore, Settings, SqliteStore,
    jwtauth::UnixTime,
    sqlx::{MySqlPool, PgPool, SqlitePool, sqlite::SqliteConnectOptions},
};

/// How long expired sessions are kept, in seconds.
const HOUR: u64 = 3600;

#[tokio::main]
async fn main() {
    let [address, settings, database, clock, table] = env::args().skip(1).collect::<Vec<_>>().try_into().unwrap();
    let settings = Settings::read(settings).unwrap();
    let users = Some(DjangoUsers::new(settings.auth_hasher()).with_table(&table, "id"));
    if database.starts_with("postgres:") {
        let pool = PgPool::connect(&database).await.unwrap();
        serve(&address, &settings, PostgresStore::new(pool, users).await.unwrap(), clock).await;
    } else if database.starts_with("mysql:") {
        let pool = MySqlPool::connect(&database).await.unwrap();
        serve(&address, &settings, MariaDbStore::new(pool, users).await.unwrap(), clock).await;
    } else {
        let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(database)).await.unwrap();
        serve(&address, &settings, SqliteStore::new(pool, users).await.unwrap(), clock).await;
    }
}

async fn serve(address: &str, settings: &Settings, store: impl SessionStore + Clone, clock: String) {
    let seconds = move || u64::from_ne_bytes(fs::read(&clock).unwrap().try_into().unwrap());
    let (to_clean, time) = (store.clone(), seconds.clone());
    let clean =
        async move || to_clean.remove_expired(1000, UnixTime::from_secs(time() - HOUR)).await.unwrap().to_string();
    let now = move || SystemTime::UNIX_EPOCH + Duration::from_secs(seconds());
    let app = Router::new()
        .route("/idle/", get(async || ""))
        .route("/who/", get(who))
        .route("/login/", post(login))
        .route("/again/", post(again))
        .route("/act/", post(act))
        .route("/stop/", post(async |auth: Auth| auth.stop_acting().await))
        .route("/logout/", post(logout))
        .route("/others/", post(end_others))
        .route("/sessions/", get(sessions))
        .route("/clean/", post(clean))
        .layer(AuthLayer::new(settings.build().unwrap(), store).with_clock(now).with_act_as(|_| async { Ok(true) }));
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    axum::serve(listener, app).await.unwrap();
}

async fn who(MaybeAuthenticated(user): MaybeAuthenticated) -> String {
    user.map_or_else(|| "nobody".to_owned(), |user| user.user_id)
}

async fn login(auth: Auth, Query(query): Query<HashMap<String, String>>) -> Result<(), LoginError> {
    let login = Login::new(&query["user"]).with_methods(["pwd"]);
    auth.login_with(match query.get("lifetime") {
        Some(seconds) => login.with_lifetime(Duration::from_secs(seconds.parse().unwrap())),
        None => login,
    })
    .await
}

async fn again(auth: Auth, Query(query): Query<HashMap<String, String>>) -> Result<(), LoginError> {
    auth.reauthenticate(&query["user"], ["otp"]).await.map(drop)
}

async fn act(auth: Auth, Query(query): Query<HashMap<String, String>>) -> Result<(), LoginError> {
    auth.act_as(&query["user"]).await
}

async fn logout(auth: Auth) -> Result<(), AuthError> {
    auth.logout().await
}

async fn end_others(auth: Auth) -> Result<String, AuthError> {
    Ok(auth.end_others().await?.to_string())
}

/// Return a line per session: the id, and in Unix seconds when the session began, was last seen, and expires.
async fn sessions(auth: Auth) -> Result<String, AuthError> {
    let mut lines = String::new();
    for record in auth.sessions().await? {
        let times = [record.session.created_at, record.last_seen_at, record.session.expires_at];
        let [began, seen, ends] = times.map(UnixTime::as_secs);
        writeln!(lines, "{} {began} {seen} {ends}", record.id).unwrap();
    }
    Ok(lines)
}
