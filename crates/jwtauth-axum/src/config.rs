//! The parsed settings that the layer needs.

use std::time::Duration;

use jwtauth::{Recorded, Site, Tokens};

use crate::{
    LimitPolicy,
    device::{DeviceBound, DevicePaths},
};

/// Validated [`Settings`](crate::Settings), created by [`Settings::build`](crate::Settings::build).
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) site: Site,
    /// `None`: a session that was verified once is not checked again.
    pub(crate) check_interval: Option<Duration>,
    pub(crate) sensitive_max_age: Option<Duration>,
    pub(crate) act_as_lifetime: Duration,
    pub(crate) record_ip_address: Recorded,
    pub(crate) record_user_agent: Recorded,
    pub(crate) reuse_ends_all: bool,
    pub(crate) device_bound: DeviceBound,
    pub(crate) device_paths: DevicePaths,
    pub(crate) limit: Option<(usize, LimitPolicy)>,
}

impl Config {
    /// Return the [`Tokens`] that issue and verify this configuration's tokens.
    pub fn tokens(&self) -> &Tokens {
        self.site.tokens()
    }
}
