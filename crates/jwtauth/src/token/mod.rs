//! Tokens: issues and verifies compact JWS (RFC 7515 §7.1) with explicit types (RFC 8725 §3.11).
//!
//! The envelope is implemented here because it accepts less than a JWT library does: three header parameters, two
//! types, one encoding, and every registered claim only with its JSON type. The primitives come from aws-lc-rs.

mod claims;
mod error;
mod header;
mod layout;

use std::time::Duration;

use base64::Engine as _;

pub use claims::CustomClaims;
pub use error::{ClaimsError, IssueError, ProfileError, VerifyError};
use layout::Layout;

use crate::{
    Algorithm, Authentication, Generation, Keyring, MAX_COOKIE_NAME_LENGTH, Methods, Sid, SigningError, SigningKey,
    Thumbprint, UnixTime, VerifyingKey, VerifyingKeys, base64url::BASE64URL,
};

/// The maximum length of a token to verify, in bytes: what a browser's cookie may hold (RFC 6265 §6.1).
pub const MAX_TOKEN_LENGTH: usize = 4096;

/// The maximum length of an issued token. Browsers accept its cookie if the name has up to [`MAX_COOKIE_NAME_LENGTH`]
/// bytes.
const MAX_ISSUED_LENGTH: usize = MAX_TOKEN_LENGTH - MAX_COOKIE_NAME_LENGTH;

/// The two kinds of token. They differ in `typ`, so neither is accepted in place of the other.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "no third kind is planned, and callers match both")]
pub enum TokenKind {
    /// `at+jwt` (RFC 9068 §2.1): short-lived, authenticates requests as the user.
    Access,
    /// `rt+jwt`: obtains new access tokens, and is rotated when it does.
    Refresh,
}

impl TokenKind {
    /// Return the `typ` value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Refresh => "rt+jwt",
        }
    }
}

/// The types of JWS that a key ring signs. Each has its own `typ`, so none is accepted in place of another.
#[derive(Clone, Copy)]
pub(crate) enum Type {
    Token(TokenKind),
    /// A [`Challenge`](crate::Challenge).
    Challenge,
    /// A nonce of [`Tokens::issue_dpop_nonce`].
    Nonce,
}

impl Type {
    fn as_str(self) -> &'static str {
        match self {
            Self::Token(kind) => kind.as_str(),
            Self::Challenge => "dc+jwt",
            Self::Nonce => "dn+jwt",
        }
    }
}

/// The claims of a token.
///
/// A refresh token is defined by `sid` and `generation`; its times come from the session's row.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Claims {
    /// The user: `sub`, or the claim that [`Profile::subject_claim`] names.
    pub subject: String,
    /// `sid`: the session's secret name.
    pub sid: Sid,
    /// `gen`: the session's generation.
    pub generation: Generation,
    /// `iat`: never a reason to reject a token.
    pub issued_at: UnixTime,
    /// `exp`: when the token expires.
    pub expires_at: UnixTime,
    /// `auth_time`: when the user last authenticated; `None` in tokens of earlier versions.
    pub auth_time: Option<UnixTime>,
    /// `amr`: how.
    pub methods: Methods,
    /// `act` (RFC 8693 §4.1): who acts as the user, named as in their own tokens; only in access tokens.
    pub actor: Option<String>,
    /// `cnf` (RFC 7800 §3.1): the key without whose proof the token is refused (RFC 9449 §6); only in access tokens.
    pub confirmation: Option<Thumbprint>,
    /// `idle`: whether a refresh token was issued [for a request that was not an activity](crate::Decision::RotateIdle).
    pub idle: bool,
    /// Every other claim, added by the site.
    pub custom: CustomClaims,
}

/// The claims that all tokens of a site share, and the tolerance for their times.
///
/// ```
/// use jwtauth::Profile;
///
/// let profile = Profile::default().with_issuer("https://example.com").with_audience(["api"]);
/// assert_eq!(profile.audience, ["api"]);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Profile {
    /// `iss` (RFC 7519 §4.1.1): added to tokens, and required in them.
    pub issuer: Option<String>,
    /// Former issuers whose tokens are still accepted; `None` for tokens without `iss`.
    pub issuer_fallbacks: Vec<Option<String>>,
    /// `aud` (RFC 7519 §4.1.3): added to tokens; one of the names is required in them. Empty for no audience.
    pub audience: Vec<String>,
    /// Former audiences whose tokens are still accepted; `None` for tokens without `aud`.
    pub audience_fallbacks: Vec<Option<String>>,
    /// The clock skew to tolerate at `exp` and `nbf`. Fractions of a second are ignored.
    pub leeway: Duration,
    /// The claim that names the user.
    pub subject_claim: String,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            issuer: None,
            issuer_fallbacks: Vec::new(),
            audience: Vec::new(),
            audience_fallbacks: Vec::new(),
            leeway: Duration::ZERO,
            subject_claim: "sub".to_owned(),
        }
    }
}

impl Profile {
    /// Set the issuer to add to tokens and to require in them.
    #[must_use]
    pub fn with_issuer(self, issuer: impl Into<String>) -> Self {
        Self { issuer: Some(issuer.into()), ..self }
    }

    /// Accept tokens of these former issuers as well; `None` for tokens without `iss`.
    ///
    /// ```
    /// use jwtauth::Profile;
    ///
    /// // The issuer is new: tokens that were issued without one are still accepted.
    /// let profile = Profile::default().with_issuer("https://example.com").with_issuer_fallbacks([None]);
    /// # assert_eq!(profile.issuer_fallbacks, [None]);
    /// ```
    #[must_use]
    pub fn with_issuer_fallbacks(self, issuers: impl IntoIterator<Item = Option<String>>) -> Self {
        Self { issuer_fallbacks: issuers.into_iter().collect(), ..self }
    }

    /// Set the audience to add to tokens. Verified tokens must name one of these.
    #[must_use]
    pub fn with_audience(self, audience: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { audience: audience.into_iter().map(Into::into).collect(), ..self }
    }

    /// Accept tokens that name one of these former audiences as well; `None` for tokens without `aud`.
    #[must_use]
    pub fn with_audience_fallbacks(self, audiences: impl IntoIterator<Item = Option<String>>) -> Self {
        Self { audience_fallbacks: audiences.into_iter().collect(), ..self }
    }

    /// Set the clock skew to tolerate, in whole seconds.
    #[must_use]
    pub fn with_leeway(self, leeway: Duration) -> Self {
        Self { leeway, ..self }
    }

    /// Set the claim that names the user.
    #[must_use]
    pub fn with_subject_claim(self, claim: impl Into<String>) -> Self {
        Self { subject_claim: claim.into(), ..self }
    }

    fn check(self) -> Result<Self, ProfileError> {
        if self.subject_claim.is_empty() || claims::is_reserved(&self.subject_claim) {
            return Err(ProfileError::ReservedClaim(self.subject_claim));
        }
        let fallbacks = self.issuer_fallbacks.iter().chain(&self.audience_fallbacks).flatten();
        if self.issuer.iter().chain(&self.audience).chain(fallbacks).any(String::is_empty) {
            return Err(ProfileError::EmptyName);
        }
        Ok(self)
    }
}

/// Issues and verifies tokens with one key ring and one profile.
#[derive(Clone, Debug)]
pub struct Tokens {
    signing: SigningKey,
    verifier: Verifier,
}

impl Tokens {
    /// Issue and verify tokens with this key ring and profile.
    ///
    /// # Errors
    ///
    /// A [`ProfileError`] if the profile is not valid.
    pub fn new(keyring: Keyring, profile: Profile) -> Result<Self, ProfileError> {
        let signing = keyring.signing_key().clone();
        Ok(Self { signing, verifier: Verifier::new(keyring.into_verifying_keys(), profile)? })
    }

    /// Sign a token. The token can be verified if its numbers are below 2⁵³.
    ///
    /// # Errors
    ///
    /// - [`IssueError::TooLong`]: with these custom claims, the token does not fit into a cookie.
    /// - [`IssueError::Signing`]: the signature could not be created.
    pub fn issue(&self, kind: TokenKind, claims: &Claims) -> Result<String, IssueError> {
        let token = self.sign(Type::Token(kind), &claims::encode(claims, &self.verifier.profile))?;
        // A token that is bound to a client's key is in no cookie.
        let maximum = if claims.confirmation.is_some() { MAX_TOKEN_LENGTH } else { MAX_ISSUED_LENGTH };
        if token.len() > maximum {
            return Err(IssueError::TooLong { length: token.len(), maximum });
        }
        Ok(token)
    }

    /// Sign a payload as a JWS of this type.
    pub(crate) fn sign(&self, kind: Type, payload: &[u8]) -> Result<String, SigningError> {
        // The first key of the ring is the signing key.
        let header = self.verifier.headers.first().map_or("", |headers| headers.of(kind));
        let mut token = String::with_capacity(header.len() + payload.len() * 4 / 3 + 100);
        token.push_str(header);
        token.push('.');
        BASE64URL.encode_string(payload, &mut token);
        let signature = self.signing.sign(token.as_bytes(), |signature| BASE64URL.encode(signature))?;
        token.push('.');
        token.push_str(&signature);
        Ok(token)
    }

    /// Verify a token of this kind at `now` and return its claims. Calls [`Verifier::verify`].
    ///
    /// # Errors
    ///
    /// See [`Verifier::verify`].
    pub fn verify(&self, kind: TokenKind, token: &str, now: UnixTime) -> Result<Claims, VerifyError> {
        self.verifier.verify(kind, token, now)
    }

    /// Verify a token regardless of the time. Calls [`Verifier::verify_ignoring_time`].
    ///
    /// # Errors
    ///
    /// See [`Verifier::verify_ignoring_time`].
    pub fn verify_ignoring_time(&self, kind: TokenKind, token: &str) -> Result<Claims, VerifyError> {
        self.verifier.verify_ignoring_time(kind, token)
    }

    /// Return the verifier.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Return the signing key.
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing
    }
}

/// Verifies tokens. A service that recognises users but does not sign them in needs nothing else.
#[derive(Clone, Debug)]
pub struct Verifier {
    keys: VerifyingKeys,
    profile: Profile,
    /// For each key, the headers of the tokens that it signs in this ring.
    headers: Vec<Headers>,
    layout: Layout,
}

/// The encoded headers of each type.
#[derive(Clone, Debug)]
struct Headers {
    access: String,
    refresh: String,
    challenge: String,
    nonce: String,
}

impl Headers {
    fn of(&self, kind: Type) -> &str {
        match kind {
            Type::Token(TokenKind::Access) => &self.access,
            Type::Token(TokenKind::Refresh) => &self.refresh,
            Type::Challenge => &self.challenge,
            Type::Nonce => &self.nonce,
        }
    }
}

impl Verifier {
    /// Verify with these keys, as this profile requires.
    ///
    /// # Errors
    ///
    /// A [`ProfileError`] if the profile is not valid.
    pub fn new(keys: VerifyingKeys, profile: Profile) -> Result<Self, ProfileError> {
        let profile = profile.check()?;
        let encoded = |key: &VerifyingKey, kind| header::encode(key.algorithm(), kind, keys.header_key_id(key));
        let headers = keys.iter().map(|key| Headers {
            access: encoded(key, Type::Token(TokenKind::Access)),
            refresh: encoded(key, Type::Token(TokenKind::Refresh)),
            challenge: encoded(key, Type::Challenge),
            nonce: encoded(key, Type::Nonce),
        });
        let headers = headers.collect();
        Ok(Self { keys, layout: Layout::new(&profile), profile, headers })
    }

    /// Return the keys that verify.
    pub fn keys(&self) -> &VerifyingKeys {
        &self.keys
    }

    /// Verify a token of this kind at `now` and return its claims.
    ///
    /// The signature is checked before any claim is read (RFC 7519 §7.2). The key decides the algorithm (RFC 8725
    /// §3.1).
    ///
    /// ```
    /// use std::time::Duration;
    /// # use jwtauth::*;
    /// # let key = SigningKey::read(Algorithm::Hs256, &[7; 32])?;
    /// # let tokens = Tokens::new(Keyring::new(key, [])?, Profile::default())?;
    /// # let login = UnixTime::from_secs(1_700_000_000);
    /// # let end = login + Duration::from_secs(300);
    /// # let claims = Claims::new("42", Sid::from_bytes([7; 20]), Generation::FIRST, login, end);
    /// # let token = tokens.issue(TokenKind::Access, &claims)?;
    /// # let verifier = tokens.verifier();
    /// assert_eq!(verifier.verify(TokenKind::Access, &token, login)?.subject, "42");
    /// assert_eq!(verifier.verify(TokenKind::Access, &token, end), Err(VerifyError::Expired(end)));
    /// assert_eq!(verifier.verify(TokenKind::Refresh, &token, login), Err(VerifyError::WrongType));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A token that is bound to a client's key is refused, since only [`Transport::identify`](crate::Transport::identify)
    /// sees the proof.
    ///
    /// # Errors
    ///
    /// A [`VerifyError`]. Its variants are in the order of the checks.
    pub fn verify(&self, kind: TokenKind, token: &str, now: UnixTime) -> Result<Claims, VerifyError> {
        let (claims, valid_from) = self.authenticate(kind, token)?;
        self.check_times(&claims, valid_from, now)?;
        if claims.confirmation.is_some() { Err(VerifyError::WrongScheme) } else { Ok(claims) }
    }

    /// Return the claims of an authentic token, and whether the token is valid at `now`.
    pub(crate) fn verify_at_any_time(
        &self,
        kind: TokenKind,
        token: &str,
        now: UnixTime,
    ) -> Result<(Claims, Result<(), VerifyError>), VerifyError> {
        let (claims, valid_from) = self.authenticate(kind, token)?;
        let validity = self.check_times(&claims, valid_from, now);
        Ok((claims, validity))
    }

    fn check_times(&self, claims: &Claims, valid_from: Option<UnixTime>, now: UnixTime) -> Result<(), VerifyError> {
        let leeway = self.profile.leeway;
        match valid_from {
            _ if now >= claims.expires_at + leeway => Err(VerifyError::Expired(claims.expires_at)),
            Some(nbf) if now + leeway < nbf => Err(VerifyError::NotYetValid(nbf)),
            _ => Ok(()),
        }
    }

    /// Verify a token like [`verify`](Self::verify), but regardless of the time. Login and logout use this to end the
    /// session that a token names, however old the token is.
    ///
    /// # Errors
    ///
    /// A [`VerifyError`] other than [`Expired`](VerifyError::Expired) and [`NotYetValid`](VerifyError::NotYetValid).
    pub fn verify_ignoring_time(&self, kind: TokenKind, token: &str) -> Result<Claims, VerifyError> {
        self.authenticate(kind, token).map(|(claims, _)| claims)
    }

    /// Return whether a token could be valid at `now` with the right public key. Everything is checked that does not
    /// need a key.
    ///
    /// Check this before fetching keys. A token with an invented `kid` does not justify a fetch if it is malformed, has
    /// expired, or has a different issuer, audience or type. A set of public keys contains no secrets, so an HMAC token
    /// never justifies a fetch. The result does not tell whether the token is authentic.
    ///
    /// ```
    /// # use jwtauth::*;
    /// # use std::time::Duration;
    /// # let made = GeneratedKey::new(Algorithm::EdDsa, None)?;
    /// # let tokens = Tokens::new(Keyring::new(SigningKey::read(Algorithm::EdDsa, made.expose_jwk().as_bytes())?, [])?, Profile::default())?;
    /// # let login = UnixTime::from_secs(1_700_000_000);
    /// # let end = login + Duration::from_secs(300);
    /// # let token = tokens.issue(TokenKind::Access, &Claims::new("42", Sid::from_bytes([7; 20]), Generation::FIRST, login, end))?;
    /// let without_keys = Verifier::new(VerifyingKeys::from_jwk_set(br#"{"keys":[]}"#, None)?, Profile::default())?;
    /// assert_eq!(without_keys.verify(TokenKind::Access, &token, login), Err(VerifyError::UnknownKey));
    /// assert!(without_keys.is_valid_but_for_key(TokenKind::Access, &token, login));
    /// assert!(!without_keys.is_valid_but_for_key(TokenKind::Access, &token, end));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_valid_but_for_key(&self, kind: TokenKind, token: &str, now: UnixTime) -> bool {
        self.read_without_key(kind, token)
            .is_ok_and(|(claims, valid_from)| self.check_times(&claims, valid_from, now).is_ok())
    }

    fn read_without_key(&self, kind: TokenKind, token: &str) -> Result<(Claims, Option<UnixTime>), VerifyError> {
        let Parts { header, payload, signature, .. } = split(token)?;
        let header = decode(header)?;
        let header = header::parse(&header)?;
        let algorithm: Algorithm = header.algorithm.parse().map_err(|_| VerifyError::Algorithm)?;
        if algorithm.is_symmetric() {
            return Err(VerifyError::Algorithm);
        }
        if header.kind.as_deref() != Some(kind.as_str()) {
            return Err(VerifyError::WrongType);
        }
        if !algorithm.signature_lengths().contains(&signature.len()) {
            return Err(VerifyError::BadSignature);
        }
        claims::parse(&payload, &self.profile)
    }

    /// Verify everything except the time. Return the claims and `nbf`.
    fn authenticate(&self, kind: TokenKind, token: &str) -> Result<(Claims, Option<UnixTime>), VerifyError> {
        let payload = self.signed_payload(Some(Type::Token(kind)), token)?;
        match self.layout.read(&payload) {
            Some(claims) => Ok((claims, None)),
            None => {
                claims::parse(&payload, &self.profile).map(|(claims, valid_from)| (claims.of_kind(kind), valid_from))
            }
        }
    }

    /// Return whether a token, authentic or not, has this ring's layout and names the session and user of `claims`.
    pub(crate) fn names_as(&self, token: &str, claims: &Claims) -> bool {
        let payload = token.split('.').nth(1).filter(|_| token.len() <= MAX_TOKEN_LENGTH);
        let payload = payload.and_then(|payload| decode(payload).ok());
        payload.is_some_and(|payload| self.layout.names(&payload, claims))
    }

    /// Return the payload of a JWS that one of the keys has signed. Only tests pass no `kind`, to skip the check of
    /// `typ`.
    pub(crate) fn signed_payload(&self, kind: Option<Type>, token: &str) -> Result<Vec<u8>, VerifyError> {
        let Parts { message, header, payload, signature } = split(token)?;
        let signed_by = |key: &VerifyingKey| key.verifies(message.as_bytes(), &signature);
        // A header that equals one of this ring's needs no parsing, and tells which key to try.
        let is_own = |headers: &Headers| kind.is_some_and(|kind| headers.of(kind) == header);
        let authentic = match self.headers.iter().zip(self.keys.iter()).find(|(headers, _)| is_own(headers)) {
            Some((_, key)) => signed_by(key),
            None => self.candidates(kind, &decode(header)?)?.any(signed_by),
        };
        if authentic { Ok(payload) } else { Err(VerifyError::BadSignature) }
    }

    /// Return the keys that may have signed a token with this header: at least one.
    fn candidates(
        &self,
        kind: Option<Type>,
        header: &[u8],
    ) -> Result<impl Iterator<Item = &VerifyingKey>, VerifyError> {
        let header = header::parse(header)?;
        let named: Vec<_> = self.keys.candidates(header.key_id.as_deref()).collect();
        if named.is_empty() {
            return Err(VerifyError::UnknownKey);
        }
        let mut candidates =
            named.into_iter().filter(move |key| key.algorithm().answers_to(&header.algorithm)).peekable();
        if candidates.peek().is_none() {
            return Err(VerifyError::Algorithm);
        }
        if kind.is_some_and(|kind| header.kind.as_deref() != Some(kind.as_str())) {
            return Err(VerifyError::WrongType);
        }
        Ok(candidates)
    }
}

impl Claims {
    /// Create the claims of this user, session and generation, without custom claims.
    pub fn new(
        subject: impl Into<String>,
        sid: Sid,
        generation: Generation,
        issued_at: UnixTime,
        expires_at: UnixTime,
    ) -> Self {
        Self {
            subject: subject.into(),
            sid,
            generation,
            issued_at,
            expires_at,
            auth_time: None,
            methods: Methods::default(),
            actor: None,
            confirmation: None,
            idle: false,
            custom: CustomClaims::default(),
        }
    }

    /// Set when and how the user authenticated.
    #[must_use]
    pub fn with_authentication(self, authentication: Authentication) -> Self {
        Self { auth_time: Some(authentication.time), methods: authentication.methods, ..self }
    }

    /// Set who acts as the user.
    #[must_use]
    pub fn with_actor(self, actor: Option<String>) -> Self {
        Self { actor, ..self }
    }

    /// Set the key to which the token is bound.
    #[must_use]
    pub fn with_confirmation(self, confirmation: Option<Thumbprint>) -> Self {
        Self { confirmation, ..self }
    }

    /// Set the custom claims, replacing any present ones.
    #[must_use]
    pub fn with_custom(self, custom: CustomClaims) -> Self {
        Self { custom, ..self }
    }

    /// Return whether these claims are newer: by generation within one session, otherwise by the time of issue.
    pub(crate) fn is_newer_than(&self, other: &Self) -> bool {
        if self.sid == other.sid { self.generation > other.generation } else { self.issued_at > other.issued_at }
    }
}

/// The parts of a compact JWS (RFC 7515 §7.1). The header stays encoded, since most headers equal a known one.
pub(crate) struct Parts<'a> {
    pub(crate) message: &'a str,
    pub(crate) header: &'a str,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

pub(crate) fn split(token: &str) -> Result<Parts<'_>, VerifyError> {
    if token.len() > MAX_TOKEN_LENGTH {
        return Err(VerifyError::TooLong);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(VerifyError::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(VerifyError::Malformed)?;
    // A third dot would be in the payload, where base64 does not allow it.
    let signature = decode(signature)?;
    Ok(Parts { message, header, payload: decode(payload)?, signature })
}

/// Check that both ways of reading claims agree.
#[cfg(fuzzing)]
pub fn fuzz_claims(payload: &[u8]) {
    let profile = Profile::default();
    let parsed = claims::parse(payload, &profile);
    if let Some(read) = Layout::new(&profile).read(payload) {
        assert_eq!(parsed, Ok((read, None)));
    }
}

/// Check that no header causes a panic.
#[cfg(fuzzing)]
pub fn fuzz_header(header: &[u8]) {
    let _ = header::parse(header);
}

/// Decode base64url in its canonical form only: no padding, no stray bits, no other characters (RFC 7515 §2).
pub(crate) fn decode(part: &str) -> Result<Vec<u8>, VerifyError> {
    // `decode` gets zeroed memory, for which glibc's `calloc` takes several times as long as `malloc`.
    let mut bytes = Vec::with_capacity(base64::decoded_len_estimate(part.len()));
    BASE64URL.decode_vec(part, &mut bytes).map_err(|_| VerifyError::Malformed)?;
    Ok(bytes)
}

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wycheproof;
