//! A user who authenticates again, and sessions that lock.
//!
//! The rules are those of the engine: `RotationPolicy::reauthenticate`, `RotationPolicy::is_locked`, and
//! `Authentication::of`. The model is the time that each token names, relative to the row's.
//!
//! Assumptions:
//!
//! - An authentication names a later time than any before it. Of two at once, the second to be written is the later.
//! - The request may bring an access token, or be refreshed first. Between the refresh and the authentication, other
//!   requests may change the row, as they may between reading and writing it.
//! - A swap compares the generation and the time of the authentication, and writes every column that the rules know.

use std::time::Duration;

use jwtauth::{Authentication, Claims, Decision, Methods, RotationPolicy, Session, Sid, UnixTime};

use crate::{
    state::{Access, Jar, Kind, Offset, Refresh, Request, Row, Stage, State, Wrong},
    world::{NEWEST, NOW, Notes, World, offset},
};

pub(crate) type Reauthenticate = fn(&RotationPolicy, &Session, UnixTime) -> Option<Session>;

pub(crate) type AuthenticationOf = fn(&Claims, &Session) -> Authentication;

/// The claim `auth_time`.
impl World {
    /// Return the time of an authentication. Between two of them, at least a second passes.
    pub(crate) fn auth_time(&self, row: Row, auth: Offset) -> UnixTime {
        let (newest, distance) = (NOW - self.ticks(row.authenticated), Duration::from_secs(auth.unsigned_abs().into()));
        if auth < 0 { newest - distance } else { newest + distance }
    }

    /// Return the authentication that tokens name which are issued for a token that names `presented`.
    pub(crate) fn authentication_of(&self, state: &mut State, row: Row, presented: Offset) -> Offset {
        let claims = Claims::new("1", Sid::from_bytes([0; 20]), NEWEST, NOW, UnixTime::MAX)
            .with_authentication(Authentication::new(self.auth_time(row, presented), Methods::default()));
        let time = (self.authentication_of)(&claims, &self.session(row)).time;
        let seconds = |time: UnixTime| i64::try_from(time.as_secs()).unwrap();
        let auth = Offset::try_from(seconds(time) - seconds(self.auth_time(row, 0))).unwrap();
        if auth > presented {
            state.wrong = Some(Wrong::MadeYounger);
        } else if auth > 0 {
            state.wrong = Some(Wrong::AheadOfRow);
        }
        auth
    }
}

/// The request by which the user authenticates again.
impl World {
    /// Let a worker find out whose session it is, and whether the password is right.
    pub(crate) fn confirm(&self, state: &mut State, jar: Jar, notes: Notes) -> Option<Stage> {
        let row = state.row?;
        if let Some(access) = jar.access {
            if notes != Notes::Nothing && self.acknowledges(row, access.generation) {
                self.write(state, row.acknowledged_now(), 0);
            }
            return Some(Stage::Confirming);
        }
        jar.refresh?;
        match self.settle(state, jar, Kind::Reauthentication, notes) {
            Ok(goes_on) => goes_on,
            Err(_) => state.row.filter(|row| row.is_locked()).map(|_| Stage::Confirming),
        }
    }

    /// Read the row and decide what the authentication changes.
    pub(crate) fn reauthenticate(&self, state: &State) -> Option<Stage> {
        let row = state.row?;
        let next = (self.reauthenticate)(&self.policy(), &self.session(row), NOW)?;
        let generation = offset(next.generation);
        Some(Stage::Authenticating { read: 0, next: self.row(next, row.auth), generation })
    }

    /// Return whether a swap fails, given the generation that was read and the row to be written.
    pub(crate) fn is_outdated(&self, read: Offset, next: Row) -> bool {
        read != 0 || self.compares_auth_time && next.auth != 0
    }

    /// Run the compare-and-swap.
    pub(crate) fn swap_authentication(&self, state: &mut State, request: Request) -> Option<Stage> {
        let Stage::Authenticating { read, next, generation } = request.stage else { unreachable!() };
        state.row?;
        if self.is_outdated(read, next) {
            self.note("an authentication loses its swap");
            return Some(Stage::Confirming);
        }
        self.note(if generation == 0 {
            "the newest generation is confirmed"
        } else {
            "the next generation is confirmed"
        });
        if state.row?.is_locked() {
            self.note("a locked session is revived");
        }
        let auth = 1 + state.newest_authentication();
        self.write(state, Row { auth, ..next }, generation);
        for request in &mut state.requests {
            if let Stage::Back { is_overtaken, .. } = &mut request.stage {
                *is_overtaken = true;
            }
        }
        let row = state.row?;
        if row.is_locked() || !self.decide(row, Refresh { generation: 0, auth: 0 }, false).admits() {
            state.wrong = Some(Wrong::NotRevived);
        }
        Some(self.answer(state, true, 0))
    }
}

/// What must hold.
impl World {
    /// Check that an answer that was made after the newest authentication does not take it from the browser.
    pub(crate) fn judge_cookies(
        &self,
        state: &mut State,
        access: Option<Access>,
        refresh: Option<Refresh>,
        is_overtaken: bool,
    ) {
        let has_newest = state.jar.refresh.is_some_and(|it| it.auth >= 0);
        let is_older = access.is_some_and(|it| it.auth < 0) || refresh.is_some_and(|it| it.auth < 0);
        if has_newest && is_older {
            if is_overtaken {
                self.note("an older answer arrives last");
            } else {
                state.wrong = Some(Wrong::TakenBack);
            }
        }
    }
}

pub(crate) fn judge_lock(state: &mut State, row: Row, decision: Decision) {
    if row.is_locked() && decision.admits() {
        state.wrong = Some(Wrong::AdmittedWhileLocked);
    }
}

impl Row {
    pub(crate) fn is_locked(self) -> bool {
        self.unlocked == Some(0)
    }
}

impl State {
    /// Return the newest authentication that a token or a row names.
    fn newest_authentication(&self) -> Offset {
        fn of_jar(jar: Jar) -> [Option<Offset>; 2] {
            [jar.access.map(|it| it.auth), jar.refresh.map(|it| it.auth)]
        }
        let requests = self.requests.iter().map(|request| match &request.stage {
            Stage::There { jar, .. } | Stage::Writing { jar, .. } => of_jar(*jar),
            Stage::Back { access, refresh, .. } => of_jar(Jar { access: *access, refresh: *refresh }),
            _ => [None; 2],
        });
        let rows = self.before.iter().map(|(row, _)| row.auth);
        let thief = self.thief.map(|thief| thief.authentication());
        requests.chain([of_jar(self.jar)]).flatten().flatten().chain(rows).chain(thief).fold(0, Offset::max)
    }
}
