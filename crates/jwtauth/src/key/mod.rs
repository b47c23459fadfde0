//! Keys: each is for one algorithm, and is read from a secret, a PEM or a JWK.
//!
//! Reading a key parses it into the key types of aws-lc-rs. Signing and verifying use these without parsing again.

mod armor;
mod error;
mod form;
mod generate;
mod jwk;
mod pem;
mod public;

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    digest, hmac,
    rand::SystemRandom,
    signature::{EcdsaKeyPair, Ed25519KeyPair, ParsedPublicKey, RsaKeyPair},
};
use base64::Engine as _;
use zeroize::Zeroizing;

pub use error::{KeyError, SigningError};
use form::Form;
pub use generate::GeneratedKey;
pub(crate) use jwk::{Jwk, read_set};
pub(crate) use public::PublicKey;

use crate::{Algorithm, algorithm::Family, base64url::BASE64URL};

/// The maximum length of a `kid`, in bytes.
pub const MAX_KEY_ID_LENGTH: usize = 256;

/// A key that signs, and its other half, which verifies. Neither `Debug` nor any method shows a secret.
#[derive(Clone)]
pub struct SigningKey {
    private: PrivateKey,
    verifying: VerifyingKey,
}

/// A key that verifies signatures: the secret itself for HMAC, otherwise a public key.
#[derive(Clone)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    id: Arc<str>,
    thumbprint: Arc<str>,
    half: VerifyingHalf,
}

#[derive(Clone)]
enum PrivateKey {
    Hmac(Arc<hmac::Key>),
    Rsa(Arc<RsaKeyPair>),
    Ecdsa(Arc<EcdsaKeyPair>),
    Ed25519(Arc<Ed25519KeyPair>),
}

#[derive(Clone)]
enum VerifyingHalf {
    Hmac(Arc<hmac::Key>),
    Public { parsed: Arc<ParsedPublicKey>, public: Arc<PublicKey> },
}

impl SigningKey {
    /// Read the key that `algorithm` signs with.
    ///
    /// For HMAC, `key` is the bytes of a secret, or a JWK of type `oct` (RFC 7518 §6.4). Otherwise it is a private key:
    /// a PEM (RFC 7468) in PKCS#8, PKCS#1 or SEC1, or a JWK (RFC 7517; for RSA, including the primes). The key's ID is
    /// the JWK's `kid`, or else its thumbprint (RFC 7638).
    ///
    /// # Errors
    ///
    /// A [`KeyError`] that tells what is wrong with the key without showing any of it.
    pub fn read(algorithm: Algorithm, key: &[u8]) -> Result<Self, KeyError> {
        let jwk = Jwk::detect(key)?;
        let id = Jwk::demand(jwk.as_ref(), algorithm, "sign")?;
        let (private, public) = match (algorithm.family(), jwk) {
            (Family::Hmac(hash), jwk) => {
                let (hmac, thumbprint) = hmac_key(algorithm, hash, jwk, key)?;
                let half = VerifyingHalf::Hmac(hmac.clone());
                let verifying = VerifyingKey::new(algorithm, id, thumbprint, half);
                return Ok(Self { private: PrivateKey::Hmac(hmac), verifying });
            }
            (_, Some(jwk)) => jwk.private(algorithm)?,
            (_, None) => pem::private(algorithm, key)?,
        };
        Ok(Self { private, verifying: VerifyingKey::from_public(algorithm, public, id)? })
    }

    /// Return the algorithm that this key signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.verifying.algorithm
    }

    /// Return the `kid` (RFC 7515 §4.1.4).
    pub fn id(&self) -> &str {
        &self.verifying.id
    }

    /// Return the half of the key that verifies.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// Sign `message` and pass the signature to `use_it`.
    pub(crate) fn sign<R>(&self, message: &[u8], use_it: impl FnOnce(&[u8]) -> R) -> Result<R, SigningError> {
        let random = SystemRandom::new();
        match &self.private {
            PrivateKey::Hmac(key) => Ok(use_it(hmac::sign(key, message).as_ref())),
            PrivateKey::Ecdsa(pair) => Ok(use_it(pair.sign(&random, message).map_err(|_| SigningError)?.as_ref())),
            PrivateKey::Ed25519(pair) => Ok(use_it(pair.try_sign(message).map_err(|_| SigningError)?.as_ref())),
            PrivateKey::Rsa(pair) => {
                let Family::Rsa { sign, .. } = self.algorithm().family() else { return Err(SigningError) };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(sign, &random, message, &mut signature).map_err(|_| SigningError)?;
                Ok(use_it(&signature))
            }
        }
    }
}

impl VerifyingKey {
    /// Read a key that verifies signatures made with `algorithm`.
    ///
    /// For HMAC, `key` is the secret, as in [`SigningKey::read`]. Otherwise it is a public key: a JWK, or a PEM (RFC
    /// 7468) with an SPKI, a PKCS#1 key or an X.509 certificate. Only the key of a certificate is read; the certificate
    /// is not validated. A private key is refused.
    ///
    /// # Errors
    ///
    /// A [`KeyError`] that tells what is wrong with the key without showing any of it.
    pub fn read(algorithm: Algorithm, key: &[u8]) -> Result<Self, KeyError> {
        let jwk = Jwk::detect(key)?;
        let id = Jwk::demand(jwk.as_ref(), algorithm, "verify")?;
        let public = match (algorithm.family(), jwk) {
            (Family::Hmac(hash), jwk) => {
                let (hmac, thumbprint) = hmac_key(algorithm, hash, jwk, key)?;
                return Ok(Self::new(algorithm, id, thumbprint, VerifyingHalf::Hmac(hmac)));
            }
            (_, Some(jwk)) => jwk.public(algorithm)?,
            (_, None) => pem::public(algorithm, key)?,
        };
        Self::from_public(algorithm, public, id)
    }

    fn from_public(algorithm: Algorithm, public: PublicKey, id: Option<Arc<str>>) -> Result<Self, KeyError> {
        let parsed = Arc::new(public.parse(algorithm)?);
        let thumbprint = public.thumbprint();
        Ok(Self::new(algorithm, id, thumbprint, VerifyingHalf::Public { parsed, public: Arc::new(public) }))
    }

    fn new(algorithm: Algorithm, id: Option<Arc<str>>, thumbprint: String, half: VerifyingHalf) -> Self {
        let thumbprint: Arc<str> = thumbprint.into();
        Self { algorithm, id: id.unwrap_or_else(|| thumbprint.clone()), thumbprint, half }
    }

    /// Return the algorithm whose signatures this key verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Return the `kid` (RFC 7515 §4.1.4).
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Return whether both are the same key, even under different IDs.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.thumbprint == other.thumbprint
    }

    /// Write the public key as a JWK (RFC 7517 §4) for other services to verify with; `None` for a secret.
    pub fn public_jwk(&self) -> Option<String> {
        match &self.half {
            VerifyingHalf::Hmac(_) => None,
            VerifyingHalf::Public { public, .. } => Some(public.jwk(self.algorithm, &self.id)),
        }
    }

    /// Verify a signature. An HMAC tag is compared in constant time.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.half {
            VerifyingHalf::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            VerifyingHalf::Public { parsed, .. } => parsed.verify_sig(message, signature).is_ok(),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} [redacted])", self.algorithm())
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({} [redacted])", self.algorithm)
    }
}

/// Return the HMAC key for a secret, and its thumbprint.
fn hmac_key(
    algorithm: Algorithm,
    hash: hmac::Algorithm,
    jwk: Option<Jwk<'_>>,
    key: &[u8],
) -> Result<(Arc<hmac::Key>, String), KeyError> {
    let secret = match jwk {
        Some(jwk) => jwk.secret()?,
        None => Zeroizing::new(key.to_vec()),
    };
    match Form::of(&secret) {
        Some(Form::Jwk) => return Err(KeyError::Jwk),
        Some(form) => return Err(KeyError::NotASecret { found: form.name() }),
        None => {}
    }
    let minimum = hash.tag_len(); // RFC 7518 §3.2
    if secret.len() < minimum {
        return Err(KeyError::TooShort { algorithm: algorithm.as_str(), actual: secret.len(), minimum });
    }
    Ok((Arc::new(hmac::Key::new(hash, &secret)), secret_thumbprint(&secret)))
}

/// Return the thumbprint of a secret (RFC 7638 §3): SHA-256 over the required members in lexical order.
fn secret_thumbprint(secret: &[u8]) -> String {
    let k = Zeroizing::new(BASE64URL.encode(secret));
    thumbprint(&Zeroizing::new(format!(r#"{{"k":"{}","kty":"oct"}}"#, *k)))
}

fn thumbprint(required_members: &str) -> String {
    BASE64URL.encode(digest::digest(&digest::SHA256, required_members.as_bytes()))
}

#[cfg(test)]
mod tests;
