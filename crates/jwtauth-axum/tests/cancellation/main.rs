//! A client that leaves leaves nothing behind: every operation, dropped wherever it waits, over every store.
//!
//! PostgreSQL and MariaDB where `POSTGRES_TEST_URL` and `MARIADB_TEST_URL` name a database, as `make test` does.
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

/// How many moments were tried, and what was wrong after them.
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

    /// Try one moment after the other, until the operation is done before.
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

    /// Print the figure.
    ///
    /// # Panics
    ///
    /// Where something was wrong.
    fn report(&self, what: &str) {
        let wrong = self.wrong.len();
        say(&format!("{what}: {} times, {wrong} left open", self.drops));
        assert!(self.drops > 0 && self.wrong.is_empty(), "{:#?}", self.wrong);
    }
}

/// Print a line, also where the test passes: what `eprintln!` prints is shown for tests that fail.
fn say(line: &str) {
    let _ = stderr().write_all(format!("cancellation: {line}\n").as_bytes());
}

/// More of them find more, on databases, whose answers take as long as they take.
fn rounds() -> usize {
    std::env::var("JWTAUTH_CANCEL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// What is tried over a store.
trait Attempts: Copy + Sync {
    async fn over(self, place: &impl Place) -> Tried;
}

/// Try it over every store, each in a thread of its own.
fn over_every_store(attempts: impl Attempts + Send, name: &str) -> (Tried, usize) {
    let url = |variable: &str| {
        let url = std::env::var(variable);
        if url.is_err() {
            say(&format!("left out: {variable} names no server"));
        }
        url
    };
    let (postgres, mariadb) = (url("POSTGRES_TEST_URL"), url("MARIADB_TEST_URL"));
    let mut tried = Tried::default();
    let stores = thread::scope(|scope| {
        let mut running = vec![
            // Its tasks take turns in the same order each time.
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
            let wrong = || Tried { wrong: vec!["a panic, which is told of above".to_owned()], ..Tried::default() };
            tried.add(running.join().unwrap_or_else(|_| wrong()));
        }
        stores
    });
    (tried, stores)
}

/// Every operation, dropped wherever it waits.
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
fn every_operation_that_is_dropped_leaves_nothing_open() {
    let (tried, stores) = over_every_store(Everywhere, "dropped");
    let operations = requests::ALL.len() + requests::GIVEN_UP.len() + methods::ALL.len();
    tried.report(&format!("{operations} operations over {stores} stores, dropped wherever they wait"));
}

/// Clients that hang up at once, and at each step of the store.
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
fn clients_that_hang_up_leave_nothing_open() {
    let (tried, stores) = over_every_store(ByTcp, "tcp");
    tried.report(&format!("{} requests by TCP over {stores} stores, hung up on", sockets::ALL.len()));
}

#[tokio::test]
async fn a_fetch_of_keys_is_done_although_its_client_has_left() {
    let (site, mut tried) = (keys::Site::new().await, Tried::default());
    for round in 0..rounds() {
        for fetch in keys::ALL {
            let attempt = async |moment| keys::try_leaving(&site, fetch, moment).await;
            tried.each(fetch, Moment::waits(), attempt).await;
            tried.each(fetch, Moment::turns(round), attempt).await;
        }
    }
    tried.report("3 fetches of keys, dropped wherever they wait");
}

fn named<P: Place>(_: &P, operation: impl Debug) -> String {
    format!("{}, {operation:?}", P::NAME)
}
