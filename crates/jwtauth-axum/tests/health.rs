//! Health checks of a service.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use std::time::{Duration, SystemTime};

use axum::{Router, routing::get};
use common::{Answer, Browser, SECRET, settings};
use http::StatusCode;
use jwtauth_axum::{
    AuthLayer, FoundSession, InsertError, Limit, MemoryStore, Record, SessionStore, Settings, StoreError,
    jwtauth::{Generation, Methods, Session, UnixTime},
};
use uuid::Uuid;

type Check = fn() -> Result<(), StoreError>;

/// A store with this check result, whose clock differs from the service's by this much.
struct Checked {
    check: Check,
    ahead: i64,
}

impl SessionStore for Checked {
    async fn check(&self) -> Result<(), StoreError> {
        (self.check)()
    }

    async fn database_time(&self) -> Result<Option<SystemTime>, StoreError> {
        let apart = Duration::from_secs(self.ahead.unsigned_abs());
        let now = SystemTime::now();
        Ok(Some(if self.ahead < 0 { now - apart } else { now + apart }))
    }

    async fn find(&self, _id: Uuid) -> Result<Option<FoundSession>, StoreError> {
        Ok(None)
    }

    async fn insert(&self, _: Record, _: Option<Limit>, _now: UnixTime) -> Result<Vec<Uuid>, InsertError> {
        Ok(Vec::new())
    }

    async fn advance(
        &self,
        _: Uuid,
        _: Generation,
        _: Session,
        _: Option<Methods>,
        _now: UnixTime,
    ) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn bind(&self, _: Uuid, _: Generation, _: Session, _: &str) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn unbind(&self, _: Uuid, _: Generation) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn acknowledge(&self, _id: Uuid, _generation: Generation, _now: UnixTime) -> Result<(), StoreError> {
        Ok(())
    }

    async fn touch(&self, _id: Uuid, _now: UnixTime) -> Result<(), StoreError> {
        Ok(())
    }

    async fn of_user(&self, _user_id: &str, _now: UnixTime) -> Result<Vec<Record>, StoreError> {
        Ok(Vec::new())
    }

    async fn end(&self, _ids: &[Uuid]) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn remove_expired(&self, _most: u32, _now: UnixTime) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// Return settings without any warnings.
fn deployed() -> Settings {
    settings().with_access_token_cookie_name("__Host-access").with_refresh_token_cookie_name("__Host-refresh")
}

async fn health(settings: &Settings, store: impl SessionStore) -> (Answer, Vec<&'static str>) {
    let layer = AuthLayer::new(settings.build().unwrap(), store);
    let codes = layer.health().await.problems().iter().map(jwtauth_axum::HealthProblem::code).collect();
    let app = Router::new().route("/healthz", get(async move || layer.health().await));
    (Browser::new(&app).get("/healthz").await, codes)
}

#[tokio::test]
async fn healthy_service_has_no_problems() {
    for ahead in [-4, 0, 4] {
        let (answer, codes) = health(&deployed(), Checked { check: || Ok(()), ahead }).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, r#"{"ok":true,"problems":[]}"#));
        assert!(codes.is_empty());
    }
    let (answer, codes) = health(&deployed(), MemoryStore::default()).await;
    assert_eq!((answer.status, codes.len()), (StatusCode::OK, 0));
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["content-type"], "application/json");
}

#[tokio::test]
async fn unusable_store_is_an_error_that_hides_its_cause() {
    let check: [(Check, &str); 4] = [
        (|| Err(StoreError::Failed("password=hunter2".into())), "store_error"),
        (|| Err(StoreError::Busy("password=hunter2".into())), "store_error"),
        (|| Err(StoreError::NoConnection("password=hunter2".into())), "store_unavailable"),
        (|| Err(StoreError::Schema("jwtauth_session is missing".into())), "store_schema"),
    ];
    for (check, code) in check {
        let (answer, codes) = health(&deployed(), Checked { check, ahead: 0 }).await;
        assert_eq!((answer.status, codes), (StatusCode::SERVICE_UNAVAILABLE, vec![code]));
        assert!(answer.body.contains(code) && !answer.body.contains("hunter2"), "{}", answer.body);
    }
}

#[tokio::test]
async fn clock_difference_is_a_warning() {
    for ahead in [-300, 300] {
        let (answer, codes) = health(&deployed(), Checked { check: || Ok(()), ahead }).await;
        assert_eq!((answer.status, codes), (StatusCode::OK, vec!["clock_apart"]), "users can still be served");
        let apart = ["299 seconds", "300 seconds"];
        assert!(apart.iter().any(|apart| answer.body.contains(apart)), "{}", answer.body);
    }
}

#[tokio::test]
async fn settings_that_django_s_deploy_check_warns_about_are_warnings() {
    let weak = settings().with_access_token_lifetime(Duration::from_secs(59)).with_cookie_secure(false);
    let (answer, codes) = health(&weak, MemoryStore::default()).await;
    assert_eq!(codes, ["short_access_lifetime", "insecure_cookies", "cookie_prefix"]);
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body.contains(r#""level":"warning""#) && !answer.body.contains(SECRET));
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn sqlite_store_reports_its_time_and_its_tables() {
    use jwtauth_axum::{SQLITE_SCHEMA, SqliteStore, sqlx};
    let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    sqlx::raw_sql(SQLITE_SCHEMA).execute(&pool).await.unwrap();
    let store = SqliteStore::new(pool.clone(), None).await.unwrap();
    let reported = store.database_time().await.unwrap().unwrap();
    let apart = SystemTime::now().duration_since(reported).unwrap_or_else(|error| error.duration());
    assert!(apart < Duration::from_secs(5), "{apart:?}");
    assert_eq!(health(&deployed(), store.clone()).await.1.len(), 0);
    sqlx::raw_sql("DROP TABLE jwtauth_session").execute(&pool).await.unwrap();
    let (answer, codes) = health(&deployed(), store).await;
    assert_eq!((answer.status, codes), (StatusCode::SERVICE_UNAVAILABLE, vec!["store_schema"]));
}
