//! Generation of new keys.

use std::fmt;

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rand::{SecureRandom as _, SystemRandom},
    rsa::KeySize,
    signature::{EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair},
};
use base64::Engine as _;
use pem_rfc7468::LineEnding;
use pkcs1::RsaPrivateKeyRef;
use pkcs8::PrivateKeyInfoRef;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{MAX_KEY_ID_LENGTH, PrivateKey, pem, public::Numbers, secret_thumbprint};
use crate::{Algorithm, KeyError, algorithm::Family, base64url::BASE64URL, strict_json};

/// A newly generated key. This is the only value from which the key can be exported: a
/// [`SigningKey`](crate::SigningKey) never shows it.
///
/// ```
/// use jwtauth::{Algorithm, GeneratedKey, SigningKey, VerifyingKeys};
///
/// let key = GeneratedKey::new(Algorithm::Es256, Some("2026-11"))?;
/// let signing = SigningKey::read(Algorithm::Es256, key.expose_jwk().as_bytes())?;
/// assert_eq!(signing.id(), "2026-11");
///
/// let set = format!(r#"{{"keys": [{}]}}"#, key.public_jwk().expect("the public half of a private key"));
/// assert_eq!(VerifyingKeys::from_jwk_set(set.as_bytes(), None)?.iter().count(), 1);
/// # Ok::<(), jwtauth::KeyError>(())
/// ```
pub struct GeneratedKey {
    pem: Option<Zeroizing<String>>,
    jwk: Zeroizing<String>,
    public_jwk: Option<String>,
}

impl GeneratedKey {
    /// Generate a key: for HMAC, a secret as long as the hash; for RSA, a key of 3072 bits (OWASP ASVS 5.0 §11.2.3).
    /// `key_id` becomes its `kid` instead of the thumbprint (RFC 7638).
    ///
    /// # Errors
    ///
    /// [`KeyError::KeyId`], or [`KeyError::Randomness`] if the operating system supplied no random bytes.
    pub fn new(algorithm: Algorithm, key_id: Option<&str>) -> Result<Self, KeyError> {
        if key_id.is_some_and(|id| id.is_empty() || id.len() > MAX_KEY_ID_LENGTH) {
            return Err(KeyError::KeyId);
        }
        if let Family::Hmac(hash) = algorithm.family() {
            let mut secret = Zeroizing::new(vec![0; hash.tag_len()]);
            SystemRandom::new().fill(&mut secret).map_err(|_| KeyError::Randomness)?;
            let id = key_id.map_or_else(|| secret_thumbprint(&secret), str::to_owned);
            let private = PrivateNumbers { k: Some(encode(&secret)), ..PrivateNumbers::default() };
            return Ok(Self { pem: None, jwk: jwk(algorithm, &Numbers::secret(), &private, &id), public_jwk: None });
        }
        let der = pkcs8(algorithm).ok_or(KeyError::Randomness)?;
        let pem = pem_rfc7468::encode_string("PRIVATE KEY", LineEnding::LF, &der).map_err(|_| KeyError::Randomness)?;
        let pem = Zeroizing::new(pem);
        let (private, public) = pem::private(algorithm, pem.as_bytes())?;
        let id = key_id.map_or_else(|| public.thumbprint(), str::to_owned);
        let numbers = private_numbers(&private, &der).ok_or(KeyError::Randomness)?;
        let jwk = jwk(algorithm, &public.numbers(), &numbers, &id);
        Ok(Self { pem: Some(pem), jwk, public_jwk: Some(public.jwk(algorithm, &id)) })
    }

    /// Return the private key as PKCS#8 in PEM (RFC 7468 §10); `None` for a secret.
    pub fn expose_pem(&self) -> Option<&str> {
        self.pem.as_ref().map(|pem| pem.as_str())
    }

    /// Return the private key or the secret as a JWK.
    pub fn expose_jwk(&self) -> &str {
        &self.jwk
    }

    /// Return the public key as a JWK; `None` for a secret.
    pub fn public_jwk(&self) -> Option<&str> {
        self.public_jwk.as_deref()
    }
}

impl fmt::Debug for GeneratedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GeneratedKey([redacted])")
    }
}

/// The private members of a JWK (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
#[derive(Default, Serialize)]
struct PrivateNumbers {
    #[serde(skip_serializing_if = "Option::is_none")]
    d: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    q: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dp: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dq: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qi: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    k: Option<Secret>,
}

/// A base64url text that is wiped on drop.
struct Secret(Zeroizing<String>);

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

fn encode(bytes: &[u8]) -> Secret {
    Secret(Zeroizing::new(BASE64URL.encode(bytes)))
}

fn jwk(algorithm: Algorithm, public: &Numbers, private: &PrivateNumbers, id: &str) -> Zeroizing<String> {
    #[derive(Serialize)]
    struct Written<'a> {
        #[serde(flatten)]
        public: &'a Numbers,
        #[serde(flatten)]
        private: &'a PrivateNumbers,
        kid: &'a str,
        #[serde(rename = "use")]
        usage: &'a str,
        alg: &'a str,
    }
    Zeroizing::new(strict_json::text(&Written { public, private, kid: id, usage: "sig", alg: algorithm.as_str() }))
}

fn pkcs8(algorithm: Algorithm) -> Option<Zeroizing<Vec<u8>>> {
    let der = match algorithm.family() {
        Family::Hmac(_) => return None,
        Family::Rsa { .. } => {
            let pair = RsaKeyPair::generate(KeySize::Rsa3072).ok()?;
            let der: Pkcs8V1Der<'_> = pair.as_der().ok()?;
            der.as_ref().to_owned()
        }
        Family::Ecdsa(curve) => EcdsaKeyPair::generate(curve.signing()).ok()?.to_pkcs8v1().ok()?.as_ref().to_owned(),
        Family::Ed25519 => Ed25519KeyPair::generate().ok()?.to_pkcs8v1().ok()?.as_ref().to_owned(),
    };
    Some(Zeroizing::new(der))
}

fn private_numbers(private: &PrivateKey, pkcs8: &[u8]) -> Option<PrivateNumbers> {
    use aws_lc_rs::encoding::{AsBigEndian as _, Curve25519SeedBin, EcPrivateKeyBin};
    match private {
        PrivateKey::Hmac(_) => None,
        PrivateKey::Ecdsa(pair) => {
            let d: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().ok()?;
            Some(PrivateNumbers { d: Some(encode(d.as_ref())), ..PrivateNumbers::default() })
        }
        PrivateKey::Ed25519(pair) => {
            let seed: Curve25519SeedBin<'_> = pair.seed().ok()?.as_be_bytes().ok()?;
            Some(PrivateNumbers { d: Some(encode(seed.as_ref())), ..PrivateNumbers::default() })
        }
        PrivateKey::Rsa(_) => {
            let info = PrivateKeyInfoRef::try_from(pkcs8).ok()?;
            let numbers = RsaPrivateKeyRef::try_from(info.private_key.as_bytes()).ok()?;
            Some(PrivateNumbers {
                d: Some(encode(numbers.private_exponent.as_bytes())),
                p: Some(encode(numbers.prime1.as_bytes())),
                q: Some(encode(numbers.prime2.as_bytes())),
                dp: Some(encode(numbers.exponent1.as_bytes())),
                dq: Some(encode(numbers.exponent2.as_bytes())),
                qi: Some(encode(numbers.coefficient.as_bytes())),
                k: None,
            })
        }
    }
}
