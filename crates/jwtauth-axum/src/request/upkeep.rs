//! Secondary writes. If one fails, the next request repeats it.

use super::RequestAuth;
use crate::{AuthError, Record, event, retry::retrying};

impl RequestAuth {
    /// Acknowledge this generation.
    pub(super) async fn acknowledge(&self, record: &mut Record) {
        let now = self.shared.clock.now();
        let (store, id, generation) = (&self.shared.store, record.id, record.session.generation);
        match retrying(|| async { Ok::<_, AuthError>(store.acknowledge(id, generation, now).await?) }).await {
            Ok(()) => record.session.acknowledged_at = Some(now),
            Err(error) => event::upkeep("acknowledged", record.id, &error),
        }
    }

    /// Update when the user was last seen.
    pub(super) async fn update_last_seen(&self, record: &Record) {
        if let Err(error) = self.shared.store.touch(record.id, self.shared.clock.now()).await {
            event::upkeep("marked as seen", record.id, &error);
        }
    }
}
