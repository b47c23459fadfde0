//! What the layer needs of the settings, parsed once.

use std::time::Duration;

use jwtauth::{Site, Tokens};

use crate::LimitPolicy;

/// [`Settings`](crate::Settings) that are without contradiction. Made by [`Settings::build`](crate::Settings::build).
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) site: Site,
    /// `None`: a session that was verified once is not asked for again.
    pub(crate) check_interval: Option<Duration>,
    pub(crate) reuse_ends_all: bool,
    pub(crate) limit: Option<(usize, LimitPolicy)>,
}

impl Config {
    /// Return what issues and verifies this configuration's tokens.
    pub fn tokens(&self) -> &Tokens {
        self.site.tokens()
    }
}
