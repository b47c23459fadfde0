//! The cookies and caching headers of a response.

use std::time::Duration;

use super::{Grant, Site};
use crate::{Identity, IssueError, TokenKind, UnixTime};

/// The effect of a request on its cookies, so far. A small value that a caller can keep, and restore when a view's
/// transaction rolls back.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "each request has only one")]
pub enum Outcome {
    /// No cookie changes.
    #[default]
    Unchanged,
    /// Set the session's tokens that the grant lists.
    Granted(Grant),
    /// The user has logged out: clear both cookies, if the request brought one.
    Cleared,
    /// The user has signed in by other means than jwtauth: clear both cookies in any case. The browser may have
    /// withheld them, as it withholds `SameSite=Strict` cookies from a provider's callback.
    Superseded,
}

/// The cookies and caching headers to write to a response.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct Answer {
    /// The cookies to set, in this order, with the attributes of the [`CookiePolicy`](crate::CookiePolicy).
    pub cookies: Vec<SetCookie>,
    /// `DPoP-Nonce` (RFC 9449 §8): the nonce of the client's next proof.
    pub dpop_nonce: Option<String>,
    /// The request headers that the response depends on.
    pub vary: Vec<&'static str>,
    /// Whether the response sets or clears cookies, or has a nonce, so that it is private and must not be stored.
    pub is_private: bool,
}

/// One cookie of an [`Answer`]. `Debug` does not show the token.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct SetCookie {
    /// The kind of token that the cookie holds.
    pub kind: TokenKind,
    /// The token; `None` to clear the cookie.
    pub token: Option<String>,
    /// `Max-Age`; `None` for a cookie that expires when the browser is closed.
    pub max_age: Option<Duration>,
}

impl Site {
    /// Return the cookies and caching headers of the response at `now`.
    ///
    /// `was_asked` tells whether the view asked for the user. If it did, the response depends on its cookies even if
    /// the request had none. The cookies of a request with a bearer token are not read.
    ///
    /// Cookies are cleared only if the request brought one. A browser withholds cookies from a top-level `POST` of
    /// another site, but would still apply a `Set-Cookie` of the response. The only exception is
    /// [`Outcome::Superseded`].
    ///
    /// ```
    /// # use jwtauth::*;
    /// # fn example(site: &Site) -> Result<(), IssueError> {
    /// let answer = site.respond(&Identity::default(), &Outcome::Cleared, true, UnixTime::from_secs(1_700_000_000))?;
    /// assert!(answer.cookies.is_empty(), "the request brought none");
    /// assert_eq!(answer.vary, ["Cookie"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// An [`IssueError`]: a token cannot be signed. The caller then responds with an error.
    pub fn respond(
        &self,
        identity: &Identity,
        outcome: &Outcome,
        was_asked: bool,
        now: UnixTime,
    ) -> Result<Answer, IssueError> {
        let cookies = match outcome {
            Outcome::Cleared if !identity.has_cookies() => Vec::new(),
            Outcome::Cleared | Outcome::Superseded => {
                let clear = |kind| SetCookie { kind, token: None, max_age: Some(Duration::ZERO) };
                [TokenKind::Access, TokenKind::Refresh].map(clear).into()
            }
            Outcome::Granted(grant) => {
                let set = |kind: &TokenKind| self.set_cookie(grant, *kind, now);
                grant.kinds().iter().map(set).collect::<Result<_, _>>()?
            }
            Outcome::Unchanged => Vec::new(),
        };
        let dpop_nonce = identity.needs_nonce.then(|| self.tokens.issue_dpop_nonce(now)).transpose()?;
        let is_private = !cookies.is_empty() || dpop_nonce.is_some();
        let depends_on_cookies = was_asked && !identity.is_bearer() || is_private || identity.has_cookies();
        let vary = [
            (depends_on_cookies, "Cookie"),
            (identity.is_bearer(), "Authorization"),
            (identity.is_of_client(), "DPoP"),
        ];
        let vary = vary.into_iter().filter_map(|(depends, name)| depends.then_some(name)).collect();
        Ok(Answer { cookies, dpop_nonce, vary, is_private })
    }

    fn set_cookie(&self, grant: &Grant, kind: TokenKind, now: UnixTime) -> Result<SetCookie, IssueError> {
        let left = grant.claims(kind).expires_at.saturating_duration_since(now);
        let max_age = grant.has_max_age(kind).then_some(left);
        Ok(SetCookie { kind, token: Some(self.issue(grant, kind)?), max_age })
    }
}

impl Answer {
    /// Return the response's new `Vary` header (RFC 9110 §12.5.5), given its present value. Each name occurs once, and
    /// `*` stands alone. `None` leaves the header unchanged.
    pub fn vary(&self, present: &str) -> Option<String> {
        let names: Vec<_> = list(present).collect();
        let is_named = |name: &str| names.iter().any(|present| *present == "*" || present.eq_ignore_ascii_case(name));
        let missing: Vec<_> = self.vary.iter().copied().filter(|name| !is_named(name)).collect();
        (!missing.is_empty()).then(|| names.into_iter().chain(missing).collect::<Vec<_>>().join(", "))
    }

    /// Return the response's new `Cache-Control` header (RFC 9111 §5.2.2), given its present value: `no-store,
    /// private`, and the present directives except `public`. `None` leaves the header unchanged.
    pub fn cache_control(&self, present: &str) -> Option<String> {
        if !self.is_private {
            return None;
        }
        let is_replaced = |directive: &str| {
            let name = directive.split('=').next().unwrap_or_default().trim();
            ["public", "private", "no-store"].iter().any(|replaced| name.eq_ignore_ascii_case(replaced))
        };
        let kept = directives(present).filter(|directive| !is_replaced(directive));
        // These come first, so that an unclosed quote in the view's own directives cannot hide them.
        Some(["no-store", "private"].into_iter().chain(kept).collect::<Vec<_>>().join(", "))
    }

    /// Return whether this response header must be removed, because it tells certain caches to store the response
    /// regardless of `Cache-Control` (RFC 9213 and its predecessors).
    pub fn removes(&self, header: &str) -> bool {
        let name = header.to_ascii_lowercase();
        let is_targeted = name.ends_with("-cache-control") || TARGETED.contains(&&*name);
        self.is_private && is_targeted
    }
}

/// Headers for certain caches whose names do not end in `-cache-control`: of Varnish and Fastly, of Akamai, of nginx.
const TARGETED: [&str; 3] = ["surrogate-control", "edge-control", "x-accel-expires"];

fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Split `Cache-Control` into its directives, whose arguments may be quoted and contain commas.
fn directives(value: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let separates = move |character| {
        is_quoted ^= character == '"';
        character == ',' && !is_quoted
    };
    value.split(separates).map(str::trim).filter(|item| !item.is_empty())
}

impl std::fmt::Debug for SetCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.token.as_ref().map(|_| "[redacted]");
        f.debug_struct("SetCookie")
            .field("kind", &self.kind)
            .field("token", &token)
            .field("max_age", &self.max_age)
            .finish()
    }
}
