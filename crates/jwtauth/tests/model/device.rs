//! A browser whose session is bound to a key of its device, and a thief who copies everything but the key.
//!
//! The rules are those of the engine: `Site::{prove, register, challenge, offer, grant}` with real keys, and
//! `RotationPolicy::{decide, act, succeed, reauthenticate}`. The model is the world around them.
//!
//! Assumptions:
//!
//! - A message takes as long as it likes. It may get lost, arrive twice, or after any later message.
//! - The browser signs only challenges that it has got in an answer. It sends a proof of the last one, or asks for a new
//!   one, whenever it likes, or never. It may forget the challenge, and may return to any old cookies: the refresh endpoint
//!   takes from a cookie only the session, until the cookie expires.
//! - Workers stop between reading and writing. The database may lose its last write.
//! - The thief copies every cookie, answer and proof, also one that never arrives, until some moment. The thief may use
//!   all of it at any time, and has a perfect network and a key of their own. A login is copied only after its offer has
//!   expired, or after the browser has used it.
//! - A locked session is revived when its user authenticates again. The browser then still has its key.
//! - The answer to a registration arrives as a whole, with its cookies, or not at all. A browser that has not got it goes on
//!   by its cookies, and so does one that is told to forget its key. What the rotation table does then, `world` explores.
//! - Nothing follows the end of a session, which is the deletion of its row. Any of its tokens can sign out.
//! - A live access token lets the thief call what issues tokens: to act, to stop acting, to change the password, and to
//!   authenticate again. The thief knows what else these need.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use jwtauth::{Decision, DeviceBinding, Presented, Proof, Refusal, Registration, RotationPolicy, Session, UnixTime};
use stateright::{Model, Property};

use crate::{
    device_keys::{Answers, Challenge, Engine, Exchange, OLD, Row, Shown, Signer, absolute, left_until, offset, ticks},
    state::Offset,
    world::{Decide, NOW},
};

/// What decides.
pub(crate) struct Rules {
    pub(crate) prove: fn(&Engine, Row, Shown) -> Proof,
    pub(crate) register: fn(&Engine, Row, Challenge, Signer) -> Registration,
    pub(crate) access_end: fn(&Engine, &Session) -> UnixTime,
    pub(crate) exchange: fn(&Engine, Exchange, &Session) -> Session,
    /// Whether an access token that is issued for another ends with that one.
    pub(crate) ends_with_presented: bool,
    pub(crate) decide: Decide,
    /// Whether the removal of a key rotates.
    pub(crate) unbinding_rotates: bool,
    /// Whether a refresh by a proof compares the key that it has read.
    pub(crate) compares_key: bool,
    /// Whether a response after the login's offers to bind the session.
    pub(crate) offers_later: bool,
}

/// The figures of a run, in ticks, and what may happen in it.
pub(crate) struct Devices {
    pub(crate) engine: Engine,
    /// How many messages may be under way at once.
    pub(crate) messages: usize,
    /// Whether the browser still has to bind the session.
    pub(crate) registers: bool,
    pub(crate) restores: bool,
    pub(crate) thief: bool,
    /// The generations of the cookies that requests bring, for rules that look at them.
    pub(crate) cookies: &'static [Offset],
    /// By how much the bound for proofs that have not arrived is too strict.
    pub(crate) too_strict: u8,
    pub(crate) rules: Rules,
    pub(crate) judged: Answers<Row, Option<Wrong>>,
    /// Whether a browser with this challenge refreshes as it should.
    pub(crate) refreshing: Answers<(Row, Option<Challenge>), bool>,
    pub(crate) seen: Arc<Mutex<BTreeSet<&'static str>>>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct State {
    row: Row,
    /// The row before its last write, and by how much that raised the generation.
    before: Option<(Row, Offset)>,
    browser: Browser,
    /// Sorted, since their order does not matter.
    messages: Vec<Message>,
    thief: Option<Thief>,
    /// Whether a proof of the row's generation was accepted, and could be again.
    is_accepted: bool,
    wrong: Option<Wrong>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Browser {
    /// Whether it knows that the session is bound.
    knows: bool,
    /// The generation of its cookies, if it may have to go on by them.
    cookies: Offset,
    offer: Option<Challenge>,
    challenge: Option<Challenge>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Message {
    Registering(Challenge),
    /// A worker has read the row to bind it.
    Binding(Challenge, Offset),
    /// A request with cookies of this generation, with an access token or without.
    Page(Offset, bool),
    /// A worker has read the row to remove its key.
    Unbinding(Offset),
    /// An answer that sets cookies of this generation.
    Cookies(Offset),
    /// An answer that tells the browser to forget its key.
    Forget,
    /// A request to the refresh endpoint, with a proof or without.
    Refreshing(Option<Challenge>),
    /// A worker has read the row and decided. It will write if the row's generation is unchanged.
    Writing {
        proof: Challenge,
        read: Offset,
        /// The generation to write.
        generation: Offset,
        next: Row,
    },
    /// The answer of the refresh endpoint.
    Answer(Challenge),
    /// The answer to a registration, with cookies of this generation.
    Registered(Offset),
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Thief {
    /// How long the challenges are valid whose proofs were copied: of the next generation, the row's, and the previous.
    proofs: [Option<u8>; 3],
    registration: Option<Challenge>,
    /// How long the last access token of the thief is valid.
    access: u8,
    /// After how many ticks nothing may be accepted any more; `None` while the thief copies.
    bound: Option<u8>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Tick,
    Register,
    /// The browser does not try again to bind the session.
    GiveUp,
    Refresh {
        proves: bool,
    },
    /// The browser sends a request that is not about its key.
    Visit {
        has_access: bool,
    },
    ForgetChallenge,
    Repeat(usize),
    Lose(usize),
    /// A worker starts or continues, or the browser receives the answer.
    Proceed(usize, Offset),
    Restore,
    /// The user authenticates again, which unlocks the session.
    Reauthenticate,
    StopCopying,
    Replay {
        generation: Offset,
        cookie: Offset,
    },
    ReplayRegistration,
    /// The thief brings the refresh token of the generation before the registration.
    Unbind,
    Exchange(Exchange),
}

/// A violated property.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Wrong {
    SignedOut,
    Stuck,
    AfterBound,
    WrittenUnproven,
    NotEnded,
    LaterEnd,
    BoundByThief,
}

impl Devices {
    pub(crate) fn new(grace: u8, access: u8) -> Self {
        Self::with_locks(grace, access, None)
    }

    pub(crate) fn with_locks(grace: u8, access: u8, lock_after: Option<u8>) -> Self {
        Self {
            engine: Engine::new(grace, access, lock_after),
            messages: 2,
            registers: false,
            restores: false,
            thief: false,
            cookies: &[0],
            too_strict: 0,
            rules: Rules::new(),
            judged: Answers::new(),
            refreshing: Answers::new(),
            seen: Arc::default(),
        }
    }

    fn note(&self, what: &'static str) {
        self.seen.lock().unwrap().insert(what);
    }
}

impl Rules {
    /// Return the engine's rules.
    pub(crate) fn new() -> Self {
        Self {
            prove: |engine, row, shown| engine.prove(row, shown.challenge, shown.signer),
            register: Engine::register,
            access_end: Engine::access_end,
            exchange: Engine::exchange,
            ends_with_presented: true,
            decide: RotationPolicy::decide,
            unbinding_rotates: false,
            compares_key: true,
            offers_later: false,
        }
    }
}

impl Challenge {
    fn shifted(self, rise: Offset) -> Self {
        match self.generation - rise {
            generation if generation > OLD => Self { generation, ..self },
            _ => Self { generation: OLD, left: 0 },
        }
    }

    fn aged(self) -> Self {
        Self { left: self.left.saturating_sub(1), ..self }
    }
}

impl Message {
    fn challenge(&mut self) -> Option<&mut Challenge> {
        match self {
            Self::Registering(challenge)
            | Self::Binding(challenge, _)
            | Self::Refreshing(Some(challenge))
            | Self::Writing { proof: challenge, .. }
            | Self::Answer(challenge) => Some(challenge),
            Self::Refreshing(None)
            | Self::Page(..)
            | Self::Unbinding(_)
            | Self::Cookies(_)
            | Self::Forget
            | Self::Registered(_) => None,
        }
    }

    /// Return the generations that are relative to the row's.
    fn generations(&mut self) -> impl Iterator<Item = &mut Offset> {
        let (one, other) = match self {
            Self::Writing { read, generation, .. } => (Some(read), Some(generation)),
            Self::Binding(_, it)
            | Self::Page(it, _)
            | Self::Unbinding(it)
            | Self::Cookies(it)
            | Self::Registered(it) => (Some(it), None),
            _ => (None, None),
        };
        one.into_iter().chain(other)
    }
}

impl Thief {
    const NONE: Self = Self { proofs: [None; 3], registration: None, access: 0, bound: None };

    fn is_copying(&self) -> bool {
        self.bound.is_none()
    }

    fn proof_of(&mut self, generation: Offset) -> Option<&mut Option<u8>> {
        usize::try_from(1 - generation).ok().and_then(|index| self.proofs.get_mut(index))
    }

    fn copies_proof(&mut self, challenge: Challenge) {
        if let Some(proof) = self.proof_of(challenge.generation) {
            *proof = (*proof).max(Some(challenge.left));
        }
    }

    fn shift(&mut self, rise: Offset) {
        let shifted = |generation: Offset| {
            let index = usize::try_from(1 - generation - rise).ok();
            index.and_then(|index| self.proofs.get(index).copied()).flatten()
        };
        self.proofs = [1, 0, -1].map(shifted);
        self.registration = self.registration.map(|challenge| challenge.shifted(rise));
    }

    fn age(&mut self) {
        self.proofs = self.proofs.map(|left| left.map(|left| left.saturating_sub(1)));
        self.registration = self.registration.map(Challenge::aged);
        self.access = self.access.saturating_sub(1);
        self.bound = self.bound.map(|bound| bound.saturating_sub(1));
    }
}

impl State {
    /// Shift everything relative to a row that has risen.
    fn shift(&mut self, rise: Offset) {
        let Browser { offer, challenge, cookies, .. } = &mut self.browser;
        for it in [offer, challenge].into_iter().flatten() {
            *it = it.shifted(rise);
        }
        *cookies = (*cookies - rise).max(OLD);
        for message in &mut self.messages {
            message.challenge().into_iter().for_each(|it| *it = it.shifted(rise));
            message.generations().for_each(|it| *it = (*it - rise).max(OLD));
        }
        self.thief.iter_mut().for_each(|thief| thief.shift(rise));
    }

    /// Give the thief an access token.
    fn gain(&mut self, left: u8) {
        if let Some(thief) = &mut self.thief {
            thief.access = thief.access.max(left);
        }
    }

    fn copying(&mut self) -> Option<&mut Thief> {
        self.thief.as_mut().filter(|thief| thief.is_copying())
    }
}

/// What happens on the server.
impl Devices {
    fn prove(&self, row: Row, cookie: Offset, challenge: Option<Challenge>, signer: Signer) -> Proof {
        let proof = (self.rules.prove)(&self.engine, row, Shown { cookie, challenge, signer });
        match &proof {
            Proof::Good(decision) => self.note(decision.code()),
            proof => self.note(proof.code()),
        }
        proof
    }

    /// Return how long an access token is valid that is issued now.
    fn access_left(&self, session: &Session) -> u8 {
        left_until((self.rules.access_end)(&self.engine, session))
    }

    fn row_left(&self, row: Row) -> u8 {
        self.access_left(&self.engine.session(row))
    }

    /// Return the row that a decision writes, and its generation.
    fn next(&self, row: Row, decision: &Decision) -> Option<(Row, Offset)> {
        let next = decision.next(&self.engine.session(row))?;
        Some((Engine::row(&next), offset(next.generation)))
    }

    fn write(&self, state: &mut State, row: Row, generation: Offset) {
        if self.restores {
            state.before = Some((state.row, generation));
        }
        state.row = row;
        state.shift(generation);
        state.is_accepted = false;
    }

    /// Record that a proof was answered with tokens, which a thief copies. `generation` is that of its challenge before the
    /// row has risen by `rise`.
    fn accept(&self, state: &mut State, generation: Offset, rise: Offset) {
        state.is_accepted |= generation == rise;
        let left = self.row_left(state.row);
        if let Some(thief) = state.copying() {
            thief.access = thief.access.max(left);
        }
    }

    fn refresh(&self, state: &mut State, proof: Option<Challenge>, cookie: Offset) -> Option<Message> {
        let row = state.row;
        match self.prove(row, cookie, proof, Signer::Owner) {
            Proof::Challenge => {
                if let Some(Challenge { generation, left }) = proof {
                    self.note(if left == 0 { "an expired challenge" } else { "a stale challenge" });
                    if generation > 0 {
                        self.note("a challenge of a lost generation");
                    }
                }
                Some(Message::Answer(self.engine.challenge(row)))
            }
            Proof::Good(decision) if decision.admits() => {
                let proof = proof?;
                if let Some((next, generation)) = self.next(row, &decision) {
                    return Some(Message::Writing { proof, read: 0, generation, next });
                }
                self.accept(state, proof.generation, 0);
                Some(Message::Answer(self.engine.challenge(row)))
            }
            Proof::Good(Decision::Refuse(Refusal::Locked)) if row.is_locked() => None,
            Proof::Elsewhere if self.registers && !row.is_bound => Some(Message::Forget),
            _ => {
                state.wrong = Some(Wrong::SignedOut);
                None
            }
        }
    }

    fn register(&self, state: &mut State, challenge: Challenge) -> Option<Message> {
        let registration = (self.rules.register)(&self.engine, state.row, challenge, Signer::Owner);
        self.note(registration.code());
        match registration {
            Registration::Bind(..) => Some(Message::Binding(challenge, 0)),
            Registration::Again(_) => {
                self.accept(state, OLD, 0);
                Some(Message::Registered(0))
            }
            Registration::Refuse => None,
            _ => {
                state.wrong = Some(Wrong::SignedOut);
                None
            }
        }
    }

    /// Write the key, if the row is as it was read.
    fn bind(&self, state: &mut State, challenge: Challenge) -> Option<()> {
        let registration = (self.rules.register)(&self.engine, state.row, challenge, Signer::Owner);
        let (next, generation) = self.next(state.row, &registration.decision()?)?;
        self.write(state, Row { is_bound: true, ..next }, generation);
        self.accept(state, OLD, 0);
        Some(())
    }

    fn visit(&self, state: &mut State, cookies: Offset, has_access: bool) -> Option<Message> {
        if has_access {
            let is_first = self.engine.policy().acknowledges(&self.engine.session(state.row), absolute(cookies));
            state.row.is_seen |= is_first;
            return None;
        }
        match self.decide(state.row, cookies) {
            Decision::Unbind => Some(Message::Unbinding(0)),
            Decision::Reissue => Some(Message::Cookies(0)),
            decision => {
                state.row.is_seen |= decision.acknowledges();
                None
            }
        }
    }

    /// Decide on a refresh token without a proof.
    fn decide(&self, row: Row, cookies: Offset) -> Decision {
        let presented = Presented::new(absolute(cookies)).with_auth_time(Some(NOW));
        let decision = (self.rules.decide)(self.engine.policy(), &self.engine.session(row), presented, NOW);
        self.note(decision.code());
        decision
    }

    /// Remove the key.
    fn unbind(&self, state: &mut State) {
        let next = Row { is_bound: false, ..state.row };
        if self.rules.unbinding_rotates {
            self.write(state, Row { rotated: 0, ..next }, 1);
        } else {
            state.row = next;
        }
    }

    fn proceed(&self, state: &mut State, index: usize, cookie: Offset) {
        let goes_on = match state.messages.remove(index) {
            Message::Registering(challenge) => self.register(state, challenge),
            Message::Refreshing(proof) => self.refresh(state, proof, cookie),
            Message::Binding(challenge, read) if read != 0 || state.row.is_bound => {
                Some(Message::Registering(challenge))
            }
            Message::Binding(challenge, _) => self.bind(state, challenge).map(|()| Message::Registered(0)),
            Message::Page(cookies, has_access) => self.visit(state, cookies, has_access),
            Message::Unbinding(read) if read != 0 || !state.row.is_bound || state.row.is_seen => {
                self.note("a key that is not removed");
                None
            }
            Message::Unbinding(_) => {
                self.unbind(state);
                Some(Message::Cookies(0))
            }
            Message::Cookies(generation) => {
                state.browser.cookies = generation;
                None
            }
            Message::Forget => {
                state.browser = Browser { knows: false, challenge: None, ..state.browser };
                None
            }
            Message::Writing { proof, read, .. } if read != 0 || !state.row.is_bound && self.rules.compares_key => {
                self.note("a lost swap");
                Some(Message::Refreshing(Some(proof)))
            }
            Message::Writing { proof, generation, next, .. } => {
                let is_bound = state.row.is_bound;
                self.write(state, Row { is_bound, ..next }, generation);
                self.accept(state, proof.generation, generation);
                Some(Message::Answer(self.engine.challenge(state.row)))
            }
            Message::Answer(challenge) => {
                state.browser.challenge = Some(challenge);
                None
            }
            Message::Registered(cookies) => {
                state.browser = Browser { knows: true, offer: None, cookies, ..state.browser };
                None
            }
        };
        state.messages.extend(goes_on);
    }

    fn restore(&self, state: &mut State) -> Option<()> {
        self.note("a restore");
        let (row, rise) = state.before.take()?;
        state.row = row;
        state.shift(-rise);
        state.is_accepted = false;
        Some(())
    }
}

/// What the thief does.
impl Devices {
    /// Return after how many ticks nothing of a thief may be accepted who stops copying now. The access tokens that exist
    /// expire. A copied proof that has not arrived may be used until its challenge expires, and if the database loses its
    /// last write, so may one that has.
    fn bound(&self, state: &State, thief: Thief) -> u8 {
        let [next, newest, previous] = thief.proofs;
        let newest = newest.filter(|_| !state.is_accepted);
        let unused = if self.restores { newest.max(previous).max(next) } else { newest };
        let from_proofs =
            unused.filter(|left| *left > 0).map_or(0, |left| left - 1 + self.engine.access - self.too_strict);
        self.note(if from_proofs > thief.access {
            "a proof outlives the tokens"
        } else {
            "the tokens outlive a proof"
        });
        thief.access.max(from_proofs)
    }

    fn replay(&self, state: &mut State, generation: Offset, cookie: Offset) -> Option<()> {
        let left = (*state.thief?.proof_of(generation)?)?;
        let row = state.row;
        let Proof::Good(decision) = self.prove(row, cookie, Some(Challenge { generation, left }), Signer::Owner) else {
            return None;
        };
        if !decision.admits() {
            return None;
        }
        let rise = match self.next(row, &decision) {
            Some((next, rise)) => {
                self.note("the thief uses a proof that was not used");
                self.write(state, next, rise);
                rise
            }
            None => 0,
        };
        self.accept(state, generation, rise);
        state.gain(self.row_left(state.row));
        Some(())
    }

    fn replay_registration(&self, state: &mut State) -> Option<()> {
        let challenge = state.thief?.registration?;
        let registration = (self.rules.register)(&self.engine, state.row, challenge, Signer::Owner);
        registration.key()?;
        self.note("the thief repeats a registration");
        if !state.row.is_bound {
            self.bind(state, challenge)?;
        }
        state.gain(self.row_left(state.row));
        Some(())
    }

    fn exchange(&self, state: &mut State, exchange: Exchange) -> Option<()> {
        let presented = state.thief?.access;
        let session = self.engine.session(state.row);
        let left = self.access_left(&(self.rules.exchange)(&self.engine, exchange, &session));
        let left = if self.rules.ends_with_presented { left.min(presented) } else { left };
        if left > presented {
            state.wrong = Some(Wrong::LaterEnd);
            state.gain(left);
        }
        self.note("the thief exchanges a token");
        state.wrong.map(drop)
    }
}

/// What must hold.
impl Devices {
    fn judge(&self, state: &State) -> Option<Wrong> {
        let is_late = state.thief.is_some_and(|it| it.bound.is_some_and(|bound| it.access > bound));
        if is_late {
            return Some(Wrong::AfterBound);
        }
        let has_no_key = !state.browser.knows || !state.row.is_bound;
        if self.registers && !self.thief && has_no_key && !self.goes_on_by_cookies(state.row, state.browser.cookies) {
            return Some(Wrong::SignedOut);
        }
        if !state.row.is_bound {
            return state.thief.and_then(|_| self.judge_offers(state));
        }
        if state.browser.knows && !self.refreshes_in_two_exchanges(state.row, state.browser.challenge) {
            return Some(Wrong::Stuck);
        }
        if !state.row.is_seen {
            return None;
        }
        self.judged.get(state.row, || self.judge_row(state.row))
    }

    /// Check that the cookies of a browser without a key refresh its session, at once or after the grace period.
    fn goes_on_by_cookies(&self, row: Row, cookies: Offset) -> bool {
        let later = Row { rotated: row.rotated.max(self.engine.grace), ..row };
        self.decide(later, cookies).admits()
    }

    /// Check that a browser with its key refreshes in two exchanges, unless the session is locked.
    fn refreshes_in_two_exchanges(&self, row: Row, challenge: Option<Challenge>) -> bool {
        let refreshes = |proof: &Proof| matches!(proof, Proof::Good(decision) if decision.issues().len() == 2);
        let prove = |cookie, challenge| self.prove(row, cookie, challenge, Signer::Owner);
        if row.is_locked() {
            return !refreshes(&prove(0, Some(self.engine.challenge(row))));
        }
        self.refreshing.get((row, challenge), || {
            [0, -1, OLD].into_iter().all(|cookie| match prove(cookie, challenge) {
                Proof::Challenge => refreshes(&prove(cookie, Some(self.engine.challenge(row)))),
                proof => refreshes(&proof),
            })
        })
    }

    /// Check that a thief who comes after the offer has expired cannot bind the session.
    fn judge_offers(&self, state: &State) -> Option<Wrong> {
        let offer = state.browser.offer.filter(|offer| offer.left == 0)?;
        let offer = if self.rules.offers_later { self.engine.offer(state.row) } else { offer };
        let registration = (self.rules.register)(&self.engine, state.row, offer, Signer::Thief);
        registration.key().map(|_| Wrong::BoundByThief)
    }

    /// Check what holds for each row, whatever has happened before.
    fn judge_row(&self, row: Row) -> Option<Wrong> {
        let session = self.engine.session(row);
        // Until it is bound, a session that must be follows the same rules.
        let sessions = [session, session.with_device(DeviceBinding::Required)];
        let is_written = |presented| sessions.iter().any(|session| !self.changes_nothing(session, presented));
        if presented().any(is_written) {
            return Some(Wrong::WrittenUnproven);
        }
        let forged = |challenge| self.prove(row, 0, Some(challenge), Signer::Thief);
        if self.challenges().any(|challenge| forged(challenge) != Proof::Stolen) {
            return Some(Wrong::NotEnded);
        }
        if self.engine.prove_others(row).iter().any(|proof| *proof != Proof::Challenge) {
            return Some(Wrong::SignedOut);
        }
        let end = session.rotated_at + ticks(self.engine.access);
        let is_later = |session: &Session| (self.rules.access_end)(&self.engine, session) > end;
        let leads_later = |session: &Session| {
            // A locked session has no access token to exchange. Its user's password gives it one.
            let is_revived =
                |exchange| exchange == Exchange::Reauthenticate && self.engine.policy().is_locked(session, NOW);
            let exchanges = Exchange::ALL.into_iter().filter(|exchange| !is_revived(*exchange));
            let mut nexts = exchanges.map(|exchange| (self.rules.exchange)(&self.engine, exchange, session));
            is_later(session) || nexts.any(|next| is_later(&next))
        };
        sessions.iter().any(leads_later).then_some(Wrong::LaterEnd)
    }

    fn changes_nothing(&self, session: &Session, presented: Presented) -> bool {
        let decision = (self.rules.decide)(self.engine.policy(), session, presented, NOW);
        matches!(decision, Decision::Refuse(Refusal::Unproven | Refusal::Locked))
            && !self.engine.policy().acknowledges(session, presented.generation)
    }

    fn challenges(&self) -> impl Iterator<Item = Challenge> {
        let left = 0..=self.engine.access + 1;
        [1, 0, -1, OLD]
            .into_iter()
            .flat_map(move |generation| left.clone().map(move |left| Challenge { generation, left }))
    }
}

/// Return every way to present a refresh token.
fn presented() -> impl Iterator<Item = Presented> {
    let flags = (0..8).map(|bits| [1, 2, 4].map(|bit| bits & bit != 0));
    flags.flat_map(|[upload, activity, idle]| {
        let presented = [1, 0, -1, OLD].map(|generation| Presented::new(absolute(generation)));
        presented.map(|it| it.with_upload(upload).with_activity(activity).with_idle(idle).with_auth_time(Some(NOW)))
    })
}

impl Model for Devices {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let row = Row { rotated: 0, is_bound: !self.registers, is_seen: true, unlocked: self.engine.lock_after };
        let offer = self.registers.then(|| self.engine.offer(row));
        let access = self.row_left(row);
        vec![State {
            row,
            before: None,
            browser: Browser { knows: !self.registers, cookies: 0, offer, challenge: None },
            messages: Vec::new(),
            thief: self.thief.then_some(Thief { access, ..Thief::NONE }),
            is_accepted: false,
            wrong: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.wrong.is_some() {
            return;
        }
        actions.push(Action::Tick);
        let has_room = state.messages.len() < self.messages;
        for (index, message) in state.messages.iter().enumerate() {
            match message {
                Message::Refreshing(Some(_)) => {
                    actions.extend(self.cookies.iter().map(|cookie| Action::Proceed(index, *cookie)));
                }
                _ => actions.push(Action::Proceed(index, 0)),
            }
            actions.push(Action::Lose(index));
            if has_room && matches!(message, Message::Refreshing(Some(_)) | Message::Registering(_) | Message::Page(..))
            {
                actions.push(Action::Repeat(index));
            }
        }
        let Browser { knows, offer, challenge, .. } = state.browser;
        actions.extend(offer.map(|_| Action::GiveUp));
        if has_room {
            actions.extend(offer.map(|_| Action::Register));
            if self.registers {
                actions.extend([true, false].map(|has_access| Action::Visit { has_access }));
            }
            if knows {
                actions.push(Action::Refresh { proves: false });
                actions.extend(challenge.map(|_| Action::Refresh { proves: true }));
            }
        }
        actions.extend(challenge.map(|_| Action::ForgetChallenge));
        actions.extend(state.before.map(|_| Action::Restore));
        if state.row.is_locked() {
            actions.push(Action::Reauthenticate);
        }
        let Some(thief) = state.thief else { return };
        if thief.is_copying() && state.row.is_bound && state.row.is_seen {
            actions.push(Action::StopCopying);
        }
        if self.decide(state.row, -1) == Decision::Unbind {
            actions.push(Action::Unbind);
        }
        for (generation, _) in [1, 0, -1].into_iter().zip(thief.proofs).filter(|(_, proof)| proof.is_some()) {
            actions.extend(self.cookies.iter().map(|cookie| Action::Replay { generation, cookie: *cookie }));
        }
        actions.extend(thief.registration.map(|_| Action::ReplayRegistration));
        if thief.access > 0 && state.row.is_bound && state.row.is_seen {
            actions.extend(Exchange::ALL.map(Action::Exchange));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => self.tick(&mut state),
            Action::Register => {
                let offer = state.browser.offer?;
                state.copying().into_iter().for_each(|thief| thief.registration = Some(offer));
                state.messages.push(Message::Registering(offer));
            }
            Action::GiveUp => {
                state.browser.offer = None;
                if state.row.is_bound && state.messages.is_empty() {
                    self.note("a browser never learns that its session is bound");
                }
            }
            Action::Visit { has_access } => state.messages.push(Message::Page(state.browser.cookies, has_access)),
            Action::Refresh { proves } => {
                let proof = state.browser.challenge.filter(|_| proves);
                if let (Some(thief), Some(proof)) = (state.copying(), proof) {
                    thief.copies_proof(proof);
                }
                state.messages.push(Message::Refreshing(proof));
            }
            Action::ForgetChallenge => state.browser.challenge = None,
            Action::Repeat(index) => state.messages.push(*state.messages.get(index)?),
            Action::Lose(index) => drop(state.messages.remove(index)),
            Action::Proceed(index, cookie) => self.proceed(&mut state, index, cookie),
            Action::Restore => self.restore(&mut state)?,
            Action::Reauthenticate => {
                let next = self.engine.exchange(Exchange::Reauthenticate, &self.engine.session(state.row));
                self.note("a locked session is revived");
                let generation = offset(next.generation);
                self.write(&mut state, Engine::row(&next), generation);
                self.accept(&mut state, OLD, 0);
            }
            Action::StopCopying => {
                let bound = self.bound(&state, state.thief?);
                state.thief.as_mut()?.bound = Some(bound);
            }
            Action::Replay { generation, cookie } => self.replay(&mut state, generation, cookie)?,
            Action::ReplayRegistration => self.replay_registration(&mut state)?,
            Action::Unbind => {
                self.note("the thief unbinds the session");
                self.unbind(&mut state);
            }
            Action::Exchange(exchange) => self.exchange(&mut state, exchange)?,
        }
        state.messages.sort_unstable();
        state.wrong = state.wrong.or_else(|| self.judge(&state));
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let never = |name, condition: fn(&Self, &State) -> bool| Property::always(name, condition);
        vec![
            never("an honest browser is not signed out", |_, state| state.wrong != Some(Wrong::SignedOut)),
            never("a key refreshes in two exchanges", |_, state| state.wrong != Some(Wrong::Stuck)),
            never("nothing is accepted after the bound", |_, state| state.wrong != Some(Wrong::AfterBound)),
            never("a token alone changes nothing", |_, state| state.wrong != Some(Wrong::WrittenUnproven)),
            never("a wrong signature ends the session", |_, state| state.wrong != Some(Wrong::NotEnded)),
            never("only a proof moves an end", |_, state| state.wrong != Some(Wrong::LaterEnd)),
            never("a thief who comes late binds nothing", |_, state| state.wrong != Some(Wrong::BoundByThief)),
        ]
    }
}

impl Devices {
    fn tick(&self, state: &mut State) {
        let access = self.engine.access;
        state.row.age(access);
        state.before.iter_mut().for_each(|(row, _)| row.age(access));
        let Browser { offer, challenge, .. } = &mut state.browser;
        for it in [offer, challenge].into_iter().flatten() {
            *it = it.aged();
        }
        for message in &mut state.messages {
            message.challenge().into_iter().for_each(|it| *it = it.aged());
            if let Message::Writing { next, .. } = message {
                next.age(access);
            }
        }
        state.thief.iter_mut().for_each(Thief::age);
    }
}
