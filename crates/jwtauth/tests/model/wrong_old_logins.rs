//! Rules for old logins that are wrong on purpose, to prove that each property can fail.

use std::time::Duration;

use jwtauth::{MovedLogin, OldCredential, OldLoginDecision, OldLoginPeriod, RotationPolicy, UnixTime};

use crate::{
    fails, moving,
    old_login::{DecideOldLogin, Moves, RULE, Shown},
    thief::Loot,
    world::{NOW, World},
    wrong::THEFT_IS_IGNORED,
};

/// Return what is shown, with another record.
fn with(shown: Shown, change: impl Fn(MovedLogin) -> MovedLogin) -> Shown {
    Shown { moved: shown.moved.map(change), ..shown }
}

const NO_GRACE_ONCE_SEEN: DecideOldLogin =
    |policy, shown| RULE(&RotationPolicy::new(*policy.lifetimes(), Duration::ZERO), shown);

const GRACE_FROM_THE_START: DecideOldLogin = |policy, shown| {
    let seen = |it: MovedLogin| MovedLogin::new(it.moved_at, it.first_end, Some(it.moved_at), it.is_live);
    RULE(policy, with(shown, seen))
};

const THE_OTHER_PACKAGE_DECIDES: DecideOldLogin =
    |policy, shown| if shown.credential.is_none() { OldLoginDecision::Refuse } else { RULE(policy, shown) };

const EXPIRED_UNSEEN_SESSIONS_ARE_ENDED: DecideOldLogin = |policy, shown| {
    let ended = |it: MovedLogin| MovedLogin::new(it.moved_at, UnixTime::MAX, it.seen_at, it.is_live);
    RULE(policy, with(shown, ended))
};

const LATE_REQUESTS_TELL_OF_THEFT: DecideOldLogin = |policy, shown| RULE(policy, Shown { uncertain: false, ..shown });

const LATE_REQUESTS_ARE_REFUSED: DecideOldLogin = |policy, shown| match RULE(policy, shown) {
    OldLoginDecision::Admit if shown.moved.is_some() => OldLoginDecision::Refuse,
    decision => decision,
};

const LATE_REQUESTS_WITHOUT_BOUND: DecideOldLogin = |policy, shown| {
    let moved_now = |it: MovedLogin| MovedLogin::new(NOW, it.first_end, it.seen_at, it.is_live);
    RULE(policy, with(shown, moved_now))
};

const LATE_REQUESTS_GET_TOKENS: DecideOldLogin = |policy, shown| match RULE(policy, shown) {
    OldLoginDecision::Admit if shown.moved.is_some() => OldLoginDecision::Reissue,
    decision => decision,
};

const OLD_CREDENTIALS_ARE_NEVER_REUSED: DecideOldLogin = |policy, shown| match RULE(policy, shown) {
    OldLoginDecision::Reuse => OldLoginDecision::Reissue,
    decision => decision,
};

const RECORDS_ARE_FORGOTTEN: DecideOldLogin = |policy, shown| RULE(policy, Shown { moved: None, ..shown });

const ENDS_ARE_FORGOTTEN: DecideOldLogin =
    |policy, shown| RULE(policy, Shown { moved: shown.moved.filter(|moved| moved.is_live), ..shown });

const PASSWORDS_ARE_IGNORED: DecideOldLogin =
    |policy, shown| RULE(policy, Shown { password_changed_at: None, ..shown });

const SESSIONS_START_BEFORE_THE_PERIOD: DecideOldLogin =
    |policy, shown| RULE(policy, Shown { period: OldLoginPeriod::new(UnixTime::EPOCH, shown.period.until), ..shown });

const THE_PERIOD_NEVER_ENDS: DecideOldLogin =
    |policy, shown| RULE(policy, Shown { period: OldLoginPeriod::new(shown.period.since, UnixTime::MAX), ..shown });

const ACCESS_STARTS_A_SESSION: DecideOldLogin = |policy, shown| {
    let renewable = |it: OldCredential| OldCredential::new(it.issued_at, it.expires_at, true);
    RULE(policy, Shown { credential: shown.credential.map(renewable), ..shown })
};

#[test]
fn wrong_rules_for_old_logins_are_detected() {
    let rule = |decide| Moves { decide, links: true, ..Moves::new() };
    let signed_in = "an honest user stays signed in";
    let slow = |decide| moving(rule(decide)).with_figures(2, 2, 1, 3);
    fails("no grace once seen", slow(NO_GRACE_ONCE_SEEN), signed_in);
    fails("grace from the start", moving(rule(GRACE_FROM_THE_START)), signed_in);
    fails("the other package decides", moving(rule(THE_OTHER_PACKAGE_DECIDES)), signed_in);
    fails("expired unseen sessions are ended", moving(rule(EXPIRED_UNSEEN_SESSIONS_ARE_ENDED)), signed_in);
    fails("late requests tell of theft", moving(rule(LATE_REQUESTS_TELL_OF_THEFT)), signed_in);
    fails("late requests are refused", moving(rule(LATE_REQUESTS_ARE_REFUSED)), signed_in);
    let early = Moves { old_workers: true, ..rule(SESSIONS_START_BEFORE_THE_PERIOD) };
    fails("sessions before every worker knows them", moving(early), signed_in);
    let renders = Moves { renderings_are_uncertain: false, idle: 6, ..Moves::new() };
    fails("a render server tells of theft", World { renders: true, requests: 3, ..moving(renders) }, signed_in);
    fails("spent at the start", moving(Moves { spends_at_start: true, ..Moves::new() }), signed_in);

    fails("records are forgotten", moving(rule(RECORDS_ARE_FORGOTTEN)), "an old login has one session");
    let ended = "an ended login starts nothing";
    let signs_out = |decide| Moves { sign_outs: true, can_be_spent: false, ..rule(decide) };
    fails("ends are forgotten", moving(signs_out(ENDS_ARE_FORGOTTEN)), ended);
    fails("ends are not recorded", moving(Moves { records_ends: false, ..signs_out(RULE) }), ended);
    let early = Moves { keeps_tombstones: false, old_workers: true, ..signs_out(RULE) };
    fails("sign-outs without a session are not recorded", moving(early), ended);
    let passwords = Moves { passwords: true, can_be_spent: false, ..rule(PASSWORDS_ARE_IGNORED) };
    fails("passwords are ignored", moving(passwords), ended);
    let period = Moves { ends: true, ..rule(THE_PERIOD_NEVER_ENDS) };
    fails("the period never ends", moving(period), "nothing is accepted after the period");

    let thief = |moves| World { thief: true, uploads: true, requests: 1, ..moving(moves) };
    let found = "an old token in use beside the new one is found";
    fails("an old credential is never reused", thief(rule(OLD_CREDENTIALS_ARE_NEVER_REUSED)), found);
    let served = "a thief who is locked out gets nothing";
    fails("late requests without a limit", thief(rule(LATE_REQUESTS_WITHOUT_BOUND)), served);
    fails("late requests get tokens", thief(rule(LATE_REQUESTS_GET_TOKENS)), served);
    let access = Moves { loot: Loot::AccessCredential, ..rule(ACCESS_STARTS_A_SESSION) };
    fails("an access credential starts a session", thief(access), "an access credential starts nothing");
    let unseen = Moves { losses: true, rows_show_use: false, ..rule(RULE) };
    fails("a lost record of use is not made up for", thief(unseen), served);
    fails("thefts of tokens are ignored", World { decide: THEFT_IS_IGNORED, ..thief(Moves::new()) }, found);
}
