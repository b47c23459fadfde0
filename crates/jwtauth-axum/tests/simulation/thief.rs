//! A thief, who keeps every copied or received token and may present any of them at any time.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    jar::{Brought, SetCookie, Token},
    random::Random,
};

#[derive(Default)]
pub struct Thief {
    access: Vec<Arc<Token>>,
    refresh: Vec<Arc<Token>>,
    /// The thief makes no request before this time.
    quiet_until: u64,
    /// The thief makes no ordinary request with a refresh token before this time, because it may end the session.
    careful_until: u64,
}

/// The most tokens of a kind that the thief keeps.
const MOST: usize = 12;

fn add(tokens: &mut Vec<Arc<Token>>, token: &Arc<Token>) {
    if tokens.iter().any(|known| known.text == token.text) {
        return;
    }
    if tokens.len() == MOST {
        tokens.remove(0);
    }
    tokens.push(Arc::clone(token));
}

impl Thief {
    pub fn has_nothing(&self) -> bool {
        self.access.is_empty() && self.refresh.is_empty()
    }

    /// Make the thief wait until the owner has probably sent a request.
    pub fn lie_low(&mut self, quiet_until: u64, careful_until: u64) {
        (self.quiet_until, self.careful_until) = (quiet_until, careful_until);
    }

    pub fn is_quiet(&self, now: u64) -> bool {
        now < self.quiet_until
    }

    pub fn is_careful(&self, now: u64) -> bool {
        now < self.careful_until
    }

    /// Copy a browser's tokens. Returns the sessions.
    pub fn copy(&mut self, brought: &Brought) -> Vec<Uuid> {
        if let Some(token) = &brought.access {
            add(&mut self.access, token);
        }
        if let Some(token) = &brought.refresh {
            add(&mut self.refresh, token);
        }
        brought.tokens().map(|token| token.session).collect()
    }

    pub fn keep(&mut self, set: &[SetCookie]) {
        for SetCookie { is_refresh, token, .. } in set {
            if let Some(token) = token {
                add(if *is_refresh { &mut self.refresh } else { &mut self.access }, token);
            }
        }
    }

    /// Choose the tokens to present: the newest or any, of one kind or both.
    pub fn presents(&self, random: &mut Random) -> Brought {
        let mut choose = |tokens: &[Arc<Token>]| match tokens {
            [] => None,
            [.., newest] if random.one_in(2) => Some(Arc::clone(newest)),
            any => Some(random.pick(any)),
        };
        let (access, refresh) = (choose(&self.access), choose(&self.refresh));
        match random.below(10) {
            0..6 => Brought { access: None, refresh, by_header: false },
            6..8 => Brought { access, refresh, by_header: false },
            8 => Brought { access, refresh: None, by_header: false },
            _ => Brought { by_header: access.is_some(), access, refresh: None },
        }
    }
}
