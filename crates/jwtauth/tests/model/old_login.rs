//! A browser that starts with a login of another package instead of a session, and a thief who copies its credential.
//!
//! The rules are those of the engine, `RotationPolicy::decide_old_login` and `RotationPolicy::take_over`. The model is
//! the record of the login, which stands beside the row of the session, and the other package.
//!
//! Assumptions:
//!
//! - The browser sends the old credential with each request, and never forgets it. A request by a link on another site
//!   brings nothing else.
//! - The other package accepts the credential until it expires or is spent. It may not be possible to spend it, and an
//!   attempt may fail.
//! - Before old credentials start sessions, some workers may still know only the other package.
//! - The end of a session is recorded with the login in the same transaction.

use jwtauth::{MovedLogin, OldCredential, OldLoginDecision, OldLoginPeriod, RotationPolicy, UnixTime};

use crate::{
    state::{Access, Jar, Kind, Row, Stage, State, Wrong},
    thief::{Loot, Thief},
    world::{Action, NOW, Notes, World},
};

/// What is known when a credential is shown.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    pub(crate) period: OldLoginPeriod,
    pub(crate) credential: Option<OldCredential>,
    pub(crate) moved: Option<MovedLogin>,
    pub(crate) password_changed_at: Option<UnixTime>,
    pub(crate) uncertain: bool,
}

pub(crate) type DecideOldLogin = fn(&RotationPolicy, Shown) -> OldLoginDecision;

/// The engine's rule.
pub(crate) const RULE: DecideOldLogin = |policy, shown| {
    let Shown { period, credential, moved, password_changed_at, uncertain } = shown;
    policy.decide_old_login(&period, credential.as_ref(), moved.as_ref(), password_changed_at, uncertain, NOW)
};

/// How logins of another package move in. Figures are in ticks.
pub(crate) struct Moves {
    /// The lifetime of a refresh token.
    pub(crate) idle: u8,
    /// How long the credential is valid; `None` if it never expires.
    pub(crate) lifetime: Option<u8>,
    /// Whether the session ends when the credential would have.
    pub(crate) is_fixed: bool,
    pub(crate) can_be_spent: bool,
    /// Whether writes may get lost after a request was admitted: of the time at which the new tokens were seen, and of
    /// the other package.
    pub(crate) losses: bool,
    /// Whether workers of the old version answer requests until sessions start.
    pub(crate) old_workers: bool,
    pub(crate) links: bool,
    pub(crate) sign_outs: bool,
    pub(crate) passwords: bool,
    /// Whether the period in which logins are accepted ends.
    pub(crate) ends: bool,
    pub(crate) loot: Loot,
    pub(crate) decide: DecideOldLogin,
    pub(crate) spends_at_start: bool,
    /// Whether a sign-out without a session is recorded.
    pub(crate) keeps_tombstones: bool,
    /// Whether the end of a session is recorded with the login.
    pub(crate) records_ends: bool,
    /// Whether the new tokens count as seen once the session's row shows it, even if that could not be recorded.
    pub(crate) rows_show_use: bool,
    /// Whether requests of the render server are uncertain, as uploads are.
    pub(crate) renderings_are_uncertain: bool,
}

/// When the model is: before sessions start, while they do, or after the last moment.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Period {
    Before,
    Open,
    Over,
}

/// A login of another package.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct OldLogin {
    pub(crate) period: Period,
    /// Ticks until the credential expires; `None` if never.
    left: Option<u8>,
    pub(crate) is_spent: bool,
    /// Whether the user has signed out, the session was ended, or the password was changed.
    is_ended: bool,
    has_new_password: bool,
    moved: Option<Moved>,
    /// Whether the session has not been refreshed yet.
    pub(crate) is_first_generation: bool,
}

/// The record of a login that moved in. Ages are kept as far as a rule can tell them apart.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Moved {
    age: u8,
    /// Ticks until the session's first end.
    left: u8,
    /// Ticks since the new tokens were seen.
    seen: Option<u8>,
}

impl Moves {
    pub(crate) fn new() -> Self {
        Self {
            idle: 4,
            lifetime: None,
            is_fixed: false,
            can_be_spent: true,
            losses: false,
            old_workers: false,
            links: false,
            sign_outs: false,
            passwords: false,
            ends: false,
            loot: Loot::OldCredential,
            decide: RULE,
            spends_at_start: false,
            keeps_tombstones: true,
            records_ends: true,
            rows_show_use: true,
            renderings_are_uncertain: true,
        }
    }

    pub(crate) fn old_login(&self) -> OldLogin {
        OldLogin {
            period: if self.old_workers { Period::Before } else { Period::Open },
            left: self.lifetime,
            is_spent: false,
            is_ended: false,
            has_new_password: false,
            moved: None,
            is_first_generation: false,
        }
    }
}

impl Period {
    pub(crate) fn next(self) -> Option<Self> {
        match self {
            Self::Before => Some(Self::Open),
            Self::Open => Some(Self::Over),
            Self::Over => None,
        }
    }

    fn bounds(self, world: &World) -> OldLoginPeriod {
        let (last, next) = (NOW - world.ticks(1), NOW + world.ticks(1));
        match self {
            Self::Before => OldLoginPeriod::new(next, next + world.ticks(1)),
            Self::Open => OldLoginPeriod::new(last, next),
            Self::Over => OldLoginPeriod::new(last, NOW),
        }
    }
}

impl OldLogin {
    pub(crate) fn age(&mut self, world: &World) {
        self.left = self.left.map(|left| left.saturating_sub(1));
        if let Some(moved) = &mut self.moved {
            moved.age = (moved.age + 1).min(world.upload_delay + 1);
            moved.left = moved.left.saturating_sub(1);
            moved.seen = moved.seen.map(|age| (age + 1).min(world.grace));
        }
    }

    /// Return whether the other package accepts the credential.
    fn is_accepted(&self) -> bool {
        !self.is_spent && self.left != Some(0)
    }

    fn seen(&self) -> Option<u8> {
        self.moved.and_then(|moved| moved.seen)
    }
}

/// What happens to the record.
impl World {
    fn rules(&self) -> &Moves {
        self.moves.as_ref().unwrap()
    }

    /// Record that the client has used the new tokens, and spend the credential. A refresh token shows it only if it is
    /// of the first generation, an access token if it is the first of its generation.
    pub(crate) fn note_seen(&self, state: &mut State, is_first_access: bool, notes: Notes) {
        let (Some(old), Some(_)) = (&mut state.old, state.row) else { return };
        let is_sight = is_first_access || old.is_first_generation;
        if let Some(moved) = old.moved.as_mut().filter(|moved| is_sight && moved.seen.is_none()) {
            if matches!(notes, Notes::All | Notes::Unspent) {
                moved.seen = Some(0);
                old.is_spent |= notes == Notes::All && self.rules().can_be_spent;
                state.come_second();
            }
        }
    }

    /// End the session, if there is one.
    pub(crate) fn end(&self, state: &mut State) {
        state.row = None;
        if let Some(old) = &mut state.old {
            old.is_ended = true;
            // With losses, the other package is not told; `SpendAgain` makes up for it.
            old.is_spent |= self.rules().can_be_spent && !self.rules().losses;
            if let Some(moved) = old.moved.as_mut().filter(|_| self.rules().records_ends) {
                moved.seen = moved.seen.or(Some(0));
                state.come_second();
            }
        }
    }

    /// Let the view sign out, after the request was settled.
    pub(crate) fn sign_out(&self, state: &mut State) {
        self.note("a sign-out");
        let is_accepted = state.old.unwrap().is_accepted();
        self.end(state);
        let old = state.old.as_mut().unwrap();
        if old.moved.is_none() && is_accepted && self.rules().keeps_tombstones {
            self.note("a sign-out without a session");
            old.moved = Some(Moved { age: 0, left: 0, seen: Some(0) });
            state.come_second();
        }
    }

    pub(crate) fn change_password(&self, state: &mut State) {
        self.note("a new password");
        self.end(state);
        state.old.as_mut().unwrap().has_new_password = true;
        for request in &mut state.requests {
            if let Stage::Starting { is_outdated, .. } = &mut request.stage {
                *is_outdated = true;
            }
        }
    }

    /// Let a worker answer that knows only the other package.
    pub(crate) fn answer_elsewhere(&self, state: &mut State, kind: Kind) {
        self.note("an old worker answers");
        let old = state.old.unwrap();
        if !old.is_ended && !old.is_accepted() && old.left != Some(0) && kind != Kind::SignOut {
            state.wrong = Some(Wrong::SignedOut);
        }
    }

    /// Write the session and the record, unless another request was faster.
    pub(crate) fn start(&self, state: &mut State, kind: Kind, is_late: bool, is_outdated: bool) -> Option<Stage> {
        if is_late {
            self.note("a second start");
            return Some(Stage::There { jar: Jar::EMPTY, kind });
        }
        self.write_session(state);
        if is_outdated {
            state.row = None; // it has the hash of the old password
            return None;
        }
        if kind == Kind::SignOut {
            self.sign_out(state);
            return None;
        }
        Some(self.answer(state, true, 0))
    }

    fn write_session(&self, state: &mut State) {
        let rules = self.rules();
        let old = state.old.as_mut().unwrap();
        let end = old.left.filter(|_| rules.is_fixed).map(|left| NOW + self.ticks(left));
        let session = self.policy().take_over(end, NOW);
        let left = self.left_until(session.expires_at);
        old.moved = Some(Moved { age: 0, left, seen: None });
        old.is_first_generation = true;
        old.is_spent |= rules.spends_at_start;
        let acknowledged = session.acknowledged_at.map(|_| 0);
        state.row = Some(Row { acknowledged, left: Some(left), ..self.first_row() });
        state.forget_tokens();
        state.come_second();
    }
}

/// The decision about the credential.
impl World {
    fn is_live(&self, state: &State) -> bool {
        state.row.is_some_and(|row| !self.policy().lifetimes().is_over(&self.session(row), NOW))
    }

    /// Return the ticks since the new tokens were seen: as recorded, or as the session's row shows.
    fn seen(&self, state: &State) -> Option<u8> {
        let old = state.old.unwrap();
        let row = state.row.filter(|_| self.rules().rows_show_use);
        match (old.moved, row) {
            (Some(moved), Some(_)) if !old.is_first_generation => Some(moved.age),
            (Some(moved), Some(row)) => moved.seen.or(row.acknowledged),
            (moved, _) => moved.and_then(|moved| moved.seen),
        }
    }

    fn decide_old_login(&self, state: &State, is_renewable: bool, uncertain: bool) -> OldLoginDecision {
        let old = state.old.unwrap();
        let at = |left| NOW + self.ticks(left);
        let ago = |age| NOW - self.ticks(age);
        let credential = OldCredential::new(Some(ago(20)), old.left.map(at), is_renewable);
        let moved = old.moved.filter(|_| is_renewable); // an access credential has no record
        let seen = self.seen(state);
        let shown = Shown {
            period: old.period.bounds(self),
            credential: (!is_renewable || !old.is_spent).then_some(credential),
            moved: moved.map(|it| MovedLogin::new(ago(it.age), at(it.left), seen.map(ago), self.is_live(state))),
            password_changed_at: old.has_new_password.then_some(ago(1)),
            uncertain,
        };
        (self.rules().decide)(&self.policy(), shown)
    }

    /// Check what no one may get by an old credential.
    fn judge_old_login(&self, state: &State, decision: OldLoginDecision, uncertain: bool) -> Option<Wrong> {
        let old = state.old.unwrap();
        let is_live = self.is_live(state);
        let is_in_use = is_live && self.seen(state).is_some_and(|age| age >= self.grace);
        match decision {
            OldLoginDecision::Refuse => None,
            _ if old.period == Period::Over => Some(Wrong::AfterPeriod),
            _ if old.is_ended => Some(Wrong::LoginBroughtBack),
            OldLoginDecision::Start if is_live => Some(Wrong::TwoSessions),
            OldLoginDecision::Reuse => None,
            _ if is_in_use && !uncertain => Some(Wrong::NotFound),
            OldLoginDecision::Admit if is_in_use && old.moved?.age <= self.upload_delay => None,
            _ if is_in_use => Some(Wrong::Served),
            _ => None,
        }
    }

    /// Check that an honest user is admitted.
    fn judge_honest(&self, state: &State, decision: OldLoginDecision, uncertain: bool) -> Option<Wrong> {
        let old = state.old.unwrap();
        let may_be_refused = match old.moved.filter(|_| self.is_live(state)) {
            _ if old.period == Period::Over || old.is_ended => true,
            // The browser has the new tokens, or gets them within the time that a request takes.
            Some(moved) if self.seen(state).is_some() => uncertain && moved.age > self.upload_delay,
            _ => old.left == Some(0) || self.seen(state).is_some(),
        };
        let is_refused = decision == OldLoginDecision::Refuse && !may_be_refused;
        (is_refused || decision == OldLoginDecision::Reuse).then_some(Wrong::SignedOut)
    }

    /// Decide about the credential of a request that no token admits. Start no session yet.
    pub(crate) fn show(&self, state: &mut State, kind: Kind) -> Option<Stage> {
        let is_rendering = kind == Kind::Rendering && self.rules().renderings_are_uncertain;
        let uncertain = matches!(kind, Kind::Upload | Kind::Link) || is_rendering;
        let decision = self.decide_old_login(state, true, uncertain);
        self.note(note_of(decision, uncertain));
        let has_thief = state.thief.is_some_and(|thief| thief.may_end_the_session());
        let honest = if has_thief { None } else { self.judge_honest(state, decision, uncertain) };
        state.wrong = state.wrong.or(self.judge_old_login(state, decision, uncertain)).or(honest);
        match decision {
            OldLoginDecision::Start => Some(Stage::Starting { kind, is_late: false, is_outdated: false }),
            OldLoginDecision::Reissue => Some(self.answer(state, true, 0)),
            OldLoginDecision::Reuse => {
                self.note("the owner's old credential ends the session");
                self.end(state);
                None
            }
            _ => None,
        }
    }

    /// Let the thief show the copied credential.
    pub(crate) fn thief_shows(&self, state: &mut State, uncertain: bool) {
        let Some(mut thief) = state.thief else { return };
        let is_renewable = self.rules().loot == Loot::OldCredential;
        let decision = self.decide_old_login(state, is_renewable, uncertain);
        let gets_tokens = matches!(decision, OldLoginDecision::Start | OldLoginDecision::Reissue);
        if !is_renewable {
            self.note("the thief shows an access credential");
            let may_admit = decision == OldLoginDecision::Admit && !state.old.unwrap().has_new_password;
            if !may_admit && decision != OldLoginDecision::Refuse {
                state.wrong = Some(Wrong::StartedByAccess);
            }
            return;
        }
        let wrong = self.judge_old_login(state, decision, uncertain);
        state.wrong = state.wrong.or(wrong).or(thief.judge_old_login(self, decision));
        match decision {
            OldLoginDecision::Start => {
                self.note("the thief starts the session");
                self.write_session(state);
            }
            OldLoginDecision::Reissue => self.note("the thief gets the owner's tokens"),
            OldLoginDecision::Reuse => {
                self.note("the thief's old credential ends the session");
                self.end(state);
            }
            _ => {}
        }
        if gets_tokens {
            thief = state.thief.unwrap();
            thief.gets_tokens();
            state.thief = Some(thief);
        }
    }

    /// Return what else may happen if logins move in.
    pub(crate) fn moves(&self, state: &State, actions: &mut Vec<Action>) {
        let (Some(rules), Some(old)) = (&self.moves, state.old) else { return };
        for (index, request) in state.requests.iter().enumerate() {
            if old.period == Period::Before && rules.old_workers && matches!(request.stage, Stage::There { .. }) {
                actions.push(Action::ProceedElsewhere(index));
            }
            if rules.losses && !matches!(request.stage, Stage::Back { .. } | Stage::Starting { .. }) {
                actions.extend([Notes::Unspent, Notes::Unseen].map(|notes| Action::Proceed(index, notes)));
            }
        }
        if state.requests.len() < self.requests {
            let kinds = [(Kind::Link, rules.links), (Kind::SignOut, rules.sign_outs && !old.is_ended)];
            actions.extend(kinds.into_iter().filter(|(_, may)| *may).map(|(kind, _)| Action::Send { kind }));
        }
        if old.period == Period::Before || rules.ends && old.period == Period::Open {
            actions.push(Action::NextPeriod);
        }
        if rules.passwords && !old.is_ended {
            actions.push(Action::ChangePassword);
        }
        if rules.losses && rules.can_be_spent && !old.is_spent && old.seen().is_some() {
            actions.push(Action::SpendAgain);
        }
    }
}

fn note_of(decision: OldLoginDecision, uncertain: bool) -> &'static str {
    match decision {
        OldLoginDecision::Start => "an old login starts a session",
        OldLoginDecision::Reissue => "an old login gets the tokens again",
        OldLoginDecision::Admit if uncertain => "an old login admits a late request",
        OldLoginDecision::Admit => "an old login admits a request",
        OldLoginDecision::Refuse if uncertain => "an old login refuses a late request",
        OldLoginDecision::Refuse => "an old login is refused",
        _ => "an old login is reused",
    }
}

impl State {
    /// Let all workers that are about to start a session find that another request was first.
    fn come_second(&mut self) {
        for request in &mut self.requests {
            if let Stage::Starting { is_late, .. } = &mut request.stage {
                *is_late = true;
            }
        }
    }

    /// Forget all tokens, which are of a session that has expired.
    fn forget_tokens(&mut self) {
        self.jar = Jar::EMPTY;
        for request in &mut self.requests {
            match &mut request.stage {
                Stage::There { jar, .. } => *jar = Jar::EMPTY,
                Stage::Writing { .. } => {
                    request.stage = Stage::There { jar: Jar::EMPTY, kind: Kind::Ordinary };
                }
                Stage::Back { access, refresh, .. } => (*access, *refresh) = (None::<Access>, None),
                Stage::Acknowledging { .. } | Stage::Starting { .. } => {}
                Stage::Confirming | Stage::Authenticating { .. } => unreachable!(),
            }
        }
        self.requests.retain(|request| !matches!(request.stage, Stage::Acknowledging { .. }));
        self.requests.sort_unstable();
        self.thief.iter_mut().for_each(Thief::forget_tokens);
    }
}
