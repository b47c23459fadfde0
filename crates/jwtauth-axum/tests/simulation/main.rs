//! Simulates days of a service in moments: a seed decides which request proceeds, which response is lost, and when time
//! passes.
//!
//! The layer, its extractors and its tasks are real, over a real store. The world around them is simulated: each call
//! of the store waits before and after until the seed lets it proceed, time passes when the seed says so, and browsers
//! and thieves send the requests that it chooses. [`oracle`] holds the promises to check.
//!
//! A run that breaks a promise prints its seed and the command that repeats it. `JWTAUTH_SIMULATE_REFRESHES` sets the
//! number of refreshes; `make simulate` makes more.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

#[path = "../common/mod.rs"]
mod common;
mod figures;
mod flight;
mod jar;
mod oracle;
mod plan;
mod random;
mod run;
mod site;
mod store;
mod thief;
mod time;
mod world;
mod wrong;

use std::{env, fs, path::Path, sync::Arc, time::UNIX_EPOCH};

use oracle::{PROMISES, Promise};
use run::{find, run, run_once, say, until};
use wrong::Wrong;

/// Seeds that once broke a promise, because of a bug in the layer, the engine or this simulation.
const KEPT: [u64; 4] = [1, 2, 3, 1314];

/// The default number of refreshes. Without optimisation, one takes about 1 ms.
const IN_TESTS: u64 = 100_000;

/// A faulty store is detected within this many seeds.
const ENOUGH: u64 = 100;

/// Return the number in this environment variable.
fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|number| number.parse().unwrap())
}

fn refreshes(default: u64) -> u64 {
    number("JWTAUTH_SIMULATE_REFRESHES").unwrap_or(default)
}

#[test]
fn seeds_keep_every_promise() {
    match number("JWTAUTH_SIMULATE_SEED") {
        Some(seed) => run(seed, &Wrong::Nothing).report(),
        None => until(refreshes(IN_TESTS), 1),
    }
}

#[test]
#[ignore = "long: make simulate"]
fn seeds_of_today_keep_every_promise() {
    let today = UNIX_EPOCH.elapsed().unwrap().as_secs() << 32;
    until(refreshes(10_000_000), number("JWTAUTH_SIMULATE_SEED").unwrap_or(today));
}

#[test]
fn seeds_that_once_broke_a_promise_keep_it() {
    for seed in KEPT {
        run(seed, &Wrong::Nothing).report();
    }
}

/// Session ids are random. Two that share a counter of `VerifiedSessions` cost one query more if one of them ends while
/// the other is looked up, which changes one run in some dozens.
#[test]
fn runs_of_one_seed_are_identical() {
    for seed in [0, 1, 2, 3, 99] {
        let one = run_once(seed, &Wrong::Nothing, true);
        assert!(one.told.len() > 100, "seed {seed}: {:?}", one.told);
        let mut others = (0..4).map(|_| run_once(seed, &Wrong::Nothing, true).told);
        assert!(others.any(|other| other == one.told), "seed {seed}: {:?}", one.told);
    }
}

#[test]
fn faulty_stores_are_detected() {
    for (wrong, promise) in [
        (Wrong::SwapsAlways(Arc::default()), Promise::EndHolds),
        (Wrong::SwapsNever, Promise::SignedIn),
        (Wrong::KeepsEnds, Promise::SignedIn),
        (Wrong::AcknowledgesNothing, Promise::OldTokenEnds),
        (Wrong::AcknowledgesAtOnce, Promise::SignedIn),
        (Wrong::EndsNothing, Promise::EndHolds),
    ] {
        let found = find(0..ENOUGH, &wrong, promise);
        assert!(found.is_some(), "{wrong:?} breaks {promise:?} in none of {ENOUGH} seeds");
        say(&format!("{promise:?} is broken by seed {found:?}"));
    }
}

#[test]
fn every_promise_is_quoted_from_the_documentation() {
    let spaced = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for promise in PROMISES {
        let (page, words) = promise.words();
        let text = fs::read_to_string(root.join(page)).unwrap();
        assert!(spaced(&text).contains(&spaced(words)), "{page} does not say: {words}");
    }
}
