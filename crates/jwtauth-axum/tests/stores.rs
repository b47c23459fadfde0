//! Every store passes the conformance checks on a database that Django did not create, with the schema of
//! `migrations/`.
//!
//! PostgreSQL and MariaDB run if `POSTGRES_TEST_URL` and `MARIADB_TEST_URL` name a database, as `make test` does.

#![cfg(all(feature = "sqlite", feature = "postgres", feature = "mariadb", feature = "conformance"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{future, path::PathBuf, pin::pin, sync::Arc, task::Poll, time::Duration};

use jwtauth_axum::{
    Limit, LimitPolicy, MARIADB_SCHEMA, MariaDbStore, MemoryStore, POSTGRES_SCHEMA, PostgresStore, Record,
    SQLITE_SCHEMA, SessionStore, SqliteStore, conformance,
    jwtauth::{Session, UnixTime},
};
use sqlx::{
    AssertSqlSafe, Executor, MySqlPool, PgPool, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use uuid::Uuid;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Create a database in a folder, which the caller removes.
async fn sqlite_pool(name: &str) -> (SqlitePool, PathBuf) {
    let folder = std::env::temp_dir().join(format!("jwtauth-stores-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let options = SqliteConnectOptions::new().filename(folder.join("db.sqlite3")).create_if_missing(true);
    let pool: SqlitePool = SqlitePoolOptions::new().max_connections(8).connect_with(options).await.unwrap();
    pool.execute(SQLITE_SCHEMA).await.unwrap();
    (pool, folder)
}

#[tokio::test]
async fn memory_store_passes_the_conformance_checks() {
    let store = MemoryStore::default();
    conformance::check(&store, "1", "2").await;
    conformance::check_race(Arc::new(store), "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_store_passes_the_conformance_checks() {
    let (pool, folder) = sqlite_pool("all").await;
    let store = SqliteStore::new(pool, None).await.unwrap();
    conformance::check(&store, "1", "018f3b2c-7a00-7000-8000-000000000001").await;
    conformance::check_race(Arc::new(store), "1").await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_store_passes_the_conformance_checks() {
    let Ok(url) = std::env::var("POSTGRES_TEST_URL") else {
        eprintln!("skipped: POSTGRES_TEST_URL is not set");
        return;
    };
    let pool = PgPool::connect(&url).await.unwrap();
    pool.execute("DROP TABLE IF EXISTS jwtauth_session").await.unwrap();
    pool.execute(POSTGRES_SCHEMA).await.unwrap();
    let store = PostgresStore::new(pool, None).await.unwrap();
    conformance::check(&store, "1", "018f3b2c-7a00-7000-8000-000000000001").await;
    conformance::check_race(Arc::new(store), "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_store_passes_the_conformance_checks() {
    let Ok(url) = std::env::var("MARIADB_TEST_URL") else {
        eprintln!("skipped: MARIADB_TEST_URL is not set");
        return;
    };
    let pool = MySqlPool::connect(&url).await.unwrap();
    // Servers without a UUID type store ids as text.
    for id in ["uuid", "char(32)"] {
        pool.execute("DROP TABLE IF EXISTS jwtauth_session").await.unwrap();
        let schema = MARIADB_SCHEMA.replace("`id` uuid", &format!("`id` {id}"));
        pool.execute(AssertSqlSafe(schema)).await.unwrap();
        let store = MariaDbStore::new(pool.clone(), None).await.unwrap();
        conformance::check(&store, "1", "018f3b2c-7a00-7000-8000-000000000001").await;
        conformance::check_race(Arc::new(store), "1").await;
    }
}

#[tokio::test]
async fn more_sessions_can_be_ended_than_a_statement_has_parameters() {
    let (pool, folder) = sqlite_pool("many").await;
    let store = SqliteStore::new(pool, None).await.unwrap();
    let ids: Vec<Uuid> = (1..=40_000).map(Uuid::from_u128).collect();
    for id in [&ids[0], &ids[39_999]] {
        store.insert(Record::new(*id, "1", Session::new(NOW, NOW + DAY)), None, NOW).await.unwrap();
    }
    assert_eq!(store.end(&ids).await.unwrap(), 2);
    std::fs::remove_dir_all(folder).unwrap();
}

/// Poll the future this often, each time after it was woken, then drop it. Returns whether it was still unfinished.
async fn given_up(work: impl Future, polls: usize) -> bool {
    let mut work = pin!(work);
    for _ in 0..polls {
        if future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_ready())).await {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

#[tokio::test]
async fn login_dropped_at_any_point_is_complete_and_leaves_no_lock() {
    let (pool, folder) = sqlite_pool("given-up").await;
    let store = SqliteStore::new(pool.clone(), None).await.unwrap();
    let limit = Limit::new(2, LimitPolicy::EndOldest);
    let mut polls = 1;
    loop {
        let session = Session::new(NOW, NOW + DAY);
        let record = Record::new(Uuid::from_u128(polls as u128), "1", session);
        let is_given_up = given_up(store.insert(record.clone(), Some(limit.clone()), NOW), polls).await;
        pool.execute("BEGIN IMMEDIATE; COMMIT").await.expect("the login's transaction has ended");
        for _ in 0..1000 {
            if store.find(record.id).await.unwrap().is_some() {
                break;
            }
        }
        assert_eq!(store.of_user("1", NOW).await.unwrap().len(), polls.min(2), "dropped after {polls} polls");
        if !is_given_up {
            break;
        }
        polls += 1;
    }
    assert!(polls > 2, "the login waits more than once");
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn missing_table_is_reported_at_startup() {
    let pool = SqlitePool::connect("sqlite::memory:").await.unwrap();
    assert!(SqliteStore::new(pool, None).await.is_err());
}
