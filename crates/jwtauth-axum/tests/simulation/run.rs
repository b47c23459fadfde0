//! Runs many seeds.

use std::{
    io::{Write as _, stderr},
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use jwtauth_axum::{MemoryStore, SessionStore};
use tokio::runtime::Builder;

use crate::{
    figures::Figures,
    oracle::{Broken, Promise},
    world::World,
    wrong::Wrong,
};

/// The number of refreshes after which a run ends.
const REFRESHES: u64 = 60;

/// One of this many seeds runs over SQLite, whose statements run in another thread; it makes fewer refreshes.
#[cfg(feature = "sqlite")]
const SQLITE_IN: u64 = 100;
#[cfg(feature = "sqlite")]
const SQLITE_REFRESHES: u64 = 6;

/// The result of a run.
pub struct Run {
    pub seed: u64,
    pub figures: Figures,
    pub broken: Option<Broken>,
    pub told: Vec<String>,
}

pub fn run_once(seed: u64, wrong: &Wrong, is_told: bool) -> Run {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).event_interval(1024).build().unwrap();
    runtime.block_on(async {
        #[cfg(feature = "sqlite")]
        if seed % SQLITE_IN == SQLITE_IN - 1 {
            let store = crate::world::at_once(sqlite()).await;
            return run_over(store, SQLITE_REFRESHES, seed, wrong, is_told).await;
        }
        run_over(MemoryStore::default(), REFRESHES, seed, wrong, is_told).await
    })
}

async fn run_over(store: impl SessionStore + Clone, refreshes: u64, seed: u64, wrong: &Wrong, is_told: bool) -> Run {
    let mut world = World::new(seed, store, wrong.clone(), is_told);
    let broken = world.run(refreshes).await.err();
    Run { seed, figures: world.figures, broken, told: world.told() }
}

#[cfg(feature = "sqlite")]
async fn sqlite() -> jwtauth_axum::SqliteStore {
    let options = sqlx::sqlite::SqliteConnectOptions::new().in_memory(true);
    let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    let pool = pool.connect_with(options).await.unwrap();
    sqlx::Executor::execute(&pool, jwtauth_axum::SQLITE_SCHEMA).await.unwrap();
    jwtauth_axum::SqliteStore::new(pool, None).await.unwrap()
}

/// Run this seed. If a promise is broken, run it again and record what happens.
pub fn run(seed: u64, wrong: &Wrong) -> Run {
    let run = run_once(seed, wrong, false);
    if run.broken.is_some() { run_once(seed, wrong, true) } else { run }
}

impl Run {
    /// # Panics
    ///
    /// If a promise was broken.
    pub fn report(&self) {
        say(&format!("seed {}: {}", self.seed, self.figures));
        let Some(Broken { promise, how }) = &self.broken else { return };
        let (page, words) = promise.words();
        let skipped = self.told.len().saturating_sub(200);
        let told: Vec<_> = self.told.iter().take(1).chain(self.told.iter().skip(skipped.max(1))).cloned().collect();
        panic!(
            "{}\n{promise:?}: {how}\n{page} promises: {words}\nRepeat it: JWTAUTH_SIMULATE_SEED={} cargo test -p jwtauth-axum \
             --all-features --test simulation -- seeds_keep_every_promise",
            told.join("\n"),
            self.seed
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "the result is rounded")]
fn rate(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// Print a line even if the test passes.
pub fn say(line: &str) {
    let _ = stderr().write_all(format!("simulation: {line}\n").as_bytes());
}

/// Return the first of these seeds that breaks this promise.
pub fn find(mut seeds: Range<u64>, wrong: &Wrong, promise: Promise) -> Option<u64> {
    let breaks_it = |run: Run| run.broken.is_some_and(|broken| broken.promise == promise);
    seeds.find(|seed| breaks_it(run_once(*seed, wrong, false)))
}

/// The number of refreshes after which a long run reports its progress.
const TOLD_AFTER: u64 = 100_000;

/// Run seeds from `first` until this many refreshes are made, in one thread per processor.
///
/// # Panics
///
/// If a promise was broken.
pub fn until(refreshes: u64, first: u64) {
    let (next, made, total) = (AtomicU64::new(first), AtomicU64::new(0), Mutex::new(Figures::default()));
    let (failed, started) = (Mutex::new(Vec::new()), Instant::now());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while made.load(Ordering::Relaxed) < refreshes && failed.lock().unwrap().is_empty() {
                    let run = run(next.fetch_add(1, Ordering::Relaxed), &Wrong::Nothing);
                    made.fetch_add(run.figures.refreshes, Ordering::Relaxed);
                    let mut total = total.lock().unwrap();
                    let before = total.refreshes / TOLD_AFTER;
                    total.add(&run.figures);
                    if total.refreshes / TOLD_AFTER > before {
                        say(&format!("so far: {total}"));
                    }
                    drop(total);
                    if run.broken.is_some() {
                        failed.lock().unwrap().push(run);
                    }
                }
            });
        }
    });
    let (total, seconds) = (total.into_inner().unwrap(), started.elapsed().as_secs_f64());
    say(&format!("from seed {first}: {total}; {seconds:.1} s, {:.0} refreshes/s", rate(total.refreshes, seconds)));
    for run in failed.into_inner().unwrap() {
        run.report();
    }
}
