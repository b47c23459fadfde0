//! Keys from PEM (RFC 7468): PKCS#8, PKCS#1 and SEC1 of private keys; SPKI, PKCS#1 and X.509 certificates of public ones.

use std::sync::Arc;

use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use pkcs1::{RsaPrivateKeyRef, RsaPublicKeyRef};
use pkcs8::{
    ObjectIdentifier, PrivateKeyInfoRef,
    spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef},
};
use webpki::EndEntityCert;
use zeroize::Zeroizing;

use super::{PrivateKey, public::PublicKey};
use crate::{
    Algorithm, KeyError,
    algorithm::{Curve, Family},
};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// What a PEM holds.
struct Block {
    label: Label,
    der: Zeroizing<Vec<u8>>,
}

enum Label {
    Pkcs8,
    Pkcs1,
    Sec1,
    Spki,
    Pkcs1Public,
    Certificate,
}

/// The kinds of key that we know, by their object identifiers.
enum Kind {
    Rsa,
    Ec(Curve),
    Ed25519,
}

/// Whether this is meant to be a PEM, whatever it holds; or an SSH key, which is a key pair's as well.
pub(super) fn is_one(key: &[u8]) -> bool {
    let text = String::from_utf8_lossy(key);
    text.contains("-----BEGIN ") || text.trim_start().starts_with("ssh-") || text.trim_start().starts_with("ecdsa-")
}

/// The private key of a PEM, and its public half.
pub(super) fn private(algorithm: Algorithm, pem: &[u8]) -> Result<(PrivateKey, PublicKey), KeyError> {
    let Block { label, der } = read(algorithm, pem)?;
    let malformed = KeyError::Malformed { algorithm: algorithm.as_str() };
    match label {
        Label::Pkcs1 => rsa(&der, algorithm),
        Label::Sec1 => ec(&der, algorithm).ok_or(malformed),
        Label::Pkcs8 => {
            let Ok(info) = PrivateKeyInfoRef::try_from(der.as_slice()) else { return Err(malformed) };
            match kind(&info.algorithm, algorithm)? {
                Kind::Rsa => rsa(info.private_key.as_bytes(), algorithm),
                Kind::Ec(curve) => ec_on(curve, &der).ok_or(malformed),
                Kind::Ed25519 => ed25519(&der).ok_or(malformed),
            }
        }
        Label::Spki | Label::Pkcs1Public | Label::Certificate => {
            Err(KeyError::NotPrivate { algorithm: algorithm.as_str() })
        }
    }
}

/// The public key of a PEM.
pub(super) fn public(algorithm: Algorithm, pem: &[u8]) -> Result<PublicKey, KeyError> {
    let Block { label, der } = read(algorithm, pem)?;
    let malformed = KeyError::Malformed { algorithm: algorithm.as_str() };
    match label {
        Label::Spki => spki(&der, algorithm),
        Label::Pkcs1Public => rsa_public(&der).ok_or(malformed),
        Label::Certificate => match EndEntityCert::try_from(&der.as_slice().into()) {
            Ok(certificate) => spki(&certificate.subject_public_key_info(), algorithm),
            Err(_) => Err(malformed),
        },
        Label::Pkcs8 | Label::Pkcs1 | Label::Sec1 => Err(KeyError::NotPublic),
    }
}

/// The first block that may hold a key: OpenSSL writes the curve's parameters before a SEC1 key.
fn read(algorithm: Algorithm, pem: &[u8]) -> Result<Block, KeyError> {
    let malformed = || KeyError::Malformed { algorithm: algorithm.as_str() };
    let text = std::str::from_utf8(pem).map_err(|_| malformed())?;
    let begin = "-----BEGIN ";
    let block = text.match_indices(begin).map(|(at, _)| text.split_at(at).1);
    let block = block.into_iter().find(|block| !block.starts_with("-----BEGIN EC PARAMETERS-----"));
    let (label, der) = pem_rfc7468::decode_vec(block.ok_or_else(malformed)?.trim_end().as_bytes())
        .map(|(label, der)| (label, Zeroizing::new(der)))
        .map_err(|_| if text.contains("ENCRYPTED") { KeyError::Encrypted } else { malformed() })?;
    let label = match label {
        "PRIVATE KEY" => Label::Pkcs8,
        "RSA PRIVATE KEY" => Label::Pkcs1,
        "EC PRIVATE KEY" => Label::Sec1,
        "PUBLIC KEY" => Label::Spki,
        "RSA PUBLIC KEY" => Label::Pkcs1Public,
        "CERTIFICATE" => Label::Certificate,
        "ENCRYPTED PRIVATE KEY" => return Err(KeyError::Encrypted),
        _ => return Err(malformed()),
    };
    Ok(Block { label, der })
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
    public.check_size()?; // first: aws-lc-rs does not say why it refuses a key
    let pair = RsaKeyPair::from_der(pkcs1).map_err(|_| malformed())?;
    Ok((PrivateKey::Rsa(Arc::new(pair)), public))
}

/// SEC1 need not name its curve.
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
