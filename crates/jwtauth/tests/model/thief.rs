//! A thief who knows the rules.
//!
//! The thief copies the cookies once. From then on the thief holds every token that was copied or received, side by
//! side, and may present any of them at any time, in an ordinary request or in an upload. A WebSocket handshake is an
//! ordinary request. The thief has a perfect network. Dropping an answer and waiting both mean not using a token, so
//! neither needs a step. The thief's access tokens need no step either: the first use of one acknowledges the newest
//! generation, as an upload with the refresh token does; it returns no tokens, and it expires.
//!
//! The thief does not know the render server's secret. If the render server fetches with the thief's cookies for a page
//! that the thief opens, the rules for uploads apply to the refresh token, and the access token changes nothing.

use jwtauth::{Decision, OldLoginDecision, Refusal};

use crate::{
    reauthentication::judge_lock,
    state::{Offset, Refresh, Rise, Row, State, Wrong},
    world::{Action, Notes, World},
};

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Thief {
    /// Whether the thief has refresh tokens of these generations: the row's newest, the previous one, an older one.
    holds: [bool; 3],
    /// The newest authentication that they name.
    auth: Offset,
    /// The newest generation with which the server has answered the owner.
    owners: Offset,
    /// How often the server has answered the owner with a newer generation since the thief last presented a refresh
    /// token in an ordinary request, up to [`World::refreshes`].
    refreshes: u8,
    /// Ticks since the thief was locked out, as far as a rule can tell them apart.
    locked_out: Option<u8>,
    distance: Distance,
    loot: Loot,
}

/// What the thief copies.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Loot {
    Tokens,
    /// The credential of another package with which the browser starts.
    OldCredential,
    /// A credential of that package that starts no session.
    AccessCredential,
}

/// The distance of a thief who [keeps away](World::distance) from the owner's refreshes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Distance {
    /// Ticks for which the thief must not refresh.
    thief_waits: u8,
    /// Ticks for which the owner must not refresh.
    owner_waits: u8,
    /// The owner's refreshes since the theft, up to two.
    refreshes: u8,
    is_broken: bool,
}

/// One request of a thief.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Attempt {
    generation: Offset,
    upload: bool,
    /// Whether the acknowledgement, if any, is written.
    acknowledged: bool,
}

impl Thief {
    /// Copy the owner's cookies, or the credential of another package.
    pub(crate) fn steal(world: &World, refresh: Option<Refresh>) -> Self {
        let (generation, auth) = refresh.map_or((0, 0), |it| (it.generation, it.auth));
        let loot = world.moves.as_ref().map_or(Loot::Tokens, |moves| moves.loot);
        let mut thief = Self {
            holds: [loot == Loot::Tokens, false, false],
            auth,
            owners: generation,
            refreshes: 0,
            locked_out: None,
            distance: Distance::default(),
            loot,
        };
        if loot == Loot::Tokens {
            thief.owners = 0;
            thief.shift(world.rise(-generation, 0));
        }
        thief
    }

    /// Return whether the session may end because of this thief.
    pub(crate) fn may_end_the_session(&self) -> bool {
        self.loot != Loot::AccessCredential
    }

    pub(crate) fn authentication(&self) -> Offset {
        self.auth
    }

    pub(crate) fn actions(&self, world: &World) -> Vec<Action> {
        let attempts = self.attempts(world).into_iter().map(Action::ThiefUses);
        let shows = [false, true].into_iter().filter(|_| self.loot != Loot::Tokens);
        attempts.chain(shows.map(|uncertain| Action::ThiefShows { uncertain })).collect()
    }

    pub(crate) fn forget_tokens(&mut self) {
        *self = Self { holds: [false; 3], owners: 0, refreshes: 0, locked_out: None, ..*self };
    }

    /// Receive the newest tokens by the old credential.
    pub(crate) fn gets_tokens(&mut self) {
        self.holds[0] = true;
        self.refreshes = 0;
    }

    pub(crate) fn judge_old_login(&self, world: &World, decision: OldLoginDecision) -> Option<Wrong> {
        self.locked_out?;
        match decision {
            OldLoginDecision::Reuse => world.note("a locked out old credential is found"),
            // By the limit for uploads, which counts from the start of the session.
            OldLoginDecision::Refuse | OldLoginDecision::Admit => {}
            _ => return Some(Wrong::Served),
        }
        None
    }

    fn attempts(&self, world: &World) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        for (generation, _) in [0, -1, -2].into_iter().zip(self.holds).filter(|(_, held)| *held) {
            for upload in [false, true] {
                if !upload && world.distance && self.distance.thief_waits > 0 {
                    continue;
                }
                attempts.push(Attempt { generation, upload, acknowledged: true });
                if generation == 0 {
                    attempts.push(Attempt { generation, upload, acknowledged: false });
                }
            }
        }
        attempts
    }

    /// Adapt to a row that has risen.
    pub(crate) fn shift(&mut self, rise: Rise) {
        for _ in 0..rise.generation {
            let [newest, previous, older] = self.holds;
            self.holds = [false, newest, previous || older];
        }
        self.owners = rise.generation_after(self.owners);
        self.auth = rise.auth_after(self.auth);
    }

    pub(crate) fn age(&mut self, world: &World) {
        self.locked_out = self.locked_out.map(|age| (age + 1).min(world.upload_delay + 1));
        self.distance.thief_waits = self.distance.thief_waits.saturating_sub(1);
        self.distance.owner_waits = self.distance.owner_waits.saturating_sub(1);
    }

    /// Record that the server answers the owner with tokens of the newest generation.
    pub(crate) fn owner_is_answered(&mut self, world: &World) {
        if self.owners == 0 {
            return;
        }
        self.owners = 0;
        self.refreshes = (self.refreshes + 1).min(world.refreshes);
        if world.distance {
            self.distance.is_broken = self.distance.owner_waits > 0;
            self.distance.thief_waits = world.grace;
            self.distance.refreshes = (self.distance.refreshes + 1).min(2);
        }
    }

    /// Return whether the thief came near a refresh of the owner although [`World::distance`] forbids it.
    pub(crate) fn came_near(&self) -> bool {
        self.distance.is_broken
    }

    /// Record whether the thief is locked out: enough refreshes of the owner have passed, and the newest generation has
    /// been in use for the grace period.
    pub(crate) fn note_lockout(&mut self, world: &World, row: Row) {
        let in_use = row.acknowledged.is_some_and(|age| age >= world.grace);
        if in_use && self.refreshes >= world.refreshes && self.locked_out.is_none() {
            world.note("a thief is locked out");
            self.locked_out = Some(0);
        }
    }

    fn judge(&self, world: &World, attempt: Attempt, decision: Decision) -> Option<Wrong> {
        let upload = attempt.upload;
        let is_found = decision == Decision::Reuse;
        let is_locked = decision == Decision::Refuse(Refusal::Locked);
        if !decision.admits() && !is_found && !is_locked && decision.warning().is_none() {
            return Some(Wrong::NoRecord);
        }
        if let Some(age) = self.locked_out {
            // The rotation that locked the thief out was acknowledged later, and the grace period passed after that.
            let is_in_time = upload && age + world.grace <= world.upload_delay && decision.issues().is_empty();
            match decision {
                _ if decision.admits() && is_in_time => world.note("a locked out thief uploads for a while"),
                Decision::Refuse(Refusal::LateUpload) => world.note("a locked out thief uploads too late"),
                Decision::Reuse => world.note("a locked out thief is found"),
                Decision::Refuse(Refusal::Locked) => {}
                _ => return Some(Wrong::Served),
            }
        }
        let is_apart = world.distance && !upload && self.distance.refreshes == 2;
        if is_apart && matches!(decision, Decision::Rotate(_)) {
            return Some(Wrong::ServedAtADistance);
        }
        None
    }
}

impl World {
    /// Let the thief present one of the held refresh tokens.
    pub(crate) fn thief_uses(&self, state: &mut State, attempt: Attempt) {
        let (Some(row), Some(mut thief)) = (state.row, state.thief) else { return };
        let Attempt { generation, upload, acknowledged } = attempt;
        let decision = self.decide(row, Refresh { generation, auth: thief.auth }, upload);
        if row.left == Some(0) {
            return;
        }
        if let Some(wrong) =
            self.judge_behind(row, generation, upload, decision).or(thief.judge(self, attempt, decision))
        {
            state.wrong = Some(wrong);
        }
        judge_lock(state, row, decision);
        if !decision.issues().is_empty() {
            self.authentication_of(state, row, thief.auth);
        }
        if decision == Decision::Reuse {
            self.note("the thief's refresh ends the session");
            self.end(state);
            return;
        }
        if decision.admits() && !upload {
            thief.refreshes = 0;
            if self.distance {
                thief.distance.owner_waits = self.grace;
            }
        }
        if decision == Decision::Reissue {
            self.note("the thief keeps up with the owner");
            thief.holds[0] = true;
        }
        state.thief = Some(thief);
        if acknowledged && decision.admits() {
            self.note_seen(state, generation == 0, Notes::All);
        }
        match decision {
            Decision::Rotate(_) => {
                self.write(state, self.next(row, &decision).unwrap(), 1);
                if let Some(thief) = &mut state.thief {
                    thief.holds[0] = true;
                }
            }
            _ if acknowledged && decision.acknowledges() => self.write(state, row.acknowledged_now(), 0),
            _ => {}
        }
    }
}
