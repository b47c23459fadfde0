//! Trying again where a database asks for it, or where another request was first.

use std::time::{Duration, Instant};

/// Tried this often, and not again once so much time has gone.
const ATTEMPTS: u32 = 6;
const PATIENCE: Duration = Duration::from_secs(3);
/// Before attempt n, 2ⁿ times this, in which whoever was first is done.
const PAUSE: Duration = Duration::from_millis(2);

pub(crate) struct Retry {
    attempt: u32,
    started: Instant,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempt: 1, started: Instant::now() }
    }
}

impl Retry {
    /// Waits a little, and says whether to try again.
    pub(crate) async fn again(&mut self) -> bool {
        if self.attempt >= ATTEMPTS || self.started.elapsed() > PATIENCE {
            return false;
        }
        tokio::time::sleep(PAUSE * 2_u32.pow(self.attempt)).await;
        self.attempt += 1;
        true
    }
}
