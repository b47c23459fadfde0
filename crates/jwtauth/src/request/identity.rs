//! Who a request claims to be: its tokens verified, and whether it may use its cookies. Nothing is asked of a database.

use std::str;

use super::RenderSecrets;
use crate::{
    Claims, CookiePolicy, Head, Origin, OriginError, OriginPolicy, Sid, TokenKind, UnixTime, Verifier, VerifyError,
    cookie_pairs,
};

/// The most cookies of one name that are looked at, which bounds what a request can cost.
pub const MAX_DUPLICATES: usize = 8;

/// How tokens travel: in which cookies, from which origins, and whether as bearer.
///
/// This is all that a service needs besides a [`Verifier`] to identify requests without starting sessions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Transport {
    /// Names and attributes of the cookies.
    pub cookies: CookiePolicy,
    /// The origins that may use them.
    pub origins: OriginPolicy,
    /// Whether `Authorization: Bearer` is read.
    pub bearer: bool,
    /// What a request of the site's render server proves itself by.
    pub render_secrets: RenderSecrets,
}

impl Transport {
    /// Read tokens from these cookies where the request comes from such an origin, and from `Authorization: Bearer` if
    /// `bearer` is set.
    pub fn new(cookies: CookiePolicy, origins: OriginPolicy, bearer: bool) -> Self {
        Self { cookies, origins, bearer, render_secrets: RenderSecrets::default() }
    }

    /// Accept these secrets of the site's render server.
    #[must_use]
    pub fn with_render_secrets(self, render_secrets: RenderSecrets) -> Self {
        Self { render_secrets, ..self }
    }

    /// Verify the tokens of a request at `now`, and decide whether it may use its cookies.
    ///
    /// `Authorization: Bearer` is explicit: if it is there, the cookies are not looked at. Of several valid cookies of
    /// one kind the newest counts. If valid tokens name two users, under one name or two, all are ignored. `own` is
    /// called only where the answer depends on it, and returns the origin that the request was sent to.
    ///
    /// ```
    /// # use jwtauth::*;
    /// # let keys = VerifyingKeys::new([VerifyingKey::read(Algorithm::Hs256, &[7; 32])?])?;
    /// let verifier = Verifier::new(keys, Profile::default())?;
    /// let transport = Transport::new(CookiePolicy::default(), OriginPolicy::default(), true);
    /// let mut head = Head::new("GET");
    /// head.cookies = &[b"access_token=not-a-token; theme=dark"];
    /// let now = UnixTime::from_secs(1_700_000_000);
    /// let identity = transport.identify(&verifier, &head, || None, now)?;
    /// assert!(identity.is_anonymous() && identity.has_cookies());
    ///
    /// head.authorization = Some("Bearer not-a-token");
    /// let refused = transport.identify(&verifier, &head, || None, now).unwrap_err();
    /// assert_eq!(refused.error.code(), "token_not_valid");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Refused`], with the anonymous identity that its response is marked by. [`IdentifyError::InvalidToken`]: the
    /// bearer is not a valid access token (401, RFC 6750 §3.1). [`IdentifyError::CrossOrigin`]: valid cookies came from
    /// an origin that may not use them (403).
    pub fn identify(
        &self,
        verifier: &Verifier,
        head: &Head<'_>,
        own: impl FnOnce() -> Option<Origin>,
        now: UnixTime,
    ) -> Result<Identity, Box<Refused>> {
        let mut identity = Identity { is_upload: head.is_upload(), is_safe: head.is_safe(), ..Identity::default() };
        if let Some(token) = self.bearer.then(|| head.bearer()).flatten() {
            identity.is_bearer = true;
            return match verifier.verify(TokenKind::Access, token, now) {
                Ok(claims) => Ok(Identity { session_names: vec![claims.sid], access: Some(claims), ..identity }),
                Err(error) => Err(Refused::new(identity, IdentifyError::InvalidToken(error))),
            };
        }
        let mut found = Candidates::default();
        let mut last = None;
        for (name, value) in head.cookies.iter().flat_map(|field| cookie_pairs(field)) {
            let kind = match name {
                name if name == self.cookies.access_name.as_bytes() => TokenKind::Access,
                name if name == self.cookies.refresh_name.as_bytes() => TokenKind::Refresh,
                _ => continue,
            };
            if let Some((kind, value)) = last.replace((kind, value)) {
                found.look(verifier, kind, value, now);
            }
        }
        if let Some((kind, value)) = last {
            if !found.changes_nothing(verifier, kind, value) {
                found.look(verifier, kind, value, now);
            }
        }
        identity.has_cookies = found.looked_at != [0, 0];
        // A handshake hands its cookies on, with the secret or without.
        if identity.has_cookies && !head.is_websocket() {
            identity.has_render_secret = self.render_secrets.compare(head.render_secret);
        }
        identity.session_names = std::mem::take(&mut found.session_names);
        if found.is_of_two_users {
            let newest = [TokenKind::Access, TokenKind::Refresh].into_iter().zip(found.newest);
            let newest = newest.filter_map(|(kind, claims)| Some((kind, claims?)));
            return Ok(Identity { disputed: newest.chain(found.older).collect(), ..identity });
        }
        let [access, refresh] = found.newest;
        if access.is_some() || refresh.is_some() {
            if let Err(error) = self.check_origin(head, own) {
                return Err(Refused::new(Identity { session_names: Vec::new(), ..identity }, error.into()));
            }
        }
        Ok(identity.of_one_user([access, refresh]))
    }

    /// Iterate over the access tokens that [`identify`](Self::identify) looks at, which may hold anything: the bearer, or
    /// else the cookies.
    pub fn access_tokens<'h>(&self, head: &Head<'h>) -> impl Iterator<Item = &'h str> {
        let bearer = self.bearer.then(|| head.bearer()).flatten();
        let fields = if bearer.is_none() { head.cookies } else { &[] };
        let name = self.cookies.access_name.as_bytes();
        let cookies = fields.iter().flat_map(|field| cookie_pairs(field)).filter(move |(found, _)| *found == name);
        let cookies = cookies.take(MAX_DUPLICATES).filter_map(|(_, value)| std::str::from_utf8(value).ok());
        bearer.into_iter().chain(cookies)
    }

    /// Decide whether a request may use cookies, whatever it brings: for sign-in, which sets them, and for sign-in and
    /// sign-out, which end the sessions that expired cookies name.
    ///
    /// # Errors
    ///
    /// Those of [`OriginPolicy::check`].
    pub fn check_origin(&self, head: &Head<'_>, own: impl FnOnce() -> Option<Origin>) -> Result<(), OriginError> {
        self.origins.check(head, own)
    }
}

/// Who a request claims to be, before its session is looked up.
#[derive(Clone, Debug, Default)]
#[must_use]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the head")]
pub struct Identity {
    access: Option<Claims>,
    refresh: Option<Claims>,
    session_names: Vec<Sid>,
    is_bearer: bool,
    has_cookies: bool,
    /// Valid tokens, of more than one user.
    disputed: Vec<(TokenKind, Claims)>,
    pub(super) is_upload: bool,
    pub(super) is_safe: bool,
    /// Whether the secret that the request brings is right; `None`: it brings none that counts.
    has_render_secret: Option<bool>,
}

impl Identity {
    fn of_one_user(self, [access, refresh]: [Option<Claims>; 2]) -> Self {
        // With a valid access token, the refresh token of its session is not needed.
        let is_of_one_session = access.as_ref().zip(refresh.as_ref()).is_some_and(|(a, r)| a.sid == r.sid);
        let refresh = if is_of_one_session { None } else { refresh };
        Self { access, refresh, ..self }
    }

    /// Return whether valid tokens are of more than one user.
    pub fn is_disputed(&self) -> bool {
        !self.disputed.is_empty()
    }

    /// Return the sessions of the refresh tokens, if valid tokens are of more than one user; else none.
    ///
    /// A browser keeps a cookie that was set with another scope, say before `COOKIE_DOMAIN` changed, after its session
    /// has ended. Look these sessions up, and [`settle`](Self::settle) by those that are live.
    pub fn disputed_sessions(&self) -> Vec<Sid> {
        let mut names: Vec<Sid> = Vec::new();
        for (kind, claims) in &self.disputed {
            if *kind == TokenKind::Refresh && !names.contains(&claims.sid) {
                names.push(claims.sid);
            }
        }
        names
    }

    /// Return who the request claims to be without the refresh tokens of ended sessions. It is anonymous if its tokens
    /// are still of more than one user. Access tokens count for the minutes that they are valid.
    ///
    /// If it is not anonymous, check its origin by [`Transport::check_origin`], which `identify` did not.
    pub fn settle(mut self, is_live: impl Fn(&Sid) -> bool) -> Self {
        if self.disputed.is_empty() {
            return self;
        }
        let mut found = Candidates::default();
        for (kind, claims) in std::mem::take(&mut self.disputed) {
            if kind == TokenKind::Access || is_live(&claims.sid) {
                found.keep(kind, claims);
            }
        }
        if found.is_of_two_users { self } else { self.of_one_user(found.newest) }
    }

    /// Return the claims of the access token, which are to be [checked](crate::Site::check) against the session's row.
    pub fn access(&self) -> Option<&Claims> {
        self.access.as_ref()
    }

    /// Return the claims of the refresh token that is to be [decided on](crate::Site::refresh): there is no access token
    /// of its session. If that decision admits the request, it takes the place of [`access`](Self::access).
    pub fn refresh(&self) -> Option<&Claims> {
        self.refresh.as_ref()
    }

    /// Return whether there is no valid token.
    pub fn is_anonymous(&self) -> bool {
        self.access.is_none() && self.refresh.is_none()
    }

    /// Return whether the request names an access token by `Authorization: Bearer`. Then its cookies were not looked at.
    pub fn is_bearer(&self) -> bool {
        self.is_bearer
    }

    /// Return whether the request brought a cookie of either name, whatever it holds.
    pub fn has_cookies(&self) -> bool {
        self.has_cookies
    }

    /// Return whether the request is an [upload](Head::is_upload).
    pub fn is_upload(&self) -> bool {
        self.is_upload
    }

    /// Return whether the request is of the site's render server, which keeps no cookies: it proves so by a
    /// [secret](crate::RenderSecrets).
    ///
    /// Its refresh token goes by the rows of [uploads](Head::is_upload). Its access token acknowledges nothing: it may
    /// be one that the server has just got for a browser, and which may not reach it. The secret counts only beside a
    /// cookie of either name, and not with a bearer or in a WebSocket handshake.
    pub fn is_rendering(&self) -> bool {
        self.has_render_secret == Some(true)
    }

    /// Return whether the request brings another secret than the site has, to be logged. The secret is ignored.
    pub fn has_wrong_render_secret(&self) -> bool {
        self.has_render_secret == Some(false)
    }

    /// Return the names of the sessions whose authentic tokens the request brought, also expired ones: what sign-in and
    /// sign-out end.
    pub fn session_names(&self) -> &[Sid] {
        &self.session_names
    }
}

/// Why a request goes no further.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentifyError {
    /// `Authorization: Bearer` does not name a valid access token: 401 (RFC 6750 §3.1).
    #[error("the access token is not valid")]
    InvalidToken(#[source] VerifyError),
    /// The request brings valid cookies from an origin that may not use them: 403.
    #[error(transparent)]
    CrossOrigin(#[from] OriginError),
}

impl IdentifyError {
    /// Return the stable name of this error, as in the body of the response.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidToken(_) => "token_not_valid",
            Self::CrossOrigin(_) => "cross_origin",
        }
    }

    /// Return the status of the response.
    pub fn status(&self) -> u16 {
        match self {
            Self::InvalidToken(_) => 401,
            Self::CrossOrigin(_) => 403,
        }
    }
}

/// A request that goes no further, or, where another scheme may read `Authorization`, only as an anonymous one.
#[derive(Clone, Debug, thiserror::Error)]
#[error("request refused")]
#[non_exhaustive]
pub struct Refused {
    /// Why.
    #[source]
    pub error: IdentifyError,
    /// The anonymous identity by which [`respond`](crate::Site::respond) marks the response.
    pub identity: Identity,
}

impl Refused {
    fn new(identity: Identity, error: IdentifyError) -> Box<Self> {
        Box::new(Self { error, identity })
    }
}

/// What the cookies of one request hold, by kind: access first.
#[derive(Default)]
struct Candidates {
    looked_at: [usize; 2],
    newest: [Option<Claims>; 2],
    is_of_two_users: bool,
    session_names: Vec<Sid>,
    /// Valid tokens that are not the newest of their kind.
    older: Vec<(TokenKind, Claims)>,
}

impl Candidates {
    fn look(&mut self, verifier: &Verifier, kind: TokenKind, value: &[u8], now: UnixTime) {
        let index = usize::from(kind == TokenKind::Refresh);
        match self.looked_at.get_mut(index) {
            Some(count) if *count < MAX_DUPLICATES => *count += 1,
            _ => return,
        }
        let Ok(token) = str::from_utf8(value) else { return };
        let Ok((claims, validity)) = verifier.verify_at_any_time(kind, token, now) else { return };
        if !self.session_names.contains(&claims.sid) {
            self.session_names.push(claims.sid);
        }
        if validity.is_err() {
            return;
        }
        self.keep(kind, claims);
    }

    /// Return whether the last token is a refresh token that changes nothing, authentic or not: it names the session and
    /// the user of the valid access token. Most requests bring these two, and the signature of one is half of their
    /// verification.
    fn changes_nothing(&self, verifier: &Verifier, kind: TokenKind, value: &[u8]) -> bool {
        match &self.newest {
            [Some(access), None] if kind == TokenKind::Refresh && !self.is_of_two_users => {
                str::from_utf8(value).is_ok_and(|token| verifier.names_as(token, access))
            }
            _ => false,
        }
    }

    /// Count a valid token.
    fn keep(&mut self, kind: TokenKind, claims: Claims) {
        if self.newest.iter().flatten().any(|other| other.subject != claims.subject) {
            self.is_of_two_users = true;
        }
        let [access, refresh] = &mut self.newest;
        let newest = if kind == TokenKind::Access { access } else { refresh };
        let older = match newest {
            Some(newest) if !claims.is_newer_than(newest) => Some(claims),
            newest => newest.replace(claims),
        };
        self.older.extend(older.map(|older| (kind, older)));
    }
}
