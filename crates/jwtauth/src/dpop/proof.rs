//! Proofs (RFC 9449 §4): JWS that a client signs for one request.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::{DPOP_NONCE_LIFETIME, Thumbprint};
use crate::{
    Algorithm, Head, Origin, ProofError, UnixTime, Verifier, VerifyError, base64url::BASE64URL, device::ClientJws,
};

/// How far the `iat` of a proof may be from the server's time, in either direction.
///
/// The nonce shows that a proof is fresh, so that this is for wrong clocks.
pub const MAX_DPOP_AGE: Duration = Duration::from_secs(300);

/// How far the `iat` of a proof may be from the server's time where proofs need no nonce: at a service that has
/// [public keys only](crate::Transport::identify), and can sign none.
pub const MAX_DPOP_AGE_WITHOUT_NONCE: Duration = Duration::from_secs(60);

const TYPE: &str = "dpop+jwt";

/// Why a request with `Authorization: DPoP`, or with the header `DPoP` at a token endpoint, is refused. The variants are
/// in the order of the checks.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DpopError {
    /// The access token is not valid, or is not bound to a key.
    #[error("the access token is invalid or expired, is not bound to a key, or its session has ended")]
    Token(#[source] VerifyError),
    /// The request has no header `DPoP`.
    #[error("the header DPoP is missing")]
    Missing,
    /// The header is not one JWS of the type `dpop+jwt`, signed by the key in its own header.
    #[error("the proof is not a JWS that is signed by the key in its header")]
    Jws(#[source] ProofError),
    /// `jti`, `htm`, `htu` or `iat` is missing, or has the wrong type.
    #[error("the proof needs the claims jti, htm, htu and iat")]
    Claims,
    /// `htm` is not the method of the request.
    #[error("htm is not the method of the request")]
    Method,
    /// `htu` is not the URL of the request, without query and fragment. Behind a proxy, the server may not know by which
    /// scheme and host the client reached it.
    #[error("htu is not the URL of the request")]
    Uri,
    /// `iat` is further from the server's time than [`MAX_DPOP_AGE`].
    #[error("iat is too far from the time of the server")]
    Time,
    /// `ath` is not the hash of the access token.
    #[error("ath is not the hash of the access token")]
    AccessToken,
    /// The key is not the one to which the access token is bound.
    #[error("the access token is bound to another key")]
    Key,
    /// The nonce is missing, not the server's, or expired. The response brings one, with which the client tries again.
    #[error("the proof needs the nonce of this response")]
    Nonce,
}

impl DpopError {
    /// Return the stable name of this error, as in `error` of the challenge (RFC 9449 §7.1, §8), but `token_not_valid` for
    /// `invalid_token`, as with other schemes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Token(_) => "token_not_valid",
            Self::Nonce => "use_dpop_nonce",
            _ => "invalid_dpop_proof",
        }
    }

    /// Return whether the access token is one of this site, which has expired or lacks a proof, so that no other scheme of
    /// the site can accept it.
    pub fn is_about_own_token(&self) -> bool {
        match self {
            Self::Token(error) => {
                use VerifyError::{Expired, NotYetValid, SessionOver, WrongScheme};
                matches!(error, Expired(_) | NotYetValid(_) | WrongScheme | SessionOver)
            }
            _ => true,
        }
    }

    /// Return the value of `WWW-Authenticate` (RFC 9449 §7.1), with the algorithms of the proofs that are accepted.
    pub fn challenge(&self) -> String {
        let error = if let Self::Token(_) = self { "invalid_token" } else { self.code() };
        let names: Vec<_> = Algorithm::ALL.into_iter().filter(|it| accepts(*it)).map(Algorithm::as_str).collect();
        format!(r#"DPoP error="{error}", error_description="{self}", algs="{}""#, names.join(" "))
    }
}

/// Return whether clients may use this algorithm (RFC 9449 §4.2): any but those with a shared secret.
fn accepts(algorithm: Algorithm) -> bool {
    !algorithm.is_symmetric()
}

/// What a proof must say.
pub(crate) struct Expected<'a> {
    pub(crate) head: &'a Head<'a>,
    /// The origin that the request was sent to.
    pub(crate) own: Option<Origin>,
    /// The access token, and the key to which it is bound.
    pub(crate) access: Option<(&'a str, Thumbprint)>,
    /// Who verifies nonces; `None` if proofs need none.
    pub(crate) nonces: Option<&'a Verifier>,
}

impl Expected<'_> {
    /// Check the proof of a request (RFC 9449 §4.3). Return its key, and whether the client needs a new nonce soon.
    ///
    /// # Errors
    ///
    /// A [`DpopError`] other than [`Token`](DpopError::Token).
    pub(crate) fn check(&self, now: UnixTime) -> Result<(Thumbprint, bool), DpopError> {
        let proof = self.head.dpop.ok_or(DpopError::Missing)?;
        let (jws, claims) = ClientJws::parse(proof, TYPE, accepts).map_err(DpopError::Jws)?;
        let key = jws.key.as_ref().ok_or(DpopError::Jws(ProofError::Malformed))?;
        jws.verify(key).map_err(DpopError::Jws)?;
        let thumbprint = Thumbprint::parse(&key.thumbprint()).ok_or(DpopError::Jws(ProofError::BadKey))?;

        let text = |name| claims.get(name).and_then(Value::as_str);
        let (Some(_), Some(method), Some(uri), Some(issued_at)) =
            (text("jti").filter(|id| !id.is_empty()), text("htm"), text("htu"), issued_at(&claims))
        else {
            return Err(DpopError::Claims);
        };
        let tolerance = if self.nonces.is_some() { MAX_DPOP_AGE } else { MAX_DPOP_AGE_WITHOUT_NONCE };
        if method != self.head.method {
            return Err(DpopError::Method);
        }
        if !self.is_sent_to(uri) {
            return Err(DpopError::Uri);
        }
        if issued_at > now + tolerance || now > issued_at + tolerance {
            return Err(DpopError::Time);
        }
        if let Some((token, bound_to)) = self.access {
            let hash = BASE64URL.encode(digest::digest(&digest::SHA256, token.as_bytes()));
            if text("ath") != Some(&*hash) {
                return Err(DpopError::AccessToken);
            }
            if thumbprint != bound_to {
                return Err(DpopError::Key);
            }
        }
        let Some(nonces) = self.nonces else { return Ok((thumbprint, false)) };
        let left = text("nonce").and_then(|nonce| nonces.dpop_nonce_left(nonce, now)).ok_or(DpopError::Nonce)?;
        Ok((thumbprint, left <= DPOP_NONCE_LIFETIME / 2))
    }

    /// Return whether this is the URL of the request, whatever its query and fragment. Escapes in the path are decoded.
    fn is_sent_to(&self, uri: &str) -> bool {
        let uri = uri.split(['?', '#']).next().unwrap_or_default();
        let Some((scheme, rest)) = uri.split_once("://") else { return false };
        let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let origin = format!("{scheme}://{host}").parse::<Origin>().ok();
        origin.is_some() && origin == self.own && percent_decode_str(path).eq(self.head.path.bytes())
    }
}

/// Read `iat`, which may have a fraction (RFC 7519 §2).
fn issued_at(claims: &Map<String, Value>) -> Option<UnixTime> {
    let time = claims.get("iat").and_then(Value::as_f64)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in the range of the integers")]
    (0.0..9e15).contains(&time).then(|| UnixTime::from_secs(time as u64))
}
