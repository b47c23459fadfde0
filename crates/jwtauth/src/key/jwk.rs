//! Keys from JWKs (RFC 7517, RFC 7518 §6, RFC 8037 §2) and JWK Sets.

use std::sync::Arc;

use aws_lc_rs::{
    rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents},
    signature::{EcdsaKeyPair, Ed25519KeyPair},
};
use base64::Engine as _;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{MAX_KEY_ID_LENGTH, PrivateKey, VerifyingKey, public::PublicKey};
use crate::{
    Algorithm, KeyError,
    algorithm::{Curve, Family},
    base64url::BASE64URL,
    strict_json::Name,
};

/// The supported members. Other members are ignored (RFC 7517 §4), and no member may occur twice.
#[derive(Deserialize)]
pub(crate) struct Jwk<'a> {
    #[serde(borrow)]
    kty: Name<'a>,
    #[serde(borrow, rename = "use")]
    usage: Option<Name<'a>>,
    #[serde(borrow)]
    key_ops: Option<Vec<Name<'a>>>,
    #[serde(borrow)]
    alg: Option<Name<'a>>,
    #[serde(borrow)]
    kid: Option<Name<'a>>,
    #[serde(borrow)]
    crv: Option<Name<'a>>,
    #[serde(borrow)]
    x: Option<Name<'a>>,
    #[serde(borrow)]
    y: Option<Name<'a>>,
    #[serde(borrow)]
    n: Option<Name<'a>>,
    #[serde(borrow)]
    e: Option<Name<'a>>,
    #[serde(borrow)]
    d: Option<Name<'a>>,
    #[serde(borrow)]
    p: Option<Name<'a>>,
    #[serde(borrow)]
    q: Option<Name<'a>>,
    #[serde(borrow)]
    dp: Option<Name<'a>>,
    #[serde(borrow)]
    dq: Option<Name<'a>>,
    #[serde(borrow)]
    qi: Option<Name<'a>>,
    #[serde(borrow)]
    k: Option<Name<'a>>,
}

/// The minimum by which a text is recognised as a JWK.
#[derive(Deserialize)]
struct Meant {
    #[serde(rename = "kty")]
    _kty: IgnoredAny,
}

impl<'a> Jwk<'a> {
    /// Read a JWK, a JSON object with a `kty`; `None` for any other text.
    ///
    /// # Errors
    ///
    /// [`KeyError::Jwk`]: the text is an object with a `kty`, but cannot be read as a JWK.
    pub(crate) fn detect(key: &'a [u8]) -> Result<Option<Self>, KeyError> {
        let key = unquoted(without_mark(key));
        if !is_object(key) {
            return Ok(None);
        }
        match serde_json::from_slice(key) {
            Ok(jwk) => Ok(Some(jwk)),
            Err(_) if serde_json::from_slice::<Meant>(key).is_ok() => Err(KeyError::Jwk),
            Err(_) => Ok(None),
        }
    }

    /// Read a JWK whose JSON is parsed.
    ///
    /// # Errors
    ///
    /// [`KeyError::Jwk`]: it is not an object, or a member has the wrong type.
    pub(crate) fn from_value(jwk: &'a Value) -> Result<Self, KeyError> {
        // serde would also read a derived struct from an array of its fields.
        if !jwk.is_object() {
            return Err(KeyError::Jwk);
        }
        Self::deserialize(jwk).map_err(|_| KeyError::Jwk)
    }

    /// Check that a JWK is for this algorithm and this operation (RFC 7517 §4.3), and return its `kid`.
    pub(crate) fn demand(
        jwk: Option<&Self>,
        algorithm: Algorithm,
        operation: &str,
    ) -> Result<Option<Arc<str>>, KeyError> {
        let Some(jwk) = jwk else { return Ok(None) };
        if jwk.alg.as_ref().is_some_and(|name| !algorithm.answers_to(&name.0)) {
            return Err(KeyError::WrongAlgorithm { algorithm: algorithm.as_str() });
        }
        let allows = |operations: &Vec<Name<'_>>| operations.iter().any(|name| name.0 == operation);
        if jwk.usage.as_ref().is_some_and(|usage| usage.0 != "sig")
            || jwk.key_ops.as_ref().is_some_and(|it| !allows(it))
        {
            return Err(KeyError::WrongUse);
        }
        match &jwk.kid {
            Some(Name(id)) if id.is_empty() || id.len() > MAX_KEY_ID_LENGTH => Err(KeyError::KeyId),
            Some(Name(id)) => Ok(Some((**id).into())),
            None => Ok(None),
        }
    }

    /// Return the secret of a key of type `oct`.
    pub(super) fn secret(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        if self.kty.0 != "oct" {
            return Err(KeyError::NotASecret { found: "a JWK of a key pair" });
        }
        octets(self.k.as_ref()).map(Zeroizing::new).ok_or(KeyError::Jwk)
    }

    /// Return the public key of a JWK without private members.
    pub(crate) fn public(&self, algorithm: Algorithm) -> Result<PublicKey, KeyError> {
        if self.is_private() {
            return Err(KeyError::NotPublic);
        }
        self.public_half(algorithm)
    }

    /// Return the private key, which must match the public members, and the public key.
    pub(super) fn private(&self, algorithm: Algorithm) -> Result<(PrivateKey, PublicKey), KeyError> {
        let public = self.public_half(algorithm)?;
        if !self.is_private() {
            return Err(KeyError::NotPrivate { algorithm: algorithm.as_str() });
        }
        public.check_size()?;
        let pair = match &public {
            PublicKey::Rsa { n, e } => self.rsa(n, e).map(|pair| PrivateKey::Rsa(Arc::new(pair))),
            PublicKey::Ec { curve, x, y } => private(self.d.as_ref())
                .and_then(|d| {
                    let point = [&[4], x.as_slice(), y].concat();
                    EcdsaKeyPair::from_private_key_and_public_key(curve.signing(), &d, &point).ok()
                })
                .map(|pair| PrivateKey::Ecdsa(Arc::new(pair))),
            PublicKey::Ed25519(x) => private(self.d.as_ref())
                .filter(|seed| seed.len() == 32)
                .and_then(|seed| Ed25519KeyPair::from_seed_and_public_key(&seed, x).ok())
                .map(|pair| PrivateKey::Ed25519(Arc::new(pair))),
        };
        Ok((pair.ok_or(KeyError::Jwk)?, public))
    }

    fn is_private(&self) -> bool {
        [&self.d, &self.p, &self.q, &self.dp, &self.dq, &self.qi, &self.k].into_iter().any(Option::is_some)
    }

    fn public_half(&self, algorithm: Algorithm) -> Result<PublicKey, KeyError> {
        let curve = self.crv.as_ref().map_or("", |name| &name.0);
        let coordinate = |value, length| octets(value).filter(|octets| octets.len() == length);
        let found = match (&*self.kty.0, curve) {
            ("oct", _) => return Err(KeyError::WrongKind { algorithm: algorithm.as_str(), found: "a secret" }),
            ("RSA", _) => number(self.n.as_ref()).zip(number(self.e.as_ref())).map(|(n, e)| PublicKey::Rsa { n, e }),
            ("OKP", "Ed25519") => coordinate(self.x.as_ref(), 32).map(PublicKey::Ed25519),
            ("EC", name) => {
                let Some(curve) = Curve::ALL.into_iter().find(|curve| curve.name() == name) else {
                    return Err(other_kind(algorithm));
                };
                let length = curve.coordinate_length();
                coordinate(self.x.as_ref(), length)
                    .zip(coordinate(self.y.as_ref(), length))
                    .map(|(x, y)| PublicKey::Ec { curve, x, y })
            }
            _ => return Err(other_kind(algorithm)),
        };
        found.ok_or(KeyError::Jwk)
    }

    /// Read an RSA key with two primes. All numbers of RFC 7518 §6.3.2 are required: aws-lc-rs computes none of them.
    fn rsa(&self, n: &[u8], e: &[u8]) -> Option<RsaKeyPair> {
        let pair = KeyPairComponents {
            public_key: PublicKeyComponents { n, e },
            d: &*private(self.d.as_ref())?,
            p: &*private(self.p.as_ref())?,
            q: &*private(self.q.as_ref())?,
            dP: &*private(self.dp.as_ref())?,
            dQ: &*private(self.dq.as_ref())?,
            qInv: &*private(self.qi.as_ref())?,
        };
        RsaKeyPair::from_components::<&[u8], &Vec<u8>>(&pair).ok()
    }

    /// Return the algorithm that the JWK names, or the only one that fits its kind of key; for RSA, `default`.
    pub(crate) fn algorithm(&self, default: Option<Algorithm>) -> Option<Algorithm> {
        match (&self.alg, &*self.kty.0, self.crv.as_ref().map(|name| &*name.0)) {
            (Some(Name(alg)), _, _) => alg.parse().ok(),
            (None, "RSA", _) => default.filter(|default| matches!(default.family(), Family::Rsa { .. })),
            (None, _, Some("P-256")) => Some(Algorithm::Es256),
            (None, _, Some("P-384")) => Some(Algorithm::Es384),
            (None, _, Some("Ed25519")) => Some(Algorithm::EdDsa),
            _ => None,
        }
    }
}

/// Read the keys of a JWK Set (RFC 7517 §5) that can verify tokens. As its §5 asks, other keys are skipped: keys of
/// unknown types and algorithms, keys for other uses, secrets and private keys.
///
/// # Errors
///
/// [`KeyError::Jwk`]: the text is not a JWK Set, which is a JSON object.
pub(crate) fn read_set(set: &[u8], default: Option<Algorithm>) -> Result<Vec<VerifyingKey>, KeyError> {
    #[derive(Deserialize)]
    struct Set<'a> {
        #[serde(borrow)]
        keys: Vec<&'a serde_json::value::RawValue>,
    }
    let set = without_mark(set);
    // serde would also read a derived struct from an array of its fields.
    if !is_object(set) {
        return Err(KeyError::Jwk);
    }
    let set: Set<'_> = serde_json::from_slice(set).map_err(|_| KeyError::Jwk)?;
    let key = |raw: &serde_json::value::RawValue| {
        let text = raw.get().as_bytes();
        let algorithm = Jwk::detect(text).ok()??.algorithm(default).filter(|algorithm| !algorithm.is_symmetric())?;
        VerifyingKey::read(algorithm, text).ok()
    };
    Ok(set.keys.into_iter().filter_map(key).collect())
}

/// Remove a byte order mark, which a JSON parser may ignore (RFC 8259 §8.1).
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text)
}

/// Remove quotes around a text: some parsers of environment files leave them in place.
fn unquoted(text: &[u8]) -> &[u8] {
    let trimmed = text.trim_ascii();
    let inner = |quote: &[u8]| trimmed.strip_prefix(quote)?.strip_suffix(quote);
    inner(b"'").or_else(|| inner(b"\"")).unwrap_or(text)
}

/// Return whether a JSON text is an object.
fn is_object(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"{")
}

fn other_kind(algorithm: Algorithm) -> KeyError {
    KeyError::WrongKind { algorithm: algorithm.as_str(), found: "a key of another kind" }
}

fn octets(value: Option<&Name<'_>>) -> Option<Vec<u8>> {
    BASE64URL.decode(&*value?.0).ok()
}

fn private(value: Option<&Name<'_>>) -> Option<Zeroizing<Vec<u8>>> {
    octets(value).map(Zeroizing::new)
}

/// Decode a `Base64urlUInt` (RFC 7518 §2), which has no leading zeros.
fn number(value: Option<&Name<'_>>) -> Option<Vec<u8>> {
    octets(value).filter(|octets| octets.first().is_some_and(|first| *first != 0))
}
