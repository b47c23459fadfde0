//! What the response says: cookies to set or clear, and who may cache it.

use std::time::Duration;

use super::{Grant, Site};
use crate::{Identity, IssueError, TokenKind, UnixTime};

/// What the request has come to, so far: a small value that can be kept, and put back when a view's transaction rolls
/// back.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "there is one for each request")]
pub enum Outcome {
    /// No cookie changes.
    #[default]
    Unchanged,
    /// The session's tokens are set, as far as the grant says.
    Granted(Grant),
    /// The user has signed out: both cookies are cleared, if the request brought one.
    Cleared,
    /// Another way of signing in has signed in the browser's user, and the browser may have withheld its cookies, as it
    /// withholds `SameSite=Strict` ones from a provider's callback: both cookies are cleared in any case.
    Superseded,
}

/// What the response is to say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
#[non_exhaustive]
pub struct Answer {
    /// The cookies to set, in this order. Their attributes are those of the [`CookiePolicy`](crate::CookiePolicy).
    pub cookies: Vec<SetCookie>,
    /// The request headers that the response depends on.
    pub vary: Vec<&'static str>,
    /// Whether the response is for this user alone and may not be kept: it sets or clears cookies.
    pub is_private: bool,
}

/// One cookie of an [`Answer`]. `Debug` does not show the token.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct SetCookie {
    /// Which of the two.
    pub kind: TokenKind,
    /// The token; `None` to clear the cookie.
    pub token: Option<String>,
    /// `Max-Age`; `None` for until the browser is closed.
    pub max_age: Option<Duration>,
}

impl Site {
    /// Return the cookies and caching headers of the response at `now`. `was_asked`: the view has asked who made the
    /// request, so the response depends on its cookies even where there are none; those of a request with a bearer are
    /// not looked at.
    ///
    /// Cookies are cleared only where the request brought one: a browser keeps the cookies of a top-level `POST` from
    /// another site away from the server, and would still apply a `Set-Cookie` of the response. The one exception is
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
    /// An [`IssueError`]: a token cannot be signed. The response is then an error.
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
        let is_private = !cookies.is_empty();
        let depends_on_cookies = was_asked && !identity.is_bearer() || is_private || identity.has_cookies();
        let vary = [(depends_on_cookies, "Cookie"), (identity.is_bearer(), "Authorization")];
        let vary = vary.into_iter().filter_map(|(depends, name)| depends.then_some(name)).collect();
        Ok(Answer { cookies, vary, is_private })
    }

    fn set_cookie(&self, grant: &Grant, kind: TokenKind, now: UnixTime) -> Result<SetCookie, IssueError> {
        let left = grant.claims(kind).expires_at.saturating_duration_since(now);
        let max_age = grant.remember().then_some(left);
        Ok(SetCookie { kind, token: Some(self.issue(grant, kind)?), max_age })
    }
}

impl Answer {
    /// Return the response's `Vary` (RFC 9110 §12.5.5), given what it is without this: every name once, `*` alone.
    /// `None`: it stays as it is.
    pub fn vary(&self, present: &str) -> Option<String> {
        let names: Vec<_> = list(present).collect();
        let is_named = |name: &str| names.iter().any(|present| *present == "*" || present.eq_ignore_ascii_case(name));
        let missing: Vec<_> = self.vary.iter().copied().filter(|name| !is_named(name)).collect();
        (!missing.is_empty()).then(|| names.into_iter().chain(missing).collect::<Vec<_>>().join(", "))
    }

    /// Return the response's `Cache-Control` (RFC 9111 §5.2.2), given what it is without this: `no-store, private`, and
    /// its own directives but `public`. `None`: it stays as it is.
    pub fn cache_control(&self, present: &str) -> Option<String> {
        if !self.is_private {
            return None;
        }
        let is_replaced = |directive: &str| {
            let name = directive.split('=').next().unwrap_or_default().trim();
            ["public", "private", "no-store"].iter().any(|replaced| name.eq_ignore_ascii_case(replaced))
        };
        let kept = directives(present).filter(|directive| !is_replaced(directive));
        // First, so that a quote which the view's own directives leave open cannot hide them.
        Some(["no-store", "private"].into_iter().chain(kept).collect::<Vec<_>>().join(", "))
    }

    /// Return whether a response header of this name is to be removed: one that tells certain caches to keep the response
    /// whatever `Cache-Control` says (RFC 9213, and what came before it).
    pub fn removes(&self, header: &str) -> bool {
        let name = header.to_ascii_lowercase();
        let is_targeted = name.ends_with("-cache-control") || TARGETED.contains(&&*name);
        self.is_private && is_targeted
    }
}

/// Headers for certain caches whose names do not end in `-cache-control`: Varnish and Fastly, Akamai, nginx.
const TARGETED: [&str; 3] = ["surrogate-control", "edge-control", "x-accel-expires"];

fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// The directives of `Cache-Control`, whose arguments may be quoted and hold commas.
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
