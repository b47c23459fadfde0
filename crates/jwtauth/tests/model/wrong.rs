//! Rules that are wrong on purpose, to prove that each property can fail.

use jwtauth::{Decision, MAX_UPLOAD_DELAY, Refusal, RotationPolicy};

use crate::{
    fails, oracle,
    world::{Decide, World},
};

/// The rule of the first version: the acknowledgement decides whether an upload with the previous token is admitted.
pub(crate) const UPLOADS_BY_ACKNOWLEDGEMENT: Decide = |policy, session, presented, now| {
    let decision = policy.decide(session, presented, now);
    if !presented.upload || presented.generation >= session.generation || decision == Decision::Refuse(Refusal::Expired)
    {
        return decision;
    }
    match policy.decide(session, presented.with_upload(false), now) {
        Decision::Reissue => Decision::Admit { acknowledge: false },
        _ => Decision::Refuse(Refusal::LateUpload),
    }
};

const GRACE_FROM_ROTATION: Decide = |policy, session, presented, now| {
    let acknowledged_at = Some(session.rotated_at);
    policy.decide(&session.with_acknowledged_at(acknowledged_at), presented, now)
};

const UPLOADS_AS_ORDINARY_REQUESTS: Decide =
    |policy, session, presented, now| policy.decide(session, presented.with_upload(false), now);

const LOSSES_ARE_THEFT: Decide = |policy, session, presented, now| match policy.decide(session, presented, now) {
    Decision::Adopt(_) => Decision::Reuse,
    decision => decision,
};

pub(crate) const THEFT_IS_IGNORED: Decide =
    |policy, session, presented, now| match policy.decide(session, presented, now) {
        Decision::Reuse => Decision::Reissue,
        decision => decision,
    };

const UPLOADS_WITHOUT_BOUND: Decide = |policy, session, presented, now| {
    let rotated_at = session.rotated_at.max(now - MAX_UPLOAD_DELAY);
    let session = if presented.upload { session.with_generation(session.generation, rotated_at) } else { *session };
    policy.decide(&session, presented, now)
};

const UPLOADS_GET_TOKENS: Decide = |policy, session, presented, now| match policy.decide(session, presented, now) {
    Decision::Admit { acknowledge: false } if presented.generation < session.generation => Decision::Reissue,
    decision => decision,
};

const LATE_UPLOADS_LEAVE_NO_RECORD: Decide =
    |policy, session, presented, now| match policy.decide(session, presented, now) {
        Decision::Refuse(Refusal::LateUpload) => Decision::Refuse(Refusal::Expired),
        decision => decision,
    };

#[test]
fn wrong_rules_are_detected() {
    let world = |decide| World { uploads: true, decide, ..World::new() };
    let thief = |decide| World { thief: true, requests: 1, ..world(decide) };
    let signed_in = "an honest user stays signed in";
    fails("grace counted from the rotation", world(GRACE_FROM_ROTATION), signed_in);
    fails("uploads treated as ordinary requests", world(UPLOADS_AS_ORDINARY_REQUESTS), signed_in);
    let losses = World { restores: true, uploads: false, ..world(LOSSES_ARE_THEFT) };
    fails("a lost write treated as a theft", losses, signed_in);
    let server = World { renders: true, secretless: true, uploads: false, ..world(RotationPolicy::decide) };
    fails("a render server without the secret", server, signed_in);
    fails("uploads by acknowledgement", world(UPLOADS_BY_ACKNOWLEDGEMENT), "an upload in time is admitted");
    fails("thefts are ignored", thief(THEFT_IS_IGNORED), "an old token in use beside the new one is found");
    let locked_out = "a thief who is locked out gets nothing";
    fails("uploads without a limit", thief(UPLOADS_WITHOUT_BOUND), locked_out);
    fails("uploads get tokens", thief(UPLOADS_GET_TOKENS), locked_out);
    let record = "a refused thief leaves a record";
    fails("late uploads without a record", thief(LATE_UPLOADS_LEAVE_NO_RECORD), record);
}

#[test]
fn uploads_admitted_by_acknowledgement_are_an_oracle() {
    let (one, other) = oracle::find(UPLOADS_BY_ACKNOWLEDGEMENT).unwrap();
    let mut codes = [one.code(), other.code()];
    codes.sort_unstable();
    assert_eq!(codes, ["admit", "late_upload"]);
}
