//! The world around the rules: a browser, its requests, the workers, and the database.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use jwtauth::{
    Authentication, Decision, Generation, Lifetimes, MAX_UPLOAD_DELAY, Presented, Refusal, RotationPolicy, Session,
    TokenKind, UnixTime,
};
use stateright::{Model, Property};

use crate::{
    forgeries::Forgeries,
    old_login::Moves,
    reauthentication::{AuthenticationOf, Reauthenticate, judge_lock},
    state::{Access, Jar, Kind, Offset, Refresh, Request, Rise, Row, Stage, State, Wrong},
    thief::{Attempt, Thief},
};

/// The present time. Its value does not matter.
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_000_000);
/// The row's generation. Its value does not matter.
pub(crate) const NEWEST: Generation = Generation::new(1_000);
/// How many of the last writes can get lost.
const LOSABLE_WRITES: usize = 2;

pub(crate) type Decide = fn(&RotationPolicy, &Session, Presented, UnixTime) -> Decision;

/// The figures of a run, in ticks, and what may happen in it.
pub(crate) struct World {
    pub(crate) grace: u8,
    pub(crate) access: u8,
    pub(crate) slowest: u8,
    /// How long after a rotation an upload may bring the previous generation.
    pub(crate) upload_delay: u8,
    /// How many requests the browser may have under way at once.
    pub(crate) requests: usize,
    pub(crate) uploads: bool,
    /// Whether a render server fetches with the cookies of the browser and with those of the answers that it gets.
    pub(crate) renders: bool,
    /// Whether the render server lacks the secret, so that the access tokens that it uses are acknowledged.
    pub(crate) secretless: bool,
    pub(crate) restores: bool,
    pub(crate) logout: bool,
    /// Whether the user may authenticate again.
    pub(crate) reauthenticates: bool,
    /// Whether a swap also fails if the user has authenticated again since the row was read.
    pub(crate) compares_auth_time: bool,
    /// After how many ticks without a refresh the session locks.
    pub(crate) lock_after: Option<u8>,
    pub(crate) thief: bool,
    /// How logins of another package move in, if the browser starts with one.
    pub(crate) moves: Option<Moves>,
    /// How many refreshes of the owner must pass for a thief to be locked out.
    pub(crate) refreshes: u8,
    /// Whether the thief makes no ordinary request within the grace period before or after a refresh of the owner.
    pub(crate) distance: bool,
    pub(crate) decide: Decide,
    pub(crate) reauthenticate: Reauthenticate,
    pub(crate) authentication_of: AuthenticationOf,
    pub(crate) forgeries: Forgeries,
    /// What has happened in any history, to prove that the properties were put to the test.
    pub(crate) seen: Arc<Mutex<BTreeSet<&'static str>>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Tick,
    Send {
        kind: Kind,
    },
    /// The render server fetches with the cookies of this answer before the browser has them.
    Render(usize),
    ForgetAccess,
    /// A worker starts or continues the request, or the browser receives the answer.
    Proceed(usize, Notes),
    /// A worker that does not know this package answers the request.
    ProceedElsewhere(usize),
    Lose(usize),
    Restore,
    Logout,
    Steal,
    ThiefUses(Attempt),
    /// The thief presents the copied credential of another package.
    ThiefShows {
        uncertain: bool,
    },
    /// Old credentials start sessions from now on, or are not accepted any more.
    NextPeriod,
    ChangePassword,
    /// `jwtauth_moved` spends what could not be spent before.
    SpendAgain,
    Forge,
}

/// What is written after a request was admitted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Notes {
    All,
    /// The other package cannot be told to refuse the credential.
    Unspent,
    /// The acknowledgement is written, but not that the new tokens were seen.
    Unseen,
    Nothing,
}

/// Conversions between the figures of the model and those of the engine.
impl World {
    /// Return the duration of `count` ticks. The engine's fixed limit for uploads defines the length of a tick.
    pub(crate) fn ticks(&self, count: u8) -> Duration {
        MAX_UPLOAD_DELAY / u32::from(self.upload_delay) * u32::from(count)
    }

    fn age_of(&self, instant: UnixTime) -> u8 {
        let age = NOW.saturating_duration_since(instant).as_secs();
        u8::try_from(age / self.ticks(1).as_secs()).unwrap()
    }

    pub(crate) fn policy(&self) -> RotationPolicy {
        let idle = self.moves.as_ref().map_or(Duration::from_secs(1_000_000), |moves| self.ticks(moves.idle));
        let lifetimes = Lifetimes::new(self.ticks(self.access), idle, None).unwrap();
        RotationPolicy::new(lifetimes, self.ticks(self.grace))
            .with_lock_after(self.lock_after.map(|count| self.ticks(count)))
    }

    pub(crate) fn session(&self, row: Row) -> Session {
        let ago = |age| NOW - self.ticks(age);
        let end = row.left.map_or(UnixTime::MAX, |left| NOW + self.ticks(left));
        Session::new(UnixTime::EPOCH, end)
            .with_fixed_end(self.moves.as_ref().is_some_and(|moves| moves.is_fixed))
            .with_generation(NEWEST, ago(row.rotated))
            .with_acknowledged_at(row.acknowledged.map(ago))
            .with_auth_time(Some(ago(row.authenticated)))
            .with_locks_at(row.unlocked.map(|left| NOW + self.ticks(left)))
    }

    /// Return the row that a decision writes.
    pub(crate) fn next(&self, row: Row, decision: &Decision) -> Option<Row> {
        decision.next(&self.session(row)).map(|next| self.row(next, row.auth))
    }

    pub(crate) fn row(&self, session: Session, auth: Offset) -> Row {
        Row {
            acknowledged: session.acknowledged_at.map(|seen| self.age_of(seen)),
            rotated: self.age_of(session.rotated_at),
            left: self.moves.as_ref().map(|_| self.left_until(session.expires_at)),
            unlocked: session.locks_at.map(|locks_at| self.left_until(locks_at)),
            authenticated: self.age_of(session.authenticated_at()),
            auth,
        }
    }

    pub(crate) fn left_until(&self, end: UnixTime) -> u8 {
        u8::try_from(end.saturating_duration_since(NOW).as_secs() / self.ticks(1).as_secs()).unwrap()
    }

    pub(crate) fn decide(&self, row: Row, refresh: Refresh, upload: bool) -> Decision {
        let auth_time = Some(self.auth_time(row, refresh.auth));
        let presented = Presented::new(absolute(refresh.generation)).with_upload(upload).with_auth_time(auth_time);
        let decision = (self.decide)(&self.policy(), &self.session(row), presented, NOW);
        self.note(decision.code());
        decision
    }

    pub(crate) fn acknowledges(&self, row: Row, generation: Offset) -> bool {
        self.policy().acknowledges(&self.session(row), absolute(generation))
    }
}

fn absolute(generation: Offset) -> Generation {
    Generation::new(NEWEST.get().saturating_add_signed(generation.into()))
}

pub(crate) fn offset(generation: Generation) -> Offset {
    Offset::try_from(generation.get() - NEWEST.get()).unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            grace: 2,
            access: 4,
            slowest: 1,
            upload_delay: 3,
            requests: 2,
            uploads: false,
            renders: false,
            secretless: false,
            restores: false,
            logout: false,
            reauthenticates: false,
            compares_auth_time: true,
            lock_after: None,
            thief: false,
            moves: None,
            refreshes: 2,
            distance: false,
            decide: RotationPolicy::decide,
            reauthenticate: RotationPolicy::reauthenticate,
            authentication_of: Authentication::of,
            forgeries: Forgeries::new(),
            seen: Arc::default(),
        }
    }

    pub(crate) fn with_figures(self, grace: u8, access: u8, slowest: u8, upload_delay: u8) -> Self {
        assert_eq!(MAX_UPLOAD_DELAY.as_secs() % u64::from(upload_delay), 0, "ticks of whole seconds");
        Self { grace, access, slowest, upload_delay, ..self }
    }

    pub(crate) fn note(&self, what: &'static str) {
        self.seen.lock().unwrap().insert(what);
    }

    /// Return the row of a session that starts now. The login counts as an authentication that is long past.
    pub(crate) fn first_row(&self) -> Row {
        let (unlocked, authenticated) = (self.lock_after, self.grace);
        Row { acknowledged: Some(0), rotated: 0, left: None, unlocked, authenticated, auth: 0 }
    }

    /// Return an access token, which never outlives its session and expires when the session locks.
    fn access_token(&self, row: Row, auth: Offset) -> Access {
        let left = [row.left, row.unlocked].into_iter().flatten().fold(self.access, u8::min);
        Access { generation: 0, left, auth }
    }

    /// Let a worker start on a request, and decide about the old credential if there is one and no token admits it.
    fn arrive(&self, state: &mut State, jar: Jar, kind: Kind, notes: Notes) -> Option<Stage> {
        if kind == Kind::Reauthentication {
            return self.confirm(state, jar, notes);
        }
        let goes_on = match self.settle(state, jar, kind, notes) {
            Err(Anonymous) => state.old.and_then(|_| self.show(state, kind)),
            Ok(goes_on) => goes_on,
        };
        if kind == Kind::SignOut && !matches!(goes_on, Some(Stage::Starting { .. })) {
            self.sign_out(state);
            return None;
        }
        goes_on
    }

    /// Let a worker verify the access token, then read the row and decide about the refresh token.
    pub(crate) fn settle(
        &self,
        state: &mut State,
        jar: Jar,
        kind: Kind,
        notes: Notes,
    ) -> Result<Option<Stage>, Anonymous> {
        let row = state.row.ok_or(Anonymous)?;
        let acknowledged = notes != Notes::Nothing;
        if let Some(access) = jar.access {
            if row.is_locked() {
                state.wrong = Some(Wrong::AdmittedWhileLocked);
            }
            let is_first_sight = acknowledged && self.acknowledges(row, access.generation);
            if kind == Kind::Rendering && !self.secretless {
                if is_first_sight {
                    self.note("a rendering with unseen tokens");
                }
                return Ok(None);
            }
            return Ok(is_first_sight.then_some(Stage::Acknowledging { generation: access.generation }));
        }
        let refresh = jar.refresh.ok_or(Anonymous)?;
        let decision = self.decide(row, refresh, kind.is_late_by_nature());
        self.judge_owner(state, row, refresh.generation, kind, decision);
        judge_lock(state, row, decision);
        let issues = |kind| decision.issues().contains(&kind);
        match decision {
            Decision::Rotate(next) | Decision::Adopt(next) => Ok(Some(Stage::Writing {
                jar,
                kind: if kind == Kind::Reauthentication { kind } else { Kind::Ordinary },
                read: 0,
                next: self.next(row, &decision).unwrap(),
                generation: offset(next.generation),
                sets_refresh: issues(TokenKind::Refresh),
            })),
            Decision::Reuse => {
                self.end(state);
                Err(Anonymous)
            }
            _ if !decision.admits() => Err(Anonymous),
            _ => {
                if acknowledged && decision.acknowledges() {
                    self.write(state, row.acknowledged_now(), 0);
                }
                self.note_seen(state, false, notes);
                if kind == Kind::Reauthentication {
                    return Ok(Some(Stage::Confirming));
                }
                Ok(issues(TokenKind::Access).then(|| self.answer(state, issues(TokenKind::Refresh), refresh.auth)))
            }
        }
    }

    fn judge_owner(&self, state: &mut State, row: Row, refresh: Offset, kind: Kind, decision: Decision) {
        if row.left == Some(0) {
            return;
        }
        if row.is_locked() && decision == Decision::Refuse(Refusal::Locked) {
            return;
        }
        let upload = kind.is_late_by_nature();
        if kind == Kind::Rendering {
            self.note(if decision.admits() { "a rendering is admitted" } else { "a rendering is late" });
        }
        if state.thief.is_some_and(|thief| thief.may_end_the_session()) {
            if let Some(wrong) = self.judge_behind(row, refresh, upload, decision) {
                state.wrong = Some(wrong);
            }
            if decision == Decision::Reuse {
                self.note("the owner's refresh ends the session");
            }
        } else if upload {
            let is_in_time = row.rotated <= self.upload_delay && [0, -1].contains(&refresh);
            if !decision.admits() && decision != Decision::Refuse(Refusal::LateUpload) {
                state.wrong = Some(Wrong::SignedOut);
            } else if !decision.admits() && is_in_time {
                state.wrong = Some(Wrong::UploadRefused);
            }
        } else if !decision.admits() {
            state.wrong = Some(Wrong::SignedOut);
        }
    }

    /// Check that an ordinary request with an old token ends the session once the newest generation has been in use for
    /// the grace period, whether the owner or the thief makes it.
    pub(crate) fn judge_behind(&self, row: Row, generation: Offset, upload: bool, decision: Decision) -> Option<Wrong> {
        let in_use = row.acknowledged.is_some_and(|age| age >= self.grace);
        (in_use && generation < 0 && !upload && decision != Decision::Reuse).then_some(Wrong::NotFound)
    }

    /// Run the compare-and-swap.
    fn swap(&self, state: &mut State, request: Request, notes: Notes) -> Option<Stage> {
        let Stage::Writing { jar, kind, read, next, generation, sets_refresh } = request.stage else { unreachable!() };
        state.row?;
        if self.is_outdated(read, next) {
            self.note("a lost swap");
            return Some(Stage::There { jar, kind });
        }
        self.note_seen(state, false, notes);
        let auth = jar.refresh?.auth - next.auth; // relative to the row as written
        self.write(state, next, generation);
        if kind == Kind::Reauthentication {
            return Some(Stage::Confirming);
        }
        Some(self.answer(state, sets_refresh, auth))
    }

    pub(crate) fn rise(&self, generation: Offset, auth: Offset) -> Rise {
        let oldest_auth = match self.restores {
            true => -7,
            false if self.compares_auth_time => -1,
            false => -2,
        };
        Rise { generation, auth, oldest_auth }
    }

    /// Write the row, whose generation rises by `risen`.
    pub(crate) fn write(&self, state: &mut State, row: Row, risen: Offset) {
        if self.restores {
            let last = state.row.unwrap();
            state.before.insert(0, (last, 0));
            state.before.truncate(LOSABLE_WRITES);
        }
        state.row = Some(Row { auth: 0, ..row });
        state.shift(self.rise(risen, row.auth));
        state.old.iter_mut().for_each(|old| old.is_first_generation &= risen == 0);
    }

    fn age_row(&self, row: &mut Row) {
        let has_uploads = self.uploads || self.renders || self.thief;
        let longest = if has_uploads { self.grace.max(self.upload_delay + 1) } else { self.grace };
        row.acknowledged = row.acknowledged.map(|age| (age + 1).min(self.grace));
        row.rotated = (row.rotated + 1).min(longest);
        row.left = row.left.map(|left| left.saturating_sub(1));
        row.unlocked = row.unlocked.map(|left| left.saturating_sub(1));
        row.authenticated = (row.authenticated + 1).min(self.grace);
    }

    fn tick(&self, state: &mut State) {
        state.row.iter_mut().for_each(|row| self.age_row(row));
        state.before.iter_mut().for_each(|(row, _)| self.age_row(row));
        state.jar.age();
        state.thief.iter_mut().for_each(|thief| thief.age(self));
        state.old.iter_mut().for_each(|old| old.age(self));
        for request in &mut state.requests {
            match &mut request.stage {
                Stage::There { jar, kind } => {
                    jar.age();
                    request.age += u8::from(*kind != Kind::Upload);
                }
                Stage::Writing { jar, next, .. } => {
                    jar.age();
                    self.age_row(next);
                    request.age += 1;
                }
                Stage::Authenticating { next, .. } => {
                    self.age_row(next);
                    request.age += 1;
                }
                Stage::Starting { .. } | Stage::Acknowledging { .. } | Stage::Confirming => request.age += 1,
                Stage::Back { access, .. } => {
                    *access = access.and_then(Access::aged);
                    request.age += 1;
                }
            }
        }
    }

    /// Answer the owner with a new access token, and with the newest refresh token if `sets_refresh`, in return for a
    /// token that names the authentication `auth`.
    pub(crate) fn answer(&self, state: &mut State, sets_refresh: bool, auth: Offset) -> Stage {
        if let Some(thief) = state.thief.as_mut().filter(|_| sets_refresh) {
            thief.owner_is_answered(self);
        }
        let row = state.row.unwrap();
        let auth = self.authentication_of(state, row, auth);
        let refresh = sets_refresh.then_some(Refresh { generation: 0, auth });
        Stage::Back { access: Some(self.access_token(row, auth)), refresh, is_overtaken: false }
    }
}

/// No token admits the request.
pub(crate) struct Anonymous;

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let row = self.first_row();
        let old = self.moves.as_ref().map(Moves::old_login);
        let refresh = Some(Refresh { generation: 0, auth: 0 });
        let jar = Jar { access: Some(self.access_token(row, 0)), refresh };
        let (row, jar) = if old.is_some() { (None, Jar::EMPTY) } else { (Some(row), jar) };
        vec![State { row, before: Vec::new(), jar, requests: Vec::new(), thief: None, old, wrong: None }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let is_over = state.row.is_none() && state.old.is_none();
        if state.wrong.is_some() || (is_over && state.requests.is_empty()) {
            return;
        }
        if state.requests.iter().all(|request| request.age < self.slowest) {
            actions.push(Action::Tick);
        }
        for index in 0..state.requests.len() {
            let proceed = |notes| Action::Proceed(index, notes);
            actions.extend([proceed(Notes::All), proceed(Notes::Nothing), Action::Lose(index)]);
        }
        if is_over {
            return;
        }
        self.moves(state, actions);
        if state.requests.len() < self.requests {
            actions.push(Action::Send { kind: Kind::Ordinary });
            if self.uploads {
                actions.push(Action::Send { kind: Kind::Upload });
            }
            if self.reauthenticates && !state.jar.is_empty() {
                actions.push(Action::Send { kind: Kind::Reauthentication });
            }
            if self.renders && !state.jar.is_empty() {
                actions.push(Action::Send { kind: Kind::Rendering });
                let answers = state.requests.iter().enumerate();
                let answers = answers.filter(|(_, request)| matches!(request.stage, Stage::Back { .. }));
                actions.extend(answers.map(|(index, _)| Action::Render(index)));
            }
        }
        if state.jar.access.is_some() {
            actions.push(Action::ForgetAccess);
        }
        if self.restores && !state.before.is_empty() {
            actions.push(Action::Restore);
        }
        if self.logout {
            actions.push(Action::Forge);
            actions.extend(state.row.map(|_| Action::Logout));
        }
        match state.thief {
            Some(thief) => actions.extend(thief.actions(self)),
            None if self.thief => actions.push(Action::Steal),
            None => {}
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => self.tick(&mut state),
            Action::Send { kind } => {
                let jar = if kind == Kind::Link { Jar::EMPTY } else { state.jar };
                state.requests.push(Request { stage: Stage::There { jar, kind }, age: 0 });
            }
            Action::Render(index) => {
                let Request { stage, age } = *state.requests.get(index)?;
                let Stage::Back { access: Some(access), refresh, .. } = stage else { return None };
                let Access { generation, auth, .. } = access;
                let jar = Jar { access: Some(access), refresh: refresh.or(Some(Refresh { generation, auth })) };
                state.requests.push(Request { stage: Stage::There { jar, kind: Kind::Rendering }, age });
            }
            Action::ForgetAccess => state.jar.access = None,
            Action::Lose(index) => {
                state.requests.remove(index);
            }
            Action::Proceed(index, notes) => {
                let request = state.requests.remove(index);
                let was_over = state.row.is_none() && state.old.is_none();
                let goes_on = match request.stage {
                    Stage::There { jar, kind } => self.arrive(&mut state, jar, kind, notes),
                    _ if notes == Notes::Nothing => return None,
                    Stage::Back { access, refresh, is_overtaken } => {
                        self.judge_cookies(&mut state, access, refresh, is_overtaken);
                        state.jar.access = access.or(state.jar.access);
                        state.jar.refresh = refresh.or(state.jar.refresh);
                        None
                    }
                    Stage::Writing { .. } => self.swap(&mut state, request, notes),
                    Stage::Confirming => self.reauthenticate(&state),
                    Stage::Authenticating { .. } => self.swap_authentication(&mut state, request),
                    Stage::Starting { kind, is_late, is_outdated } => {
                        self.start(&mut state, kind, is_late, is_outdated)
                    }
                    Stage::Acknowledging { generation } => {
                        if let Some(row) = state.row.filter(|row| self.acknowledges(*row, generation)) {
                            self.write(&mut state, row.acknowledged_now(), 0);
                        }
                        self.note_seen(&mut state, true, notes);
                        None
                    }
                };
                if was_over && (state.row.is_some() || goes_on.is_some()) {
                    state.wrong = Some(Wrong::BroughtBack);
                }
                state.requests.extend(goes_on.map(|stage| Request { stage, ..request }));
            }
            Action::ProceedElsewhere(index) => {
                let request = state.requests.remove(index);
                let Stage::There { kind, .. } = request.stage else { return None };
                self.answer_elsewhere(&mut state, kind);
            }
            Action::Restore => {
                self.note("a restore");
                let (row, generation) = state.before.remove(0);
                state.row = Some(Row { auth: 0, ..row });
                state.shift(self.rise(generation, row.auth));
            }
            Action::Logout => {
                self.note("a logout");
                self.end(&mut state);
            }
            Action::Steal => state.thief = Some(Thief::steal(self, state.jar.refresh)),
            Action::ThiefUses(attempt) => self.thief_uses(&mut state, attempt),
            Action::ThiefShows { uncertain } => self.thief_shows(&mut state, uncertain),
            Action::NextPeriod => state.old.as_mut()?.period = state.old?.period.next()?,
            Action::ChangePassword => self.change_password(&mut state),
            Action::SpendAgain => state.old.as_mut()?.is_spent = true,
            Action::Forge => {
                if !self.forgeries.any_accepted() {
                    return None;
                }
                state.wrong = Some(Wrong::ForgeryAccepted);
            }
        }
        state.requests.sort_unstable();
        if let (Some(row), Some(thief)) = (state.row, &mut state.thief) {
            if thief.came_near() {
                return None;
            }
            thief.note_lockout(self, row);
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let never = |name, condition: fn(&Self, &State) -> bool| Property::always(name, condition);
        vec![
            never("an honest user stays signed in", |_, state| state.wrong != Some(Wrong::SignedOut)),
            never("an upload in time is admitted", |_, state| state.wrong != Some(Wrong::UploadRefused)),
            never("an ended session stays ended", |_, state| state.wrong != Some(Wrong::BroughtBack)),
            never("an old token in use beside the new one is found", |_, state| state.wrong != Some(Wrong::NotFound)),
            never("a thief who is locked out gets nothing", |_, state| state.wrong != Some(Wrong::Served)),
            never("a refused thief leaves a record", |_, state| state.wrong != Some(Wrong::NoRecord)),
            never("a thief at a distance is not served", |_, state| state.wrong != Some(Wrong::ServedAtADistance)),
            never("an ended login starts nothing", |_, state| state.wrong != Some(Wrong::LoginBroughtBack)),
            never("an old login has one session", |_, state| state.wrong != Some(Wrong::TwoSessions)),
            never("an access credential starts nothing", |_, state| state.wrong != Some(Wrong::StartedByAccess)),
            never("nothing is accepted after the period", |_, state| state.wrong != Some(Wrong::AfterPeriod)),
            never("no refresh makes an authentication younger", |_, state| state.wrong != Some(Wrong::MadeYounger)),
            never("no token is ahead of its row's authentication", |_, state| state.wrong != Some(Wrong::AheadOfRow)),
            never("no other tab takes an authentication back", |_, state| state.wrong != Some(Wrong::TakenBack)),
            never("a locked session admits nothing", |_, state| state.wrong != Some(Wrong::AdmittedWhileLocked)),
            never("an authentication revives a session", |_, state| state.wrong != Some(Wrong::NotRevived)),
            never("a forgery changes nothing", |_, state| state.wrong != Some(Wrong::ForgeryAccepted)),
        ]
    }
}
