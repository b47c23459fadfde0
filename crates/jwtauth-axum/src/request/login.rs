//! Starts and ends sessions.

use std::{mem, time::Duration};

use aws_lc_rs::rand::SystemRandom;
use jwtauth::{Authentication, OriginError, Outcome, Session, Sid, TokenKind, UnixTime};
use uuid::Uuid;

use super::{Facts, Progress, RequestAuth, User};
use crate::{
    AuthError, EndReason, Event, Limit, Login, LoginError, Record, device::DeviceBound, error::Failure as _, event,
    retry::retrying, settings::MAX_DURATION,
};

/// The cookies that a login sets.
pub(super) const BOTH: &[TokenKind] = &[TokenKind::Access, TokenKind::Refresh];

impl RequestAuth {
    /// Start a session, and end the sessions that the request came with.
    pub(crate) async fn login(&self, login: Login) -> Result<(), LoginError> {
        if !login.cross_origin {
            self.check_origin()?;
        }
        if self.state().progress != Progress::Open {
            return Err(LoginError::ResponseSent);
        }
        let (shared, now) = (&self.shared, self.shared.clock.now());
        if login.device_bound && shared.config.device_bound == DeviceBound::Off {
            return Err(LoginError::DeviceBindingOff);
        }
        let methods = login.methods.map_err(LoginError::Methods)?;
        let user_id = shared.store.user_key(&login.user_id).ok_or(LoginError::UnknownUser)?;
        if self.claims().is_some_and(|claims| claims.actor.is_some() && claims.subject == user_id) {
            return Err(AuthError::ActingRefused.into()); // the session would have no limits of acting
        }
        let sid = new_sid(now)?;
        let record = self
            .new_record(&sid, user_id, self.session(login.lifetime, now)?)
            .with_remember(login.remember)
            .with_methods(methods)
            .with_device_key(self.device_key_of_login(login.device_bound));
        let custom = self.custom_claims(&record.user_id)?;
        let older = self.named_sessions().await?;
        let limit = shared.config.limit.map(|(most, policy)| Limit::new(most, policy).with_replaced(older.clone()));
        let surplus = Ended::of(self.insert(&record, limit).await?);
        let authentication = Authentication::new(now, record.methods.clone());
        let facts = Facts { authentication, actor: None, custom };
        let (user, grant) = self.grant(record.clone(), sid, facts, BOTH);
        let outcome = Outcome::Granted(grant);
        // Do this before the replaced sessions end: if the response head has been sent, the older session stays. A
        // client that disconnected may still have received the response, so its login is completed.
        let before = {
            let mut state = self.asked_state();
            if state.progress == Progress::Sent {
                None
            } else {
                state.offered = self.offers_devices().then_some(record.id);
                let before = (mem::replace(&mut state.user, user), mem::replace(&mut state.outcome, outcome));
                Some(before)
            }
        };
        let Some(before) = before else {
            self.tell_ended(&surplus, EndReason::Limit);
            self.remove(&[record.id]).await?;
            return Err(LoginError::ResponseSent);
        };
        let mut replaced = self.end_rows(older).await;
        if let Some(error) = replaced.failed.take() {
            if self.take_back(before) {
                self.tell_ended(&surplus, EndReason::Limit);
                self.tell_ended(&replaced, EndReason::Replaced);
                if let Err(error) = self.remove(&[record.id]).await {
                    event::upkeep("ended", record.id, &error);
                }
                return Err(error.into());
            }
            error.log(); // the response has already set the new session's tokens
        }
        event::session("session_started", &record);
        event::known(&self.span, record.id, &record.user_id);
        shared.receivers.send(|| Event::SessionStarted { session: record });
        self.tell_ended(&surplus, EndReason::Limit);
        self.tell_ended(&replaced, EndReason::Replaced);
        shared.remove_expired();
        Ok(())
    }

    /// Restore the state before a failed login, unless the response has set the new tokens. Returns whether it was
    /// restored.
    fn take_back(&self, (user, outcome): (User, Outcome)) -> bool {
        let mut state = self.state();
        let is_open = state.progress != Progress::Sent;
        if is_open {
            (state.user, state.outcome) = (user, outcome);
        }
        is_open
    }

    /// Return the row of a session that starts now and, if given, ends after `lifetime`.
    fn session(&self, lifetime: Option<Duration>, now: UnixTime) -> Result<Session, LoginError> {
        let policy = self.shared.config.site.policy();
        match lifetime.map(|lifetime| Duration::from_secs(lifetime.as_secs())) {
            Some(lifetime) if lifetime.is_zero() || lifetime > MAX_DURATION => Err(LoginError::Lifetime),
            Some(lifetime) => Ok(policy.start_for(lifetime, now)),
            None => Ok(policy.start(now)),
        }
    }

    /// Return the record of a session that this client starts.
    pub(super) fn new_record(&self, sid: &Sid, user_id: String, session: Session) -> Record {
        let (client, config) = (&self.client, &self.shared.config);
        Record::new(sid.session_id(), user_id, session)
            .with_user_agent(config.record_user_agent.user_agent(&client.user_agent()))
            .with_ip_address(client.address.and_then(|address| config.record_ip_address.address(address)))
    }

    pub(super) async fn insert(&self, record: &Record, limit: Option<Limit>) -> Result<Vec<Uuid>, LoginError> {
        retrying(|| async {
            let now = self.shared.clock.now();
            Ok(self.shared.store.insert(record.clone(), limit.clone(), now).await?)
        })
        .await
    }

    /// End the sessions that the request's tokens name, and clear its cookies on the response.
    pub(crate) async fn logout(&self) -> Result<(), AuthError> {
        self.check_origin()?;
        let is_said = self.claims().is_some_and(|claims| claims.actor.is_some());
        let acted = if is_said { self.resolve().await? } else { None };
        self.end(self.named_sessions().await?, EndReason::Logout).await?;
        if let Some((acted, actor)) = acted.and_then(|acted| Some((acted.record.clone(), acted.actor.clone()?))) {
            self.tell_acting_ended(acted, actor);
        }
        let mut state = self.asked_state();
        (state.user, state.refusal) = (User::Known(None), None);
        state.outcome = Outcome::Cleared;
        Ok(())
    }

    /// End these sessions; their tokens are invalid from now on. Returns how many were ended.
    pub(crate) async fn end(&self, ids: impl IntoIterator<Item = Uuid>, reason: EndReason) -> Result<u64, AuthError> {
        let mut ended = self.end_rows(ids.into_iter().collect()).await;
        self.tell_ended(&ended, reason);
        ended.failed.take().map_or(Ok(ended.count), Err)
    }

    /// End these sessions without sending events. With receivers, end them one by one, so that each event is sent by
    /// the request that ended the session.
    pub(super) async fn end_rows(&self, ids: Vec<Uuid>) -> Ended {
        let mut ended = Ended::default();
        if ids.is_empty() {
            return ended;
        }
        if self.shared.receivers.is_empty() {
            match self.remove(&ids).await {
                Ok(count) => ended.count = count,
                Err(error) => ended.failed = Some(error),
            }
            return ended;
        }
        for id in ids {
            match self.remove(&[id]).await {
                Ok(0) => {}
                Ok(_) => ended.push(id),
                Err(error) => {
                    ended.failed = Some(error);
                    break;
                }
            }
        }
        ended
    }

    /// Delete the rows of these sessions and drop them from the cache. Returns how many rows there were.
    pub(super) async fn remove(&self, ids: &[Uuid]) -> Result<u64, AuthError> {
        let ended = retrying(|| async { Ok::<_, AuthError>(self.shared.store.end(ids).await?) }).await;
        // Even a failed statement may have ended the sessions, for example if the connection was lost before the
        // answer.
        for id in ids {
            self.shared.verified.forget(*id);
        }
        let count = ended?;
        let mut state = self.state();
        if self.claims_by(&state).is_some_and(|own| ids.contains(&own.sid.session_id())) {
            state.user = User::Known(None);
        }
        Ok(count)
    }

    /// Log and send the events of ended sessions.
    pub(super) fn tell_ended(&self, ended: &Ended, reason: EndReason) {
        event::ended(ended.count, reason);
        for id in &ended.ids {
            self.shared.verified.forget(*id);
            self.shared.receivers.send(|| Event::SessionEnded { session_id: *id, reason });
        }
    }

    /// Reject a login or logout, with or without cookies, if the request is cross-origin.
    pub(super) fn check_origin(&self) -> Result<(), OriginError> {
        self.foreign.as_ref().map_or(Ok(()), |foreign| Err(foreign.refuse()))
    }

    /// Return the sessions that the request's tokens name, even expired ones, and the current session; and if another
    /// user acts, or may have acted, in one of them, that user's own session.
    async fn named_sessions(&self) -> Result<Vec<Uuid>, AuthError> {
        let own = self.claims_by(&self.state()).cloned();
        let mut ids: Vec<_> = self.identity.session_names().iter().map(Sid::session_id).collect();
        ids.extend(own.iter().map(|own| own.sid.session_id()));
        if own.is_none_or(|own| own.actor.is_some()) {
            ids.extend(self.sessions_of_actors(&ids).await?);
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }
}

/// Generate the name of a session that starts now.
pub(super) fn new_sid(now: UnixTime) -> Result<Sid, AuthError> {
    Sid::generate(&SystemRandom::new(), now).map_err(AuthError::Randomness)
}

/// The sessions that were ended.
#[derive(Default)]
pub(super) struct Ended {
    count: u64,
    /// Their ids, if known.
    ids: Vec<Uuid>,
    /// The error after which other sessions may still be live.
    pub(super) failed: Option<AuthError>,
}

impl Ended {
    pub(super) fn of(ids: Vec<Uuid>) -> Self {
        Self { count: ids.len() as u64, ids, failed: None }
    }

    fn push(&mut self, id: Uuid) {
        self.count += 1;
        self.ids.push(id);
    }
}
