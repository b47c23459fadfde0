//! Binds sessions to a key of the user's device, and refreshes them by proofs of it, for browsers that ask for it.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, request::Parts};
use jwtauth::{Check, Claims, Decision, DeviceKey, Proof, Refusal, Registration};

use super::{Facts, Found, RequestAuth, User};
use crate::{
    AuthError, EndReason, Event, Record, Rejection,
    device::{self, DeviceAnswer, DeviceBound},
    event,
    head::{host, joined},
    retry::retrying,
};

const OFFER: HeaderName = HeaderName::from_static("secure-session-registration");
const PROOF: HeaderName = HeaderName::from_static("secure-session-response");
const NAMED: HeaderName = HeaderName::from_static("sec-secure-session-id");

/// What a browser says of its key, in the head of its request.
pub(super) struct Device {
    proof: Option<String>,
    /// The session that it means.
    named: Option<String>,
    host: String,
}

impl Device {
    /// Read the fields of a request that registers or proves a key. `None` for any other request.
    pub(super) fn read(parts: &Parts) -> Option<Box<Self>> {
        if parts.method != Method::POST {
            return None;
        }
        let field = |name| joined(&parts.headers, name).map(String::from);
        // The draft has the session identifier in quotes.
        let (proof, named) = (field(&PROOF), field(&NAMED).map(|named| named.trim_matches('"').to_owned()));
        let is_said = proof.is_some() || named.is_some();
        is_said.then(|| Box::new(Self { proof, named, host: host(parts).unwrap_or_default().to_owned() }))
    }
}

/// The result of a request about a key, after its writes.
enum Done {
    Answered(DeviceAnswer),
    /// The session must end.
    Stolen(Record),
}

impl From<DeviceAnswer> for Done {
    fn from(answer: DeviceAnswer) -> Self {
        Self::Answered(answer)
    }
}

impl RequestAuth {
    /// Return whether logins over TLS offer browsers to bind the session. A service does not see the scheme of a request,
    /// but browsers send and keep `Secure` cookies over `https` only.
    pub(super) fn offers_devices(&self) -> bool {
        let config = &self.shared.config;
        config.device_bound != DeviceBound::Off && config.site.transport().cookies.secure
    }

    /// Return the key of a session that a login starts: none, or an empty one if the session must be bound.
    pub(super) fn device_key_of_login(&self, is_required: bool) -> Option<String> {
        let is_required = is_required || self.shared.config.device_bound == DeviceBound::Require;
        is_required.then(String::new)
    }

    /// Offer the browser to bind the session whose cookies this response sets, if a login or another authentication asks
    /// for it.
    pub(super) fn offer_device(&self, headers: &mut HeaderMap) -> Result<(), AuthError> {
        let user = {
            let state = self.state();
            match &state.user {
                User::Known(Some(user)) if state.offered == Some(user.record.id) => Arc::clone(user),
                _ => return Ok(()),
            }
        };
        let (config, now) = (&self.shared.config, self.shared.clock.now());
        let challenge = config.site.offer(user.record.id, &user.record.session, now).map_err(AuthError::Issue)?;
        let path = &config.device_paths.register;
        let offer = device::sensitive(&format!("(ES256 RS256);path=\"{path}\";challenge=\"{challenge}\""));
        headers.extend(offer.map(|offer| (OFFER, offer)));
        Ok(())
    }

    /// Bind the session of the request to the key in its proof.
    pub(crate) async fn register_device(&self) -> Result<DeviceAnswer, AuthError> {
        self.check_origin()?;
        let Some(claims) = self.named() else { return Ok(DeviceAnswer::unauthenticated()) };
        self.answered(retrying(|| self.try_register(&claims)).await?).await
    }

    /// Read the row, decide and write the key. Fails with [`AuthError::Contention`] if another request was first.
    async fn try_register(&self, claims: &Claims) -> Result<Done, AuthError> {
        let Some(Found { mut record, actor }) = self.found_for(claims).await? else {
            return Ok(DeviceAnswer::unauthenticated().into());
        };
        let shared = &self.shared;
        let proof = self.device.as_ref().and_then(|device| device.proof.as_deref()).unwrap_or_default();
        let bound = record.device_key.as_deref();
        let (site, now) = (&shared.config.site, shared.clock.now());
        let registration = site.register(record.id, &record.session, bound, proof, now);
        let (Some(key), Some(decision)) = (registration.key(), registration.decision()) else {
            if registration == Registration::Stolen {
                return Ok(Done::Stolen(record));
            }
            event::not_bound(&record);
            let detail = "The proof, or the challenge in it, is not valid.";
            return Ok(DeviceAnswer::forbidden("device_proof_not_valid", detail).into());
        };
        let custom = self.custom_claims(&record.user_id)?; // before the write, since it may fail
        let next = decision.next(&record.session);
        if let Some(next) = next {
            if !shared.store.bind(record.id, record.session.generation, next, &key.to_text()).await? {
                return Err(AuthError::Contention);
            }
            record.session = next;
        }
        let record = record.with_device_key(key.to_text());
        if next.is_some() {
            event::session("session_bound", &record);
            shared.receivers.send(|| Event::SessionBound { session: record.clone() });
        }
        let answer = self.with_challenge(self.instructions(&record), &record)?;
        let facts = Facts::of(claims, &record, actor, custom);
        self.sign_in(record, claims.sid, facts, decision.issues(), None);
        Ok(answer.into())
    }

    /// Refresh the session of the request by the proof of its key.
    pub(crate) async fn refresh_device(&self) -> Result<DeviceAnswer, AuthError> {
        self.check_origin()?;
        let Some(claims) = self.named() else { return Ok(self.ended()) };
        self.answered(retrying(|| self.try_prove(&claims)).await?).await
    }

    /// Read the row, decide and write the decision. Fails with [`AuthError::Contention`] if another request was first.
    async fn try_prove(&self, claims: &Claims) -> Result<Done, AuthError> {
        let Some(Found { mut record, actor }) = self.found_for(claims).await? else { return Ok(self.ended().into()) };
        let (shared, now) = (&self.shared, self.shared.clock.now());
        let device = self.device.as_ref();
        let proof = shared.config.site.prove(
            record.id,
            &record.session,
            record.device_key.as_deref(),
            device.and_then(|device| device.named.as_deref()),
            device.and_then(|device| device.proof.as_deref()),
            now,
        );
        let decision = match proof {
            Proof::Stolen => return Ok(Done::Stolen(record)),
            Proof::Challenge => {
                let answer = DeviceAnswer::forbidden(Rejection::Unproven.code(), "Sign the challenge.");
                return Ok(self.with_challenge(answer, &record)?.into());
            }
            // Without a cookie. A browser would forget its key after a refusal.
            Proof::Good(Decision::Refuse(Refusal::Locked)) => {
                return Ok(self.instructions(&record).into());
            }
            Proof::Good(decision) if decision.admits() => decision,
            _ => return Ok(self.ended().into()),
        };
        let custom = self.custom_claims(&record.user_id)?; // before the write, since it may fail
        if let Some(next) = decision.next(&record.session) {
            if !shared.store.advance(record.id, record.session.generation, next, None, now).await? {
                return Err(AuthError::Contention);
            }
            record.session = next;
            event::session("session_refreshed", &record);
            shared.receivers.send(|| Event::SessionRefreshed { session: record.clone() });
            shared.remove_expired();
        }
        let answer = self.with_challenge(self.instructions(&record), &record)?;
        let facts = Facts::of(claims, &record, actor, custom);
        self.sign_in(record, claims.sid, facts, decision.issues(), None);
        Ok(answer.into())
    }

    /// Return the claims of the token that names the session: of a refresh token that was refused, or else of the access
    /// token. `None` for a client with a bearer token, which has no cookies.
    fn named(&self) -> Option<Claims> {
        let state = self.asked_state();
        let is_refused = matches!(state.refusal, Some(Refusal::Unproven | Refusal::Locked))
            && !matches!(state.user, User::Known(Some(_)));
        let claims = if is_refused { self.identity.refresh() } else { self.claims_by(&state) };
        claims.filter(|_| !self.is_bearer()).cloned()
    }

    /// Return the live session of these claims, as the refresh has found it or as it is now.
    async fn found_for(&self, claims: &Claims) -> Result<Option<Found>, AuthError> {
        let refused = self.state().refused.take();
        let found = match refused.filter(|found| found.record.id == claims.sid.session_id()) {
            Some(found) => Some(*found),
            None => self.find_permitted(claims.sid.session_id()).await?,
        };
        Ok(found.filter(|found| matches!(self.check(claims, Some(found)), Check::Live { .. })))
    }

    /// Return the answer, after a session has been ended whose tokens came with another key.
    async fn answered(&self, done: Done) -> Result<DeviceAnswer, AuthError> {
        let record = match done {
            Done::Answered(answer) => return Ok(answer),
            Done::Stolen(record) => record,
        };
        let reason = EndReason::DeviceProofFailed;
        let tell = || {
            event::device_proof_failed(&record);
            self.shared.receivers.send(|| Event::DeviceProofFailed { session: record.clone() });
        };
        if self.end_stolen(&record, reason, tell).await? && self.shared.config.reuse_ends_all {
            self.end_all_of(&record.user_id, reason).await?;
        }
        let detail = "The session has ended: this is not the key to which it was bound.";
        Ok(DeviceAnswer::forbidden("device_proof_failed", detail))
    }

    fn ended(&self) -> DeviceAnswer {
        DeviceAnswer::ended(self.device.as_ref().and_then(|device| device.named.as_deref()))
    }

    fn instructions(&self, record: &Record) -> DeviceAnswer {
        let config = &self.shared.config;
        let host = self.device.as_ref().map_or("", |device| &device.host);
        let cookies = &config.site.transport().cookies;
        DeviceAnswer::ok(&device::instructions(cookies, &config.device_paths.refresh, host, &identifier(record)))
    }

    fn with_challenge(&self, answer: DeviceAnswer, record: &Record) -> Result<DeviceAnswer, AuthError> {
        let (site, now) = (&self.shared.config.site, self.shared.clock.now());
        let challenge = site.challenge(record.id, &record.session, now).map_err(AuthError::Issue)?;
        Ok(answer.with_challenge(&challenge, &identifier(record)))
    }
}

/// Return the name by which the browser knows this session.
fn identifier(record: &Record) -> String {
    let key = record.device_key.as_deref().and_then(|key| DeviceKey::parse(key).ok());
    key.map(|key| key.thumbprint()).unwrap_or_default()
}
