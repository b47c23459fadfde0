//! Sessions that are bound to a key of the user's device: what a browser is offered, and what its proofs do.
//!
//! The browser's side is Device Bound Session Credentials (W3C Web Application Security, draft of February 2026). Its
//! session identifier is the [thumbprint](DeviceKey::thumbprint) of the key, which stays the same when a session follows
//! another, for example after a new password.

use std::time::Duration;

use uuid::Uuid;

use super::Site;
use crate::{
    Challenge, Decision, DeviceBinding, DeviceKey, DeviceProof, IssueError, ProofError, Purpose, Refusal, RowUpdate,
    Session, UnixTime,
};

/// How long a browser may take to bind a session after a login or another authentication.
///
/// It is short, since a thief who has copied the response could bind the session to another key.
pub const MAX_REGISTRATION_DELAY: Duration = Duration::from_secs(300);

/// How much longer than an access token a challenge is valid, so that a browser can use the one that came with it.
const CHALLENGE_LEEWAY: Duration = Duration::from_secs(60);

/// The decision about a request to bind a session to a device.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
#[non_exhaustive]
pub enum Registration {
    /// Write the key and the [`RowUpdate`] by one compare-and-swap, if the row has the generation that was read and is not
    /// bound; then issue both tokens of the new generation. If it changes no row, read the row and decide again.
    Bind(DeviceKey, RowUpdate),
    /// The session is bound to this key and was not refreshed since, so the response was lost: issue the same tokens
    /// again.
    Again(DeviceKey),
    /// Refuse the request (403), and write nothing.
    Refuse,
    /// The session is bound to another key, so one of the two is not the user's: end the session.
    Stolen,
}

impl Registration {
    /// Return the stable name of this decision.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bind(..) => "bind",
            Self::Again(_) => "again",
            Self::Refuse => "refuse",
            Self::Stolen => "stolen",
        }
    }

    /// Return the decision to carry out if the session is then bound.
    pub fn decision(&self) -> Option<Decision> {
        match self {
            Self::Bind(_, update) => Some(Decision::Rotate(*update)),
            Self::Again(_) => Some(Decision::Reissue),
            Self::Refuse | Self::Stolen => None,
        }
    }

    /// Return the key to which the session is then bound.
    pub fn key(&self) -> Option<&DeviceKey> {
        match self {
            Self::Bind(key, _) | Self::Again(key) => Some(key),
            Self::Refuse | Self::Stolen => None,
        }
    }
}

/// The decision about a request to refresh a session that is bound to a device.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
#[non_exhaustive]
pub enum Proof {
    /// The key is proven: carry this decision out.
    Good(Decision),
    /// Answer 403 with [a new challenge](Site::challenge). Write nothing.
    Challenge,
    /// The browser means a session that is not this one, or this one is not bound: tell it to forget its own.
    Elsewhere,
    /// The proof is signed with another key, so the tokens were copied: end the session.
    Stolen,
}

impl Proof {
    /// Return the stable name of this decision.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Good(_) => "good",
            Self::Challenge => "challenge",
            Self::Elsewhere => "elsewhere",
            Self::Stolen => "stolen",
        }
    }
}

impl Site {
    /// Return the challenge with which a browser may bind this session until [`MAX_REGISTRATION_DELAY`] from `now`.
    ///
    /// Offer it only with the response to a login or another authentication: on a later response, a thief with copied
    /// cookies could bind the session.
    ///
    /// # Errors
    ///
    /// An [`IssueError`].
    pub fn offer(&self, session_id: Uuid, session: &Session, now: UnixTime) -> Result<String, IssueError> {
        self.issue_challenge(session_id, session, Purpose::Register, now + MAX_REGISTRATION_DELAY)
    }

    /// Return whether a session may be offered a binding when its user authenticates again at `now`. A browser that has
    /// just been offered one could answer both, with two keys.
    pub fn may_offer(&self, session_id: Uuid, before: &Session, now: UnixTime) -> bool {
        // The ID names the minute in which the row began: after the login, if it has replaced another.
        let minute = session_id.get_timestamp().map_or(0, |time| time.to_unix().0);
        let began = UnixTime::from_secs(minute) + Duration::from_secs(59);
        let offered_at = before.authenticated_at().max(began);
        !matches!(before.device, DeviceBinding::Bound | DeviceBinding::Dpop(_))
            && now.saturating_duration_since(offered_at) >= MAX_REGISTRATION_DELAY
    }

    /// Return a challenge for the next proof of this session's key.
    ///
    /// # Errors
    ///
    /// An [`IssueError`].
    pub fn challenge(&self, session_id: Uuid, session: &Session, now: UnixTime) -> Result<String, IssueError> {
        let validity = self.policy().lifetimes().access() + CHALLENGE_LEEWAY;
        self.issue_challenge(session_id, session, Purpose::Refresh, now + validity)
    }

    fn issue_challenge(
        &self,
        session_id: Uuid,
        session: &Session,
        purpose: Purpose,
        expires_at: UnixTime,
    ) -> Result<String, IssueError> {
        let generation = session.generation;
        self.tokens().issue_challenge(&Challenge::new(session_id, generation, purpose, expires_at))
    }

    /// Decide about a request to bind a session, which the request's tokens name and which is not over, to the key in
    /// `proof`. `device_key` is that of the row.
    ///
    /// An offer is good for the generation with which it was made. A copy of a registration is worth nothing once the
    /// session was refreshed: otherwise a thief with it, and a refresh token, would get each new access token. A locked
    /// session is not bound, since its user must authenticate before it issues tokens.
    pub fn register(
        &self,
        session_id: Uuid,
        session: &Session,
        device_key: Option<&str>,
        proof: &str,
        now: UnixTime,
    ) -> Registration {
        if let DeviceBinding::Dpop(_) = session.device {
            return Registration::Refuse; // no browser has this session
        }
        let Ok(proof) = DeviceProof::parse(proof.as_bytes()) else { return Registration::Refuse };
        let Ok((key, challenge)) = proof.registration() else { return Registration::Refuse };
        let Some(challenge) = self.read_challenge(challenge, session_id, Purpose::Register) else {
            return Registration::Refuse;
        };
        let bound = device_key.filter(|bound| !bound.is_empty());
        let is_other = bound.is_some_and(|bound| bound != key.to_text());
        let issued = if bound.is_some() { challenge.generation.next() } else { challenge.generation };
        if is_other {
            Registration::Stolen
        } else if issued != session.generation || self.policy().is_locked(session, now) {
            Registration::Refuse
        } else if bound.is_some() {
            Registration::Again(key)
        } else if now < challenge.expires_at {
            Registration::Bind(key, self.policy().bind(session, now))
        } else {
            Registration::Refuse
        }
    }

    /// Decide about a request to refresh a session, which the request's tokens name. `device_key` is that of the row, and
    /// `named` the session identifier that the browser sent.
    ///
    /// Only a proof that is signed with another key ends the session, and only if the browser means this one: it may still
    /// know an earlier session of the same cookie.
    pub fn prove(
        &self,
        session_id: Uuid,
        session: &Session,
        device_key: Option<&str>,
        named: Option<&str>,
        proof: Option<&str>,
        now: UnixTime,
    ) -> Proof {
        if self.policy().lifetimes().is_over(session, now) {
            return Proof::Good(Decision::Refuse(Refusal::Expired));
        }
        let Some(key) = device_key.and_then(|key| DeviceKey::parse(key).ok()) else { return Proof::Elsewhere };
        if named != Some(&*key.thumbprint()) {
            return Proof::Elsewhere;
        }
        let Some(Ok(proof)) = proof.map(|proof| DeviceProof::parse(proof.as_bytes())) else { return Proof::Challenge };
        match proof.verify(&key) {
            Ok(challenge) => self
                .read_challenge(challenge, session_id, Purpose::Refresh)
                .filter(|challenge| now < challenge.expires_at)
                .and_then(|challenge| self.policy().decide_proven(session, challenge.generation, now))
                .map_or(Proof::Challenge, Proof::Good),
            Err(ProofError::BadSignature) => Proof::Stolen,
            Err(_) => Proof::Challenge,
        }
    }

    /// Read a challenge of this session, whether it has expired or not.
    fn read_challenge(&self, challenge: &str, session_id: Uuid, purpose: Purpose) -> Option<Challenge> {
        let challenge = self.tokens().verifier().read_challenge(challenge).ok()?;
        (challenge.session == session_id && challenge.purpose == purpose).then_some(challenge)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        Algorithm, CookiePolicy, GeneratedKey, Generation, Keyring, Lifetimes, OriginPolicy, Profile, RotationPolicy,
        Sid, SigningKey, Thumbprint, Tokens, Transport, base64url::BASE64URL,
    };

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
    const ACCESS: Duration = secs(300);

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn site() -> Site {
        let key = SigningKey::read(Algorithm::Hs256, &[7; 32]).unwrap();
        let tokens = Tokens::new(Keyring::new(key, []).unwrap(), Profile::default()).unwrap();
        let policy = RotationPolicy::new(Lifetimes::new(ACCESS, secs(86_400), None).unwrap(), secs(30));
        Site::new(tokens, policy, Transport::new(CookiePolicy::default(), OriginPolicy::default(), true))
    }

    fn id(session: u8) -> Uuid {
        Sid::from_bytes([session; 20]).session_id()
    }

    struct Device(SigningKey);

    impl Device {
        fn new() -> Self {
            let made = GeneratedKey::new(Algorithm::Es256, None).unwrap();
            Self(SigningKey::read(Algorithm::Es256, made.expose_jwk().as_bytes()).unwrap())
        }

        fn sign(&self, header: &Value, challenge: &str) -> String {
            let payload = json!({ "jti": challenge });
            let [header, payload] = [header, &payload].map(|part| BASE64URL.encode(part.to_string()));
            let message = format!("{header}.{payload}");
            let signature = self.0.sign(message.as_bytes(), |signature| BASE64URL.encode(signature)).unwrap();
            format!("{message}.{signature}")
        }

        fn registration(&self, challenge: &str) -> String {
            let jwk: Value = serde_json::from_str(&self.0.verifying_key().public_jwk().unwrap()).unwrap();
            self.sign(&json!({ "alg": "ES256", "typ": "dbsc+jwt", "jwk": jwk }), challenge)
        }

        fn proof(&self, challenge: &str) -> String {
            self.sign(&json!({ "alg": "ES256", "typ": "dbsc+jwt" }), challenge)
        }

        /// Return the key as stored, and the browser's identifier of the session.
        fn bound(&self, site: &Site) -> (String, String) {
            let row = site.policy().start(NOW);
            let proof = self.registration(&site.offer(id(1), &row, NOW).unwrap());
            let Registration::Bind(key, _) = site.register(id(1), &row, None, &proof, NOW) else { panic!("not bound") };
            (key.to_text(), key.thumbprint())
        }
    }

    #[test]
    fn first_key_binds_and_the_next_one_is_theft() {
        let (site, device, thief) = (site(), Device::new(), Device::new());
        let row = site.policy().start(NOW);
        let offer = site.offer(id(1), &row, NOW).unwrap();
        let (stored, _) = device.bound(&site);
        for unbound in [None, Some("")] {
            let registration = site.register(id(1), &row, unbound, &device.registration(&offer), NOW);
            assert_eq!(
                (registration.code(), registration.key().map(DeviceKey::to_text)),
                ("bind", Some(stored.clone()))
            );
            assert_eq!(registration.decision().map(|it| it.issues().len()), Some(2));
        }
        // Whatever the time: the answer may have been lost, and a thief may be late.
        for now in [NOW, NOW + secs(300), NOW + secs(9000)] {
            let code = |device: &Device, generation| {
                let row = row.with_generation(Generation::new(generation), now).with_device(DeviceBinding::Bound);
                let registration = site.register(id(1), &row, Some(&stored), &device.registration(&offer), now);
                (registration.code(), registration.decision())
            };
            assert_eq!([2, 3].map(|it| code(&device, it)), [("again", Some(Decision::Reissue)), ("refuse", None)]);
            assert_eq!([1, 2, 3].map(|it| code(&thief, it)), [("stolen", None); 3]);
        }
    }

    #[test]
    fn registration_issues_the_next_generation_and_moves_no_end() {
        let (site, device, now) = (site(), Device::new(), NOW + secs(40));
        let row = site.policy().start(NOW);
        let proof = device.registration(&site.offer(id(1), &row, NOW).unwrap());
        for (binding, acknowledged_at) in [(DeviceBinding::Unbound, None), (DeviceBinding::Required, Some(now))] {
            let row = row.with_device(binding);
            let decision = site.register(id(1), &row, None, &proof, now).decision().unwrap();
            let next = row.with_generation(Generation::new(2), now).with_acknowledged_at(acknowledged_at);
            assert_eq!(decision.next(&row), Some(next), "only a session that need not be bound may become unbound");
        }
    }

    #[test]
    fn offer_binds_no_later_generation() {
        let (site, device) = (site(), Device::new());
        let row = site.policy().start(NOW);
        let proof = device.registration(&site.offer(id(1), &row, NOW).unwrap());
        // Refreshed since, or bound and unbound again.
        let later = row.with_generation(Generation::new(2), NOW);
        assert_eq!(site.register(id(1), &later, None, &proof, NOW), Registration::Refuse);
    }

    #[test]
    fn locked_session_is_not_bound() {
        let site = site();
        let policy = site.policy().with_lock_after(Some(secs(60)));
        let site = Site::new(site.tokens().clone(), policy, site.transport().clone());
        let (device, row, locked) = (Device::new(), policy.start(NOW), NOW + secs(60));
        let proof = device.registration(&site.offer(id(1), &row, NOW).unwrap());
        let (stored, _) = device.bound(&site);
        let bound = row.with_generation(Generation::new(2), NOW);
        let codes = |now| {
            [(&row, None), (&bound, Some(&*stored))]
                .map(|(row, key)| site.register(id(1), row, key, &proof, now).code())
        };
        assert_eq!([codes(locked - secs(1)), codes(locked)], [["bind", "again"], ["refuse", "refuse"]]);
    }

    #[test]
    fn only_the_offer_of_this_session_binds_it_and_in_time() {
        let (site, device) = (site(), Device::new());
        let row = site.policy().start(NOW);
        let [offer, other] = [id(1), id(2)].map(|id| site.offer(id, &row, NOW).unwrap());
        let refresh = site.challenge(id(1), &row, NOW).unwrap();
        let late = NOW + MAX_REGISTRATION_DELAY;
        let cases = [
            (device.registration(&offer), late - secs(1), "bind"),
            (device.registration(&offer), late, "refuse"),
            (device.registration(&other), NOW, "refuse"),
            (device.registration(&refresh), NOW, "refuse"),
            (device.registration("x"), NOW, "refuse"),
            (device.proof(&offer), NOW, "refuse"),
            (offer.clone(), NOW, "refuse"),
            (String::new(), NOW, "refuse"),
        ];
        for (number, (proof, now, expected)) in cases.into_iter().enumerate() {
            assert_eq!(site.register(id(1), &row, None, &proof, now).code(), expected, "case {number}");
        }
    }

    #[test]
    fn session_of_a_client_is_not_bound_to_a_browser() {
        let (site, device) = (site(), Device::new());
        let client = Thumbprint::parse(&"A".repeat(43)).unwrap();
        let row = site.policy().start(NOW).with_device(DeviceBinding::Dpop(client));
        let registration = device.registration(&site.offer(id(1), &row, NOW).unwrap());
        assert_eq!(site.register(id(1), &row, Some(&client.to_stored()), &registration, NOW), Registration::Refuse);
    }

    #[test]
    fn binding_is_offered_again_only_when_the_last_offer_has_expired() {
        let site = site();
        let row = site.policy().start(NOW);
        let again = row.with_auth_time(Some(NOW + secs(400)));
        let may = |row: &Session, after| site.may_offer(id(1), row, NOW + secs(after));
        assert_eq!([0, 299, 300].map(|after| may(&row, after)), [false, false, true]);
        assert_eq!([400, 699, 700].map(|after| may(&again, after)), [false, false, true]);
        assert!(may(&row.with_device(DeviceBinding::Required), 300));
        let client = Thumbprint::parse(&"A".repeat(43)).unwrap();
        for bound in [DeviceBinding::Bound, DeviceBinding::Dpop(client)] {
            assert!(!may(&row.with_device(bound), 9000));
        }
        let replaced = Sid::derived([1; 16], NOW + secs(1000)).session_id();
        let may = |after: u64| site.may_offer(replaced, &row, NOW + secs(1000 + after));
        assert_eq!([0, 299, 359].map(may), [false, false, true], "a new password has offered it, too");
    }

    #[test]
    fn proof_of_the_key_refreshes_and_one_of_another_key_is_theft() {
        let (site, device, thief) = (site(), Device::new(), Device::new());
        let (stored, named) = device.bound(&site);
        let row = site.policy().start(NOW).with_device(DeviceBinding::Bound).with_generation(Generation::new(4), NOW);
        let now = NOW + ACCESS;
        let challenge = site.challenge(id(1), &row, NOW).unwrap();
        let prove = |proof: Option<&str>, now| site.prove(id(1), &row, Some(&stored), Some(&named), proof, now);
        let Proof::Good(Decision::Rotate(update)) = prove(Some(&device.proof(&challenge)), now) else {
            panic!("not refreshed")
        };
        assert_eq!(update.generation, Generation::new(5));
        assert_eq!(prove(Some(&thief.proof(&challenge)), now), Proof::Stolen);
        assert_eq!(prove(None, now), Proof::Challenge);
        let of_an_offer = site.offer(id(1), &row, NOW).unwrap();
        let of_another = site.challenge(id(2), &row, NOW).unwrap();
        let later = site.challenge(id(1), &row.with_generation(Generation::new(5), NOW), NOW).unwrap();
        for stale in [&*of_an_offer, &of_another, &later, "x", ""] {
            assert_eq!(prove(Some(&device.proof(stale)), now), Proof::Challenge, "a race, and no theft");
        }
        assert_eq!(prove(Some(&device.proof(&challenge)), now + secs(60)), Proof::Challenge, "it has expired");
        assert_eq!(prove(Some(&device.registration(&challenge)), now), Proof::Challenge, "it brings a key");
        assert_eq!(prove(Some("x.y.z"), now), Proof::Challenge);
        assert_eq!(prove(None, NOW + secs(86_400)), Proof::Good(Decision::Refuse(Refusal::Expired)));
    }

    #[test]
    fn browser_that_means_another_session_is_told_so() {
        let (site, device, other) = (site(), Device::new(), Device::new());
        let ((stored, named), (_, of_other)) = (device.bound(&site), other.bound(&site));
        let row = site.policy().start(NOW).with_device(DeviceBinding::Bound);
        let proof = other.proof(&site.challenge(id(1), &row, NOW).unwrap());
        let elsewhere = [
            (Some(&*stored), Some(&*of_other)),
            (Some(&stored), None),
            (None, Some(&named)),
            (Some(""), Some(&named)),
            (Some("dbsc:{}"), Some(&named)),
        ];
        for (stored, named) in elsewhere {
            let answer = site.prove(id(1), &row, stored, named, Some(&proof), NOW);
            assert_eq!(answer.code(), "elsewhere");
        }
    }
}
