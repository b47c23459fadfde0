//! Acting as another user in a session that Django has bound to a device.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use axum::{
    Router,
    extract::Path,
    routing::{any, post},
};
use common::{Browser, Clock, layer, settings, stores::AnyStore};
use http::StatusCode;
use jwtauth_axum::{
    Auth, Authenticated, DjangoUsers, Login, SQLITE_SCHEMA, SqliteStore,
    sqlx::{AssertSqlSafe, Executor as _, SqlitePool, sqlite::SqlitePoolOptions},
};

const STAFF: &str = "7";
const ADA: &str = "42";

struct Site {
    app: Router,
    clock: Clock,
    pool: SqlitePool,
    store: AnyStore,
}

async fn site() -> Site {
    let clock = Clock::default();
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    let schema = SQLITE_SCHEMA.replace("\"user_id\" text", "\"user_id\" integer");
    let users = "CREATE TABLE auth_user (id integer PRIMARY KEY, password text NOT NULL, is_active bool NOT NULL);
        INSERT INTO auth_user VALUES (7, 'one', 1), (42, 'two', 1);";
    pool.execute(AssertSqlSafe(format!("{users}{schema}"))).await.unwrap();
    let users = DjangoUsers::new(settings().auth_hasher());
    let store = AnyStore::Sqlite(SqliteStore::new(pool.clone(), Some(users)).await.unwrap(), pool.clone());
    let layer = layer(&settings(), store.clone(), &clock).with_act_as(|_| async { Ok(true) });
    let app = Router::new()
        .route("/maybe", any(async |user: Option<Authenticated>| user.map_or_else(String::new, |it| it.user_id)))
        .route("/who", any(async |user: Option<Authenticated>| user.map_or_else(String::new, |it| it.user_id)))
        .route(
            "/login/{user}",
            post(async |auth: Auth, Path(user): Path<String>| auth.login_with(Login::new(user)).await),
        )
        .route("/act/{user}", post(async |auth: Auth, Path(user): Path<String>| auth.act_as(user).await))
        .route("/stop", post(async |auth: Auth| auth.stop_acting().await))
        .layer(layer);
    Site { app, clock, pool, store }
}

impl Site {
    /// Return the browser of the staff member, whose session Django has bound to a device.
    async fn bound(&self) -> Browser {
        let browser = Browser::signed_in(&self.app, STAFF).await;
        self.pool.execute("UPDATE jwtauth_session SET device_key = 'dbsc:{}'").await.unwrap();
        browser
    }

    async fn keys(&self, user: &str) -> Vec<Option<String>> {
        self.store.rows(user).await.into_iter().map(|row| row.device_key).collect()
    }
}

#[tokio::test]
async fn acting_and_stopping_keep_the_binding() {
    let site = site().await;
    let mut browser = site.bound().await;
    assert_eq!(browser.post(&format!("/act/{ADA}")).await.status, StatusCode::OK);
    assert_eq!(site.keys(ADA).await, [Some("dbsc:{}".to_owned())]);
    assert_eq!(browser.post("/stop").await.status, StatusCode::OK);
    assert_eq!(site.keys(STAFF).await, [Some("dbsc:{}".to_owned())]);
}

#[tokio::test]
async fn copied_access_token_of_a_bound_session_leads_to_no_session_without_a_proof() {
    let site = site().await;
    let mut thief = site.bound().await;
    thief.post(&format!("/act/{ADA}")).await;
    thief.post("/stop").await;
    site.clock.advance(301);
    assert_eq!(thief.who().await, "");
}

#[tokio::test]
async fn copied_refresh_token_of_a_bound_session_of_acting_stops_nothing() {
    let site = site().await;
    let mut thief = Browser::signed_in(&site.app, STAFF).await;
    thief.post(&format!("/act/{ADA}")).await;
    site.pool.execute("UPDATE jwtauth_session SET device_key = 'dbsc:{}'").await.unwrap();
    site.clock.advance(301);
    let answer = thief.post("/stop").await;
    assert_eq!((answer.status, answer.code()), (StatusCode::FORBIDDEN, "permission_denied".to_owned()));
    assert_eq!(site.keys(ADA).await.len(), 1, "the owner still acts");
}

#[tokio::test]
async fn staff_member_stays_signed_in_if_the_other_user_is_inactive() {
    let site = site().await;
    let mut browser = Browser::signed_in(&site.app, STAFF).await;
    site.pool.execute("UPDATE auth_user SET is_active = 0 WHERE id = 42").await.unwrap();
    let answer = browser.post(&format!("/act/{ADA}")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.who().await, STAFF);
}

#[test]
fn schema_has_every_column_that_the_store_reads() {
    assert!(SQLITE_SCHEMA.contains("device_key"));
}
