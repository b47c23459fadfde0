//! The authentication state of one request: runs the engine's steps.
//!
//! The steps of a request: [`RequestAuth::identify`] verifies the tokens without a query. [`RequestAuth::refresh`]
//! applies the rotation table if there is no valid access token. [`RequestAuth::resolve`] queries the session once,
//! when it is needed. [`RequestAuth::finish`] writes the cookies to the response. The rules are in the engine's
//! [`Site`](jwtauth::Site); this module reads and writes rows, retries, and sends events.
//!
//! The future of a request is copied to the heap. Rare steps are boxed in it, so that it stays small.

mod acting;
mod device;
mod login;
mod reauthentication;
mod upkeep;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use device::Device;
use http::{HeaderMap, request::Parts};
use jwtauth::{
    Answer, Asked, Authentication, Check, Claims, CustomClaims, Decision, FoundRow, Grant, Grantee, Identity, Outcome,
    Refusal, Refused, Sid, TokenKind, UnixTime,
};
use tracing::Span;
use uuid::Uuid;

use crate::{
    Auth, AuthError, Authenticated, EndReason, Event, Record, Rejection, StoreError, event,
    head::{Client, Fields, Foreign},
    response,
    retry::retrying,
    shared::{SCOPE, Shared},
};

/// One request, from its head to its response.
pub(crate) struct RequestAuth {
    pub(crate) shared: Arc<Shared>,
    client: Client,
    identity: Identity,
    /// What the browser says of its key, in a request that registers or proves it.
    device: Option<Box<Device>>,
    /// Set if a cross-origin check failed although no valid cookie required it: the request may not act on cookies.
    foreign: Option<Box<Foreign>>,
    /// The state of the next outer layer, if there is one.
    outer: Option<Arc<RequestAuth>>,
    span: Span,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    user: User,
    outcome: Outcome,
    was_asked: bool,
    progress: Progress,
    /// Why the refresh token was refused.
    refusal: Option<Refusal>,
    /// The session of the refused token, if a proof of its key may follow.
    refused: Option<Box<Found>>,
    /// The session that the response offers the browser to bind.
    offered: Option<Uuid>,
}

/// The progress of the response.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Progress {
    /// The head can still be changed.
    #[default]
    Open,
    /// The head is complete: no more cookies can be set.
    Sent,
    /// There will be no response: the client disconnected, or the handler panicked.
    Gone,
}

/// The current user, as far as known.
#[derive(Default)]
enum User {
    /// The user named by the access token, not yet checked against the store.
    #[default]
    Claimed,
    /// The checked user, or none.
    Known(Option<Arc<SignedIn>>),
}

/// What new tokens say besides the session's row.
struct Facts {
    authentication: Authentication,
    actor: Option<String>,
    custom: CustomClaims,
    /// See [`Grantee::not_after`].
    not_after: Option<UnixTime>,
}

impl Facts {
    /// Return what new tokens say of a user who has authenticated in this session.
    fn new(authentication: Authentication, custom: CustomClaims) -> Self {
        Self { authentication, actor: None, custom, not_after: None }
    }

    /// Set when the access token expires that the request exchanges for the new one.
    fn with_not_after(self, not_after: UnixTime) -> Self {
        Self { not_after: Some(not_after), ..self }
    }

    /// Return what new tokens say after a refresh by a token with these claims.
    fn of(claims: &Claims, record: &Record, actor: Option<String>, custom: CustomClaims) -> Self {
        match actor {
            None => Self::new(Authentication::of(claims, &record.session), custom),
            Some(actor) => Self::of_acting(actor, custom),
        }
    }
}

/// A session that the store has found.
struct Found {
    record: Record,
    /// The user who acts as the session's user.
    actor: Option<String>,
}

/// A live session and the claims of its current access token.
pub(crate) struct SignedIn {
    pub(crate) record: Record,
    pub(crate) actor: Option<String>,
    pub(crate) claims: Claims,
}

impl RequestAuth {
    /// Verify the tokens without a query.
    ///
    /// # Errors
    ///
    /// [`Refused`] for an invalid bearer token, and if cookies may not be used.
    pub(crate) fn identify(shared: Arc<Shared>, parts: &Parts, span: Span) -> Result<Arc<Self>, Box<Refused>> {
        let fields = Fields::read(parts, &shared.dpop_prefix);
        let (site, head, now) = (&shared.config.site, fields.head(), shared.clock.now());
        let transport = site.transport();
        let own = || fields.own_origin(transport);
        let identity = site.identify(&head, own, now).inspect_err(|refused| fields.log_refusal(&refused.error))?;
        let is_poll = shared.is_poll.as_ref().is_some_and(|is_of| is_of(parts));
        let identity = if is_poll { identity.without_activity() } else { identity };
        if identity.has_wrong_render_secret() {
            event::wrong_render_secret(parts.uri.path());
        }
        // If there are valid cookies, `identify` has already checked the origin. A bearer token needs no check, because
        // a cross-origin page cannot add it.
        let foreign = if identity.is_anonymous() { transport.check_origin(&head, own).err() } else { None };
        let foreign = foreign.map(|error| Box::new(fields.foreign(error)));
        let client = Client::read(parts, shared.address.as_ref());
        let device = Device::read(parts);
        let outer = parts.extensions.get::<Auth>().map(|outer| Arc::clone(&outer.0));
        Ok(Arc::new(Self { client, identity, device, foreign, outer, span, state: Mutex::default(), shared }))
    }

    /// Return the state of the layer with these shared parts, if it is this layer or an outer one.
    pub(crate) fn within(self: &Arc<Self>, shared: &Arc<Shared>) -> Option<Arc<Self>> {
        if Arc::ptr_eq(&self.shared, shared) {
            return Some(Arc::clone(self));
        }
        self.outer.as_ref().and_then(|outer| outer.within(shared))
    }

    /// If valid tokens belong to different users, ignore the refresh tokens of ended sessions. Otherwise a cookie that
    /// was set with another scope, and outlives its session, would keep the browser's next user signed out.
    pub(crate) async fn settle(self: &mut Arc<Self>) -> Result<(), Rejection> {
        if !self.identity.is_disputed() {
            return Ok(());
        }
        let mut live = Vec::new();
        for sid in self.identity.disputed_sessions() {
            let found = self.find(sid.session_id()).await.map_err(AuthError::from)?;
            let (lifetimes, now) = (self.shared.config.site.policy().lifetimes(), self.shared.clock.now());
            if found.is_some_and(|found| !lifetimes.is_over(&found.record.session, now)) {
                live.push(sid);
            }
        }
        if let Some(this) = Arc::get_mut(self) {
            // Nothing else has this state yet.
            this.identity = std::mem::take(&mut this.identity).settle(|sid| live.contains(sid));
        }
        match &self.foreign {
            Some(foreign) if !self.identity.is_anonymous() => Err(foreign.refuse().into()),
            _ => Ok(()),
        }
    }

    /// Decide on the refresh token if its session has no valid access token, and write the decision, even if the client
    /// disconnects.
    pub(crate) async fn refresh(self: &Arc<Self>) -> Result<(), AuthError> {
        if self.identity.refresh().is_none() {
            return Ok(());
        }
        let this = Arc::clone(self);
        let done = self.shared.tasks.uninterrupted(Box::pin(async move {
            // Ending all sessions after a theft is a separate step: a retry of the whole would find the session gone
            // and stop.
            match retrying(|| this.try_refresh()).await? {
                Some(user_id) => this.end_all_of(&user_id, EndReason::Reused).await,
                None => Ok(()),
            }
        }));
        done.await
    }

    /// Read the row, decide and write. Returns the user whose sessions must all be ended, if a copied token was found
    /// and the settings require it. Fails with [`AuthError::Contention`] if another request was first; on the next
    /// attempt the row usually needs no swap.
    async fn try_refresh(&self) -> Result<Option<String>, AuthError> {
        let Some(claims) = self.identity.refresh() else { return Ok(None) };
        let shared = &self.shared;
        let asked = self.asking(claims);
        let found = self.find_permitted(claims.sid.session_id()).await?;
        let Some(Found { mut record, actor }) = found else { return Ok(None) };
        let now = shared.clock.now();
        let decision = shared.config.site.refresh(&self.identity, claims, &record.session, now);
        if decision == Decision::Reuse {
            let is_told = self.end_reused(&record, claims).await?;
            return Ok((is_told && shared.config.reuse_ends_all).then_some(record.user_id));
        }
        // Check before anything is written: claims that do not fit into a cookie are a service error, and must not sign
        // a user out.
        let custom = if decision.admits() { self.custom_claims(&record.user_id)? } else { CustomClaims::default() };
        let found = record.session.generation;
        if let Some(next) = decision.next(&record.session) {
            if !shared.store.advance(record.id, record.session.generation, next, None, now).await? {
                return Err(AuthError::Contention);
            }
            record.session = next;
        }
        if decision == Decision::Unbind {
            record = self.unbind(record).await?;
        }
        if let Some(warning) = decision.warning() {
            event::warning(warning, &record, found, claims);
        }
        if let Decision::Refuse(refusal) = decision {
            let found = || Box::new(Found { record: record.clone(), actor: actor.clone() });
            let refused = self.device.is_some().then(found);
            let mut state = self.state();
            (state.refusal, state.refused) = (Some(refusal), refused);
        }
        if decision == Decision::Refuse(Refusal::LateUpload) {
            shared.receivers.send(|| Event::LateUpload { session: record.clone() });
        }
        if decision.acknowledges() {
            self.acknowledge(&mut record).await;
        }
        if decision.admits() {
            let is_rotated = matches!(decision, Decision::Rotate(_) | Decision::RotateIdle(_));
            if is_rotated {
                event::session("session_refreshed", &record);
                shared.receivers.send(|| Event::SessionRefreshed { session: record.clone() });
            }
            let facts = Facts::of(claims, &record, actor, custom);
            self.sign_in(record, claims.sid, facts, decision.issues(), asked);
            if is_rotated {
                shared.remove_expired();
            }
        }
        Ok(None)
    }

    /// Remove the key of a session whose browser has not got the answer to its registration. Fails with
    /// [`AuthError::Contention`] if the row has changed.
    async fn unbind(&self, record: Record) -> Result<Record, AuthError> {
        let is_written = self.shared.store.unbind(record.id, record.session.generation).await?;
        if is_written { Ok(record.with_device_key(None)) } else { Err(AuthError::Contention) }
    }

    /// End the session of a refresh token that was used again. See [`end_stolen`](Self::end_stolen).
    async fn end_reused(&self, record: &Record, claims: &Claims) -> Result<bool, AuthError> {
        let tell = || {
            event::warning("refresh_token_reused", record, record.session.generation, claims);
            self.shared.receivers.send(|| Event::RefreshTokenReused { session: record.clone() });
        };
        self.end_stolen(record, EndReason::Reused, tell).await
    }

    /// End the session of copied tokens. Returns whether this request ended it; only then is the theft told and are events
    /// sent.
    async fn end_stolen(&self, record: &Record, reason: EndReason, tell: impl FnOnce()) -> Result<bool, AuthError> {
        self.state().user = User::Known(None);
        if self.remove(&[record.id]).await? == 0 {
            return Ok(false);
        }
        event::ended(1, reason);
        tell();
        self.shared.receivers.send(|| Event::SessionEnded { session_id: record.id, reason });
        // The copied token could have been exchanged for the session of the user who acts.
        self.end(record.actor_session_id, reason).await?;
        Ok(true)
    }

    /// End every session of a user whose token was copied.
    async fn end_all_of(&self, user_id: &str, reason: EndReason) -> Result<(), AuthError> {
        let now = self.shared.clock.now();
        let others = retrying(|| async { Ok::<_, AuthError>(self.shared.store.of_user(user_id, now).await?) }).await?;
        self.end(others.into_iter().map(|other| other.id), reason).await?;
        Ok(())
    }

    /// Return the current user, using the strict check. The store is queried on the first call.
    pub(crate) async fn resolve(&self) -> Result<Option<Arc<SignedIn>>, AuthError> {
        if let User::Known(user) = &self.asked_state().user {
            return Ok(user.clone());
        }
        let Some(claims) = self.identity.access() else { return Ok(None) };
        let asked = self.asking(claims);
        let mut found = self.find(claims.sid.session_id()).await?; // an error is not cached
        let check = self.check(claims, found.as_ref());
        let (Some(Found { record, .. }), Check::Live { acknowledge, update_last_seen }) = (&mut found, check) else {
            self.shared.verified.forget(claims.sid.session_id());
            return Ok(self.found(None));
        };
        if acknowledge {
            Box::pin(self.acknowledge(record)).await;
        }
        if update_last_seen {
            self.update_last_seen(record).await;
        }
        self.remember(claims, asked.filter(|_| is_lasting(record)));
        Ok(self.found(found.map(|Found { record, actor }| SignedIn { record, actor, claims: claims.clone() })))
    }

    /// Record the access token's user and return the current user. If a login or an end has happened in the meantime, that
    /// result takes precedence.
    fn found(&self, user: Option<SignedIn>) -> Option<Arc<SignedIn>> {
        let mut state = self.state();
        if let User::Known(known) = &state.user {
            return known.clone();
        }
        if let Some(SignedIn { record, .. }) = &user {
            event::known(&self.span, record.id, &record.user_id);
        }
        let user = user.map(Arc::new);
        state.user = User::Known(user.clone());
        user
    }

    /// Return the current user. The store is not queried if it accepted the claims within `SESSION_CHECK_INTERVAL`.
    pub(crate) async fn live(&self) -> Result<Option<Authenticated>, AuthError> {
        let is_claimed = matches!(self.asked_state().user, User::Claimed);
        let claims = self.identity.access().filter(|_| is_claimed);
        if let Some(user) = claims.and_then(|claims| self.shared.remembered(claims)) {
            event::known(&self.span, user.session_id, &user.user_id);
            return Ok(Some(user));
        }
        Ok(self.resolve().await?.map(|user| Authenticated::of(&user.claims, user.record.id)))
    }

    /// Return whether the session of this request is live now. Every call runs a query.
    pub(crate) async fn is_live(&self) -> Result<bool, AuthError> {
        let Some(claims) = self.claims() else { return Ok(false) };
        let found = self.find(claims.sid.session_id()).await?;
        if let Check::Live { .. } = self.check(&claims, found.as_ref()) {
            return Ok(true);
        }
        self.shared.verified.forget(claims.sid.session_id());
        Ok(false)
    }

    fn check(&self, claims: &Claims, found: Option<&Found>) -> Check {
        let row = found.map(|Found { record, .. }| record);
        let row = row.map(|it| FoundRow::new(&it.session, Some(&it.user_id), it.last_seen_at));
        self.shared.config.site.check(&self.identity, claims, row, self.shared.clock.now())
    }

    /// Return the claims of the current access token, without a query.
    pub(crate) fn claims(&self) -> Option<Claims> {
        self.claims_by(&self.asked_state()).cloned()
    }

    fn claims_by<'s>(&'s self, state: &'s State) -> Option<&'s Claims> {
        match &state.user {
            User::Claimed => self.identity.access(),
            User::Known(user) => user.as_ref().map(|user| &user.claims),
        }
    }

    /// Return the rejection of an anonymous request that needs a user.
    pub(crate) fn anonymous(&self) -> Rejection {
        match self.state().refusal {
            Some(Refusal::LateUpload) => Rejection::LateUpload,
            Some(Refusal::Locked) => Rejection::Locked,
            Some(Refusal::Unproven) => Rejection::Unproven,
            _ => Rejection::NotAuthenticated,
        }
    }

    /// Return the rejection of an access token in `Authorization` whose session has ended.
    pub(crate) fn over(&self) -> Rejection {
        self.identity.over().into()
    }

    /// Return whether the access token came in `Authorization`.
    pub(crate) fn is_bearer(&self) -> bool {
        self.identity.is_bearer()
    }

    /// Write cookies and caching headers to the response, without a query.
    ///
    /// # Errors
    ///
    /// [`AuthError::Issue`] if a token cannot be issued. The response is then an error and sets no cookie.
    pub(crate) fn finish(&self, headers: &mut HeaderMap) -> Result<(), AuthError> {
        let answer = {
            let mut state = self.state();
            state.progress = Progress::Sent;
            self.answer(&state.outcome, state.was_asked)?
        };
        if !answer.cookies.is_empty() {
            self.overrule();
            self.offer_device(headers)?;
        }
        response::write(&answer, &self.shared.config.site.transport().cookies, headers);
        Ok(())
    }

    /// Write caching headers to a response that changes no cookie.
    pub(crate) fn finish_unchanged(&self, headers: &mut HeaderMap) {
        if let Ok(answer) = self.answer(&Outcome::Unchanged, self.state().was_asked) {
            response::write(&answer, &self.shared.config.site.transport().cookies, headers);
        }
    }

    /// Prevent outer layers from setting cookies of the same names: this layer is nearer to the handler and knows about
    /// its logins.
    fn overrule(&self) {
        let names = |request: &Self| {
            let cookies = &request.shared.config.site.transport().cookies;
            [cookies.access_name.clone(), cookies.refresh_name.clone()]
        };
        let (own, mut next) = (names(self), &self.outer);
        while let Some(outer) = next {
            if names(outer).iter().any(|name| own.contains(name)) {
                outer.state().outcome = Outcome::Unchanged;
            }
            next = &outer.outer;
        }
    }

    /// Record that there will be no response.
    pub(crate) fn abandon(&self) {
        let mut state = self.state();
        if state.progress == Progress::Open {
            state.progress = Progress::Gone;
        }
    }

    fn answer(&self, outcome: &Outcome, was_asked: bool) -> Result<Answer, AuthError> {
        let (site, now) = (&self.shared.config.site, self.shared.clock.now());
        site.respond(&self.identity, outcome, was_asked, now).map_err(AuthError::Issue)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Return the state, and record that the response depends on the user.
    fn asked_state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.was_asked = true;
        state
    }

    /// Make this the request's session. The response sets its tokens of these kinds.
    fn sign_in(&self, record: Record, sid: Sid, facts: Facts, kinds: &'static [TokenKind], asked: Option<Asked>) {
        event::known(&self.span, record.id, &record.user_id);
        let asked = asked.filter(|_| is_lasting(&record));
        let (user, grant) = self.grant(record, sid, facts, kinds);
        self.remember(grant.access(), asked);
        let mut state = self.state();
        (state.user, state.outcome) = (user, Outcome::Granted(grant));
    }

    /// Return the signed-in user of this session, and its newest tokens, of which the response sets these kinds.
    fn grant(&self, record: Record, sid: Sid, facts: Facts, kinds: &'static [TokenKind]) -> (User, Grant) {
        let (site, now) = (&self.shared.config.site, self.shared.clock.now());
        let mut grantee = Grantee::new(sid, &record.user_id);
        (grantee.custom, grantee.remember) = (facts.custom, record.remember);
        (grantee.authentication, grantee.actor) = (Some(facts.authentication), facts.actor.clone());
        grantee.not_after = facts.not_after;
        let grant = site.grant(grantee, &record.session, kinds, now);
        let claims = grant.access().clone();
        (User::Known(Some(Arc::new(SignedIn { record, actor: facts.actor, claims }))), grant)
    }

    /// Return the custom claims of this user if they fit into a cookie.
    fn custom_claims(&self, user_id: &str) -> Result<CustomClaims, AuthError> {
        let Some(custom) = &self.shared.custom_claims else { return Ok(CustomClaims::default()) };
        let custom = custom(user_id);
        self.shared.config.site.fits(user_id, &custom).map_err(AuthError::Issue)?;
        Ok(custom)
    }

    /// Find a session. A session in which another user acts ends with that user's own session.
    async fn find(&self, id: Uuid) -> Result<Option<Found>, StoreError> {
        let Some(record) = self.find_row(id).await? else { return Ok(None) };
        match record.actor_session_id {
            Some(own) => Box::pin(self.find_actor(record, own)).await,
            None => Ok(Some(Found { record, actor: None })),
        }
    }

    /// Find the user who acts in a session, by the user's own session.
    async fn find_actor(&self, record: Record, own: Uuid) -> Result<Option<Found>, StoreError> {
        let (lifetimes, now) = (self.shared.config.site.policy().lifetimes(), self.shared.clock.now());
        let is_own = |own: &Record| own.actor_session_id.is_none() && !lifetimes.is_over(&own.session, now);
        let own = self.find_row(own).await?.filter(is_own);
        Ok(own.map(|own| Found { record, actor: Some(own.user_id) }))
    }

    /// Find a session. If another user acts in it, ask whether they still may.
    async fn find_permitted(&self, id: Uuid) -> Result<Option<Found>, AuthError> {
        let Some(found) = self.find(id).await? else { return Ok(None) };
        let Some(actor) = &found.actor else { return Ok(Some(found)) };
        let is_refused = self.may_act(actor, &found.record.user_id).await? == Some(false);
        Ok((!is_refused).then_some(found))
    }

    async fn find_row(&self, id: Uuid) -> Result<Option<Record>, StoreError> {
        let asked = self.shared.clock.local();
        let found = self.shared.store.find(id).await?;
        self.shared.clock.hear(asked, found.as_ref().and_then(|found| found.database_time));
        Ok(found.map(|found| found.record))
    }

    fn asking(&self, claims: &Claims) -> Option<Asked> {
        let shared = &self.shared;
        shared.remembers().then(|| shared.verified.asking(claims.sid.session_id(), SCOPE, shared.clock.monotonic()))
    }

    /// Cache that the store accepted the session, which [is lasting](is_lasting).
    fn remember(&self, claims: &Claims, asked: Option<Asked>) {
        if let Some(asked) = asked {
            self.shared.verified.remember(claims, asked);
        }
    }
}

/// Return whether the acceptance of this session may be cached. A generation that is not acknowledged may not, because
/// the request that brings it must query the store. So must each request of a user who acts as another one.
fn is_lasting(record: &Record) -> bool {
    record.session.acknowledged_at.is_some() && record.actor_session_id.is_none()
}

impl fmt::Debug for RequestAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let session = self.claims_by(&state).map(|claims| claims.sid.session_id());
        f.debug_struct("RequestAuth").field("session", &session).finish_non_exhaustive()
    }
}
