//! A test that no answer tells a thief, at no risk, whether the owner has picked up the newest tokens.
//!
//! A thief who refreshed first can safely use the new tokens from that moment on. The row records it as
//! [`Session::acknowledged_at`]. A request without risk changes nothing in the row. So if two rows differ only in this
//! column, no such request may be answered differently.

use std::time::Duration;

use jwtauth::{
    Decision, Generation, Lifetimes, MAX_ADOPTION, MAX_UPLOAD_DELAY, Presented, RotationPolicy, Session, UnixTime,
};
use proptest::{prelude::*, test_runner::RngSeed};

use crate::world::Decide;

const ACCESS: u64 = 300;
const IDLE: u64 = 86_400;
const GRACE: u64 = 30;
const UPLOADS: u64 = MAX_UPLOAD_DELAY.as_secs();
const ROTATED: u64 = 1_700_000_000;

fn policy() -> RotationPolicy {
    let [access, idle, grace] = [ACCESS, IDLE, GRACE].map(Duration::from_secs);
    RotationPolicy::new(Lifetimes::new(access, idle, None).unwrap(), grace)
}

/// Return a row at generation 20.
fn row(acknowledged_at: Option<u64>) -> Session {
    let [created, rotated, end] = [ROTATED - 10_000, ROTATED, ROTATED + IDLE].map(UnixTime::from_secs);
    Session::new(created, end)
        .with_generation(Generation::new(20), rotated)
        .with_acknowledged_at(acknowledged_at.map(UnixTime::from_secs))
}

/// Return whether this decision leaves the row unchanged.
fn changes_nothing(decision: &Decision, session: &Session) -> bool {
    *decision != Decision::Reuse && !decision.acknowledges() && decision.next(session).is_none()
}

/// Return the decisions for two rows if they differ although neither changes its row.
fn differ(decide: Decide, rows: [Session; 2], presented: Presented, now: u64) -> Option<(Decision, Decision)> {
    let [one, other] = rows.map(|row| decide(&policy(), &row, presented, UnixTime::from_secs(now)));
    let is_without_risk = changes_nothing(&one, &rows[0]) && changes_nothing(&other, &rows[1]);
    (is_without_risk && one != other).then_some((one, other))
}

/// Return each age at which a rule changes its answer, and its neighbours.
fn ages() -> Vec<u64> {
    let edges = [0, GRACE, 2 * GRACE, ACCESS, ACCESS + GRACE, UPLOADS, 2 * UPLOADS, IDLE];
    edges.into_iter().flat_map(|age| [age.saturating_sub(1), age, age + 1]).collect()
}

/// Search every generation that a rule can tell apart, every pair of acknowledgements and every age.
pub(crate) fn find(decide: Decide) -> Option<(Decision, Decision)> {
    let acknowledgements: Vec<_> = ages().into_iter().map(|age| Some(ROTATED + age)).chain([None]).collect();
    for generation in 0..=20 + MAX_ADOPTION + 2 {
        for upload in [false, true] {
            for now in ages().into_iter().map(|age| ROTATED + age) {
                for (one, other) in
                    acknowledgements.iter().flat_map(|it| acknowledgements.iter().map(move |to| (it, to)))
                {
                    let presented = Presented::new(Generation::new(generation)).with_upload(upload);
                    if let Some(found) = differ(decide, [row(*one), row(*other)], presented, now) {
                        return Some(found);
                    }
                }
            }
        }
    }
    None
}

#[test]
fn answers_without_risk_do_not_reveal_an_acknowledgement() {
    assert_eq!(find(RotationPolicy::decide), None);
}

/// Run the same cases every time; `PROPTEST_CASES` sets their number.
fn config() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(7519), failure_persistence: None, ..ProptestConfig::default() }
}

fn older(row: &Session, by: u64) -> Presented {
    Presented::new(Generation::new(row.generation.get().saturating_sub(by)))
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0..40u64, ROTATED..ROTATED + 100, ROTATED..ROTATED + IDLE]
}

prop_compose! {
    fn any_row()(generation in number(), rotated_at in number(), created_at in number(), expires_at in number(),
                 acknowledged_at in prop::option::of(number()), end_is_fixed: bool) -> Session {
        let [created_at, expires_at, rotated_at] = [created_at, expires_at, rotated_at].map(UnixTime::from_secs);
        Session::new(created_at, expires_at)
            .with_generation(Generation::new(generation), rotated_at)
            .with_acknowledged_at(acknowledged_at.map(UnixTime::from_secs))
            .with_fixed_end(end_is_fixed)
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn answers_without_risk_do_not_reveal_an_acknowledgement_of_any_row(
        row in any_row(), other in prop::option::of(number()), behind in 0..3u64, upload: bool, now in number(),
    ) {
        let rows = [row, row.with_acknowledged_at(other.map(UnixTime::from_secs))];
        let presented = older(&row, behind).with_upload(upload);
        prop_assert_eq!(differ(RotationPolicy::decide, rows, presented, now), None);
    }

    /// This holds even if the upload writes the acknowledgement.
    #[test]
    fn answer_to_an_upload_does_not_depend_on_an_acknowledgement(
        row in any_row(), other in prop::option::of(number()), behind in 0..3u64, now in number(),
    ) {
        let presented = older(&row, behind).with_upload(true);
        let rows = [row, row.with_acknowledged_at(other.map(UnixTime::from_secs))];
        let [one, other] = rows.map(|row| policy().decide(&row, presented, UnixTime::from_secs(now)));
        prop_assert_eq!((one.code(), one.issues()), (other.code(), other.issues()));
    }
}
