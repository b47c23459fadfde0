//! Sessions that start and end.

use std::collections::HashSet;

use aws_lc_rs::rand::SystemRandom;
use jwtauth::{Kind, Sid};
use uuid::Uuid;

use super::RequestAuth;
use crate::{AuthError, Limit, Login, LoginError, Record, event, retry::retrying};

impl RequestAuth {
    /// Starts a session, and ends those that the request came with.
    pub(crate) async fn login(&self, login: Login) -> Result<(), LoginError> {
        let (shared, now) = (&self.shared, self.shared.clock.now());
        let sid = Sid::generate(&SystemRandom::new(), now).map_err(AuthError::Randomness)?;
        let session = match login.lifetime {
            Some(lifetime) => shared.config.policy.start_for(lifetime.as_secs().max(1), now),
            None => shared.config.policy.start(now),
        };
        let record = Record::new(sid.session_id(), login.user_id, session)
            .with_remember(login.remember)
            .with_user_agent(self.head.user_agent())
            .with_ip_address(self.head.address);
        let custom = self.custom_claims(&record.user_id)?;
        let older = self.named_sessions();
        let limit = shared.config.limit.map(|(most, policy)| Limit::new(most, policy).with_replaced(older.clone()));
        let surplus = self.insert(&record, limit).await?;
        event::session("session_started", record.id);
        for id in &surplus {
            shared.verified.forget(*id);
        }
        event::ended(surplus.len() as u64, "limit");
        self.sign_in(record, sid, &[Kind::Access, Kind::Refresh], custom, None);
        self.end(older, "replaced").await?;
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

    /// Ends the session, also one that only a stale cookie names, and has the response clear the cookies.
    pub(crate) async fn logout(&self) -> Result<(), AuthError> {
        self.end(self.named_sessions(), "logout").await?;
        let mut state = self.state();
        state.refresh = None;
        state.settle(None);
        state.issued.clear();
        state.is_cleared = true;
        Ok(())
    }

    /// Ends these sessions: none of their tokens is good from now on. How many there were.
    pub(crate) async fn end(&self, ids: impl IntoIterator<Item = Uuid>, reason: &str) -> Result<u64, AuthError> {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(0);
        }
        let count = retrying(|| async { Ok::<_, AuthError>(self.shared.store.end(&ids).await?) }).await?;
        for id in ids {
            self.shared.verified.forget(id);
        }
        event::ended(count, reason);
        Ok(count)
    }

    /// The sessions that the cookies name, however stale, and the request's own.
    fn named_sessions(&self) -> Vec<Uuid> {
        let config = &self.shared.config;
        let named = [Kind::Access, Kind::Refresh].into_iter().flat_map(|kind| {
            let tokens = self.head.tokens(kind, &config.transport);
            tokens.filter_map(move |token| config.tokens.verify_ignoring_time(kind, token).ok())
        });
        let own = self.state().claims.clone();
        let ids: HashSet<Uuid> = named.chain(own).map(|claims| claims.sid.session_id()).collect();
        ids.into_iter().collect()
    }
}
