//! A client whose session is bound to its key (DPoP, RFC 9449), and a thief who copies everything but the key.
//!
//! The rules are those of the engine: `Site::{identify, identify_client, refresh, check}` with real keys, tokens, proofs and
//! nonces. The model is the world around them.
//!
//! Assumptions:
//!
//! - A request and its answer take [`Clients::slowest`] ticks at most, which are less than the grace period. They may get
//!   lost, and arrive after later ones. A request may arrive twice.
//! - The client makes one refresh at a time: it waits for the answer, or gives up and ignores it. It keeps the nonce of any
//!   answer, and may forget it. Its clock is right.
//! - Workers stop between reading and writing. The acknowledgement may not be written. The database may lose its last
//!   write.
//! - The thief copies every token, answer and proof, also one that never arrives, until some moment. From then on, the thief
//!   may send copied proofs, refresh ones with a refresh token of any generation. The thief has a perfect network and a key
//!   of their own.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jwtauth::{
    Algorithm, Check, Claims, CookiePolicy, DPOP_NONCE_LIFETIME, Decision, DeviceBinding, FoundRow, Head, Identity,
    Keyring, Lifetimes, Origin, OriginPolicy, Profile, Refusal, RotationPolicy, Session, Sid, SigningKey, Site,
    TokenKind, Tokens, Transport, UnixTime,
};
use serde_json::json;
use stateright::{Model, Property};

use crate::{
    Explored,
    device_keys::{Answers, OLD, Signer, absolute, left_until, offset, ticks},
    fails, holds,
    state::Offset,
    world::{NEWEST, NOW},
};

/// The row of a session. The figures are in ticks, up to the grace period.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Row {
    acknowledged: Option<u8>,
    rotated: u8,
}

/// What a request is by its proof, or the code of its refusal.
type Asked = Result<Identity, &'static str>;

/// A site with its keys, a session, and the keys of an owner and of a thief.
struct Engine {
    site: Site,
    grace: u8,
    access: u8,
    sid: Sid,
    owner: Ed25519KeyPair,
    thief: Ed25519KeyPair,
    device: DeviceBinding,
    refreshes: Answers<(Signer, Option<u8>), Asked>,
    calls: Answers<(Signer, Offset, u8, Option<u8>), Asked>,
}

impl Engine {
    /// Create a site whose grace period and access tokens last for so many ticks.
    fn new(grace: u8, access: u8) -> Self {
        let key = SigningKey::read(Algorithm::Hs256, &[7; 32]).unwrap();
        let tokens = Tokens::new(Keyring::new(key, []).unwrap(), Profile::default()).unwrap();
        let lifetimes = Lifetimes::new(ticks(access), Duration::from_secs(1_000_000), None).unwrap();
        let transport = Transport::new(CookiePolicy::default(), OriginPolicy::default(), true)
            .with_dpop_origins(Some(own().into_iter().collect()));
        let mut engine = Self {
            site: Site::new(tokens, RotationPolicy::new(lifetimes, ticks(grace)), transport),
            grace,
            access,
            sid: Sid::from_bytes([7; 20]),
            owner: Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap(),
            thief: Ed25519KeyPair::from_seed_unchecked(&[2; 32]).unwrap(),
            device: DeviceBinding::Required,
            refreshes: Answers::new(),
            calls: Answers::new(),
        };
        let owner = engine.refreshing(Signer::Owner, Some(1)).unwrap().client().unwrap();
        engine.device = DeviceBinding::Dpop(owner);
        engine
    }

    fn session(&self, row: Row) -> Session {
        Session::new(UnixTime::EPOCH, UnixTime::MAX)
            .with_generation(NEWEST, NOW - ticks(row.rotated))
            .with_acknowledged_at(row.acknowledged.map(|age| NOW - ticks(age)))
            .with_device(self.device)
    }

    /// Return how long a nonce is valid that is issued now.
    fn new_nonce() -> u8 {
        left_until(NOW + DPOP_NONCE_LIFETIME)
    }

    fn proof(&self, signer: Signer, method: &str, url: &str, token: Option<&str>, nonce: Option<u8>) -> String {
        let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
        let key = match signer {
            Signer::Owner => &self.owner,
            Signer::Thief => &self.thief,
        };
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().as_ref())});
        let header = json!({"alg": "EdDSA", "typ": "dpop+jwt", "jwk": jwk});
        let issued_at = |left| NOW + ticks(left) - DPOP_NONCE_LIFETIME;
        let nonce = nonce.map(|left| self.site.tokens().issue_dpop_nonce(issued_at(left)).unwrap());
        let hash = token.map(|token| encode(digest(&SHA256, token.as_bytes()).as_ref()));
        let claims = json!({
            "jti": "1", "htm": method, "htu": url, "iat": NOW.as_secs(), "ath": hash, "nonce": nonce,
        });
        let [header, claims] = [header, claims].map(|part| encode(part.to_string().as_bytes()));
        let message = format!("{header}.{claims}");
        format!("{message}.{}", encode(key.sign(message.as_bytes()).as_ref()))
    }

    /// Ask the engine about a request to the refresh endpoint.
    fn refreshing(&self, signer: Signer, nonce: Option<u8>) -> Asked {
        self.refreshes.get((signer, nonce), || {
            let proof = self.proof(signer, "POST", "https://own.example/token/refresh/", None, nonce);
            let mut head = Head::new("POST");
            (head.path, head.dpop) = ("/token/refresh/", Some(&*proof));
            self.site.identify_client(&head, own, NOW).map_err(|refused| refused.error.code())
        })
    }

    /// Ask the engine about a request with an access token of the owner.
    fn calling(&self, signer: Signer, access: Access, nonce: Option<u8>) -> Asked {
        let Access { generation, left } = access;
        self.calls.get((signer, generation, left, nonce), || self.call(access, signer, access, nonce))
    }

    /// Ask the engine about a request with an access token and a proof for another one.
    fn call(&self, access: Access, signer: Signer, proven: Access, nonce: Option<u8>) -> Asked {
        let [token, proven] = [access, proven].map(|it| self.access_token(it));
        let proof = self.proof(signer, "GET", "https://own.example/me/", Some(&proven), nonce);
        let authorization = format!("DPoP {token}");
        let mut head = Head::new("GET");
        (head.path, head.dpop, head.authorization) = ("/me/", Some(&*proof), Some(&*authorization));
        self.site.identify(&head, own, NOW).map_err(|refused| refused.error.code())
    }

    fn access_token(&self, Access { generation, left }: Access) -> String {
        let claims = self.claims(generation, left).with_confirmation(self.device.confirmation());
        self.site.tokens().issue(TokenKind::Access, &claims).unwrap()
    }

    fn claims(&self, generation: Offset, left: u8) -> Claims {
        Claims::new("1", self.sid, absolute(generation), NOW - ticks(self.access), NOW + ticks(left))
    }

    fn check(&self, row: Row, identity: &Identity) -> Check {
        let session = self.session(row);
        let row = FoundRow::new(&session, Some("1"), NOW);
        self.site.check(identity, identity.access().unwrap(), Some(row), NOW)
    }
}

fn own() -> Option<Origin> {
    "https://own.example".parse().ok()
}

/// What decides.
struct Rules {
    /// A refresh by this identity with a token of this generation.
    decide: fn(&Engine, Row, &Identity, Offset) -> Decision,
    /// What a request to the refresh endpoint is.
    refreshing: fn(&Engine, Signer, Option<u8>) -> Asked,
}

impl Rules {
    /// Return the engine's rules.
    fn new() -> Self {
        Self { decide, refreshing: Engine::refreshing }
    }
}

fn decide(engine: &Engine, row: Row, identity: &Identity, generation: Offset) -> Decision {
    engine.site.refresh(identity, &engine.claims(generation, 9), &engine.session(row), NOW)
}

/// The figures of a run, in ticks, and what may happen in it.
struct Clients {
    engine: Engine,
    slowest: u8,
    /// How many messages may be under way at once.
    messages: usize,
    /// Whether the client refreshes several times at once, and takes every answer.
    in_parallel: bool,
    restores: bool,
    thief: bool,
    /// By how much the bound of a thief is too strict.
    too_strict: u8,
    rules: Rules,
    judged: Answers<Row, bool>,
    seen: Arc<Mutex<BTreeSet<&'static str>>>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct State {
    row: Row,
    /// The row before its last write, and by how much that raised the generation.
    before: Option<(Row, Offset)>,
    client: Client,
    /// Sorted, since their order does not matter.
    messages: Vec<Message>,
    thief: Option<Thief>,
    /// Whether the session has ended, since a thief was found.
    is_over: bool,
    wrong: Option<Wrong>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Client {
    /// The generation of the refresh token.
    refresh: Offset,
    access: Option<Access>,
    /// How long the nonce is valid.
    nonce: Option<u8>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Access {
    generation: Offset,
    left: u8,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Message {
    stage: Stage,
    /// Ticks since the request was sent.
    age: u8,
    /// Whether the client waits for the answer to this refresh.
    is_awaited: bool,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Stage {
    Refreshing {
        generation: Offset,
        nonce: Option<u8>,
    },
    /// A worker has read the row and decided. It will write if the row's generation is unchanged.
    Writing {
        presented: Offset,
        nonce: Option<u8>,
        read: Offset,
        generation: Offset,
        next: Row,
    },
    Calling {
        access: Access,
        nonce: Option<u8>,
    },
    Answer {
        tokens: Option<Access>,
        nonce: Option<u8>,
    },
}

#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
struct Thief {
    /// How long a copied proof for the refresh endpoint is valid.
    proof: Option<u8>,
    /// How long a copied request with an access token and its proof is valid.
    call: Option<u8>,
    /// After how many ticks nothing may be accepted any more; `None` while the thief copies.
    bound: Option<u8>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Action {
    Tick,
    Refresh,
    Call,
    GiveUp,
    ForgetNonce,
    Repeat(usize),
    Lose(usize),
    /// A worker starts or continues, with or without the acknowledgement, or the client receives the answer.
    Proceed(usize, bool),
    Restore,
    StopCopying,
    ThiefRefreshes(Offset),
    ThiefCalls(Offset),
}

/// A violated property.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Wrong {
    SignedOut,
    Stuck,
    AfterBound,
    Unproven,
}

impl Row {
    fn age(&mut self, grace: u8) {
        self.rotated = (self.rotated + 1).min(grace);
        self.acknowledged = self.acknowledged.map(|age| (age + 1).min(grace));
    }
}

impl Client {
    fn shift(&mut self, rise: Offset) {
        self.refresh = shifted(self.refresh, rise);
        self.access.iter_mut().for_each(|it| it.shift(rise));
    }

    fn age(&mut self) {
        age(&mut self.nonce);
        self.access = self.access.map(Access::aged).filter(|access| access.left > 0);
    }
}

impl Access {
    fn shift(&mut self, rise: Offset) {
        self.generation = shifted(self.generation, rise);
    }

    fn aged(self) -> Self {
        Self { left: self.left.saturating_sub(1), ..self }
    }
}

impl Message {
    fn is_refresh(&self) -> bool {
        !matches!(self.stage, Stage::Calling { .. } | Stage::Answer { tokens: None, .. })
    }

    fn is_request(&self) -> bool {
        matches!(self.stage, Stage::Refreshing { .. } | Stage::Calling { .. })
    }

    fn shift(&mut self, rise: Offset) {
        match &mut self.stage {
            Stage::Refreshing { generation, .. } => *generation = shifted(*generation, rise),
            Stage::Writing { presented, read, generation, .. } => {
                for it in [presented, read, generation] {
                    *it = shifted(*it, rise);
                }
            }
            Stage::Calling { access, .. } | Stage::Answer { tokens: Some(access), .. } => access.shift(rise),
            Stage::Answer { tokens: None, .. } => {}
        }
    }

    fn age(&mut self, grace: u8) {
        self.age += 1;
        match &mut self.stage {
            Stage::Refreshing { nonce, .. } | Stage::Answer { tokens: None, nonce } => age(nonce),
            Stage::Writing { nonce, next, .. } => {
                age(nonce);
                next.age(grace);
            }
            Stage::Calling { access, nonce } | Stage::Answer { tokens: Some(access), nonce } => {
                *access = access.aged();
                age(nonce);
            }
        }
    }
}

fn shifted(generation: Offset, rise: Offset) -> Offset {
    (generation - rise).max(OLD)
}

fn age(left: &mut Option<u8>) {
    *left = left.map(|left| left.saturating_sub(1));
}

/// What happens on the server.
impl Clients {
    fn note(&self, what: &'static str) {
        self.seen.lock().unwrap().insert(what);
    }

    fn decide(&self, row: Row, identity: &Identity, generation: Offset) -> Decision {
        let decision = (self.rules.decide)(&self.engine, row, identity, generation);
        self.note(decision.code());
        decision
    }

    fn next(&self, row: Row, decision: &Decision) -> Option<(Row, Offset)> {
        let next = decision.next(&self.engine.session(row))?;
        let age = |instant| left_until(NOW + NOW.saturating_duration_since(instant));
        let row = Row { acknowledged: next.acknowledged_at.map(age), rotated: age(next.rotated_at) };
        Some((row, offset(next.generation)))
    }

    fn write(&self, state: &mut State, row: Row, rise: Offset) {
        if self.restores {
            state.before = Some((state.row, rise));
        }
        state.row = row;
        state.shift(rise);
    }

    fn acknowledge(&self, state: &mut State) {
        self.write(state, Row { acknowledged: Some(0), ..state.row }, 0);
    }

    /// Answer with the newest tokens, and with a new nonce if the client needs one.
    fn tokens(&self, identity: &Identity) -> Stage {
        let nonce = self.renewed(identity);
        Stage::Answer { tokens: Some(Access { generation: 0, left: self.engine.access }), nonce }
    }

    fn renewed(&self, identity: &Identity) -> Option<u8> {
        identity.needs_dpop_nonce().then(|| {
            self.note("a nonce is renewed");
            Engine::new_nonce()
        })
    }

    fn refused(&self, state: &mut State, code: &str) -> Option<Stage> {
        if code == "use_dpop_nonce" {
            self.note("a proof without a good nonce");
            return Some(Stage::Answer { tokens: None, nonce: Some(Engine::new_nonce()) });
        }
        state.wrong = Some(Wrong::SignedOut);
        None
    }

    fn refresh(&self, state: &mut State, generation: Offset, nonce: Option<u8>, acknowledges: bool) -> Option<Stage> {
        let identity = match (self.rules.refreshing)(&self.engine, Signer::Owner, nonce) {
            Ok(identity) => identity,
            Err(code) => return self.refused(state, code),
        };
        let decision = self.decide(state.row, &identity, generation);
        if decision == Decision::Reuse && state.thief.is_some() {
            self.note("the owner's refresh ends the session");
            state.is_over = true;
            return None;
        }
        if !decision.admits() {
            state.wrong = Some(Wrong::SignedOut);
            return None;
        }
        if let Some((next, rise)) = self.next(state.row, &decision) {
            return Some(Stage::Writing { presented: generation, nonce, read: 0, generation: rise, next });
        }
        if decision.acknowledges() && acknowledges {
            self.acknowledge(state);
        }
        Some(self.tokens(&identity))
    }

    fn call(&self, state: &mut State, access: Access, nonce: Option<u8>, acknowledges: bool) -> Option<Stage> {
        let identity = match self.engine.calling(Signer::Owner, access, nonce) {
            Ok(identity) => identity,
            Err("token_not_valid") if access.left == 0 => return None,
            Err(code) => return self.refused(state, code),
        };
        let Check::Live { acknowledge, .. } = self.engine.check(state.row, &identity) else {
            state.wrong = Some(Wrong::SignedOut);
            return None;
        };
        if acknowledge && acknowledges {
            self.acknowledge(state);
        }
        self.renewed(&identity).map(|nonce| Stage::Answer { tokens: None, nonce: Some(nonce) })
    }

    fn proceed(&self, state: &mut State, index: usize, acknowledges: bool) {
        let message = state.messages.remove(index);
        let goes_on = match message.stage {
            Stage::Refreshing { generation, nonce } => self.refresh(state, generation, nonce, acknowledges),
            Stage::Writing { presented, nonce, read, .. } if read != 0 => {
                self.note("a lost swap");
                Some(Stage::Refreshing { generation: presented, nonce })
            }
            Stage::Writing { nonce, generation, next, .. } => {
                self.write(state, next, generation);
                // The proof was verified before.
                let identity = self.engine.refreshing(Signer::Owner, nonce.map(|left| left.max(1)));
                identity.ok().map(|identity| self.tokens(&identity))
            }
            Stage::Calling { access, nonce } => self.call(state, access, nonce, acknowledges),
            Stage::Answer { tokens, nonce } => {
                state.client.nonce = nonce.or(state.client.nonce);
                if let Some(access) = tokens {
                    self.receive(state, access, message.is_awaited);
                }
                None
            }
        };
        state.messages.extend(goes_on.map(|stage| Message { stage, ..message }));
    }

    fn receive(&self, state: &mut State, access: Access, is_awaited: bool) {
        if !is_awaited && !self.in_parallel {
            return;
        }
        state.client = Client { refresh: access.generation, access: Some(access), ..state.client };
        state.client.access = state.client.access.filter(|access| access.left > 0);
        state.give_up();
    }

    fn restore(&self, state: &mut State) -> Option<()> {
        self.note("a restore");
        let (row, rise) = state.before.take()?;
        state.row = row;
        state.shift(-rise);
        Some(())
    }
}

impl State {
    /// Shift everything relative to a row that has risen.
    fn shift(&mut self, rise: Offset) {
        self.client.shift(rise);
        self.messages.iter_mut().for_each(|message| message.shift(rise));
    }

    fn is_refreshing(&self) -> bool {
        self.messages.iter().any(|message| message.is_refresh() && message.is_awaited)
    }

    /// Wait for no refresh any more.
    fn give_up(&mut self) {
        for message in self.messages.iter_mut().filter(|message| message.is_refresh()) {
            message.is_awaited = false;
        }
    }

    fn copying(&mut self) -> Option<&mut Thief> {
        self.thief.as_mut().filter(|thief| thief.bound.is_none())
    }
}

/// What the thief does.
impl Clients {
    /// Record that the server has accepted something of the thief.
    fn served(state: &mut State) {
        if state.thief.is_some_and(|thief| thief.bound == Some(0)) {
            state.wrong = Some(Wrong::AfterBound);
        }
    }

    fn thief_refreshes(&self, state: &mut State, generation: Offset) -> Option<()> {
        let left = state.thief?.proof?;
        let identity = (self.rules.refreshing)(&self.engine, Signer::Owner, Some(left)).ok()?;
        let decision = self.decide(state.row, &identity, generation);
        if decision == Decision::Reuse {
            self.note("the thief ends the session");
            state.is_over = true;
        } else if let Some((next, rise)) = self.next(state.row, &decision) {
            self.note("the thief refreshes");
            self.write(state, next, rise);
        } else if decision.acknowledges() {
            self.acknowledge(state);
        } else if !decision.admits() {
            return None;
        }
        Self::served(state);
        Some(())
    }

    fn thief_calls(&self, state: &mut State, generation: Offset) -> Option<()> {
        let left = state.thief?.call?;
        let identity = self.engine.calling(Signer::Owner, Access { generation, left }, Some(left)).ok()?;
        let Check::Live { acknowledge, .. } = self.engine.check(state.row, &identity) else { return None };
        if acknowledge {
            self.acknowledge(state);
        }
        self.note("the thief sends a request again");
        Self::served(state);
        Some(())
    }
}

/// What must hold.
impl Clients {
    fn judge(&self, state: &State) -> Option<Wrong> {
        if !self.judged.get(state.row, || self.needs_the_key(state.row)) {
            return Some(Wrong::Unproven);
        }
        let is_alone = state.thief.is_none() && !state.is_over;
        (is_alone && !self.refreshes_in_two_exchanges(state)).then_some(Wrong::Stuck)
    }

    /// Check that no token, no proof by another key, and no proof for another access token does anything.
    fn needs_the_key(&self, row: Row) -> bool {
        let nonce = Some(Engine::new_nonce());
        let own = (self.rules.refreshing)(&self.engine, Signer::Thief, nonce).unwrap();
        let generations = [1, 0, -1, OLD];
        let refuses = |identity: &Identity, generation| {
            (self.rules.decide)(&self.engine, row, identity, generation) == Decision::Refuse(Refusal::Unproven)
        };
        generations.into_iter().all(|generation| {
            let access = Access { generation, left: self.engine.access };
            let older = Access { left: access.left - 1, ..access };
            let is_refused = self.engine.calling(Signer::Thief, access, nonce).is_err()
                && self.engine.call(access, Signer::Owner, older, nonce).is_err();
            is_refused && refuses(&Identity::default(), generation) && refuses(&own, generation)
        })
    }

    /// Check that the client refreshes by one request, or by a second one with the nonce in the answer to the first.
    fn refreshes_in_two_exchanges(&self, state: &State) -> bool {
        let nonces = [state.client.nonce, Some(Engine::new_nonce())];
        let mut asked = nonces.into_iter().map(|nonce| (self.rules.refreshing)(&self.engine, Signer::Owner, nonce));
        let identity = asked.find_map(Result::ok);
        identity.is_some_and(|identity| self.decide(state.row, &identity, state.client.refresh).admits())
    }
}

impl Model for Clients {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let access = Access { generation: 0, left: self.engine.access };
        vec![State {
            row: Row { acknowledged: Some(0), rotated: 0 },
            before: None,
            client: Client { refresh: 0, access: Some(access), nonce: None },
            messages: Vec::new(),
            thief: self.thief.then(Thief::default),
            is_over: false,
            wrong: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.wrong.is_some() || state.is_over {
            return;
        }
        if state.messages.iter().all(|message| message.age < self.slowest) {
            actions.push(Action::Tick);
        }
        let has_room = state.messages.len() < self.messages;
        for (index, message) in state.messages.iter().enumerate() {
            actions.extend([Action::Proceed(index, true), Action::Lose(index)]);
            if message.is_request() {
                actions.push(Action::Proceed(index, false));
                actions.extend(has_room.then_some(Action::Repeat(index)));
            }
        }
        if state.is_refreshing() {
            actions.push(Action::GiveUp);
        }
        if has_room {
            actions.extend((self.in_parallel || !state.is_refreshing()).then_some(Action::Refresh));
            actions.extend(state.client.access.map(|_| Action::Call));
        }
        actions.extend(state.client.nonce.map(|_| Action::ForgetNonce));
        actions.extend(state.before.map(|_| Action::Restore));
        let Some(thief) = state.thief else { return };
        actions.extend(thief.bound.is_none().then_some(Action::StopCopying));
        let newest = Offset::from(self.restores);
        let generations = || (OLD..=newest).rev();
        actions.extend(generations().filter(|_| thief.proof.is_some()).map(Action::ThiefRefreshes));
        actions.extend(generations().filter(|_| thief.call.is_some()).map(Action::ThiefCalls));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let Client { refresh, access, nonce } = state.client;
        let send = |state: &mut State, stage| state.messages.push(Message { stage, age: 0, is_awaited: true });
        match action {
            Action::Tick => self.tick(&mut state),
            Action::Refresh => {
                state.copying().into_iter().for_each(|thief| thief.proof = thief.proof.max(nonce));
                send(&mut state, Stage::Refreshing { generation: refresh, nonce });
            }
            Action::Call => {
                let access = access?;
                let both = nonce.map(|nonce| nonce.min(access.left));
                state.copying().into_iter().for_each(|thief| thief.call = thief.call.max(both));
                send(&mut state, Stage::Calling { access, nonce });
            }
            Action::GiveUp => state.give_up(),
            Action::ForgetNonce => state.client.nonce = None,
            Action::Repeat(index) => state.messages.push(*state.messages.get(index)?),
            Action::Lose(index) => drop(state.messages.remove(index)),
            Action::Proceed(index, acknowledges) => self.proceed(&mut state, index, acknowledges),
            Action::Restore => self.restore(&mut state)?,
            Action::StopCopying => {
                let thief = state.thief.as_mut()?;
                let last = thief.proof.max(thief.call).unwrap_or_default();
                thief.bound = Some(last.saturating_sub(self.too_strict));
            }
            Action::ThiefRefreshes(generation) => self.thief_refreshes(&mut state, generation)?,
            Action::ThiefCalls(generation) => self.thief_calls(&mut state, generation)?,
        }
        state.messages.sort_unstable();
        state.wrong = state.wrong.or_else(|| self.judge(&state));
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let never = |name, condition: fn(&Self, &State) -> bool| Property::always(name, condition);
        vec![
            never("an honest client is not refused", |_, state| state.wrong != Some(Wrong::SignedOut)),
            never("a client refreshes in two exchanges", |_, state| state.wrong != Some(Wrong::Stuck)),
            never("nothing is accepted after the nonce", |_, state| state.wrong != Some(Wrong::AfterBound)),
            never("nothing is done without the key", |_, state| state.wrong != Some(Wrong::Unproven)),
        ]
    }
}

impl Clients {
    fn tick(&self, state: &mut State) {
        let grace = self.engine.grace;
        state.row.age(grace);
        state.before.iter_mut().for_each(|(row, _)| row.age(grace));
        state.client.age();
        state.messages.iter_mut().for_each(|message| message.age(grace));
        if let Some(thief) = &mut state.thief {
            for left in [&mut thief.proof, &mut thief.call, &mut thief.bound] {
                age(left);
            }
        }
    }
}

impl Explored for Clients {
    fn seen(&self) -> Arc<Mutex<BTreeSet<&'static str>>> {
        Arc::clone(&self.seen)
    }
}

fn clients(grace: u8, access: u8, slowest: u8) -> Clients {
    Clients {
        engine: Engine::new(grace, access),
        slowest,
        messages: 2,
        in_parallel: false,
        restores: false,
        thief: false,
        too_strict: 0,
        rules: Rules::new(),
        judged: Answers::new(),
        seen: Arc::default(),
    }
}

const PROVEN: [&str; 6] =
    ["rotate", "renew_access", "reissue", "a lost swap", "a nonce is renewed", "a proof without a good nonce"];

const STOLEN: [&str; 3] = ["the thief refreshes", "the thief ends the session", "the thief sends a request again"];

/// Whatever gets lost or repeated, a client that has its key refreshes by one request, or by a second one with the nonce in
/// the answer to the first.
#[test]
fn client_with_its_key_is_not_signed_out() {
    holds("a client", clients(2, 3, 1), &PROVEN);
    let losses = Clients { restores: true, ..clients(1, 2, 0) };
    holds("a client, lost writes", losses, &["a restore", "adopt"]);
}

/// A thief who has copied every token, answer and proof, until some moment, is served nothing after the nonces of the copied
/// proofs have expired. Until then, the thief can send copied requests again, and refresh or end the session, but use no
/// token that comes of it.
#[test]
fn copies_of_a_clients_proofs_are_worth_nothing_after_their_nonce() {
    let thief = || Clients { thief: true, messages: 1, ..clients(1, 2, 0) };
    holds("a client, a thief", thief(), &STOLEN);
    holds("a client, a thief, lost writes", Clients { restores: true, ..thief() }, &STOLEN);
}

#[test]
#[ignore = "deep: make model"]
fn deep_client_with_its_key_is_not_signed_out() {
    holds("a client, longer figures", clients(3, 6, 2), &PROVEN);
    holds("a client, three messages", Clients { messages: 3, ..clients(2, 3, 1) }, &PROVEN);
    let losses = Clients { restores: true, ..clients(2, 3, 1) };
    holds("a client, lost writes, longer figures", losses, &["a restore", "adopt"]);
}

#[test]
#[ignore = "deep: make model"]
fn deep_copies_of_a_clients_proofs_are_worth_nothing_after_their_nonce() {
    let thief = |clients| Clients { thief: true, ..clients };
    holds("a client, a thief, two messages", thief(clients(1, 2, 0)), &STOLEN);
    let losses = Clients { restores: true, ..thief(clients(1, 2, 0)) };
    holds("a client, a thief, two messages, lost writes", losses, &STOLEN);
    holds("a client, a thief, longer figures", Clients { messages: 1, ..thief(clients(2, 4, 1)) }, &STOLEN);
}

#[test]
fn wrong_rules_for_clients_are_detected() {
    let thief = || Clients { thief: true, messages: 1, ..clients(1, 2, 0) };
    let bound = "nothing is accepted after the nonce";
    fails("a thief, one tick earlier", Clients { too_strict: 1, ..thief() }, bound);
    let never = |engine: &Engine, signer, nonce: Option<u8>| engine.refreshing(signer, nonce.map(|left| left.max(1)));
    let rules = Rules { refreshing: never, ..Rules::new() };
    fails("nonces never expire", Clients { rules, ..thief() }, bound);
    let unbound = |engine: &Engine, row, identity: &Identity, generation| {
        let session = engine.session(row).with_device(DeviceBinding::Unbound);
        engine.site.refresh(identity, &engine.claims(generation, 9), &session, NOW)
    };
    let rules = Rules { decide: unbound, ..Rules::new() };
    fails("a refresh token is enough", Clients { rules, ..clients(1, 2, 0) }, "nothing is done without the key");
    fails("requests as slow as the grace", clients(1, 2, 1), "an honest client is not refused");
    // The answer to the earlier of two refreshes may arrive last, and then take the newer refresh token from the client.
    let stuck = "a client refreshes in two exchanges";
    fails("a client that takes answers in any order", Clients { in_parallel: true, ..clients(2, 3, 1) }, stuck);
}
