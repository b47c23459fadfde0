//! Sessions that start and end.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use jwtauth::{OriginError, Outcome, Sid, TokenKind};
use uuid::Uuid;

use super::{RequestAuth, User};
use crate::{AuthError, Limit, Login, LoginError, Record, event, retry::retrying};

/// The shortest that a session may be asked to live.
const MIN_LIFETIME: Duration = Duration::from_secs(1);

impl RequestAuth {
    /// Start a session, and end those that the request came with.
    pub(crate) async fn login(&self, login: Login) -> Result<(), LoginError> {
        if !login.cross_origin {
            self.check_origin()?;
        }
        let (shared, now) = (&self.shared, self.shared.clock.now());
        let user_id = shared.store.user_key(&login.user_id).ok_or(LoginError::UnknownUser)?;
        let sid = Sid::generate(&SystemRandom::new(), now).map_err(AuthError::Randomness)?;
        let policy = shared.config.site.policy();
        let session = match login.lifetime {
            Some(lifetime) => policy.start_for(lifetime.max(MIN_LIFETIME), now),
            None => policy.start(now),
        };
        let record = Record::new(sid.session_id(), user_id, session)
            .with_remember(login.remember)
            .with_user_agent(self.client.user_agent())
            .with_ip_address(self.client.address);
        let custom = self.custom_claims(&record.user_id)?;
        let older = self.named_sessions();
        let limit = shared.config.limit.map(|(most, policy)| Limit::new(most, policy).with_replaced(older.clone()));
        let surplus = self.insert(&record, limit).await?;
        event::session("session_started", record.id);
        for id in &surplus {
            shared.verified.forget(*id);
        }
        event::ended(surplus.len() as u64, "limit");
        // First: where it fails, so does the login, and nobody gets the tokens of the new session.
        if let Err(error) = self.end(older, "replaced").await {
            if let Err(error) = self.end([record.id], "replaced").await {
                event::upkeep("ended", record.id, &error);
            }
            return Err(error.into());
        }
        self.sign_in(record, sid, &[TokenKind::Access, TokenKind::Refresh], custom, None);
        self.remove_expired().await;
        Ok(())
    }

    async fn insert(&self, record: &Record, limit: Option<Limit>) -> Result<Vec<Uuid>, LoginError> {
        retrying(|| async {
            let now = self.shared.clock.now();
            Ok(self.shared.store.insert(record.clone(), limit.clone(), now).await?)
        })
        .await
    }

    /// End the sessions that the request's tokens name, and have the response clear its cookies.
    pub(crate) async fn logout(&self) -> Result<(), AuthError> {
        self.check_origin()?;
        self.end(self.named_sessions(), "logout").await?;
        let mut state = self.asked_state();
        state.user = User::Known(None);
        state.outcome = Outcome::Cleared;
        Ok(())
    }

    /// End these sessions: none of their tokens is good from now on. Returns how many there were.
    pub(crate) async fn end(&self, ids: impl IntoIterator<Item = Uuid>, reason: &str) -> Result<u64, AuthError> {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(0);
        }
        let ended = retrying(|| async { Ok::<_, AuthError>(self.shared.store.end(&ids).await?) }).await;
        // An error may come after the end: of a connection that is lost before it has told of it.
        for id in ids {
            self.shared.verified.forget(id);
        }
        let count = ended?;
        event::ended(count, reason);
        Ok(count)
    }

    /// Refuse what acts on cookies, whatever the request brings, where it is of an origin that may not use them.
    fn check_origin(&self) -> Result<(), OriginError> {
        self.foreign.as_ref().map_or(Ok(()), |foreign| Err(foreign.refuse()))
    }

    /// Return the sessions that the request's tokens name, however old, and its own.
    fn named_sessions(&self) -> Vec<Uuid> {
        let own = self.claims_by(&self.state()).map(|claims| claims.sid.session_id());
        let mut ids: Vec<_> = self.identity.session_names().iter().map(Sid::session_id).collect();
        ids.extend(own.filter(|own| !ids.contains(own)));
        ids
    }
}
