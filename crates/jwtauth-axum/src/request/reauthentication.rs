//! Authenticates the user of the request's session again, and checks when and how the user last did.

use std::time::Duration;

use jwtauth::{Authentication, Claims, Grant, Methods, Outcome, Refusal};

use super::{Facts, Found, Progress, RequestAuth, SignedIn, User, login::BOTH};
use crate::{AuthError, Event, LoginError, ReauthenticationRequired, Record, Rejection, event, retry::retrying};

impl RequestAuth {
    /// Write that the user has authenticated again, and set new tokens.
    pub(crate) async fn reauthenticate(&self, user_id: &str, methods: Methods) -> Result<Grant, LoginError> {
        self.check_origin()?;
        if !self.is_bearer() && self.state().progress != Progress::Open {
            return Err(LoginError::ResponseSent);
        }
        let presented = self.presented().await?.ok_or(LoginError::OtherUser)?;
        let user_id = self.shared.store.user_key(user_id).ok_or(LoginError::OtherUser)?;
        let custom = self.custom_claims(&user_id)?; // before the write, since it may fail
        let (record, may_offer) = retrying(|| self.try_reauthenticate(&presented, &user_id, &methods)).await?;
        self.shared.verified.forget(record.id);
        event::session("session_reauthenticated", &record);
        event::known(&self.span, record.id, &record.user_id);
        let authentication = Authentication::new(record.session.authenticated_at(), record.methods.clone());
        let facts = Facts::new(authentication, custom);
        let (user, grant) = self.grant(record.clone(), presented.sid, facts, BOTH);
        let id = record.id;
        self.shared.receivers.send(|| Event::SessionReauthenticated { session: record, methods });
        let mut state = self.asked_state();
        if !self.is_bearer() {
            if state.progress == Progress::Sent {
                return Err(LoginError::ResponseSent);
            }
            state.outcome = Outcome::Granted(grant.clone());
            state.offered = may_offer.then_some(id).or(state.offered);
        }
        (state.user, state.refusal) = (user, None);
        Ok(grant)
    }

    /// Return the claims of the token with which the client named the session, also a locked one. After a refresh, this
    /// is the token that the client sent, since it may never receive its successor.
    async fn presented(&self) -> Result<Option<Claims>, AuthError> {
        if self.is_locked() {
            return Ok(self.identity.refresh().cloned());
        }
        let Some(user) = self.resolve().await? else { return Ok(None) };
        let refresh = self.identity.refresh().filter(|refresh| refresh.sid == user.claims.sid);
        Ok(Some(refresh.unwrap_or(&user.claims).clone()))
    }

    /// Write the row. Returns it, and whether the browser may be offered to bind the session. Fails with [`AuthError::Contention`] if another request was first.
    async fn try_reauthenticate(
        &self,
        presented: &Claims,
        user_id: &str,
        methods: &Methods,
    ) -> Result<(Record, bool), LoginError> {
        let shared = &self.shared;
        let found = self.find(presented.sid.session_id()).await.map_err(AuthError::from)?;
        let is_of_user = |found: &Found| found.record.user_id == user_id && found.actor.is_none();
        let Found { mut record, .. } = found.filter(is_of_user).ok_or(LoginError::OtherUser)?;
        let (policy, now) = (shared.config.site.policy(), shared.clock.now());
        if record.session.as_shown_by(presented.generation) != record.session {
            let (session, generation) = (record.clone(), record.session.generation);
            record = self.unbind(record).await?;
            event::warning("session_unbound", &session, generation, presented);
        }
        let next = policy.reauthenticate(&record.session, now).ok_or(LoginError::OtherUser)?;
        let may_offer = self.offers_devices() && shared.config.site.may_offer(record.id, &record.session, now);
        let methods = record.methods.union(methods).map_err(LoginError::Methods)?;
        let written = shared.store.advance(record.id, record.session.generation, next, Some(methods.clone()), now);
        if !written.await.map_err(AuthError::from)? {
            return Err(AuthError::Contention.into());
        }
        (record.session, record.methods) = (next, methods);
        Ok((record, may_offer))
    }

    /// Return whether the request's session is locked.
    pub(crate) fn is_locked(&self) -> bool {
        let state = self.asked_state();
        state.refusal == Some(Refusal::Locked) && !matches!(state.user, User::Known(Some(_)))
    }

    /// Return when and how the request's user last authenticated, by the request's tokens.
    pub(crate) async fn authentication(&self) -> Result<Option<Authentication>, AuthError> {
        Ok(self.resolve().await?.map(|user| user.authentication()))
    }

    /// Reject the request if it is anonymous, or if its user must authenticate again.
    pub(crate) async fn require(&self, max_age: Option<Duration>, methods: &[&str]) -> Result<(), Rejection> {
        self.refuse_acting().await?;
        let found = self.authentication().await?.ok_or_else(|| self.anonymous())?;
        self.missing(&found, max_age, methods).map_or(Ok(()), |missing| Err(Rejection::Reauthentication(missing)))
    }

    /// Reject an operation that needs an authentication within `SENSITIVE_MAX_AGE`, or that only the user may do. An anonymous request passes, since
    /// it has no session to operate on.
    pub(crate) async fn check_sensitive(&self) -> Result<(), AuthError> {
        self.refuse_acting().await?;
        let max_age = self.shared.config.sensitive_max_age;
        if max_age.is_none() {
            return Ok(());
        }
        let found = self.authentication().await?;
        let missing = found.and_then(|found| self.missing(&found, max_age, &[]));
        missing.map_or(Ok(()), |missing| Err(AuthError::Reauthentication(missing)))
    }

    fn missing(
        &self,
        found: &Authentication,
        max_age: Option<Duration>,
        methods: &[&str],
    ) -> Option<ReauthenticationRequired> {
        let max_age = max_age.filter(|max_age| !found.is_recent(*max_age, self.shared.clock.now()));
        let mut methods: Vec<_> = methods.iter().filter(|name| !found.methods.contains(name)).collect();
        methods.sort_unstable();
        methods.dedup();
        let methods: Vec<String> = methods.into_iter().map(|name| (*name).to_owned()).collect();
        let is_missing = max_age.is_some() || !methods.is_empty();
        is_missing.then_some(ReauthenticationRequired { max_age: max_age.map(|it| it.as_secs()), methods })
    }
}

impl SignedIn {
    fn authentication(&self) -> Authentication {
        Authentication::of(&self.claims, &self.record.session)
    }
}
