//! Keys from PEM (RFC 7468): private keys in PKCS#8, PKCS#1 and SEC1; public keys in SPKI, PKCS#1 and X.509
//! certificates. [`armor`] parses the text.

use std::sync::Arc;

use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use pkcs1::{
    RsaPrivateKeyRef, RsaPublicKeyRef,
    der::{Decode as _, Encode as _, Tag, Tagged as _, asn1::AnyRef},
};
use pkcs8::{
    ObjectIdentifier, PrivateKeyInfoRef,
    spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef},
};
use zeroize::Zeroizing;

use super::{
    PrivateKey,
    armor::{self, Block, Label, unescape},
    form::Form,
    public::PublicKey,
};
use crate::{
    Algorithm, KeyError,
    algorithm::{Curve, Family},
};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The supported kinds of key, by their object identifiers.
enum Kind {
    Rsa,
    Ec(Curve),
    Ed25519,
}

/// Read the private key of a PEM, and its public half. Certificates next to it are ignored.
pub(super) fn private(algorithm: Algorithm, pem: &[u8]) -> Result<(PrivateKey, PublicKey), KeyError> {
    read(algorithm, pem, |blocks| {
        let keys: Vec<_> = blocks.iter().filter(|block| block.label.is_private()).collect();
        match keys.as_slice() {
            [] if blocks.iter().any(|block| block.label.is_public()) => {
                Err(KeyError::NotPrivate { algorithm: algorithm.as_str() })
            }
            [] => Err(unknown(algorithm, blocks)),
            [key] => private_key(algorithm, key),
            _ => Err(KeyError::SeveralKeys { found: "private keys" }),
        }
    })
}

fn private_key(algorithm: Algorithm, block: &Block<'_>) -> Result<(PrivateKey, PublicKey), KeyError> {
    if block.label == Label::OtherPrivate {
        return Err(KeyError::Form { algorithm: algorithm.as_str(), found: block.label.name() });
    }
    let der = block.der()?;
    let malformed = KeyError::Malformed { algorithm: algorithm.as_str() };
    match block.label {
        Label::Pkcs1 => rsa(&der, algorithm),
        Label::Sec1 => ec(&der, algorithm).ok_or(malformed),
        _ => {
            let Ok(info) = PrivateKeyInfoRef::try_from(der.as_slice()) else { return Err(malformed) };
            match kind(&info.algorithm, algorithm)? {
                Kind::Rsa => rsa(info.private_key.as_bytes(), algorithm),
                Kind::Ec(curve) => ec_on(curve, &der).ok_or(malformed),
                Kind::Ed25519 => ed25519(&der).ok_or(malformed),
            }
        }
    }
}

/// Read the public key of a PEM: the key that all blocks hold, or that of the first certificate of a chain.
pub(super) fn public(algorithm: Algorithm, pem: &[u8]) -> Result<PublicKey, KeyError> {
    read(algorithm, pem, |blocks| {
        if blocks.iter().any(|block| block.label.is_private()) {
            return Err(KeyError::NotPublic);
        }
        let mut blocks_of_keys = blocks.iter().filter(|block| block.label.is_public());
        let first = blocks_of_keys.next().ok_or_else(|| unknown(algorithm, blocks))?;
        let (key, mut issuers) = public_key(algorithm, first)?;
        for block in blocks_of_keys {
            let der = block.der()?;
            let certificate = Certificate::read(&der).filter(|_| block.label == Label::Certificate);
            match certificate {
                Some(certificate) if issuers.contains(&certificate.subject) => {
                    issuers.push(certificate.issuer);
                }
                // `openssl x509 -pubkey` writes the key, then the certificate with the same key.
                _ => match public_key(algorithm, block) {
                    Ok((same, more)) if same == key => issuers.extend(more),
                    _ => return Err(KeyError::SeveralKeys { found: "public keys" }),
                },
            }
        }
        Ok(key)
    })
}

/// Read a public key, and the issuer of its certificate if it comes from one.
fn public_key(algorithm: Algorithm, block: &Block<'_>) -> Result<(PublicKey, Vec<Vec<u8>>), KeyError> {
    let der = block.der()?;
    let malformed = || KeyError::Malformed { algorithm: algorithm.as_str() };
    match block.label {
        Label::Spki => Ok((spki(&der, algorithm)?, Vec::new())),
        Label::Certificate => {
            let certificate = Certificate::read(&der).ok_or_else(malformed)?;
            Ok((spki(&certificate.key, algorithm)?, vec![certificate.issuer]))
        }
        _ => Ok((rsa_public(&der).ok_or_else(malformed)?, Vec::new())),
    }
}

/// The parts of an X.509 certificate (RFC 5280 §4.1) that are read, in DER. None of them is validated.
struct Certificate {
    issuer: Vec<u8>,
    subject: Vec<u8>,
    key: Vec<u8>,
}

impl Certificate {
    fn read(der: &[u8]) -> Option<Self> {
        let certificate = Vec::<AnyRef<'_>>::from_der(der).ok()?;
        let [to_be_signed, _, _] = certificate.as_slice() else { return None };
        let members: Vec<AnyRef<'_>> = to_be_signed.decode_as().ok()?;
        // Version 1 certificates leave out the version.
        let has_version = members.first()?.tag() != Tag::Integer;
        let mut members = members.into_iter().skip(usize::from(has_version));
        let mut after = |skipped: usize| members.nth(skipped)?.to_der().ok();
        Some(Self { issuer: after(2)?, subject: after(1)?, key: after(0)? })
    }
}

/// Pass the blocks of a text to `choose`, if it has any.
fn read<K>(
    algorithm: Algorithm,
    pem: &[u8],
    choose: impl FnOnce(&[Block<'_>]) -> Result<K, KeyError>,
) -> Result<K, KeyError> {
    // The text around the blocks may be in another encoding.
    let text = Zeroizing::new(String::from_utf8_lossy(&unescape(pem)).into_owned());
    let blocks = armor::blocks(&text)?;
    if !blocks.is_empty() {
        return choose(&blocks);
    }
    let algorithm = algorithm.as_str();
    Err(match Form::of(pem) {
        Some(Form::Pem) if pem.contains(&0) => KeyError::Form { algorithm, found: "one in UTF-16" },
        Some(Form::Pem) => KeyError::PemLines,
        Some(Form::Jwk) => KeyError::Jwk,
        Some(form) => KeyError::Form { algorithm, found: form.name() },
        None => KeyError::Malformed { algorithm },
    })
}

/// Return the error for blocks that hold no usable key.
fn unknown(algorithm: Algorithm, blocks: &[Block<'_>]) -> KeyError {
    let found = blocks.first().map_or("nothing", |block| block.label.name());
    KeyError::Form { algorithm: algorithm.as_str(), found }
}

fn kind(identifier: &AlgorithmIdentifierRef<'_>, algorithm: Algorithm) -> Result<Kind, KeyError> {
    match identifier.oids() {
        Ok((pkcs1::ALGORITHM_OID, _)) => Ok(Kind::Rsa),
        Ok((EC_PUBLIC_KEY, Some(P_256))) => Ok(Kind::Ec(Curve::P256)),
        Ok((EC_PUBLIC_KEY, Some(P_384))) => Ok(Kind::Ec(Curve::P384)),
        Ok((ED25519, None)) => Ok(Kind::Ed25519),
        _ => Err(KeyError::WrongKind { algorithm: algorithm.as_str(), found: "a key of another kind" }),
    }
}

fn rsa(pkcs1: &[u8], algorithm: Algorithm) -> Result<(PrivateKey, PublicKey), KeyError> {
    let malformed = || KeyError::Malformed { algorithm: algorithm.as_str() };
    let numbers = RsaPrivateKeyRef::try_from(pkcs1).map_err(|_| malformed())?;
    let (n, e) = (numbers.modulus.as_bytes().to_owned(), numbers.public_exponent.as_bytes().to_owned());
    let public = PublicKey::Rsa { n, e };
    public.check_size()?; // before parsing: aws-lc-rs does not tell why it refuses a key
    let pair = RsaKeyPair::from_der(pkcs1).map_err(|_| malformed())?;
    Ok((PrivateKey::Rsa(Arc::new(pair)), public))
}

/// Read a SEC1 key, which may leave out the name of its curve.
fn ec(sec1: &[u8], algorithm: Algorithm) -> Option<(PrivateKey, PublicKey)> {
    let wanted = match algorithm.family() {
        Family::Ecdsa(curve) => Some(curve),
        _ => None,
    };
    wanted.into_iter().chain(Curve::ALL).find_map(|curve| ec_on(curve, sec1))
}

fn ec_on(curve: Curve, der: &[u8]) -> Option<(PrivateKey, PublicKey)> {
    let pair = EcdsaKeyPair::from_private_key_der(curve.signing(), der).ok()?;
    let public = PublicKey::from_point(curve, pair.public_key().as_ref())?;
    Some((PrivateKey::Ecdsa(Arc::new(pair)), public))
}

fn ed25519(pkcs8: &[u8]) -> Option<(PrivateKey, PublicKey)> {
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
    let public = PublicKey::Ed25519(pair.public_key().as_ref().to_owned());
    Some((PrivateKey::Ed25519(Arc::new(pair)), public))
}

fn spki(der: &[u8], algorithm: Algorithm) -> Result<PublicKey, KeyError> {
    let malformed = || KeyError::Malformed { algorithm: algorithm.as_str() };
    let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| malformed())?;
    let kind = kind(&info.algorithm, algorithm)?;
    let key = info.subject_public_key.as_bytes().ok_or_else(malformed)?;
    let public = match kind {
        Kind::Rsa => rsa_public(key),
        Kind::Ec(curve) => PublicKey::from_point(curve, key),
        Kind::Ed25519 => Some(PublicKey::Ed25519(key.to_owned())),
    };
    public.ok_or_else(malformed)
}

fn rsa_public(pkcs1: &[u8]) -> Option<PublicKey> {
    let numbers = RsaPublicKeyRef::try_from(pkcs1).ok()?;
    Some(PublicKey::Rsa { n: numbers.modulus.as_bytes().to_owned(), e: numbers.public_exponent.as_bytes().to_owned() })
}
