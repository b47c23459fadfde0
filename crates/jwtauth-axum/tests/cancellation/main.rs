//! A disconnected client leaves nothing open: every operation is dropped at every await point, over every store.
//!
//! PostgreSQL and MariaDB run if `POSTGRES_TEST_URL` and `MARIADB_TEST_URL` name a database, as `make test` does.
//! `JWTAUTH_CANCEL_ROUNDS=20` drops at more moments.

#![cfg(all(feature = "sqlite", feature = "postgres", feature = "mariadb", feature = "jwks"))]
#![allow(unreachable_pub, clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "../common/mod.rs"]
mod common;
mod keys;
mod leaving;
mod methods;
mod places;
mod requests;
mod sockets;

use std::{
    fmt::Debug,
    io::{Write, stderr},
    thread,
};

use leaving::{Moment, tasks_at_rest};
use places::{MariaDb, Memory, Place, Postgres, Sqlite};
use tokio::runtime::{Builder, Runtime};

/// How many moments were tried, and what went wrong.
#[derive(Default)]
struct Tried {
    drops: usize,
    wrong: Vec<String>,
}

impl Tried {
    fn add(&mut self, other: Self) {
        self.drops += other.drops;
        self.wrong.extend(other.wrong);
    }

    /// Try one moment after the other, until the operation finishes before its moment.
    async fn each(
        &mut self,
        name: impl Debug,
        moments: impl Iterator<Item = Moment>,
        attempt: impl AsyncFn(Moment) -> Result<bool, String>,
    ) {
        for moment in moments {
            match attempt(moment).await {
                Ok(false) => return,
                Ok(true) => self.drops += 1,
                Err(wrong) => {
                    self.drops += 1;
                    self.wrong.push(format!("{name:?}, {moment}: {wrong}"));
                }
            }
            if self.wrong.len() > 9 {
                return;
            }
        }
    }

    /// Print the count.
    ///
    /// # Panics
    ///
    /// If anything went wrong.
    fn report(&self, what: &str) {
        let wrong = self.wrong.len();
        say(&format!("{what}: {} times, {wrong} left open", self.drops));
        assert!(self.drops > 0 && self.wrong.is_empty(), "{:#?}", self.wrong);
    }
}

/// Print a line even if the test passes: the output of `eprintln!` is shown only for failed tests.
fn say(line: &str) {
    let _ = stderr().write_all(format!("cancellation: {line}\n").as_bytes());
}

/// Return the number of rounds. More rounds find more on databases, whose response times vary.
fn rounds() -> usize {
    std::env::var("JWTAUTH_CANCEL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Attempts to run over one store.
trait Attempts: Copy + Sync {
    async fn over(self, place: &impl Place) -> Tried;
}

/// Run these attempts over every store, each in its own thread.
fn over_every_store(attempts: impl Attempts + Send, name: &str) -> (Tried, usize) {
    let url = |variable: &str| {
        let url = std::env::var(variable);
        if url.is_err() {
            say(&format!("skipped: {variable} is not set"));
        }
        url
    };
    let (postgres, mariadb) = (url("POSTGRES_TEST_URL"), url("MARIADB_TEST_URL"));
    let mut tried = Tried::default();
    let stores = thread::scope(|scope| {
        let mut running = vec![
            // Its tasks run in the same order every time.
            scope.spawn(move || {
                let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async { attempts.over(&Memory::default()).await })
            }),
            scope.spawn(move || runtime().block_on(async { attempts.over(&Sqlite::new(name).await).await })),
        ];
        if let Ok(url) = postgres {
            let postgres = move || runtime().block_on(async { attempts.over(&Postgres::new(&url, name).await).await });
            running.push(scope.spawn(postgres));
        }
        if let Ok(url) = mariadb {
            let mariadb = move || runtime().block_on(async { attempts.over(&MariaDb::new(&url, name).await).await });
            running.push(scope.spawn(mariadb));
        }
        let stores = running.len();
        for running in running {
            let wrong = || Tried { wrong: vec!["a panic, reported above".to_owned()], ..Tried::default() };
            tried.add(running.join().unwrap_or_else(|_| wrong()));
        }
        stores
    });
    (tried, stores)
}

/// Every operation, dropped at every await point.
#[derive(Clone, Copy)]
struct Everywhere;

impl Attempts for Everywhere {
    async fn over(self, place: &impl Place) -> Tried {
        let mut tried = Tried::default();
        place.whole().await.unwrap();
        let tasks = tasks_at_rest().await;
        for round in 0..rounds() {
            for &operation in requests::ALL {
                let (name, attempt) = (named(place, operation), async |moment| {
                    requests::try_leaving(place, operation, moment, tasks).await
                });
                tried.each(&name, Moment::waits(), &attempt).await;
                tried.each(&name, Moment::steps(), &attempt).await;
                tried.each(&name, Moment::turns(round), &attempt).await;
            }
            for call in requests::GIVEN_UP {
                let (name, attempt) = (named(place, format!("{call:?} by its handler")), async |moment| {
                    requests::try_giving_up(place, call, moment, tasks).await
                });
                tried.each(&name, Moment::waits(), &attempt).await;
                tried.each(&name, Moment::steps(), &attempt).await;
                tried.each(&name, Moment::turns(round), &attempt).await;
            }
            for method in methods::ALL {
                let (name, attempt) =
                    (named(place, method), async |moment| methods::try_dropping(place, method, moment, tasks).await);
                tried.each(&name, Moment::waits(), &attempt).await;
                tried.each(&name, Moment::steps(), &attempt).await;
                tried.each(&name, Moment::turns(round), &attempt).await;
            }
        }
        tried
    }
}

#[test]
fn dropped_operation_leaves_nothing_open() {
    let (tried, stores) = over_every_store(Everywhere, "dropped");
    let operations = requests::ALL.len() + requests::GIVEN_UP.len() + methods::ALL.len();
    tried.report(&format!("{operations} operations over {stores} stores, dropped at every await point"));
}

/// Clients that disconnect immediately, and at each step of the store.
#[derive(Clone, Copy)]
struct ByTcp;

impl Attempts for ByTcp {
    async fn over(self, place: &impl Place) -> Tried {
        let mut tried = Tried::default();
        place.whole().await.unwrap();
        let tasks = tasks_at_rest().await;
        for _ in 0..rounds() {
            for operation in sockets::ALL {
                for step in [None, None, None, Some(0), Some(1), Some(2), Some(3)] {
                    let done = sockets::try_hanging_up(place, operation, step, tasks).await;
                    tried.drops += 1;
                    tried
                        .wrong
                        .extend(done.err().map(|wrong| format!("{}, {step:?}: {wrong}", named(place, operation))));
                }
            }
            for operation in sockets::CROWDED {
                let done = sockets::try_crowd(place, operation, tasks).await;
                tried.drops += sockets::CROWD;
                tried.wrong.extend(done.err().map(|wrong| format!("{}, a crowd: {wrong}", named(place, operation))));
            }
        }
        tried
    }
}

#[test]
fn disconnected_client_leaves_nothing_open() {
    let (tried, stores) = over_every_store(ByTcp, "tcp");
    tried.report(&format!("{} requests over TCP and {stores} stores, disconnected", sockets::ALL.len()));
}

#[tokio::test]
async fn key_fetch_is_completed_after_its_client_disconnects() {
    let (site, mut tried) = (keys::Site::new().await, Tried::default());
    for round in 0..rounds() {
        for fetch in keys::ALL {
            let attempt = async |moment| keys::try_leaving(&site, fetch, moment).await;
            tried.each(fetch, Moment::waits(), attempt).await;
            tried.each(fetch, Moment::turns(round), attempt).await;
        }
    }
    tried.report("3 key fetches, dropped at every await point");
}

fn named<P: Place>(_: &P, operation: impl Debug) -> String {
    format!("{}, {operation:?}", P::NAME)
}
