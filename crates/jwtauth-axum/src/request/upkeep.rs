//! Writes beside the answer, which the next request makes as well where they fail.

use super::RequestAuth;
use crate::{Record, event, shared::CLEANED_AT_ONCE};

/// Expired for so many seconds, so that a clock that is minutes fast removes nothing that others honour.
const MARGIN: u64 = 3600;

impl RequestAuth {
    /// Upkeep: the next request of this generation acknowledges it as well.
    pub(super) async fn acknowledge(&self, record: &mut Record) {
        let now = self.shared.clock.now();
        match self.shared.store.acknowledge(record.id, record.session.generation, now).await {
            Ok(()) => record.session.acknowledged_at = Some(now),
            Err(error) => event::upkeep("acknowledged", record.id, &error),
        }
    }

    pub(super) async fn touch(&self, record: &Record) {
        let now = self.shared.clock.now();
        if jwtauth::is_last_seen_stale(record.last_seen_at, now)
            && let Err(error) = self.shared.store.touch(record.id, now).await
        {
            event::upkeep("noted as seen", record.id, &error);
        }
    }

    /// Expired sessions, now and then and a few: upkeep, like Django's beside logins and refreshes.
    pub(super) async fn remove_expired(&self) {
        let now = self.shared.clock.now();
        if self.shared.cleaning_is_due(now)
            && let Err(error) = self.shared.store.remove_expired(CLEANED_AT_ONCE, now.saturating_sub(MARGIN)).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "expired sessions were not removed");
        }
    }
}
