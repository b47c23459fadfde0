//! Who made one request, and which cookies its response takes.
//!
//! The way of one request: [`RequestAuth::identify`] verifies the tokens and asks no store; [`RequestAuth::refresh`] goes by
//! the rotation table where the access token is gone; [`RequestAuth::resolve`] asks for the session, once, when somebody
//! wants to know; [`RequestAuth::finish`] puts the cookies on the response.

mod login;
mod upkeep;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::{HeaderMap, HeaderValue, header, request::Parts};
use jwtauth::{Asked, Claims, CustomClaims, Decision, Kind, Presented, Sid};
use uuid::Uuid;

use crate::{
    AuthError, Record, Rejection, StoreError,
    clock::monotonic_ms,
    cookies, event,
    head::{Head, check_origin},
    retry::retrying,
    shared::Shared,
    task::uninterrupted,
};

/// One request, from its head to its response.
pub(crate) struct RequestAuth {
    pub(crate) shared: Arc<Shared>,
    head: Head,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of the access token in force, which for a refreshed request is the new one.
    claims: Option<Claims>,
    /// Of a refresh token that is yet to be decided on.
    refresh: Option<Claims>,
    /// Whether `found` says who is there. Else the store has yet to be asked about `claims`.
    is_resolved: bool,
    found: Option<Record>,
    was_asked: bool,
    issued: Vec<(Kind, Claims)>,
    is_cleared: bool,
}

impl State {
    /// Who is there is known from now on, and nobody needs to be asked.
    fn settle(&mut self, found: Option<(Record, Claims)>) {
        (self.found, self.claims) = found.unzip();
        self.is_resolved = true;
    }
}

impl RequestAuth {
    /// Verifies the tokens; asks no store. `length`: of the body, where its head does not tell.
    ///
    /// # Errors
    ///
    /// [`Rejection::InvalidToken`] for a bad bearer, [`Rejection::CrossOrigin`] where cookies may not be used.
    pub(crate) fn identify(shared: Arc<Shared>, parts: &Parts, length: Option<String>) -> Result<Self, Rejection> {
        let head = Head::read(parts, length, &shared.config.transport, shared.address.as_ref());
        let (tokens, now) = (&shared.config.tokens, shared.clock.now());
        let mut state = State::default();
        if let Some(token) = &head.bearer {
            state.claims = Some(tokens.verify(Kind::Access, token, now).map_err(|_| Rejection::InvalidToken)?);
        } else {
            let transport = &shared.config.transport;
            let newest = |kind| tokens.verify_newest(kind, head.tokens(kind, transport), now).ok();
            let (access, refresh) = (newest(Kind::Access), newest(Kind::Refresh));
            if access.is_some() || refresh.is_some() {
                check_origin(parts, transport)?;
            }
            let (access, refresh) = jwtauth::believed(access.as_ref(), refresh.as_ref());
            (state.claims, state.refresh) = (access.cloned(), refresh.cloned());
        }
        state.is_resolved = state.claims.is_none();
        Ok(Self { shared, head, state: Mutex::new(state) })
    }

    /// Decides on the refresh token by the engine's table, where there is one and no access token of its session, and writes
    /// what it says, although the client has gone.
    pub(crate) async fn refresh(self: &Arc<Self>) -> Result<(), AuthError> {
        let Some(claims) = self.state().refresh.take() else { return Ok(()) };
        let this = Arc::clone(self);
        uninterrupted(async move { retrying(|| this.try_refresh(&claims)).await }).await
    }

    /// Reads, decides and writes the row. [`AuthError::Contention`] where another request was first: then the row is in a
    /// state that mostly needs no swap.
    async fn try_refresh(&self, claims: &Claims) -> Result<(), AuthError> {
        let shared = &self.shared;
        let session_id = claims.sid.session_id();
        let asked = self.asking(claims);
        let Some(mut record) = self.find(session_id).await? else { return Ok(()) };
        let now = shared.clock.now();
        let presented = Presented { generation: claims.generation, upload: self.head.is_upload };
        let decision = shared.config.policy.decide(&record.session, presented, now);
        if matches!(decision, Decision::Reuse) {
            return self.end_reused(&record, claims).await;
        }
        let custom = if decision.admits() { self.custom_claims(&record.user_id)? } else { CustomClaims::default() };
        if let Some(next) = decision.next(&record.session) {
            if !shared.store.advance(session_id, record.session.generation, next, now).await? {
                return Err(AuthError::Contention);
            }
            record.session = next;
        }
        if let Some(warning) = decision.warning() {
            event::warning(warning, &record, claims);
        }
        if decision.acknowledges() {
            self.acknowledge(&mut record).await;
        }
        if decision.admits() {
            self.sign_in(record, claims.sid, decision.issues(), custom, asked);
            if matches!(decision, Decision::Rotate(_)) {
                event::session("session_refreshed", session_id);
                self.remove_expired().await;
            }
        }
        Ok(())
    }

    /// A copied token: ends the session, or all of its user where the settings say so. Only the request that ended it tells.
    async fn end_reused(&self, record: &Record, claims: &Claims) -> Result<(), AuthError> {
        self.state().settle(None);
        if self.end([record.id], "reused").await? == 0 {
            return Ok(());
        }
        event::warning("refresh_token_reused", record, claims);
        if self.shared.config.reuse_ends_all {
            let now = self.shared.clock.now();
            let others =
                retrying(|| async { Ok::<_, AuthError>(self.shared.store.of_user(&record.user_id, now).await?) })
                    .await?;
            self.end(others.into_iter().map(|other| other.id), "reused").await?;
        }
        Ok(())
    }

    /// Who is signed in, asked of the store the first time, by the strict check.
    pub(crate) async fn resolve(&self) -> Result<Option<(Record, Claims)>, AuthError> {
        let claims = {
            let mut state = self.state();
            state.was_asked = true;
            match (&state.claims, state.is_resolved) {
                (Some(claims), false) => claims.clone(),
                (claims, _) => return Ok(state.found.clone().zip(claims.clone())),
            }
        };
        let asked = self.asking(&claims);
        let found = self.find(claims.sid.session_id()).await?; // an error is one each time that somebody asks
        let policy = &self.shared.config.policy;
        let is_good = |record: &Record| {
            record.user_id == claims.subject && !policy.lifetimes().is_over(&record.session, self.shared.clock.now())
        };
        let Some(mut record) = found.filter(is_good) else {
            self.shared.verified.forget(claims.sid.session_id());
            self.state().settle(None);
            return Ok(None);
        };
        if policy.acknowledges(&record.session, claims.generation) {
            self.acknowledge(&mut record).await;
        }
        if !self.head.is_safe {
            self.touch(&record).await;
        }
        self.remember(&claims, asked);
        self.state().settle(Some((record.clone(), claims.clone())));
        Ok(Some((record, claims)))
    }

    /// Who is signed in, without asking the store where it accepted these claims within `SESSION_CHECK_INTERVAL`.
    pub(crate) async fn live_claims(&self) -> Result<Option<Claims>, AuthError> {
        let remembered = {
            let mut state = self.state();
            state.was_asked = true;
            state.claims.clone().filter(|claims| !state.is_resolved && self.shared.is_remembered(claims))
        };
        match remembered {
            Some(claims) => Ok(Some(claims)),
            None => Ok(self.resolve().await?.map(|(_, claims)| claims)),
        }
    }

    /// The claims of the access token in force. Asks no store.
    pub(crate) fn claims(&self) -> Option<Claims> {
        let mut state = self.state();
        state.was_asked = true;
        state.claims.clone()
    }

    /// Whether an access token came by `Authorization`.
    pub(crate) fn is_bearer(&self) -> bool {
        self.head.bearer.is_some()
    }

    /// Puts cookies and caching headers on the response. Asks no store.
    pub(crate) fn finish(&self, headers: &mut HeaderMap) {
        let (tokens, cookies, state) =
            (&self.shared.config.tokens, &self.shared.config.transport.cookies, self.state());
        let writes = state.is_cleared || !state.issued.is_empty();
        if state.was_asked || writes || self.head.has_cookies(&self.shared.config.transport) {
            headers.append(header::VARY, HeaderValue::from_static("Cookie"));
        }
        if self.is_bearer() {
            headers.append(header::VARY, HeaderValue::from_static("Authorization"));
        }
        let mut set = |cookie: Option<HeaderValue>| {
            if let Some(cookie) = cookie {
                headers.append(header::SET_COOKIE, cookie);
            }
        };
        if state.is_cleared {
            for kind in [Kind::Access, Kind::Refresh] {
                set(cookies::clear(cookies, kind));
            }
        }
        let remember = state.found.as_ref().is_some_and(|record| record.remember);
        for (kind, claims) in &state.issued {
            let max_age = remember.then(|| claims.expires_at.saturating_sub(self.shared.clock.now()));
            match tokens.issue(*kind, claims) {
                Ok(token) => set(cookies::set(cookies, *kind, &token, max_age)),
                Err(error) => tracing::error!(code = error.code(), "no token was issued: {error}"),
            }
        }
        if writes {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, private"));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes this the request's session and issues tokens of these kinds for it.
    fn sign_in(&self, record: Record, sid: Sid, kinds: &[Kind], custom: CustomClaims, asked: Option<Asked>) {
        let (shared, row, now) = (&self.shared, record.session, self.shared.clock.now());
        let access = Claims {
            subject: record.user_id.clone(),
            sid,
            generation: row.generation,
            issued_at: now,
            expires_at: shared.config.policy.lifetimes().access_end(now, row.expires_at),
            custom,
        };
        let refresh = Claims {
            issued_at: row.rotated_at,
            expires_at: row.expires_at,
            custom: CustomClaims::default(),
            ..access.clone()
        };
        let claims_of = |kind: &Kind| match kind {
            Kind::Access => (Kind::Access, access.clone()),
            Kind::Refresh => (Kind::Refresh, refresh.clone()),
        };
        self.remember(&access, asked);
        let mut state = self.state();
        state.issued = kinds.iter().map(claims_of).collect();
        state.is_cleared = false;
        state.settle(Some((record, access)));
    }

    /// The service's own claims of this user, before anything is written: too many of them are an error of the service, which
    /// signs nobody out.
    fn custom_claims(&self, user_id: &str) -> Result<CustomClaims, AuthError> {
        let Some(custom) = &self.shared.custom_claims else { return Ok(CustomClaims::default()) };
        let longest = Claims {
            subject: user_id.to_owned(),
            sid: Sid::from_bytes([0; 16]),
            generation: 1 << 52,
            issued_at: 1 << 40,
            expires_at: 1 << 40,
            custom: custom(user_id),
        };
        self.shared.config.tokens.issue(Kind::Access, &longest).map_err(AuthError::Issue)?;
        Ok(longest.custom)
    }

    async fn find(&self, id: Uuid) -> Result<Option<Record>, StoreError> {
        let asked = self.shared.clock.local_ms();
        let found = self.shared.store.find(id).await?;
        self.shared.clock.hear(asked, found.as_ref().and_then(|found| found.database_time));
        Ok(found.map(|found| found.record))
    }

    fn asking(&self, claims: &Claims) -> Option<Asked> {
        let is_remembered_at_all = self.shared.config.check_interval != Some(0);
        is_remembered_at_all.then(|| self.shared.verified.asking(claims.sid.session_id(), monotonic_ms()))
    }

    fn remember(&self, claims: &Claims, asked: Option<Asked>) {
        if let Some(asked) = asked {
            self.shared.verified.remember(claims, asked);
        }
    }
}

impl fmt::Debug for RequestAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let session = state.claims.as_ref().map(|claims| claims.sid.session_id());
        f.debug_struct("RequestAuth").field("session", &session).finish_non_exhaustive()
    }
}
