//! Rules for users who authenticate again, and for locks, that are wrong on purpose.

use jwtauth::{Authentication, Decision, Methods, UnixTime};

use crate::{
    fails,
    reauthentication::{AuthenticationOf, Reauthenticate},
    world::{Decide, World},
};

const REFRESHES_TAKE_THE_ROWS: AuthenticationOf =
    |_, session| Authentication::new(session.authenticated_at(), Methods::default());

const TOKENS_STAY_AHEAD: AuthenticationOf =
    |claims, session| Authentication::new(claims.auth_time.unwrap_or(session.created_at), Methods::default());

const ALWAYS_RAISES: Reauthenticate = |policy, session, now| {
    let last = Some(UnixTime::EPOCH);
    let ready = session.with_generation(session.generation, UnixTime::EPOCH);
    policy.reauthenticate(&ready.with_acknowledged_at(last).with_auth_time(last), now)
};

/// The rule of the first version.
const RAISES_ONCE_SEEN: Reauthenticate = |policy, session, now| {
    let raises = session.acknowledged_at.is_some();
    if raises { ALWAYS_RAISES(policy, session, now) } else { policy.reauthenticate(session, now) }
};

const RAISES_TWICE_IN_THE_GRACE: Reauthenticate =
    |policy, session, now| policy.reauthenticate(&session.with_auth_time(Some(UnixTime::EPOCH)), now);

const ROTATES_IN_THE_GRACE: Decide = |policy, session, presented, now| match policy.decide(session, presented, now) {
    Decision::RenewAccess { .. } => policy.decide(&session.with_auth_time(Some(UnixTime::EPOCH)), presented, now),
    decision => decision,
};

const OLDER_TOKENS_GET_NEW_ONES: Decide =
    |policy, session, presented, now| policy.decide(session, presented.with_auth_time(session.auth_time), now);

const LOCKS_ARE_IGNORED: Decide =
    |policy, session, presented, now| policy.with_lock_after(None).decide(session, presented, now);

const STAYS_LOCKED: Reauthenticate =
    |policy, session, now| policy.reauthenticate(session, now).map(|next| next.with_locks_at(session.locks_at));

#[test]
fn wrong_rules_for_reauthentication_are_detected() {
    let world = || World { reauthenticates: true, ..World::new() }.with_figures(1, 2, 0, 3);
    let slow = |world: World| world.with_figures(2, 2, 1, 3);
    let younger = "no refresh makes an authentication younger";
    let refreshes = || World { authentication_of: REFRESHES_TAKE_THE_ROWS, ..world() };
    fails("refreshes take the row's authentication", refreshes(), younger);
    fails("the same, a thief", World { thief: true, requests: 1, ..refreshes() }, younger);
    let ahead = World { authentication_of: TOKENS_STAY_AHEAD, restores: true, requests: 1, ..world() };
    fails("tokens stay ahead of their row", ahead, "no token is ahead of its row's authentication");

    let signed_in = "an honest user stays signed in";
    let rule = |reauthenticate| World { reauthenticate, ..world() };
    fails("each authentication raises the generation", World { requests: 1, ..rule(ALWAYS_RAISES) }, signed_in);
    fails("each raises it once it was seen", rule(RAISES_ONCE_SEEN), signed_in);
    fails("two raise it in the grace", slow(rule(RAISES_TWICE_IN_THE_GRACE)), signed_in);
    let rotates = World { decide: ROTATES_IN_THE_GRACE, ..world() };
    fails("a refresh raises it in the grace", slow(rotates), signed_in);
    let generation = World { compares_auth_time: false, ..world() };
    fails("a swap compares the generation only", slow(generation), signed_in);
    let older = World { decide: OLDER_TOKENS_GET_NEW_ONES, ..world() };
    fails("older tokens get new ones", older, "no other tab takes an authentication back");

    let locks = || World { lock_after: Some(2), ..world() };
    let ignored = World { decide: LOCKS_ARE_IGNORED, ..locks() };
    fails("locks are ignored", ignored, "a locked session admits nothing");
    let stays = World { reauthenticate: STAYS_LOCKED, ..locks() };
    fails("a session stays locked", stays, "an authentication revives a session");
}
