//! Lets a user act as another one in a session of its own, and gives the user's own session back.

use jwtauth::{Authentication, Claims, CustomClaims, Generation, Methods, Outcome, Sid, UnixTime};
use uuid::Uuid;

use super::{
    Facts, Progress, RequestAuth,
    login::{BOTH, Ended, new_sid},
};
use crate::{ActAs, AuthError, EndReason, Event, LoginError, Record, error::Failure as _, event, retry::retrying};

/// A session that replaces the one in which a user acted.
struct GivenBack {
    record: Record,
    sid: Sid,
    custom: CustomClaims,
    /// The session of acting, if this request ended it.
    ended: Option<Record>,
}

impl RequestAuth {
    /// Start a session in which the request's user acts as this user.
    pub(crate) async fn act_as(&self, user_id: &str) -> Result<(), LoginError> {
        self.check_origin()?;
        self.check_open()?;
        let own = self.resolve().await?.filter(|_| !self.is_bearer()).ok_or(LoginError::MayNotAct)?;
        self.check_sensitive().await?;
        let (shared, now) = (&self.shared, self.shared.clock.now());
        let user_id = shared.store.user_key(user_id).ok_or(LoginError::MayNotAct)?;
        let actor = own.record.user_id.clone();
        if !self.may_act(&actor, &user_id).await?.unwrap_or(false) {
            return Err(LoginError::MayNotAct);
        }
        let custom = self.custom_claims(&user_id)?;
        let sid = new_sid(now)?;
        let authentication = Authentication::of(&own.claims, &own.record.session);
        let lifetime = shared.config.act_as_lifetime;
        let shown = own.record.session.as_shown_by(own.claims.generation);
        let session = shared.config.site.policy().start_acting(&shown, &authentication, lifetime, now);
        let record = self
            .new_record(&sid, user_id, session)
            .with_remember(own.record.remember)
            .with_methods(authentication.methods)
            .with_device_key(key_shown_by(&own.record, own.claims.generation))
            .with_actor_session_id(own.record.id);
        self.insert(&record, None).await.map_err(|error| match error {
            LoginError::UnknownUser => LoginError::MayNotAct,
            error => error,
        })?;
        let facts = Facts::of_acting(actor.clone(), custom).with_not_after(own.claims.expires_at);
        if !self.set_tokens(record.clone(), sid, facts) {
            self.remove(&[record.id]).await?;
            return Err(LoginError::ResponseSent);
        }
        self.state().offered = (self.offers_devices() && !record.is_device_bound()).then_some(record.id);
        event::session("session_started", &record);
        event::acting("acting_started", &record, &actor);
        event::known(&self.span, record.id, &record.user_id);
        shared.receivers.send(|| Event::SessionStarted { session: record.clone() });
        shared.receivers.send(|| Event::ActingStarted { session: record, actor_id: actor });
        shared.remove_expired();
        Ok(())
    }

    /// Give the user who acts their own session back. If that has ended, or the session of acting is locked, sign them
    /// out.
    pub(crate) async fn stop_acting(&self) -> Result<(), LoginError> {
        self.check_origin()?;
        self.check_open()?;
        let presented = self.claims().or_else(|| self.identity.access().or(self.identity.refresh()).cloned());
        let presented = presented.filter(|_| !self.is_bearer()).ok_or(LoginError::NotActing)?;
        let Some(given) = retrying(|| self.try_give_back(&presented)).await? else {
            return Ok(self.logout().await?);
        };
        let GivenBack { record, sid, custom, ended } = given;
        let authentication = Authentication::new(record.session.authenticated_at(), record.methods.clone());
        let is_set = self.set_tokens(
            record.clone(),
            sid,
            Facts::new(authentication, custom).with_not_after(presented.expires_at),
        );
        event::known(&self.span, record.id, &record.user_id);
        if let Some(acting) = ended {
            self.tell_stopped(acting, record).await;
        }
        if is_set { Ok(()) } else { Err(LoginError::ResponseSent) }
    }

    /// End the session that `next` replaces, and send the events of a session of acting that was replaced by it.
    async fn tell_stopped(&self, acting: Record, next: Record) {
        self.shared.verified.forget(acting.id);
        let own: Vec<Uuid> = acting.actor_session_id.into_iter().collect();
        let mut replaced = self.end_rows(own).await;
        if let Some(error) = replaced.failed.take() {
            error.log(); // the response has already set the new session's tokens
        }
        let actor = next.user_id.clone();
        self.tell_ended(&Ended::of(vec![acting.id]), EndReason::ActingEnded);
        event::session("session_started", &next);
        self.shared.receivers.send(|| Event::SessionStarted { session: next });
        self.tell_ended(&replaced, EndReason::Replaced);
        self.tell_acting_ended(acting, actor);
    }

    pub(super) fn tell_acting_ended(&self, acting: Record, actor_id: String) {
        event::acting("acting_ended", &acting, &actor_id);
        self.shared.receivers.send(|| Event::ActingEnded { session: acting, actor_id });
    }

    /// Replace the session of acting. Returns `None` if the user's own session has ended, or if the one of acting is
    /// locked. Fails with [`AuthError::Contention`] if another request was first.
    async fn try_give_back(&self, presented: &Claims) -> Result<Option<GivenBack>, LoginError> {
        let (shared, now) = (&self.shared, self.shared.clock.now());
        let policy = shared.config.site.policy();
        let acting = shared.store.row(presented.sid.session_id()).await.map_err(AuthError::from)?;
        let Some((acting, own)) = acting.and_then(|acting| acting.actor_session_id.map(|own| (acting, own))) else {
            return self.given_before(presented).await;
        };
        let has_access_token = self.claims().is_some() || self.identity.access().is_some();
        if acting.session.device.needs_proof() && !has_access_token {
            return Err(LoginError::NotActing); // the refresh token alone, without a proof
        }
        if policy.lifetimes().is_over(&acting.session, now) || !acting.session.may_stop_acting(presented.generation) {
            return Err(LoginError::NotActing);
        }
        let own = self.find(own).await.map_err(AuthError::from)?.map(|own| own.record);
        let is_live = |own: &Record| !policy.lifetimes().is_over(&own.session, now);
        let Some(own) = own.filter(is_live).filter(|_| !policy.is_locked(&acting.session, now)) else {
            return Ok(None);
        };
        // It may have been bound while acting. Acting began with a token that has confirmed its own binding, if any has.
        let key = key_shown_by(&acting, presented.generation).filter(|key| !key.is_empty());
        let key = key.or(key_shown_by(&own, Generation::new(0)));
        let own = own.with_device_key(key);
        let custom = self.custom_claims(&own.user_id)?;
        let sid = presented.sid.after_acting(acting.session.generation);
        let record = self
            .new_record(&sid, own.user_id, policy.stop_acting(&own.session, &acting.session, now))
            .with_remember(own.remember)
            .with_methods(acting.methods.clone())
            .with_device_key(own.device_key)
            .with_last_seen_at(now);
        if !shared.store.replace(acting.id, record.clone(), now).await? {
            return Err(AuthError::Contention.into());
        }
        Ok(Some(GivenBack { record, sid, custom, ended: Some(acting) }))
    }

    /// Return the session that an earlier request has given back, whose response may be lost, while it is unused. A token
    /// of acting was of the newest generation then, or of the one before.
    async fn given_before(&self, presented: &Claims) -> Result<Option<GivenBack>, LoginError> {
        let (policy, now) = (self.shared.config.site.policy(), self.shared.clock.now());
        for generation in [presented.generation, presented.generation.next()] {
            let sid = presented.sid.after_acting(generation);
            let found = self.find(sid.session_id()).await.map_err(AuthError::from)?;
            let Some(record) = found.map(|found| found.record) else { continue };
            let is_unproven = record.session.device.needs_proof() && self.identity.access().is_none();
            if is_unproven || !record.session.is_unused() {
                break;
            }
            if policy.lifetimes().is_over(&record.session, now) || policy.is_locked(&record.session, now) {
                return Ok(None);
            }
            let custom = self.custom_claims(&record.user_id)?;
            return Ok(Some(GivenBack { record, sid, custom, ended: None }));
        }
        Err(LoginError::NotActing)
    }

    /// Return whether the first user may act as the second one: never as themselves, otherwise as the service decides.
    /// `None` if it has no function that decides.
    pub(super) async fn may_act(&self, actor_id: &str, user_id: &str) -> Result<Option<bool>, AuthError> {
        let Some(may_act_as) = &self.shared.may_act_as else { return Ok(None) };
        if actor_id == user_id {
            return Ok(Some(false));
        }
        let asked = ActAs { actor_id: actor_id.to_owned(), user_id: user_id.to_owned() };
        Ok(Some(may_act_as(asked).await?))
    }

    /// Reject what only the user may do if another user acts as the request's user.
    pub(crate) async fn refuse_acting(&self) -> Result<(), AuthError> {
        let is_said = self.claims().is_some_and(|claims| claims.actor.is_some());
        let is_acting = is_said && self.resolve().await?.is_some_and(|user| user.actor.is_some());
        if is_acting { Err(AuthError::ActingRefused) } else { Ok(()) }
    }

    /// Return the sessions of the users who act in these sessions.
    pub(super) async fn sessions_of_actors(&self, ids: &[Uuid]) -> Result<Vec<Uuid>, AuthError> {
        let mut found = Vec::new();
        for id in ids {
            let row = retrying(|| async { Ok::<_, AuthError>(self.shared.store.row(*id).await?) }).await?;
            found.extend(row.and_then(|row| row.actor_session_id));
        }
        Ok(found)
    }

    fn check_open(&self) -> Result<(), LoginError> {
        if self.state().progress == Progress::Open { Ok(()) } else { Err(LoginError::ResponseSent) }
    }

    /// Make this the request's session, unless the response has been sent. Returns whether it was made.
    fn set_tokens(&self, record: Record, sid: Sid, facts: Facts) -> bool {
        let (user, grant) = self.grant(record, sid, facts, BOTH);
        let mut state = self.asked_state();
        let is_open = state.progress != Progress::Sent;
        if is_open {
            (state.user, state.outcome, state.refusal) = (user, Outcome::Granted(grant), None);
        }
        is_open
    }
}

/// Return the key of a session for a request with a token of this generation: none if the browser may not know it.
fn key_shown_by(record: &Record, presented: Generation) -> Option<String> {
    record.device_key.clone().filter(|_| record.session.as_shown_by(presented).device.needs_proof())
}

impl Facts {
    /// Return what the tokens of a session of acting say: neither user has authenticated in it.
    pub(super) fn of_acting(actor: String, custom: CustomClaims) -> Self {
        let authentication = Authentication::new(UnixTime::EPOCH, Methods::default());
        Self { actor: Some(actor), ..Self::new(authentication, custom) }
    }
}
