//! The identity that a request claims: verifies its tokens, and decides whether it may use its cookies. No database is
//! queried.

use std::{borrow::Cow, str};

use super::{RenderSecrets, Scheme};
use crate::{
    Claims, CookiePolicy, DpopError, Head, Origin, OriginError, OriginPolicy, Sid, Thumbprint, TokenKind, UnixTime,
    Verifier, VerifyError, cookie_pairs, dpop::Expected,
};

/// The maximum number of cookies with one name that are read. It limits the cost of a request.
pub const MAX_DUPLICATES: usize = 8;

/// How tokens are transported: in which cookies, from which origins, and whether as bearer tokens.
///
/// Besides a [`Verifier`], this is all that a service needs to identify requests without starting sessions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Transport {
    /// Names and attributes of the cookies.
    pub cookies: CookiePolicy,
    /// The origins that may use the cookies.
    pub origins: OriginPolicy,
    /// Whether `Authorization: Bearer` is read.
    pub bearer: bool,
    /// The secrets by which the site's render server identifies itself.
    pub render_secrets: RenderSecrets,
    /// The site's own origins, for which the proofs of clients may be (DPoP). `None` if the caller has checked the host of
    /// each request, as Django does with `ALLOWED_HOSTS`.
    pub dpop_origins: Option<Vec<Origin>>,
}

impl Transport {
    /// Read tokens from these cookies if the origin of the request allows it, and from `Authorization: Bearer` if
    /// `bearer` is set. No proof of a client is accepted until [`with_dpop_origins`](Self::with_dpop_origins).
    pub fn new(cookies: CookiePolicy, origins: OriginPolicy, bearer: bool) -> Self {
        Self { cookies, origins, bearer, render_secrets: RenderSecrets::default(), dpop_origins: Some(Vec::new()) }
    }

    /// Accept these secrets from the site's render server.
    #[must_use]
    pub fn with_render_secrets(self, render_secrets: RenderSecrets) -> Self {
        Self { render_secrets, ..self }
    }

    /// Accept the proofs of clients (DPoP) for these origins of the site, by which clients reach it.
    ///
    /// The host of a request is not enough: a server that received a proof for itself could send it on, with its own name
    /// as the host. `None` accepts each host, and is for callers that have checked it.
    #[must_use]
    pub fn with_dpop_origins(self, origins: Option<Vec<Origin>>) -> Self {
        Self { dpop_origins: origins, ..self }
    }

    /// Return the origin to which a request was sent, if it is one for which proofs may be.
    pub(super) fn dpop_origin(&self, own: impl FnOnce() -> Option<Origin>) -> Option<Origin> {
        own().filter(|own| self.dpop_origins.as_ref().is_none_or(|known| known.contains(own)))
    }

    /// Verify the tokens of a request at `now`, and decide whether it may use its cookies.
    ///
    /// A token in `Authorization` takes precedence: if it is present, the cookies are not read. `DPoP` needs a proof of the
    /// key that the token names, made within [`MAX_DPOP_AGE_WITHOUT_NONCE`](crate::MAX_DPOP_AGE_WITHOUT_NONCE).
    ///
    /// Of several valid cookies of one kind, the newest counts. If valid tokens name two users, all are ignored, whatever the names of their
    /// cookies. `own` returns the origin that the request was sent to. It is called only if the answer depends on it.
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
    /// [`Refused`], with the anonymous identity to pass to [`respond`](crate::Site::respond).
    ///
    /// - [`IdentifyError::InvalidToken`]: the bearer token is not a valid access token (401, RFC 6750 §3.1).
    /// - [`IdentifyError::Dpop`]: the token of `DPoP`, or its proof, is not valid (401, RFC 9449 §7.1).
    /// - [`IdentifyError::CrossOrigin`]: valid cookies came from an origin that may not use them (403).
    pub fn identify(
        &self,
        verifier: &Verifier,
        head: &Head<'_>,
        own: impl FnOnce() -> Option<Origin>,
        now: UnixTime,
    ) -> Result<Identity, Box<Refused>> {
        self.identify_with(verifier, None, head, own, now)
    }

    /// Identify a request, with nonces that `nonces` verifies, or without.
    pub(super) fn identify_with(
        &self,
        verifier: &Verifier,
        nonces: Option<&Verifier>,
        head: &Head<'_>,
        own: impl FnOnce() -> Option<Origin>,
        now: UnixTime,
    ) -> Result<Identity, Box<Refused>> {
        let mut identity = Identity {
            is_upload: head.is_upload(),
            is_safe: head.is_safe(),
            is_idle: !head.is_activity(),
            ..Identity::default()
        };
        if let Some((scheme, token)) = self.bearer.then(|| head.token()).flatten() {
            identity.scheme = Some(scheme);
            if scheme == Scheme::Dpop {
                return identity.of_client(verifier, nonces, head, token, || self.dpop_origin(own), now);
            }
            return match verifier.verify(TokenKind::Access, token, now) {
                Ok(claims) => Ok(identity.with_access(claims)),
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
        // A handshake passes its cookies on, with or without the secret.
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

    /// Iterate over the access tokens that [`identify`](Self::identify) reads: the one in `Authorization`, or else the
    /// cookies. They may hold anything.
    pub fn access_tokens<'h>(&self, head: &Head<'h>) -> impl Iterator<Item = &'h str> {
        let sent = self.bearer.then(|| head.token()).flatten().map(|(_, token)| token);
        let fields = if sent.is_none() { head.cookies } else { &[] };
        let name = self.cookies.access_name.as_bytes();
        let cookies = fields.iter().flat_map(|field| cookie_pairs(field)).filter(move |(found, _)| *found == name);
        let cookies = cookies.take(MAX_DUPLICATES).filter_map(|(_, value)| std::str::from_utf8(value).ok());
        sent.into_iter().chain(cookies)
    }

    /// Decide whether a request may use cookies, whatever it brings. Check this for login, which sets cookies, and for
    /// login and logout, which end sessions named by expired cookies.
    ///
    /// # Errors
    ///
    /// See [`OriginPolicy::check`].
    pub fn check_origin(&self, head: &Head<'_>, own: impl FnOnce() -> Option<Origin>) -> Result<(), OriginError> {
        self.origins.check(head, own)
    }
}

/// The identity that a request claims, before its session is looked up.
#[derive(Clone, Debug, Default)]
#[must_use]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate property of the head")]
pub struct Identity {
    access: Option<Claims>,
    /// Boxed, because most requests have none: an identity is moved several times.
    refresh: Option<Box<Claims>>,
    session_names: Vec<Sid>,
    scheme: Option<Scheme>,
    /// The key that the request proves by a header `DPoP`.
    pub(super) client: Option<Thumbprint>,
    pub(super) needs_nonce: bool,
    has_cookies: bool,
    /// The valid tokens, if they belong to more than one user.
    disputed: Vec<(TokenKind, Claims)>,
    pub(super) is_upload: bool,
    pub(super) is_safe: bool,
    pub(super) is_idle: bool,
    /// Whether the request's render secret is right; `None` if it has no secret that counts.
    has_render_secret: Option<bool>,
}

impl Identity {
    fn with_access(self, claims: Claims) -> Self {
        Self { session_names: vec![claims.sid], access: Some(claims), ..self }
    }

    /// Return the identity of a client by `Authorization: DPoP` with this token.
    fn of_client(
        self,
        verifier: &Verifier,
        nonces: Option<&Verifier>,
        head: &Head<'_>,
        token: &str,
        own: impl FnOnce() -> Option<Origin>,
        now: UnixTime,
    ) -> Result<Self, Box<Refused>> {
        let read = || {
            let (claims, validity) = verifier.verify_at_any_time(TokenKind::Access, token, now)?;
            validity?;
            let key = claims.confirmation.ok_or(VerifyError::WrongScheme)?;
            Ok((claims, key))
        };
        match read() {
            Ok((claims, key)) => {
                let expected = Expected { head, own: own(), access: Some((token, key)), nonces };
                Ok(self.with_proof(expected.check(now))?.with_access(claims))
            }
            Err(error) => Err(Refused::new(self, DpopError::Token(error).into())),
        }
    }

    /// Return the identity of a client whose proof had this result.
    pub(crate) fn with_proof(self, checked: Result<(Thumbprint, bool), DpopError>) -> Result<Self, Box<Refused>> {
        match checked {
            Ok((key, needs_nonce)) => Ok(Self { client: Some(key), needs_nonce, ..self }),
            Err(error) => {
                let needs_nonce = error == DpopError::Nonce;
                Err(Refused::new(Self { needs_nonce, ..self }, error.into()))
            }
        }
    }

    /// Return this identity with what [`Site::identify_client`](crate::Site::identify_client) found in the same request, so
    /// that its response brings the nonce.
    pub fn proving(self, client: &Self) -> Self {
        Self { client: client.client, needs_nonce: client.needs_nonce, ..self }
    }

    /// Return the key that the client has proved by a header `DPoP`.
    pub fn client(&self) -> Option<Thumbprint> {
        self.client
    }

    /// Return whether the response brings a [nonce](crate::Tokens::issue_dpop_nonce) for the client's next proof: the request had
    /// none that is valid, or one of which less than half its lifetime remains.
    pub fn needs_dpop_nonce(&self) -> bool {
        self.needs_nonce
    }

    /// Return the refusal of a request whose access token came in `Authorization`, and whose session has ended.
    pub fn over(&self) -> IdentifyError {
        let error = VerifyError::SessionOver;
        if self.is_of_client() { DpopError::Token(error).into() } else { IdentifyError::InvalidToken(error) }
    }

    fn of_one_user(self, [access, refresh]: [Option<Claims>; 2]) -> Self {
        // A valid access token makes the refresh token of the same session unnecessary.
        let is_of_one_session = access.as_ref().zip(refresh.as_ref()).is_some_and(|(a, r)| a.sid == r.sid);
        let refresh = if is_of_one_session { None } else { refresh };
        Self { access, refresh: refresh.map(Box::new), ..self }
    }

    /// Return whether the valid tokens belong to more than one user.
    pub fn is_disputed(&self) -> bool {
        !self.disputed.is_empty()
    }

    /// Return the sessions of the refresh tokens, if the valid tokens belong to more than one user; otherwise none.
    ///
    /// A browser keeps a cookie that was set with another scope, for example before `COOKIE_DOMAIN` changed, after its
    /// session has ended. Look these sessions up, and [`settle`](Self::settle) by those that are live.
    pub fn disputed_sessions(&self) -> Vec<Sid> {
        let mut names: Vec<Sid> = Vec::new();
        for (kind, claims) in &self.disputed {
            if *kind == TokenKind::Refresh && !names.contains(&claims.sid) {
                names.push(claims.sid);
            }
        }
        names
    }

    /// Return the identity without the refresh tokens of ended sessions. It is anonymous if its tokens still belong to
    /// more than one user. Access tokens count until they expire.
    ///
    /// If the result is not anonymous, check its origin with [`Transport::check_origin`], since `identify` did not.
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

    /// Return the claims of the access token, to be [checked](crate::Site::check) against the session's row.
    pub fn access(&self) -> Option<&Claims> {
        self.access.as_ref()
    }

    /// Return the claims of the refresh token, to be [decided on](crate::Site::refresh). It is present only if the
    /// request has no access token of the same session. If the decision admits the request, it replaces
    /// [`access`](Self::access).
    pub fn refresh(&self) -> Option<&Claims> {
        self.refresh.as_deref()
    }

    /// Return whether the request has no valid token.
    pub fn is_anonymous(&self) -> bool {
        self.access.is_none() && self.refresh.is_none()
    }

    /// Return whether the request has an access token in `Authorization`, by the scheme `Bearer` or `DPoP`. Its cookies were
    /// then not read.
    pub fn is_bearer(&self) -> bool {
        self.scheme.is_some()
    }

    /// Return whether the access token in `Authorization` needs a proof: the response depends on the header `DPoP`.
    pub fn is_of_client(&self) -> bool {
        self.scheme == Some(Scheme::Dpop)
    }

    /// Return whether the request brought a cookie with either name, whatever its value.
    pub fn has_cookies(&self) -> bool {
        self.has_cookies
    }

    /// Mark a request that is [no activity](Head::is_activity), as the site knows of its path.
    pub fn without_activity(self) -> Self {
        Self { is_idle: true, ..self }
    }

    /// Return whether the request is an [upload](Head::is_upload).
    pub fn is_upload(&self) -> bool {
        self.is_upload
    }

    /// Return whether the request comes from the site's render server, which stores no cookies, as proven by a
    /// [secret](crate::RenderSecrets).
    ///
    /// The rules for [uploads](Head::is_upload) apply to its refresh token. Its access token acknowledges nothing: the
    /// server may have received it for a browser that never gets it. The secret counts only together with a cookie of
    /// either name, and neither with a bearer token nor in a WebSocket handshake.
    pub fn is_rendering(&self) -> bool {
        self.has_render_secret == Some(true)
    }

    /// Return whether the request brings a wrong render secret, which the caller logs. The secret is ignored.
    pub fn has_wrong_render_secret(&self) -> bool {
        self.has_render_secret == Some(false)
    }

    /// Return the names of the sessions whose authentic tokens the request brought, including expired tokens. Login and
    /// logout end these sessions.
    pub fn session_names(&self) -> &[Sid] {
        &self.session_names
    }
}

/// Why a request is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentifyError {
    /// `Authorization: Bearer` does not contain a valid access token: 401 (RFC 6750 §3.1).
    #[error("the access token is not valid")]
    InvalidToken(#[source] VerifyError),
    /// The request brings valid cookies from an origin that may not use them: 403.
    #[error(transparent)]
    CrossOrigin(#[from] OriginError),
    /// `Authorization: DPoP` does not contain a valid access token, or its proof is not valid: 401 (RFC 9449 §7.1).
    #[error(transparent)]
    Dpop(#[from] DpopError),
}

impl IdentifyError {
    /// Return the stable name of this error, for the body of the response.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidToken(_) => "token_not_valid",
            Self::CrossOrigin(_) => "cross_origin",
            Self::Dpop(error) => error.code(),
        }
    }

    /// Return the status code of the response.
    pub fn status(&self) -> u16 {
        match self {
            Self::InvalidToken(_) | Self::Dpop(_) => 401,
            Self::CrossOrigin(_) => 403,
        }
    }

    /// Return the value of `WWW-Authenticate` in the response, which is needed for the status 401.
    pub fn challenge(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::InvalidToken(_) => Some(r#"Bearer error="invalid_token""#.into()),
            Self::Dpop(error) => Some(error.challenge().into()),
            Self::CrossOrigin(_) => None,
        }
    }
}

/// A refused request. If another scheme of the site may read `Authorization`, the request may continue as anonymous.
#[derive(Clone, Debug, thiserror::Error)]
#[error("request refused")]
#[non_exhaustive]
pub struct Refused {
    /// Why the request is refused.
    #[source]
    pub error: IdentifyError,
    /// The anonymous identity to pass to [`respond`](crate::Site::respond).
    pub identity: Identity,
}

impl Refused {
    fn new(identity: Identity, error: IdentifyError) -> Box<Self> {
        Box::new(Self { error, identity })
    }
}

/// The tokens found in the cookies of one request, by kind: access first.
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
        if validity.is_err() || claims.confirmation.is_some() {
            return;
        }
        self.keep(kind, claims);
    }

    /// Return whether `value` is a refresh token that would change nothing, authentic or not, because it names the
    /// session and user of the valid access token. It must be the last token. Most requests bring these two tokens, and
    /// skipping one signature halves the cost of verification.
    fn changes_nothing(&self, verifier: &Verifier, kind: TokenKind, value: &[u8]) -> bool {
        match &self.newest {
            [Some(access), None] if kind == TokenKind::Refresh && !self.is_of_two_users => {
                str::from_utf8(value).is_ok_and(|token| verifier.names_as(token, access))
            }
            _ => false,
        }
    }

    /// Add a valid token.
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
