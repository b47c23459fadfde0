//! What the layer needs of the settings, parsed once.

use jwtauth::{CookiePolicy, OriginPolicy, Policy, Tokens};

use crate::LimitPolicy;

/// [`Settings`](crate::Settings) that are without contradiction. Made by [`Settings::build`](crate::Settings::build).
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) tokens: Tokens,
    pub(crate) policy: Policy,
    pub(crate) transport: Transport,
    /// Milliseconds; `None`: a session that was verified once is not asked for again.
    pub(crate) check_interval: Option<u64>,
    pub(crate) reuse_ends_all: bool,
    pub(crate) limit: Option<(usize, LimitPolicy)>,
}

/// How tokens travel: what a service needs to read them that issues none.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    pub(crate) cookies: CookiePolicy,
    pub(crate) origins: OriginPolicy,
    /// Whether `Authorization: Bearer` counts.
    pub(crate) bearer: bool,
}

impl Config {
    /// Issues and verifies this configuration's tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }
}
