//! The engine's answers about sessions that are bound to a device, asked with real keys, challenges and proofs.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jwtauth::{
    Algorithm, Authentication, CookiePolicy, DeviceBinding, DeviceProof, Generation, Grantee, Keyring, Lifetimes,
    MAX_REGISTRATION_DELAY, Methods, OriginPolicy, Profile, Proof, Purpose, Registration, RotationPolicy, Session, Sid,
    SigningKey, Site, TokenKind, Tokens, Transport, UnixTime,
};
use serde_json::json;

use crate::{
    state::Offset,
    world::{NEWEST, NOW},
};

/// The oldest generation that is told apart.
pub(crate) const OLD: Offset = -2;

/// A tick, of which a challenge lives one longer than an access token.
const TICK: Duration = Duration::from_secs(60);

/// The row of a session. The figures are in ticks.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Row {
    /// The time since the rotation, as far as a rule can tell it apart.
    pub(crate) rotated: u8,
    /// Whether the session is bound to the owner's key.
    pub(crate) is_bound: bool,
    /// Whether a token of the row's generation was seen.
    pub(crate) is_seen: bool,
    /// The time until the session locks; `None` if it does not lock.
    pub(crate) unlocked: Option<u8>,
}

impl Row {
    pub(crate) fn is_locked(self) -> bool {
        self.unlocked == Some(0)
    }

    /// Age by a tick, as far as a rule can tell.
    pub(crate) fn age(&mut self, access: u8) {
        self.rotated = (self.rotated + 1).min(access);
        self.unlocked = self.unlocked.map(|left| left.saturating_sub(1));
    }
}

/// A challenge. Its generation is relative to the row's.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Challenge {
    pub(crate) generation: Offset,
    /// Ticks until it expires.
    pub(crate) left: u8,
}

/// Whose key signs a proof.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Signer {
    Owner,
    Thief,
}

/// What a request to the refresh endpoint brings.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    /// The generation of the refresh token.
    pub(crate) cookie: Offset,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) signer: Signer,
}

/// A request that gets new tokens for an access token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exchange {
    /// The user acts as another one.
    Act,
    /// The user stops acting as another one, in a session that began now.
    StopActing,
    /// The user has a new password.
    Succeed,
    Reauthenticate,
}

/// A site with its keys, a session, and the keys of an owner and of a thief.
pub(crate) struct Engine {
    pub(crate) site: Site,
    pub(crate) grace: u8,
    pub(crate) access: u8,
    /// After how many ticks without a refresh the session locks.
    pub(crate) lock_after: Option<u8>,
    sid: Sid,
    owner: EcdsaKeyPair,
    thief: EcdsaKeyPair,
    /// The owner's key as the row stores it, and its thumbprint.
    stored: [String; 2],
    challenges: Answers<Row, Challenge>,
    proofs: Answers<(Row, Option<Challenge>, Signer), Proof>,
    registrations: Answers<(Row, Challenge, Signer), Registration>,
}

/// Answers that are known, since signatures take time.
pub(crate) struct Answers<K, V>(RwLock<HashMap<K, V>>);

impl<K: Copy + Eq + std::hash::Hash, V: Clone> Answers<K, V> {
    pub(crate) fn new() -> Self {
        Self(RwLock::default())
    }

    pub(crate) fn get(&self, key: K, answer: impl FnOnce() -> V) -> V {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return known.clone();
        }
        self.0.write().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert_with(answer).clone()
    }
}

impl Engine {
    /// Create a site whose grace period and access tokens last for so many ticks, and whose sessions may lock.
    pub(crate) fn new(grace: u8, access: u8, lock_after: Option<u8>) -> Self {
        let key = SigningKey::read(Algorithm::Hs256, &[7; 32]).unwrap();
        let tokens = Tokens::new(Keyring::new(key, []).unwrap(), Profile::default()).unwrap();
        let lifetimes = Lifetimes::new(ticks(access), Duration::from_secs(1_000_000), None).unwrap();
        let policy = RotationPolicy::new(lifetimes, ticks(grace)).with_lock_after(lock_after.map(ticks));
        let transport = Transport::new(CookiePolicy::default(), OriginPolicy::default(), true);
        let [owner, thief] = [(); 2].map(|()| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
        let mut engine = Self {
            site: Site::new(tokens, policy, transport),
            grace,
            access,
            lock_after,
            sid: Sid::from_bytes([7; 20]),
            owner,
            thief,
            stored: Default::default(),
            challenges: Answers::new(),
            proofs: Answers::new(),
            registrations: Answers::new(),
        };
        let proof = DeviceProof::parse(engine.registration("", Signer::Owner).as_bytes()).unwrap();
        let (key, _) = proof.registration().unwrap();
        engine.stored = [key.to_text(), key.thumbprint()];
        engine
    }

    pub(crate) fn policy(&self) -> &RotationPolicy {
        self.site.policy()
    }

    pub(crate) fn session(&self, row: Row) -> Session {
        let rotated_at = NOW - ticks(row.rotated);
        Session::new(UnixTime::EPOCH, UnixTime::MAX)
            .with_generation(NEWEST, rotated_at)
            .with_acknowledged_at(row.is_seen.then_some(rotated_at))
            .with_auth_time(Some(rotated_at))
            .with_locks_at(row.unlocked.map(|left| NOW + ticks(left)))
            .with_device(DeviceBinding::from_stored(self.device_key(row)))
    }

    /// Return the row that a decision writes.
    pub(crate) fn row(session: &Session) -> Row {
        Row {
            rotated: age_of(session.rotated_at),
            is_bound: session.device == DeviceBinding::Bound,
            is_seen: session.acknowledged_at.is_some(),
            unlocked: session.locks_at.map(left_until),
        }
    }

    fn device_key(&self, row: Row) -> Option<&str> {
        row.is_bound.then_some(self.stored[0].as_str())
    }

    /// Return the challenge that the site issues now for the next proof.
    pub(crate) fn challenge(&self, row: Row) -> Challenge {
        self.challenges.get(row, || {
            let challenge = self.site.challenge(self.sid.session_id(), &self.session(row), NOW).unwrap();
            self.read(&challenge, Purpose::Refresh)
        })
    }

    /// Return the challenge that the site offers now.
    pub(crate) fn offer(&self, row: Row) -> Challenge {
        let offer = self.site.offer(self.sid.session_id(), &self.session(row), NOW).unwrap();
        let challenge = self.read(&offer, Purpose::Register);
        assert_eq!(ticks(challenge.left), MAX_REGISTRATION_DELAY);
        challenge
    }

    fn read(&self, text: &str, purpose: Purpose) -> Challenge {
        let challenge = self.site.tokens().verifier().read_challenge(text).unwrap();
        assert_eq!(challenge.purpose, purpose);
        Challenge { generation: offset(challenge.generation), left: left_until(challenge.expires_at) }
    }

    /// Ask the engine about a request to the refresh endpoint of a site.
    pub(crate) fn prove(&self, row: Row, challenge: Option<Challenge>, signer: Signer) -> Proof {
        self.proofs.get((row, challenge, signer), || {
            let text = challenge.map(|challenge| self.text(self.sid, challenge, Purpose::Refresh));
            self.prove_text(row, text.as_deref(), signer)
        })
    }

    fn prove_text(&self, row: Row, challenge: Option<&str>, signer: Signer) -> Proof {
        let proof = challenge.map(|text| self.sign(signer, &json!({"alg": "ES256", "typ": "dbsc+jwt"}), text));
        let (key, named) = (self.device_key(row), Some(self.stored[1].as_str()));
        self.site.prove(self.sid.session_id(), &self.session(row), key, named, proof.as_deref(), NOW)
    }

    /// Ask the engine about the owner's proofs over the challenge of another session, and over the offer of this one.
    pub(crate) fn prove_others(&self, row: Row) -> [Proof; 2] {
        let challenge = self.challenge(row);
        let other = self.text(Sid::from_bytes([8; 20]), challenge, Purpose::Refresh);
        let offer = self.text(self.sid, challenge, Purpose::Register);
        [other, offer].map(|text| self.prove_text(row, Some(&text), Signer::Owner))
    }

    /// Ask the engine about a request to bind the session.
    pub(crate) fn register(&self, row: Row, challenge: Challenge, signer: Signer) -> Registration {
        self.registrations.get((row, challenge, signer), || {
            let proof = self.registration(&self.text(self.sid, challenge, Purpose::Register), signer);
            self.site.register(self.sid.session_id(), &self.session(row), self.device_key(row), &proof, NOW)
        })
    }

    fn text(&self, sid: Sid, challenge: Challenge, purpose: Purpose) -> String {
        let Challenge { generation, left } = challenge;
        let challenge = jwtauth::Challenge::new(sid.session_id(), absolute(generation), purpose, NOW + ticks(left));
        self.site.tokens().issue_challenge(&challenge).unwrap()
    }

    fn registration(&self, challenge: &str, signer: Signer) -> String {
        let point = self.key(signer).public_key().as_ref();
        let (x, y) = point.get(1..).unwrap().split_at(32);
        let [x, y] = [x, y].map(|half| BASE64_URL_SAFE_NO_PAD.encode(half));
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
        self.sign(signer, &json!({"alg": "ES256", "typ": "dbsc+jwt", "jwk": jwk}), challenge)
    }

    fn sign(&self, signer: Signer, header: &serde_json::Value, challenge: &str) -> String {
        let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
        let payload = json!({"jti": challenge}).to_string();
        let message = format!("{}.{}", encode(header.to_string().as_bytes()), encode(payload.as_bytes()));
        let signature = self.key(signer).sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", encode(signature.as_ref()))
    }

    fn key(&self, signer: Signer) -> &EcdsaKeyPair {
        match signer {
            Signer::Owner => &self.owner,
            Signer::Thief => &self.thief,
        }
    }

    /// Return the end of the access token that the site issues now.
    pub(crate) fn access_end(&self, session: &Session) -> UnixTime {
        let kinds = &[TokenKind::Access, TokenKind::Refresh];
        self.site.grant(Grantee::new(self.sid, "1"), session, kinds, NOW).access().expires_at
    }

    /// Return the row whose tokens answer a request that brings an access token.
    pub(crate) fn exchange(&self, exchange: Exchange, session: &Session) -> Session {
        let said = Authentication::new(NOW, Methods::default());
        let acting = self.policy().start_acting(session, &said, ticks(self.access) * 9, NOW);
        match exchange {
            Exchange::Act => acting,
            Exchange::StopActing => self.policy().stop_acting(session, &acting, NOW),
            Exchange::Succeed => self.policy().succeed(session, NOW),
            Exchange::Reauthenticate => self.policy().reauthenticate(session, NOW).unwrap(),
        }
    }
}

impl Exchange {
    pub(crate) const ALL: [Self; 4] = [Self::Act, Self::StopActing, Self::Succeed, Self::Reauthenticate];
}

pub(crate) fn ticks(count: u8) -> Duration {
    TICK * u32::from(count)
}

pub(crate) fn left_until(end: UnixTime) -> u8 {
    whole_ticks(end.saturating_duration_since(NOW))
}

fn age_of(instant: UnixTime) -> u8 {
    whole_ticks(NOW.saturating_duration_since(instant))
}

fn whole_ticks(duration: Duration) -> u8 {
    assert_eq!(duration.as_secs() % TICK.as_secs(), 0, "whole ticks");
    u8::try_from(duration.as_secs() / TICK.as_secs()).unwrap()
}

pub(crate) fn absolute(generation: Offset) -> Generation {
    Generation::new(NEWEST.get().saturating_add_signed(generation.into()))
}

pub(crate) fn offset(generation: Generation) -> Offset {
    let [generation, newest] = [generation, NEWEST].map(|it| i64::try_from(it.get()).unwrap());
    Offset::try_from(generation - newest).unwrap()
}
