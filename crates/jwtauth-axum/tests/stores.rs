//! Every store does what a store has to do: on a database that Django has not made, with the schema of `migrations/`.
//!
//! PostgreSQL where `POSTGRES_TEST_URL` names a server's URL, as `make test` does.

#![cfg(all(feature = "sqlite", feature = "postgres", feature = "conformance"))]

use std::sync::Arc;

use jwtauth_axum::{MemoryStore, POSTGRES_SCHEMA, PostgresStore, SQLITE_SCHEMA, SqliteStore, conformance};
use sqlx::{
    Executor, PgPool, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

#[tokio::test]
async fn in_memory() {
    let store = MemoryStore::default();
    conformance::check(&store, "1", "2").await;
    conformance::check_race(Arc::new(store), "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    let folder = std::env::temp_dir().join(format!("jwtauth-stores-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let options = SqliteConnectOptions::new().filename(folder.join("db.sqlite3")).create_if_missing(true);
    let pool: SqlitePool = SqlitePoolOptions::new().max_connections(8).connect_with(options).await.unwrap();
    pool.execute(SQLITE_SCHEMA).await.unwrap();
    let store = SqliteStore::new(pool, None).await.unwrap();
    conformance::check(&store, "1", "018f3b2c-7a00-7000-8000-000000000001").await;
    conformance::check_race(Arc::new(store), "1").await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql() {
    let Ok(url) = std::env::var("POSTGRES_TEST_URL") else {
        eprintln!("left out: POSTGRES_TEST_URL names no server");
        return;
    };
    let pool = PgPool::connect(&url).await.unwrap();
    pool.execute("DROP TABLE IF EXISTS jwtauth_session").await.unwrap();
    pool.execute(POSTGRES_SCHEMA).await.unwrap();
    let store = PostgresStore::new(pool, None).await.unwrap();
    conformance::check(&store, "1", "018f3b2c-7a00-7000-8000-000000000001").await;
    conformance::check_race(Arc::new(store), "1").await;
}

#[tokio::test]
async fn a_database_without_the_table_is_said_at_the_start() {
    let pool = SqlitePool::connect("sqlite::memory:").await.unwrap();
    assert!(SqliteStore::new(pool, None).await.is_err());
}
