//! Stores on databases in production conditions: migrated under a running service, failed over, exhausted, in other
//! time zones.
//!
//! PostgreSQL and MariaDB run if `POSTGRES_TEST_URL` and `MARIADB_TEST_URL` name a database, as `make test` does.

#![cfg(all(feature = "sqlite", feature = "postgres", feature = "mariadb", feature = "conformance"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::{path::PathBuf, str::FromStr as _, sync::Arc, time::Duration};

use aws_lc_rs::rand::SystemRandom;
use common::Browser;
use http::{StatusCode, header};
use jwtauth_axum::{
    DjangoUsers, InsertError, Limit, LimitPolicy, MARIADB_SCHEMA, MariaDbStore, POSTGRES_SCHEMA, PostgresStore, Record,
    SQLITE_SCHEMA, SessionStore, SqliteStore, StoreError, conformance,
    jwtauth::{Generation, Session, Sid, UnixTime},
};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, MySqlPool, PgConnection, PgPool, SqlitePool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use uuid::Uuid;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const UUID: &str = "018f3b2c-7a00-7000-8000-00000000abcd";

// --- databases

/// Run statements made of this file's literals and a few names.
macro_rules! run {
    ($on:expr, $($statement:expr),+ $(,)?) => {{
        $($on.execute(AssertSqlSafe(String::from($statement))).await.unwrap();)+
    }};
}

/// Create an empty database with this name, or return `None` without a server.
async fn postgresql(name: &str) -> Option<PgConnectOptions> {
    let Ok(url) = std::env::var("POSTGRES_TEST_URL") else {
        eprintln!("skipped: POSTGRES_TEST_URL is not set");
        return None;
    };
    let options = PgConnectOptions::from_str(&url).unwrap();
    let mut server = PgConnection::connect_with(&options).await.unwrap();
    run!(server, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"), format!("CREATE DATABASE {name}"));
    Some(options.database(name))
}

async fn mariadb(name: &str) -> Option<MySqlConnectOptions> {
    let Ok(url) = std::env::var("MARIADB_TEST_URL") else {
        eprintln!("skipped: MARIADB_TEST_URL is not set");
        return None;
    };
    let options = MySqlConnectOptions::from_str(&url).unwrap();
    let mut server = MySqlConnection::connect_with(&options).await.unwrap();
    run!(server, format!("DROP DATABASE IF EXISTS {name}"), format!("CREATE DATABASE {name}"));
    Some(options.database(name))
}

/// A database in a folder that is removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("jwtauth-databases-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new().filename(self.0.join("db.sqlite3")).create_if_missing(true)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn users() -> DjangoUsers {
    DjangoUsers::new(common::settings().auth_hasher())
}

/// Create the part of Django's tables that a store uses, with users' keys of this type.
macro_rules! make_tables {
    ($pool:expr, $schema:expr, $quote:literal, $text:literal, $key:literal) => {{
        let user_id = concat!($quote, "user_id", $quote, " ");
        let column = format!("{user_id}{} NOT NULL REFERENCES auth_user (id)", $key);
        let schema = $schema.replace(&format!("{user_id}{} NOT NULL", $text), &column);
        assert_ne!(schema, $schema);
        run!(
            $pool,
            concat!(
                "CREATE TABLE auth_user (id ",
                $key,
                " PRIMARY KEY, password varchar(128) NOT NULL, is_active bool NOT NULL)"
            ),
            schema.replace("(255)", ""),
        );
    }};
}

macro_rules! make_postgresql {
    ($pool:expr, $key:literal) => {
        make_tables!($pool, POSTGRES_SCHEMA, "\"", "text", $key)
    };
}

macro_rules! make_mariadb {
    ($pool:expr, $key:literal) => {
        make_tables!($pool, MARIADB_SCHEMA, "`", "text CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin", $key)
    };
}

macro_rules! make_sqlite {
    ($pool:expr, $key:literal) => {
        make_tables!($pool, SQLITE_SCHEMA, "\"", "text", $key)
    };
}

fn record(user: &str) -> Record {
    let sid = Sid::generate(&SystemRandom::new(), NOW).unwrap();
    Record::new(sid.session_id(), user, Session::new(NOW, NOW + DAY))
}

async fn insert(store: &impl SessionStore, record: Record) -> Uuid {
    let id = record.id;
    store.insert(record, None, NOW).await.unwrap();
    id
}

/// Use every method of a store, and remove all sessions.
async fn everything_works(store: &impl SessionStore, user: &str) {
    store.check().await.unwrap();
    let written = record(user);
    let limit = Limit::new(2, LimitPolicy::EndOldest);
    assert!(store.insert(written.clone(), Some(limit), NOW).await.unwrap().is_empty());
    let alone = insert(store, record(user)).await;
    assert_eq!(store.find(written.id).await.unwrap().unwrap().record, written);
    let next = written.session.with_generation(Generation::new(2), NOW).with_acknowledged_at(None);
    assert!(store.advance(written.id, Generation::FIRST, next, None, NOW).await.unwrap());
    store.acknowledge(written.id, next.generation, NOW).await.unwrap();
    store.touch(written.id, NOW).await.unwrap();
    assert_eq!(store.of_user(user, NOW).await.unwrap().len(), 2);
    assert_eq!(store.remove_expired(10, NOW).await.unwrap(), 0);
    assert_eq!(store.end(&[written.id, alone]).await.unwrap(), 2);
}

// --- migrations under a running service

#[tokio::test]
async fn column_types_may_change_under_a_running_service_on_postgresql() {
    let Some(options) = postgresql("jwtauth_types").await else { return };
    let pool = PgPoolOptions::new().max_connections(3).connect_with(options.clone()).await.unwrap();
    make_postgresql!(pool, "integer");
    run!(pool, "INSERT INTO auth_user VALUES (1, 'secret', true)");
    let store = PostgresStore::new(pool, Some(users())).await.unwrap();
    let mut django = PgConnection::connect_with(&options).await.unwrap();
    for change in [
        "auth_user ALTER password TYPE varchar(255)",
        "auth_user ALTER password TYPE text",
        "auth_user ALTER id TYPE bigint",
        "auth_user ALTER is_active TYPE integer USING 1",
        "auth_user ADD nickname text",
        "jwtauth_session ALTER user_id TYPE bigint",
        "jwtauth_session ALTER user_agent TYPE varchar(600)",
        "jwtauth_session ALTER auth_hash TYPE varchar(256)",
        "jwtauth_session ALTER generation TYPE integer",
        "jwtauth_session ALTER expires_at TYPE timestamp(3) with time zone",
    ] {
        everything_works(&store, "1").await;
        run!(django, format!("ALTER TABLE {change}"));
        for _ in 0..3 {
            everything_works(&store, "1").await;
        }
    }
    run!(django, "INSERT INTO auth_user VALUES (3000000000, 'secret', 1)");
    everything_works(&store, "3000000000").await;
}

#[tokio::test]
async fn column_types_may_change_under_a_running_service_on_mariadb() {
    let Some(options) = mariadb("jwtauth_types").await else { return };
    let pool = MySqlPoolOptions::new().max_connections(3).connect_with(options.clone()).await.unwrap();
    make_mariadb!(pool, "integer");
    run!(
        pool,
        "INSERT INTO auth_user VALUES (1, 'secret', true)",
        "ALTER TABLE jwtauth_session DROP FOREIGN KEY jwtauth_session_ibfk_1" // it prevents changes of both types
    );
    let store = MariaDbStore::new(pool, Some(users())).await.unwrap();
    let mut django = MySqlConnection::connect_with(&options).await.unwrap();
    for change in [
        "auth_user MODIFY password varchar(255) NOT NULL",
        "auth_user MODIFY password longtext NOT NULL",
        "auth_user MODIFY id bigint",
        "auth_user MODIFY is_active integer NOT NULL",
        "auth_user ADD nickname text",
        "jwtauth_session MODIFY user_id bigint NOT NULL",
        "jwtauth_session MODIFY user_agent varchar(600) NOT NULL",
        "jwtauth_session MODIFY auth_hash varchar(256) NOT NULL",
        "jwtauth_session MODIFY generation integer NOT NULL",
        "jwtauth_session MODIFY expires_at datetime NOT NULL",
        "jwtauth_session MODIFY id char(32) NOT NULL",
    ] {
        everything_works(&store, "1").await;
        run!(django, format!("ALTER TABLE {change}"));
        for _ in 0..3 {
            everything_works(&store, "1").await;
        }
    }
    run!(django, "INSERT INTO auth_user VALUES (3000000000, 'secret', 1, NULL)");
    everything_works(&store, "3000000000").await;
}

#[tokio::test]
async fn table_may_be_recreated_under_a_running_service_on_sqlite() {
    let folder = Folder::new("types");
    let pool = SqlitePoolOptions::new().max_connections(3).connect_with(folder.options()).await.unwrap();
    make_sqlite!(pool, "integer");
    run!(pool, "INSERT INTO auth_user VALUES (1, 'secret', true)");
    let store = SqliteStore::new(pool, Some(users())).await.unwrap();
    let django = SqlitePool::connect_with(folder.options().foreign_keys(false)).await.unwrap();
    everything_works(&store, "1").await;
    // This is how Django alters a column.
    run!(
        django,
        "CREATE TABLE new (id bigint PRIMARY KEY, password text NOT NULL, is_active integer NOT NULL, nickname text); \
         INSERT INTO new SELECT id, password, is_active, '' FROM auth_user; DROP TABLE auth_user; \
         ALTER TABLE new RENAME TO auth_user"
    );
    for _ in 0..3 {
        everything_works(&store, "1").await;
    }
}

// --- unusable connections

/// Make every connection of a pool unusable with a statement, so that new ones are needed.
macro_rules! spoil {
    ($pool:expr, $statement:expr) => {{
        let mut all = Vec::new();
        for _ in 0..$pool.options().get_max_connections() {
            all.push($pool.acquire().await.unwrap());
        }
        for connection in &mut all {
            drop((&mut **connection).execute($statement).await); // it may be closed already
        }
    }};
}

/// Run each operation on a pool whose connections were made unusable.
macro_rules! each_survives {
    ($store:expr, $user:literal, $spoil:expr) => {{
        let (kept, limit) = (record($user), Limit::new(9, LimitPolicy::EndOldest));
        $spoil;
        insert(&$store, kept.clone()).await;
        $spoil;
        $store.insert(record($user), Some(limit), NOW).await.unwrap();
        $spoil;
        assert_eq!($store.find(kept.id).await.unwrap().unwrap().record, kept);
        $spoil;
        let next = kept.session.with_generation(Generation::new(2), NOW).with_acknowledged_at(None);
        assert!($store.advance(kept.id, Generation::FIRST, next, None, NOW).await.unwrap());
        $spoil;
        $store.acknowledge(kept.id, next.generation, NOW).await.unwrap();
        $spoil;
        $store.touch(kept.id, NOW).await.unwrap();
        $spoil;
        let all: Vec<Uuid> = $store.of_user($user, NOW).await.unwrap().iter().map(|row| row.id).collect();
        assert_eq!(all.len(), 2);
        $spoil;
        assert_eq!($store.remove_expired(10, NOW).await.unwrap(), 0);
        $spoil;
        assert_eq!($store.end(&all).await.unwrap(), 2);
    }};
}

#[tokio::test]
async fn unusable_connections_are_replaced_on_postgresql() {
    let Some(options) = postgresql("jwtauth_spoiled").await else { return };
    let pool = PgPoolOptions::new().max_connections(4).test_before_acquire(false);
    let pool = pool.connect_with(options.clone()).await.unwrap();
    make_postgresql!(pool, "bigint");
    run!(pool, "INSERT INTO auth_user VALUES (1, 'secret', true)");
    let store = PostgresStore::new(pool.clone(), Some(users())).await.unwrap();
    let mut other = PgConnection::connect_with(&options).await.unwrap();
    each_survives!(store, "1", spoil!(pool, "SET default_transaction_read_only = on"));
    each_survives!(store, "1", spoil!(pool, "DEALLOCATE ALL"));
    each_survives!(store, "1", spoil!(pool, "BEGIN READ ONLY"));
    each_survives!(store, "1", {
        spoil!(pool, "SELECT 1");
        run!(
            other,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()"
        );
    });
}

#[tokio::test]
async fn unusable_connections_are_replaced_on_mariadb() {
    let Some(options) = mariadb("jwtauth_spoiled").await else { return };
    let pool = MySqlPoolOptions::new().max_connections(4).test_before_acquire(false);
    let pool = pool.connect_with(options.clone()).await.unwrap();
    make_mariadb!(pool, "bigint");
    run!(pool, "INSERT INTO auth_user VALUES (1, 'secret', true)");
    let store = MariaDbStore::new(pool.clone(), Some(users())).await.unwrap();
    let mut other = MySqlConnection::connect_with(&options).await.unwrap();
    each_survives!(store, "1", spoil!(pool, "SET SESSION TRANSACTION READ ONLY"));
    each_survives!(store, "1", {
        spoil!(pool, "SELECT 1");
        let ids: Vec<(i64,)> = sqlx::query_as(
            "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
        )
        .fetch_all(&mut other)
        .await
        .unwrap();
        for (id,) in ids {
            run!(other, format!("KILL {id}"));
        }
    });
}

#[tokio::test]
async fn read_only_connections_are_replaced_on_sqlite() {
    let folder = Folder::new("spoiled");
    let pool = SqlitePoolOptions::new().max_connections(4).connect_with(folder.options()).await.unwrap();
    make_sqlite!(pool, "bigint");
    run!(pool, "INSERT INTO auth_user VALUES (1, 'secret', true)");
    let store = SqliteStore::new(pool.clone(), Some(users())).await.unwrap();
    each_survives!(store, "1", spoil!(pool, "PRAGMA query_only = on"));
}

#[tokio::test]
async fn read_only_database_is_an_error_after_trying_every_connection_and_one_more() {
    let folder = Folder::new("stays");
    SqlitePool::connect_with(folder.options()).await.unwrap().execute(SQLITE_SCHEMA).await.unwrap();
    let connections = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = Arc::clone(&connections);
    let pool = SqlitePoolOptions::new().max_connections(1).after_connect(move |connection, _| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Box::pin(async { connection.execute("PRAGMA query_only = on").await.map(drop) })
    });
    let pool = pool.connect_with(folder.options()).await.unwrap();
    let store = SqliteStore::new(pool, None).await.unwrap();
    let failed = store.insert(record("1"), None, NOW).await;
    assert!(matches!(failed, Err(InsertError::Store(StoreError::Failed(_)))), "{failed:?}");
    assert_eq!(connections.load(std::sync::atomic::Ordering::Relaxed), 2);
}

// --- no free connection

#[tokio::test]
async fn no_free_connection_is_503_and_leaves_the_cookies() {
    let folder = Folder::new("exhausted");
    let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(Duration::from_millis(400));
    let pool = pool.connect_with(folder.options()).await.unwrap();
    pool.execute(SQLITE_SCHEMA).await.unwrap();
    let (store, clock) = (SqliteStore::new(pool.clone(), None).await.unwrap(), common::Clock::default());
    let app = common::app(common::layer(&common::settings(), store, &clock));
    let mut browser = Browser::signed_in(&app, "42").await;
    let held = pool.acquire().await.unwrap();
    for seconds in [0, 301] {
        clock.advance(seconds);
        for (method, path) in [("GET", "/me"), ("POST", "/logout"), ("POST", "/login/7")] {
            let answer = browser.send(browser.request(method, path)).await;
            assert_eq!(
                (answer.status, &*answer.code()),
                (StatusCode::SERVICE_UNAVAILABLE, "store_unavailable"),
                "{path}"
            );
            assert_eq!(answer.headers[header::RETRY_AFTER], "1");
            assert!(!answer.headers.contains_key(header::SET_COOKIE));
        }
    }
    drop(held);
    assert_eq!(browser.who().await, "42");
}

/// The pooler's error comes after a wait; every other connection would wait as well.
#[tokio::test]
async fn exhausted_pooler_is_reported_after_one_try() {
    let Some(options) = postgresql("jwtauth_query_wait").await else { return };
    let pool = PgPoolOptions::new().min_connections(3).connect_with(options).await.unwrap();
    make_postgresql!(pool, "bigint");
    run!(
        pool,
        "INSERT INTO auth_user VALUES (1, 'secret', true)",
        "CREATE SEQUENCE tries",
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         PERFORM nextval('tries'); RAISE EXCEPTION 'query_wait_timeout' USING ERRCODE = '08P01'; END $$",
        "CREATE TRIGGER wait BEFORE INSERT ON jwtauth_session EXECUTE FUNCTION wait()",
    );
    let store = PostgresStore::new(pool.clone(), Some(users())).await.unwrap();
    let refused = store.insert(record("1"), None, NOW).await;
    assert!(matches!(refused, Err(InsertError::Store(StoreError::NoConnection(_)))), "{refused:?}");
    let (tries,): (i64,) = sqlx::query_as("SELECT last_value FROM tries").fetch_one(&pool).await.unwrap();
    assert_eq!(tries, 1);
}

#[tokio::test]
async fn server_without_free_connections_is_store_unavailable() {
    let Some(options) = mariadb("jwtauth_full").await else { return };
    let pool = MySqlPool::connect_with(options.clone()).await.unwrap();
    run!(
        pool,
        MARIADB_SCHEMA,
        "CREATE OR REPLACE USER one@localhost WITH MAX_USER_CONNECTIONS 1",
        "GRANT ALL ON jwtauth_full.* TO one@localhost"
    );
    let one = MySqlPoolOptions::new().max_connections(2).connect_with(options.username("one")).await.unwrap();
    let store = MariaDbStore::new(one.clone(), None).await.unwrap();
    while one.num_idle() == 0 {
        tokio::task::yield_now().await;
    }
    let _held = one.acquire().await.unwrap();
    let failed = store.find(Uuid::nil()).await;
    assert!(matches!(failed, Err(StoreError::NoConnection(_))), "{failed:?}");
}

// --- a pooler that shares connections between transactions

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_logins_on_eight_connections_share_three_of_pgbouncer() {
    let (Some(server), Ok(pooler)) = (postgresql("jwtauth_pooled").await, std::env::var("PGBOUNCER_TEST_URL")) else {
        eprintln!("skipped: PGBOUNCER_TEST_URL is not set");
        return;
    };
    let server = PgPool::connect_with(server).await.unwrap();
    make_postgresql!(server, "bigint");
    run!(server, "INSERT INTO auth_user SELECT n, 'secret', true FROM generate_series(1, 200) n");
    let options = PgConnectOptions::from_str(&pooler).unwrap().database("jwtauth_pooled");
    let pool = PgPoolOptions::new().max_connections(8).min_connections(8).connect_with(options).await.unwrap();
    let store = PostgresStore::new(pool, Some(users())).await.unwrap();
    let (settings, clock) = (common::settings().with_max_sessions_per_user(Some(2)), common::Clock::default());
    let app = common::app(common::layer(&settings, store, &clock));
    let mut logins = tokio::task::JoinSet::new();
    for user in 1..=200 {
        let app = app.clone();
        logins.spawn(async move {
            let user = user.to_string();
            let mut browser = Browser::signed_in(&app, &user).await;
            assert_eq!(browser.who().await, user);
            browser.jar.remove("access_token"); // as a browser does when it expires
            assert_eq!(browser.who().await, user);
            browser
        });
    }
    let browsers = logins.join_all().await;
    assert_eq!(browsers.len(), 200);
    clock.advance(301);
    for mut browser in browsers {
        assert_ne!(browser.who().await, "anonymous");
        assert_eq!(browser.post("/logout").await.status, StatusCode::OK);
    }
    let (left,): (i64,) = sqlx::query_as("SELECT count(*) FROM jwtauth_session").fetch_one(&server).await.unwrap();
    assert_eq!(left, 0);
}

// --- time zones

#[tokio::test]
async fn times_do_not_depend_on_the_connection_s_time_zone_on_postgresql() {
    let Some(options) = postgresql("jwtauth_zones").await else { return };
    let utc = PgPool::connect_with(options.clone()).await.unwrap();
    utc.execute(POSTGRES_SCHEMA).await.unwrap();
    let zoned = |zone: &'static str| {
        let pool = PgPoolOptions::new().after_connect(move |connection, _| {
            Box::pin(async move {
                let set = format!("SET TIME ZONE '{zone}'");
                connection.execute(AssertSqlSafe(set)).await.map(drop)
            })
        });
        pool.connect_with(options.clone())
    };
    let here = PostgresStore::new(utc.clone(), None).await.unwrap();
    for zone in ["Asia/Tokyo", "America/New_York"] {
        let there = PostgresStore::new(zoned(zone).await.unwrap(), None).await.unwrap();
        conformance::check(&there, "1", "2").await;
        row_is_read_the_same_by_both(&here, &there).await;
        let id = insert(&there, record("1")).await;
        let (time,): (bool,) = sqlx::query_as("SELECT expires_at = '2027-01-16 08:00:00+00' FROM jwtauth_session")
            .fetch_one(&utc)
            .await
            .unwrap();
        assert!(time);
        here.end(&[id]).await.unwrap();
    }
}

#[tokio::test]
async fn times_do_not_depend_on_the_connection_s_time_zone_on_mariadb() {
    let Some(options) = mariadb("jwtauth_zones").await else { return };
    let utc = MySqlPool::connect_with(options.clone()).await.unwrap();
    utc.execute(MARIADB_SCHEMA).await.unwrap();
    let here = MariaDbStore::new(utc.clone(), None).await.unwrap();
    for zone in ["+09:00", "-05:00"] {
        let there = MySqlPool::connect_with(options.clone().timezone(Some(zone.to_owned()))).await.unwrap();
        let there = MariaDbStore::new(there, None).await.unwrap();
        conformance::check(&there, "1", "2").await;
        row_is_read_the_same_by_both(&here, &there).await;
        let id = insert(&there, record("1")).await;
        let (is_utc,): (bool,) = sqlx::query_as("SELECT expires_at = '2027-01-16 08:00:00' FROM jwtauth_session")
            .fetch_one(&utc)
            .await
            .unwrap();
        assert!(is_utc, "as Django writes it");
        here.end(&[id]).await.unwrap();
    }
}

async fn row_is_read_the_same_by_both(here: &impl SessionStore, there: &impl SessionStore) {
    let (one, other) = (record("1"), record("2"));
    insert(here, one.clone()).await;
    insert(there, other.clone()).await;
    for row in [one, other] {
        let found = [here.find(row.id).await.unwrap().unwrap(), there.find(row.id).await.unwrap().unwrap()];
        assert_eq!(found.each_ref().map(|found| &found.record), [&row, &row]);
        let times = found.map(|found| found.database_time.unwrap());
        assert!(times[1].duration_since(times[0]).unwrap_or_default() < Duration::from_secs(600), "{times:?}");
        for (store, rows) in [(row.session.expires_at - Duration::from_secs(1), 1), (row.session.expires_at, 0)] {
            assert_eq!(there.of_user(&row.user_id, store).await.unwrap().len(), rows);
            assert_eq!(here.of_user(&row.user_id, store).await.unwrap().len(), rows);
        }
        here.end(&[row.id]).await.unwrap();
    }
}

// --- tables that do not match the statements

/// Return the schema error, which `check` and startup report alike.
macro_rules! wrong_schema {
    ($store:expr, $new:expr) => {{
        let (StoreError::Schema(checked), StoreError::Schema(started)) =
            ($store.check().await.unwrap_err(), $new.await.unwrap_err())
        else {
            panic!("expected a schema error");
        };
        assert_eq!(checked, started);
        checked
    }};
}

const MIGRATE: &str = "run Django's migrations";

#[tokio::test]
async fn tables_are_checked_on_postgresql() {
    let Some(options) = postgresql("jwtauth_schema").await else { return };
    let pool = PgPool::connect_with(options).await.unwrap();
    make_postgresql!(pool, "bigint");
    let store = PostgresStore::new(pool.clone(), Some(users())).await.unwrap();
    for (wrong, right, said) in [
        ("jwtauth_session RENAME backend TO b", "jwtauth_session RENAME b TO backend", ["column backend", MIGRATE]),
        (
            "jwtauth_session RENAME end_is_fixed TO e",
            "jwtauth_session RENAME e TO end_is_fixed",
            ["column end_is_fixed", MIGRATE],
        ),
        ("jwtauth_session RENAME TO j", "j RENAME TO jwtauth_session", ["table jwtauth_session", MIGRATE]),
        ("auth_user RENAME TO a", "a RENAME TO auth_user", ["table auth_user", MIGRATE]),
        (
            "auth_user RENAME password TO p",
            "auth_user RENAME p TO password",
            ["auth_user has no column password", MIGRATE],
        ),
        (
            "jwtauth_session ALTER expires_at TYPE timestamp",
            "jwtauth_session ALTER expires_at TYPE timestamp with time zone",
            [
                "expires_at of the table jwtauth_session is timestamp without time zone",
                "must be timestamp with time zone",
            ],
        ),
        (
            "jwtauth_session DROP CONSTRAINT jwtauth_session_user_id_fkey, ALTER user_id TYPE numeric",
            "jwtauth_session ALTER user_id TYPE bigint",
            ["user_id of the table jwtauth_session is numeric", "an integer, a UUID or text"],
        ),
    ] {
        run!(pool, format!("ALTER TABLE {wrong}"));
        let told = wrong_schema!(store, PostgresStore::new(pool.clone(), Some(users())));
        assert!(said.iter().all(|said| told.contains(said)), "{told}");
        run!(pool, format!("ALTER TABLE {right}"));
        store.check().await.unwrap();
    }
}

#[tokio::test]
async fn tables_are_checked_on_mariadb() {
    let Some(options) = mariadb("jwtauth_schema").await else { return };
    let pool = MySqlPool::connect_with(options).await.unwrap();
    make_mariadb!(pool, "bigint");
    let store = MariaDbStore::new(pool.clone(), Some(users())).await.unwrap();
    for (wrong, right, said) in [
        (
            "jwtauth_session RENAME COLUMN backend TO b",
            "jwtauth_session RENAME COLUMN b TO backend",
            ["column backend", MIGRATE],
        ),
        ("jwtauth_session RENAME TO j", "j RENAME TO jwtauth_session", ["table jwtauth_session", MIGRATE]),
        ("auth_user RENAME TO a", "a RENAME TO auth_user", ["table auth_user", MIGRATE]),
        (
            "jwtauth_session MODIFY expires_at timestamp NOT NULL",
            "jwtauth_session MODIFY expires_at datetime(6) NOT NULL",
            ["expires_at of the table jwtauth_session is timestamp", "must be datetime"],
        ),
    ] {
        run!(pool, format!("ALTER TABLE {wrong}"));
        let told = wrong_schema!(store, MariaDbStore::new(pool.clone(), Some(users())));
        assert!(said.iter().all(|said| told.contains(said)), "{told}");
        run!(pool, format!("ALTER TABLE {right}"));
        store.check().await.unwrap();
    }
}

/// Otherwise ended sessions would be rolled back with their connection.
#[tokio::test]
async fn connections_without_autocommit_are_an_error_on_mariadb() {
    let Some(options) = mariadb("jwtauth_autocommit").await else { return };
    let pool = MySqlPool::connect_with(options.clone()).await.unwrap();
    make_mariadb!(pool, "bigint");
    let uncommitted = MySqlPoolOptions::new()
        .after_connect(|connection, _| Box::pin(async { connection.execute("SET autocommit = 0").await.map(drop) }));
    let uncommitted = uncommitted.connect_with(options).await.unwrap();
    let told = MariaDbStore::new(uncommitted, Some(users())).await.unwrap_err().to_string();
    assert!(told.contains("autocommit"), "{told}");
}

#[tokio::test]
async fn tables_are_checked_on_sqlite() {
    let folder = Folder::new("schema");
    let pool = SqlitePool::connect_with(folder.options()).await.unwrap();
    let missing = SqliteStore::new(pool.clone(), None).await.unwrap_err().to_string();
    assert!(missing.contains("table jwtauth_session") && missing.contains(MIGRATE), "{missing}");
    make_sqlite!(pool, "bigint");
    let store = SqliteStore::new(pool.clone(), Some(users())).await.unwrap();
    for (wrong, right, said) in [
        ("jwtauth_session RENAME backend TO b", "jwtauth_session RENAME b TO backend", ["column backend", MIGRATE]),
        ("auth_user RENAME is_active TO i", "auth_user RENAME i TO is_active", ["column is_active", MIGRATE]),
    ] {
        run!(pool, format!("ALTER TABLE {wrong}"));
        let told = wrong_schema!(store, SqliteStore::new(pool.clone(), Some(users())));
        assert!(said.iter().all(|said| told.contains(said)), "{told}");
        run!(pool, format!("ALTER TABLE {right}"));
        store.check().await.unwrap();
    }
}

// --- users' keys in other spellings

/// Sign this key in through the layer, and return whether the next request is of the user. Also check with the store
/// alone that the row has the key that the store returned.
async fn is_usable(store: &(impl SessionStore + Clone), key: &str) -> bool {
    let app = common::app(common::layer(&common::settings(), store.clone(), &common::Clock::default()));
    let mut browser = Browser::new(&app);
    let answer =
        browser.post(&format!("/login/{}", key.replace(' ', "%20").replace('{', "%7B").replace('}', "%7D"))).await;
    let is_signed_in = answer.status == StatusCode::OK;
    assert!(is_signed_in || answer.status == StatusCode::UNAUTHORIZED, "{key:?}: {} {}", answer.status, answer.body);
    let who = browser.who().await;
    assert_eq!(who != "anonymous", is_signed_in, "{key:?}: {who}");
    let written = record(key);
    let (id, listed) = (written.id, store.of_user(key, NOW).await.unwrap().len());
    assert_eq!(listed, usize::from(is_signed_in), "{key:?}");
    match store.insert(written, None, NOW).await {
        Ok(_) => {
            let found = store.find(id).await.unwrap().unwrap().record.user_id;
            assert_eq!((Some(&found), &found), (store.user_key(key).as_ref(), &who));
            assert!(is_signed_in);
        }
        Err(InsertError::UnknownUser) => assert!(!is_signed_in, "{key:?}"),
        Err(error) => panic!("{key:?}: {error:?}"),
    }
    let all: Vec<Uuid> = store.of_user(&who, NOW).await.unwrap().iter().map(|row| row.id).collect();
    store.end(&all).await.unwrap();
    is_signed_in
}

const NUMBERS: [(&str, bool); 11] = [
    ("42", true),
    ("042", true),
    ("+42", true),
    (" 42", true),
    ("42.0", false),
    ("42abc", false),
    ("4.2e1", false),
    ("0x2A", false),
    ("42' OR '1'='1", false),
    ("3000000000", false),
    ("99999999999999999999", false),
];
const UUIDS: [(&str, bool); 6] = [
    (UUID, true),
    ("018F3B2C-7A00-7000-8000-00000000ABCD", true),
    ("018f3b2c7a007000800000000000abcd", true),
    ("{018f3b2c-7a00-7000-8000-00000000abcd}", true),
    ("018f3b2c-7a00-7000-8000-00000000abce", false),
    ("42", false),
];
const TEXTS: [(&str, bool); 5] = [
    ("alice", true),
    ("ALICE", false),
    ("alice ", false),
    ("alicea-long-name-of-another-user", false),
    ("álice", false),
];

macro_rules! keys_of_each_kind {
    ($options:expr, $pool:ident, $store:ident, $make:ident, $cascade:literal, $uuid:literal, $stored:expr) => {{
        let pool = $pool::connect_with($options).await.unwrap();
        let drop_all = ["DROP TABLE IF EXISTS jwtauth_session", concat!("DROP TABLE IF EXISTS auth_user", $cascade)];
        $make!(pool, "integer");
        run!(pool, "INSERT INTO auth_user VALUES (42, 'secret', true)");
        for users in [Some(users()), None] {
            let store = $store::new(pool.clone(), users).await.unwrap();
            for (key, expected) in NUMBERS {
                assert_eq!(is_usable(&store, key).await, expected, "{key:?}");
            }
        }
        run!(pool, drop_all[0], drop_all[1]);
        $make!(pool, $uuid);
        run!(pool, format!("INSERT INTO auth_user VALUES ('{}', 'secret', true)", $stored));
        for users in [Some(users()), None] {
            let store = $store::new(pool.clone(), users).await.unwrap();
            for (key, expected) in UUIDS {
                assert_eq!(is_usable(&store, key).await, expected, "{key:?}");
            }
        }
        run!(pool, drop_all[0], drop_all[1]);
        $make!(pool, "varchar(5)");
        run!(pool, "INSERT INTO auth_user VALUES ('alice', 'secret', true), ('4', 'secret', true)");
        let store = $store::new(pool.clone(), Some(users())).await.unwrap();
        for (key, expected) in TEXTS {
            assert_eq!(is_usable(&store, key).await, expected, "{key:?}");
        }
        let store = $store::new(pool.clone(), None).await.unwrap();
        for (key, _) in TEXTS {
            is_usable(&store, key).await; // depends on the column's collation, but the session must be usable
        }
        run!(pool, drop_all[0], drop_all[1]);
        pool
    }};
}

/// Check that keys of a project without Django are stored unchanged.
async fn keys_are_stored_unchanged(store: &(impl SessionStore + Clone)) {
    for key in ["042", "alice", "ALICE", "alice ", " alice", "álice", UUID, "018F3B2C-7A00-7000-8000-00000000ABCD"] {
        let written = record(key);
        insert(store, written.clone()).await;
        let (found, of_user) = (store.find(written.id).await.unwrap(), store.of_user(key, NOW).await.unwrap());
        assert_eq!((found.unwrap().record, of_user), (written.clone(), vec![written]));
    }
}

#[tokio::test]
async fn keys_in_other_spellings_are_canonical_or_rejected_on_postgresql() {
    let Some(options) = postgresql("jwtauth_keys").await else { return };
    let pool = keys_of_each_kind!(options, PgPool, PostgresStore, make_postgresql, " CASCADE", "uuid", UUID);
    pool.execute(POSTGRES_SCHEMA).await.unwrap();
    keys_are_stored_unchanged(&PostgresStore::new(pool, None).await.unwrap()).await;
}

#[tokio::test]
async fn keys_in_other_spellings_are_canonical_or_rejected_on_mariadb() {
    let Some(options) = mariadb("jwtauth_keys").await else { return };
    let pool = keys_of_each_kind!(options.clone(), MySqlPool, MariaDbStore, make_mariadb, "", "uuid", UUID);
    pool.execute(MARIADB_SCHEMA).await.unwrap();
    keys_are_stored_unchanged(&MariaDbStore::new(pool.clone(), None).await.unwrap()).await;
    run!(pool, "DROP TABLE jwtauth_session");
    let bare = UUID.replace('-', "");
    let pool = keys_of_each_kind!(options, MySqlPool, MariaDbStore, make_mariadb, "", "char(32)", bare);
    pool.close().await;
}

#[tokio::test]
async fn keys_in_other_spellings_are_canonical_or_rejected_on_sqlite() {
    let folder = Folder::new("keys");
    let bare = UUID.replace('-', "");
    let pool = keys_of_each_kind!(folder.options(), SqlitePool, SqliteStore, make_sqlite, "", "char(32)", bare);
    pool.execute(SQLITE_SCHEMA).await.unwrap();
    keys_are_stored_unchanged(&SqliteStore::new(pool, None).await.unwrap()).await;
}

// --- the limit

/// Check that sessions ended by a password change neither count nor are listed.
macro_rules! only_usable_sessions_count {
    ($pool:expr, $store:expr) => {{
        run!($pool, "INSERT INTO auth_user VALUES (1, 'secret', true)");
        let (store, limit) = ($store, Limit::new(1, LimitPolicy::Refuse));
        let older = record("1");
        store.insert(older.clone(), Some(limit.clone()), NOW).await.unwrap();
        let refused = store.insert(record("1"), Some(limit.clone()), NOW).await;
        assert!(matches!(refused, Err(InsertError::LimitReached)), "{refused:?}");
        run!($pool, "UPDATE auth_user SET password = 'another'");
        assert!(store.of_user("1", NOW).await.unwrap().is_empty());
        let newer = record("1");
        assert!(store.insert(newer.clone(), Some(limit), NOW).await.unwrap().is_empty());
        assert_eq!(store.of_user("1", NOW).await.unwrap(), [newer]);
        assert_eq!(store.end(&[older.id]).await.unwrap(), 1, "the row stays until cleanup");
    }};
}

#[tokio::test]
async fn sessions_ended_by_a_password_change_do_not_count() {
    let folder = Folder::new("limit");
    let pool = SqlitePool::connect_with(folder.options()).await.unwrap();
    make_sqlite!(pool, "integer");
    only_usable_sessions_count!(pool, SqliteStore::new(pool.clone(), Some(users())).await.unwrap());
    if let Some(options) = postgresql("jwtauth_limit").await {
        let pool = PgPool::connect_with(options).await.unwrap();
        make_postgresql!(pool, "integer");
        only_usable_sessions_count!(pool, PostgresStore::new(pool.clone(), Some(users())).await.unwrap());
    }
    if let Some(options) = mariadb("jwtauth_limit").await {
        let pool = MySqlPool::connect_with(options).await.unwrap();
        make_mariadb!(pool, "integer");
        only_usable_sessions_count!(pool, MariaDbStore::new(pool.clone(), Some(users())).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_limit_holds_at_every_isolation_level_on_postgresql() {
    let Some(options) = postgresql("jwtauth_isolation").await else { return };
    let pool = PgPool::connect_with(options.clone()).await.unwrap();
    pool.execute(POSTGRES_SCHEMA).await.unwrap();
    for level in ["read committed", "repeatable read", "serializable"] {
        let options = options.clone().options([("default_transaction_isolation", level)]);
        let pool = PgPool::connect_with(options).await.unwrap();
        conformance::check_race(Arc::new(PostgresStore::new(pool, None).await.unwrap()), "1").await;
    }
    pool.execute("DROP TABLE jwtauth_session").await.unwrap();
    make_postgresql!(pool, "integer");
    run!(pool, "INSERT INTO auth_user VALUES (1, 'secret', true)");
    for level in ["read committed", "repeatable read", "serializable"] {
        let options = options.clone().options([("default_transaction_isolation", level)]);
        let pool = PgPool::connect_with(options).await.unwrap();
        conformance::check_race(Arc::new(PostgresStore::new(pool, Some(users())).await.unwrap()), "1").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_limit_holds_at_every_isolation_level_on_mariadb() {
    let Some(options) = mariadb("jwtauth_isolation").await else { return };
    let pool = MySqlPool::connect_with(options.clone()).await.unwrap();
    let at = |level: &'static str| {
        let pool = MySqlPoolOptions::new().after_connect(move |connection, _| {
            Box::pin(async move {
                let set = format!("SET SESSION TRANSACTION ISOLATION LEVEL {level}");
                connection.execute(AssertSqlSafe(set)).await.map(drop)
            })
        });
        pool.connect_with(options.clone())
    };
    pool.execute(MARIADB_SCHEMA).await.unwrap();
    for level in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        let store = MariaDbStore::new(at(level).await.unwrap(), None).await.unwrap();
        conformance::check_race(Arc::new(store), "1").await;
    }
    pool.execute("DROP TABLE jwtauth_session").await.unwrap();
    make_mariadb!(pool, "integer");
    run!(pool, "INSERT INTO auth_user VALUES (1, 'secret', true)");
    for level in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        let store = MariaDbStore::new(at(level).await.unwrap(), Some(users())).await.unwrap();
        conformance::check_race(Arc::new(store), "1").await;
    }
}
