//! Rules for sessions that are bound to a device, that are wrong on purpose.

use jwtauth::{Decision, DeviceBinding, Proof, Registration, Session};

use crate::{
    device::{Devices, Rules},
    device_keys::{Challenge, Engine, Exchange, OLD, Row, Shown, Signer, absolute},
    fails,
    world::NOW,
};

/// Ask the engine about a proof over this challenge.
fn prove(engine: &Engine, row: Row, shown: Shown, challenge: Challenge) -> Proof {
    engine.prove(row, Some(challenge), shown.signer)
}

fn with_prove(prove: fn(&Engine, Row, Shown) -> Proof) -> Rules {
    Rules { prove, ..Rules::new() }
}

fn rule(engine: &Engine, row: Row, shown: Shown) -> Proof {
    engine.prove(row, shown.challenge, shown.signer)
}

fn newest_challenge_has_a_grace(engine: &Engine, row: Row, shown: Shown) -> Proof {
    match rule(engine, row, shown) {
        Proof::Good(Decision::Rotate(_)) if row.rotated < engine.grace => Proof::Good(Decision::Reissue),
        proof => proof,
    }
}

fn cookies_decide(engine: &Engine, row: Row, shown: Shown) -> Proof {
    let Some(challenge) = shown.challenge else { return rule(engine, row, shown) };
    prove(engine, row, shown, Challenge { generation: shown.cookie, ..challenge })
}

fn stale_challenges_tell_of_theft(engine: &Engine, row: Row, shown: Shown) -> Proof {
    match rule(engine, row, shown) {
        Proof::Challenge if shown.challenge.is_some() => Proof::Stolen,
        proof => proof,
    }
}

fn challenges_never_expire(engine: &Engine, row: Row, shown: Shown) -> Proof {
    let Some(challenge) = shown.challenge.filter(|it| it.generation > OLD) else { return rule(engine, row, shown) };
    prove(engine, row, shown, Challenge { left: challenge.left.max(1), ..challenge })
}

/// Adopt the generation of a challenge that is ahead, as that of a refresh token is.
fn future_challenges_are_adopted(engine: &Engine, row: Row, shown: Shown) -> Proof {
    let Some(challenge) = shown.challenge.filter(|it| it.generation > 0 && it.left > 0) else {
        return rule(engine, row, shown);
    };
    match prove(engine, row, shown, Challenge { generation: 0, ..challenge }) {
        Proof::Good(Decision::Rotate(mut next)) => {
            next.generation = absolute(challenge.generation);
            Proof::Good(Decision::Rotate(next))
        }
        proof => proof,
    }
}

fn wrong_signatures_get_a_challenge(engine: &Engine, row: Row, shown: Shown) -> Proof {
    match rule(engine, row, shown) {
        Proof::Stolen => Proof::Challenge,
        proof => proof,
    }
}

fn proofs_of_any_generation_rotate(engine: &Engine, row: Row, shown: Shown) -> Proof {
    let Some(challenge) = shown.challenge else { return rule(engine, row, shown) };
    prove(engine, row, shown, Challenge { generation: 0, ..challenge })
}

fn refuses_all_but_rotations(engine: &Engine, row: Row, shown: Shown) -> Proof {
    match rule(engine, row, shown) {
        Proof::Good(Decision::Reissue) => Proof::Elsewhere,
        proof => proof,
    }
}

fn restarts(engine: &Engine, exchange: Exchange, session: &Session) -> Session {
    let next = engine.exchange(exchange, session);
    next.with_generation(next.generation, NOW)
}

/// The rule of the first version.
fn registrations_are_repeated(engine: &Engine, row: Row, challenge: Challenge, signer: Signer) -> Registration {
    let generation = if row.is_bound { -1 } else { challenge.generation };
    engine.register(row, Challenge { generation, ..challenge }, signer)
}

fn offers_are_good_for_any_generation(engine: &Engine, row: Row, challenge: Challenge, signer: Signer) -> Registration {
    let generation = if row.is_bound { challenge.generation } else { 0 };
    engine.register(row, Challenge { generation, ..challenge }, signer)
}

/// Rules for the lost answer to a registration.
#[test]
fn wrong_rules_for_lost_registrations_are_detected() {
    let world = |rules| Devices { registers: true, rules, ..Devices::new(1, 3) };
    let signed_out = "an honest browser is not signed out";
    let at_once = Rules {
        decide: |policy, session, presented, now| policy.decide(&seen(session), presented, now),
        ..Rules::new()
    };
    fails("a key counts at once", world(at_once), signed_out);
    let rotates = Rules { unbinding_rotates: true, ..Rules::new() };
    fails("removing a key rotates", world(rotates), signed_out);
    let ignored = Rules { compares_key: false, ..Rules::new() };
    fails("a refresh ignores that the key was removed", world(ignored), signed_out);
    let any = Rules { register: offers_are_good_for_any_generation, ..Rules::new() };
    fails("an offer is good for any generation", world(any), signed_out);
    let always = Rules {
        decide: |policy, session, presented, now| policy.decide(&session.with_acknowledged_at(None), presented, now),
        ..Rules::new()
    };
    fails("an older token always unbinds", world(always), "a token alone changes nothing");
}

fn seen(session: &Session) -> Session {
    session.with_acknowledged_at(Some(session.rotated_at))
}

#[test]
fn wrong_rules_for_devices_are_detected() {
    let world = || Devices { messages: 1, ..Devices::new(1, 3) };
    let thief = |rules| Devices { thief: true, rules, ..world() };
    let honest = |prove| Devices { rules: with_prove(prove), ..world() };
    let bound = "nothing is accepted after the bound";
    fails("the newest challenge has a grace", thief(with_prove(newest_challenge_has_a_grace)), bound);
    let cookies = |devices| Devices { cookies: &[0, -1, OLD], ..devices };
    fails("cookies decide", cookies(honest(cookies_decide)), "a key refreshes in two exchanges");
    fails("a copied proof with the newest cookie", cookies(thief(with_prove(proofs_of_any_generation_rotate))), bound);
    fails("challenges never expire", thief(with_prove(challenges_never_expire)), bound);
    let restores = Devices { restores: true, ..thief(with_prove(future_challenges_are_adopted)) };
    fails("future challenges are adopted", restores, bound);
    let signed_out = "an honest browser is not signed out";
    fails("stale challenges tell of theft", honest(stale_challenges_tell_of_theft), signed_out);
    let repeated = Devices { messages: 2, ..honest(refuses_all_but_rotations) };
    fails("a proof that arrives twice is refused", repeated, signed_out);
    let signatures = honest(wrong_signatures_get_a_challenge);
    fails("wrong signatures get a challenge", signatures, "a wrong signature ends the session");

    let later = "only a proof moves an end";
    let from_now = || Rules { access_end: |engine, session| engine.access_end(&unbound(session)), ..Rules::new() };
    fails("ends counted from now", Devices { rules: from_now(), ..world() }, later);
    let restarts = Rules { exchange: restarts, ..Rules::new() };
    fails("acting, or a new password, restarts the end", Devices { rules: restarts, ..world() }, later);
    let repeats = Rules { register: registrations_are_repeated, ..Rules::new() };
    fails("registrations are repeated", Devices { registers: true, ..thief(repeats) }, bound);
    let alone = "a token alone changes nothing";
    let ignored = Rules {
        decide: |policy, session, presented, now| policy.decide(&unbound(session), presented, now),
        ..Rules::new()
    };
    fails("a refresh token is enough", Devices { rules: ignored, ..world() }, alone);
    let late = "a thief who comes late binds nothing";
    let offers = Devices { registers: true, ..thief(Rules { offers_later: true, ..Rules::new() }) };
    fails("any response offers to bind", offers, late);
}

/// Without [`jwtauth::Grantee::not_after`], an access token is exchanged for one of a later rotation, which ends later.
#[test]
fn exchanged_token_that_ends_later_is_found() {
    let rules = Rules { ends_with_presented: false, ..Rules::new() };
    let thief = Devices { messages: 1, thief: true, rules, ..Devices::new(1, 3) };
    fails("an older access token is exchanged", thief, "only a proof moves an end");
}

fn unbound(session: &Session) -> Session {
    session.with_device(DeviceBinding::Unbound)
}
