//! Databases, and the checks that nothing is left open in them.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use jwtauth_axum::{
    DjangoUsers, MARIADB_SCHEMA, MariaDbStore, MemoryStore, POSTGRES_SCHEMA, PostgresStore, SQLITE_SCHEMA,
    SessionStore, SqliteStore,
};
use sqlx::{
    ConnectOptions, Connection, Executor, MySqlPool, PgPool, Row, SqlitePool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    common::settings,
    leaving::{PATIENCE, comes_true, ensure},
};

/// Few connections, so that a lost one makes a difference.
const CONNECTIONS: u32 = 3;
/// The columns of Django's users' table that a store reads.
const USERS: &str = "CREATE TABLE test_user (id varchar(40) PRIMARY KEY, password varchar(128), is_active boolean)";

/// A database with its store.
pub trait Place {
    type Store: SessionStore + Clone;
    const NAME: &str;

    fn store(&self) -> Self::Store;

    /// Add a user who may sign in.
    async fn add_user(&self, user: &str);

    /// Return an error if a transaction, a lock or a connection was left open.
    async fn whole(&self) -> Result<(), String>;
}

/// Add a user that no other test uses.
pub async fn new_user(place: &impl Place) -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let user = LAST.fetch_add(1, Ordering::Relaxed).to_string();
    place.add_user(&user).await;
    user
}

fn users() -> DjangoUsers {
    DjangoUsers::new(settings().auth_hasher()).with_table("test_user", "id")
}

fn said(error: impl Display) -> String {
    error.to_string()
}

/// Take each connection of the pool and run `check` on it.
macro_rules! whole_pool {
    ($pool:expr, $check:expr) => {{
        let mut taken = Vec::new();
        for number in 1..=CONNECTIONS {
            let connection = tokio::time::timeout(PATIENCE, $pool.acquire()).await;
            taken.push(connection.map_err(|_| format!("connection {number} of the pool is lost"))?.map_err(said)?);
        }
        for connection in &mut taken {
            $check(connection).await?;
        }
        drop(taken);
        let is_idle = comes_true(async || $pool.num_idle() == CONNECTIONS as usize).await;
        is_idle.map_err(|()| format!("{} connections are idle", $pool.num_idle()))
    }};
}

#[derive(Default)]
pub struct Memory(MemoryStore);

impl Place for Memory {
    type Store = MemoryStore;
    const NAME: &str = "memory";

    fn store(&self) -> MemoryStore {
        self.0.clone()
    }

    async fn add_user(&self, _: &str) {}

    async fn whole(&self) -> Result<(), String> {
        Ok(())
    }
}

pub struct Sqlite {
    folder: PathBuf,
    pool: SqlitePool,
    store: SqliteStore,
}

impl Sqlite {
    pub async fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("jwtauth-cancellation-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let options = Self::options(&folder).create_if_missing(true);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await.unwrap();
        pool.execute(SQLITE_SCHEMA).await.unwrap();
        pool.execute(USERS).await.unwrap();
        let store = SqliteStore::new(pool.clone(), Some(users())).await.unwrap();
        Self { folder, pool, store }
    }

    fn options(folder: &Path) -> SqliteConnectOptions {
        SqliteConnectOptions::new().filename(folder.join("db.sqlite3")).synchronous(SqliteSynchronous::Off)
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Place for Sqlite {
    type Store = SqliteStore;
    const NAME: &str = "SQLite";

    fn store(&self) -> SqliteStore {
        self.store.clone()
    }

    async fn add_user(&self, user: &str) {
        let query = sqlx::query("INSERT INTO test_user VALUES ($1, 'a hash', true)").bind(user);
        query.execute(&self.pool).await.unwrap();
    }

    async fn whole(&self) -> Result<(), String> {
        whole_pool!(self.pool, async |connection: &mut sqlx::pool::PoolConnection<sqlx::Sqlite>| {
            // This fails inside a transaction, and waits, then fails, if another connection has one.
            connection.execute("BEGIN IMMEDIATE").await.map_err(said)?;
            connection.execute("COMMIT").await.map(drop).map_err(said)
        })?;
        // As another process does, for example Django.
        let other = Self::options(&self.folder).busy_timeout(Duration::from_millis(500));
        let mut other = other.connect().await.map_err(said)?;
        other.execute("UPDATE test_user SET is_active = true WHERE id = ''").await.map_err(said)?;
        other.close().await.map_err(said)
    }
}

pub struct Postgres {
    pool: PgPool,
    outside: PgPool,
    store: PostgresStore,
    schema: String,
}

impl Postgres {
    pub async fn new(url: &str, name: &str) -> Self {
        // Use a separate schema: other tests use the same database.
        let schema = format!("cancellation_{name}");
        let options: PgConnectOptions = url.parse().unwrap();
        let outside = PgPoolOptions::new().max_connections(1).connect_with(options.clone()).await.unwrap();
        for statement in [format!("DROP SCHEMA IF EXISTS {schema} CASCADE"), format!("CREATE SCHEMA {schema}")] {
            outside.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
        }
        let options = options.options([("search_path", &schema)]).application_name(&schema);
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await.unwrap();
        pool.execute(POSTGRES_SCHEMA).await.unwrap();
        pool.execute(USERS).await.unwrap();
        pool.execute("ALTER TABLE test_user ALTER id TYPE text").await.unwrap();
        let store = PostgresStore::new(pool.clone(), Some(users())).await.unwrap();
        Self { pool, outside, store, schema }
    }
}

impl Place for Postgres {
    type Store = PostgresStore;
    const NAME: &str = "PostgreSQL";

    fn store(&self) -> PostgresStore {
        self.store.clone()
    }

    async fn add_user(&self, user: &str) {
        let query = sqlx::query("INSERT INTO test_user VALUES ($1, 'a hash', true)").bind(user);
        query.execute(&self.pool).await.unwrap();
    }

    async fn whole(&self) -> Result<(), String> {
        whole_pool!(self.pool, async |connection: &mut sqlx::pool::PoolConnection<sqlx::Postgres>| {
            connection.execute("SELECT 1").await.map(drop).map_err(said)
        })?;
        let busy = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND state <> 'idle'";
        let is_idle = comes_true(async || {
            let busy = sqlx::query_scalar(busy).bind(&self.schema).fetch_one(&self.outside).await;
            busy.is_ok_and(|busy: i64| busy == 0)
        });
        ensure(is_idle.await.is_ok(), || "a connection is in a transaction".to_owned())
    }
}

pub struct MariaDb {
    pool: MySqlPool,
    store: MariaDbStore,
}

impl MariaDb {
    pub async fn new(url: &str, name: &str) -> Self {
        let database = format!("cancellation_{name}");
        let options: MySqlConnectOptions = url.parse().unwrap();
        let mut outside = options.clone().connect().await.unwrap();
        for statement in [format!("DROP DATABASE IF EXISTS {database}"), format!("CREATE DATABASE {database}")] {
            outside.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
        }
        outside.close().await.unwrap();
        let options = options.database(&database);
        let pool = MySqlPoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await.unwrap();
        for statement in MARIADB_SCHEMA.split_inclusive(';').filter(|statement| statement.contains("CREATE")) {
            pool.execute(statement).await.unwrap();
        }
        pool.execute(USERS).await.unwrap();
        let collated = "ALTER TABLE test_user MODIFY id varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin";
        pool.execute(collated).await.unwrap();
        let store = MariaDbStore::new(pool.clone(), Some(users())).await.unwrap();
        let this = Self { pool, store };
        this.check_the_check().await.unwrap();
        this
    }

    /// Return how many connections to this database have an open transaction.
    ///
    /// `information_schema.innodb_trx` is a copy that is not renewed while anyone has read it within 0.1 seconds.
    async fn open_transactions(&self) -> Result<usize, sqlx::Error> {
        let own = "SELECT CAST(id AS UNSIGNED) FROM information_schema.processlist WHERE db = DATABASE()";
        let own: Vec<u64> = sqlx::query_scalar(own).fetch_all(&self.pool).await?;
        let status: String =
            sqlx::raw_sql("SHOW ENGINE INNODB STATUS").fetch_one(&self.pool).await?.try_get("Status")?;
        let thread = |transaction: &str| {
            let (state, rest) = transaction.split_once('\n')?;
            let (_, id) = rest.split_once("thread id ").filter(|_| state.contains(", ACTIVE"))?;
            id.split_once(',')?.0.parse().ok()
        };
        Ok(status.split("---TRANSACTION ").filter_map(thread).filter(|id| own.contains(id)).count())
    }

    /// An open transaction must be seen, and no longer than it is open.
    async fn check_the_check(&self) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        transaction.execute("SELECT * FROM test_user FOR UPDATE").await?;
        assert_eq!(self.open_transactions().await?, 1);
        transaction.rollback().await?;
        assert_eq!(self.open_transactions().await?, 0);
        Ok(())
    }
}

impl Place for MariaDb {
    type Store = MariaDbStore;
    const NAME: &str = "MariaDB";

    fn store(&self) -> MariaDbStore {
        self.store.clone()
    }

    async fn add_user(&self, user: &str) {
        let query = sqlx::query("INSERT INTO test_user VALUES (?, 'a hash', true)").bind(user);
        query.execute(&self.pool).await.unwrap();
    }

    async fn whole(&self) -> Result<(), String> {
        whole_pool!(self.pool, async |connection: &mut sqlx::pool::PoolConnection<sqlx::MySql>| {
            let is_in_one: Result<i64, _> =
                sqlx::query_scalar("SELECT CAST(@@in_transaction AS SIGNED)").fetch_one(&mut **connection).await;
            ensure(is_in_one.map_err(said)? == 0, || "a connection is in a transaction".to_owned())
        })?;
        let is_idle = comes_true(async || self.open_transactions().await.is_ok_and(|open| open == 0));
        ensure(is_idle.await.is_ok(), || "a transaction is open".to_owned())
    }
}
