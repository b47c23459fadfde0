//! The claims of a session's newest tokens.

use super::Site;
use crate::{
    Authentication, Claims, CustomClaims, DeviceBinding, Generation, IssueError, Methods, Session, Sid, TokenKind,
    UnixTime,
};

/// The newest tokens of a session, and which of them the response sets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    access: Claims,
    refresh: Claims,
    kinds: &'static [TokenKind],
    remember: bool,
    is_bound: bool,
}

impl Grant {
    /// Return the claims of the access token, which is now in force.
    pub fn access(&self) -> &Claims {
        &self.access
    }

    /// Return the claims of the refresh token. Its times come from the session's row, so every worker issues the same
    /// token again.
    pub fn refresh(&self) -> &Claims {
        &self.refresh
    }

    /// Return the kinds of token that the response sets.
    pub fn kinds(&self) -> &'static [TokenKind] {
        self.kinds
    }

    /// Return whether the cookies persist after the browser is closed.
    pub fn remember(&self) -> bool {
        self.remember
    }

    /// Return whether the cookie of this kind has a `Max-Age`. That of a bound session's access token always has: a browser
    /// refreshes no cookie that does not expire. It then outlives the browser, for the few minutes that the token has.
    pub(super) fn has_max_age(&self, kind: TokenKind) -> bool {
        self.remember || self.is_bound && kind == TokenKind::Access
    }

    pub(super) fn claims(&self, kind: TokenKind) -> &Claims {
        match kind {
            TokenKind::Access => &self.access,
            TokenKind::Refresh => &self.refresh,
        }
    }
}

/// The session and user for whom a [`Grant`] is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Grantee<'a> {
    /// The session's name.
    pub sid: Sid,
    /// The user, as named in tokens.
    pub subject: &'a str,
    /// When and how the user authenticated. A login or another authentication says it; a refresh takes it from
    /// [the presented token](Authentication::of). By default, at the time of the row's newest authentication, by unknown methods.
    pub authentication: Option<Authentication>,
    /// Who acts as the user, named as in their own tokens.
    pub actor: Option<String>,
    /// The site's custom claims for the access token.
    pub custom: CustomClaims,
    /// Whether the cookies persist after the browser is closed.
    pub remember: bool,
    /// When the access token expires with which the request asks for these tokens. If the session is, or must be, bound to
    /// a device, and the request does not prove the device's key, the new one expires no later.
    pub not_after: Option<UnixTime>,
}

impl<'a> Grantee<'a> {
    /// Create the grantee for this session and user, without custom claims and with persistent cookies.
    pub fn new(sid: Sid, subject: &'a str) -> Self {
        let (authentication, actor, custom) = (None, None, CustomClaims::default());
        Self { sid, subject, authentication, actor, custom, remember: true, not_after: None }
    }
}

impl Site {
    /// Return the claims of both tokens for a session's row at `now`. The response sets the tokens in `kinds`, which
    /// come from [`Decision::issues`](crate::Decision::issues).
    ///
    /// ```
    /// # use jwtauth::*;
    /// # fn example(site: &Site, sid: Sid) {
    /// let now = UnixTime::from_secs(1_700_000_000);
    /// let row = site.policy().start(now);
    /// let grant = site.grant(Grantee::new(sid, "42"), &row, &[TokenKind::Access, TokenKind::Refresh], now);
    /// assert_eq!(grant.access().subject, "42");
    /// assert_eq!(grant.refresh().expires_at, row.expires_at);
    /// # }
    /// ```
    pub fn grant(&self, grantee: Grantee<'_>, session: &Session, kinds: &'static [TokenKind], now: UnixTime) -> Grant {
        let Grantee { sid, subject, authentication, actor, custom, remember, not_after } = grantee;
        let authentication =
            authentication.unwrap_or_else(|| Authentication::new(session.authenticated_at(), Methods::default()));
        let refresh = Claims::new(subject, sid, session.generation, session.rotated_at, session.expires_at)
            .with_authentication(authentication);
        let (since, not_after) =
            if session.device.is_of_browser() { (session.rotated_at, not_after) } else { (now, None) };
        let expires_at = self.policy.lifetimes().access_end(session, since).min(not_after.unwrap_or(UnixTime::MAX));
        // Such tokens come alone.
        let refresh = Claims { idle: kinds == [TokenKind::Refresh], ..refresh };
        let confirmation = session.device.confirmation();
        let access = Claims { issued_at: now, idle: false, expires_at, actor, confirmation, custom, ..refresh.clone() };
        Grant { access, refresh, kinds, remember, is_bound: session.device == DeviceBinding::Bound }
    }

    /// Sign the token of this kind.
    ///
    /// # Errors
    ///
    /// An [`IssueError`]. [`fits`](Self::fits) rules out [`TooLong`](IssueError::TooLong).
    pub fn issue(&self, grant: &Grant, kind: TokenKind) -> Result<String, IssueError> {
        self.tokens.issue(kind, grant.claims(kind))
    }

    /// Check that an access token of this user with these custom claims fits into a cookie, whatever the other claims
    /// become. Check before writing a row: otherwise the user would have a session that never gets a token.
    ///
    /// # Errors
    ///
    /// An [`IssueError`].
    pub fn fits(&self, subject: &str, custom: &CustomClaims) -> Result<(), IssueError> {
        if custom.is_empty() {
            return Ok(());
        }
        let (sid, generation) = (Sid::from_bytes([0; 20]), Generation::new((1 << 53) - 1));
        let longest = Claims::new(subject, sid, generation, LATEST, LATEST)
            .with_authentication(Authentication::new(LATEST, Methods::longest()))
            .with_custom(custom.clone());
        self.tokens.issue(TokenKind::Access, &longest).map(drop)
    }
}

/// A time later than any date that a database can store.
const LATEST: UnixTime = UnixTime::from_secs(1 << 40);
