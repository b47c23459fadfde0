//! The key ring: one key signs, all of its keys verify.

use crate::{Algorithm, KeyError, SigningKey, VerifyingKey, key};

/// The maximum number of keys in a configured ring, and of keys that a token without `kid` is tried against.
pub const MAX_KEYS: usize = 16;

/// Keys that verify, selected by `kid`. A token without `kid` is tried against each of them.
#[derive(Clone, Debug)]
pub struct VerifyingKeys(Vec<VerifyingKey>);

impl VerifyingKeys {
    /// Create a ring of at least one key. A key given twice counts once.
    ///
    /// # Errors
    ///
    /// - [`KeyError::TooMany`]: more than [`MAX_KEYS`] different keys.
    /// - [`KeyError::NoKeys`]: the list is empty.
    /// - [`KeyError::DuplicateId`]: two different keys of one algorithm share a `kid`.
    pub fn new(keys: impl IntoIterator<Item = VerifyingKey>) -> Result<Self, KeyError> {
        let mut ring: Vec<VerifyingKey> = Vec::new();
        for key in keys {
            match ring.iter().find(|known| has_name_of(known, &key)) {
                Some(known) if known.is_same(&key) => {}
                Some(_) => return Err(KeyError::DuplicateId),
                None => ring.push(key),
            }
        }
        match ring.len() {
            0 => Err(KeyError::NoKeys),
            1..=MAX_KEYS => Ok(Self(ring)),
            count => Err(KeyError::TooMany(count)),
        }
    }

    /// Read the keys of a JWK Set (RFC 7517 §5), for a service that recognises users but does not sign them in.
    ///
    /// Keys that cannot verify tokens are skipped: keys for other uses, keys of unknown types and algorithms, and
    /// secrets and private keys, which do not belong in a published set. Different keys that share an algorithm and a
    /// `kid` are all skipped, since the `kid` is ambiguous. The result may therefore be empty; then every token is
    /// invalid. It may hold more than [`MAX_KEYS`] keys; a token without `kid` is tried against the first [`MAX_KEYS`]
    /// of them.
    ///
    /// `alg` is optional (RFC 7517 §4.4). An RSA key without it is for `default` if that is an RSA algorithm; otherwise
    /// the key is skipped. A key of any other type fits exactly one algorithm.
    ///
    /// ```
    /// use jwtauth::{Algorithm, VerifyingKeys};
    ///
    /// let set = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    /// let keys = VerifyingKeys::from_jwk_set(set, None)?;
    /// assert_eq!(keys.iter().next().map(|key| key.algorithm()), Some(Algorithm::EdDsa));
    /// # Ok::<(), jwtauth::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::Jwk`]: the text is not a JWK Set, a JSON object with an array `keys`.
    pub fn from_jwk_set(set: &[u8], default: Option<Algorithm>) -> Result<Self, KeyError> {
        let keys = key::read_set(set, default)?;
        let mut ring: Vec<VerifyingKey> = Vec::new();
        for key in &keys {
            let is_ambiguous = keys.iter().any(|other| has_name_of(other, key) && !other.is_same(key));
            if !is_ambiguous && !ring.iter().any(|known| has_name_of(known, key)) {
                ring.push(key.clone());
            }
        }
        Ok(Self(ring))
    }

    /// Write the public keys as a JWK Set for other services to verify with. Secrets are left out.
    pub fn to_jwk_set(&self) -> String {
        let keys: Vec<_> = self.0.iter().filter_map(VerifyingKey::public_jwk).collect();
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    }

    /// Return whether the ring has no keys, as for an empty JWK Set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterate over the keys.
    pub fn iter(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.0.iter()
    }

    /// Return the `kid` header of a token signed with this key. A secret that is the only key of the ring needs no
    /// `kid`. A public key always has one, since other services look it up by `kid`.
    pub(crate) fn header_key_id<'k>(&self, key: &'k VerifyingKey) -> Option<&'k str> {
        (self.0.len() > 1 || !key.algorithm().is_symmetric()).then(|| key.id())
    }

    /// Iterate over the keys that may have signed a token with this `kid`; without a `kid`, over the first [`MAX_KEYS`]
    /// keys.
    pub(crate) fn candidates(&self, key_id: Option<&str>) -> impl Iterator<Item = &VerifyingKey> {
        self.0.iter().filter(move |key| key_id.is_none_or(|id| key.id() == id)).take(MAX_KEYS)
    }
}

/// Return whether a token that names one of the keys also names the other.
fn has_name_of(key: &VerifyingKey, other: &VerifyingKey) -> bool {
    key.id() == other.id() && key.algorithm().answers_to(other.algorithm().as_str())
}

/// One signing key, and the other keys whose signatures are accepted: previous keys, and the next one.
#[derive(Clone, Debug)]
pub struct Keyring {
    signing: SigningKey,
    verifying: VerifyingKeys,
}

impl Keyring {
    /// Create a ring that signs with `signing` and also accepts the signatures of `verifying`.
    ///
    /// ```
    /// use jwtauth::{Algorithm, Keyring, SigningKey, VerifyingKey};
    ///
    /// let key = SigningKey::read(Algorithm::Hs256, b"a secret of thirty-two bytes ...")?;
    /// let previous = VerifyingKey::read(Algorithm::Hs256, b"the previous key of 32 bytes ....")?;
    /// let ring = Keyring::new(key, [previous])?;
    /// assert_eq!(ring.verifying_keys().iter().count(), 2);
    /// # Ok::<(), jwtauth::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`VerifyingKeys::new`].
    pub fn new(signing: SigningKey, verifying: impl IntoIterator<Item = VerifyingKey>) -> Result<Self, KeyError> {
        let verifying = VerifyingKeys::new(std::iter::once(signing.verifying_key().clone()).chain(verifying))?;
        Ok(Self { signing, verifying })
    }

    /// Return the signing key.
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing
    }

    /// Return every verifying key, that of the signing key first.
    pub fn verifying_keys(&self) -> &VerifyingKeys {
        &self.verifying
    }

    pub(crate) fn into_verifying_keys(self) -> VerifyingKeys {
        self.verifying
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SigningKey {
        SigningKey::read(Algorithm::Hs256, &[byte; 32]).unwrap()
    }

    fn verifying(byte: u8) -> VerifyingKey {
        key(byte).verifying_key().clone()
    }

    #[test]
    fn key_given_twice_counts_once() {
        let ring = Keyring::new(key(1), [verifying(1), verifying(1)]).unwrap();
        assert_eq!(ring.verifying.header_key_id(&verifying(1)), None);
        assert_eq!(ring.verifying.candidates(None).count(), 1);
    }

    #[test]
    fn tokens_name_the_signing_key_if_the_ring_has_several() {
        let ring = Keyring::new(key(1), [verifying(2)]).unwrap();
        assert_eq!(ring.verifying.header_key_id(&verifying(1)), Some(key(1).id()));
        assert_eq!(ring.verifying.candidates(Some(key(2).id())).count(), 1);
        assert_eq!(ring.verifying.candidates(Some("other")).count(), 0);
    }

    #[test]
    fn too_many_keys_and_no_keys_are_refused() {
        let error = Keyring::new(key(0), (1..=16).map(verifying)).unwrap_err();
        assert_eq!(error, KeyError::TooMany(17));
        assert_eq!(error.code(), "too_many_keys");
        assert!(Keyring::new(key(0), (1..=15).map(verifying)).is_ok());
        assert_eq!(VerifyingKeys::new([]).unwrap_err().code(), "no_keys");
    }

    #[test]
    fn two_different_keys_with_one_id_are_refused() {
        let named = |k: &str| format!(r#"{{"kty":"oct","kid":"a","k":"{}"}}"#, k.repeat(43));
        let read = |k| VerifyingKey::read(Algorithm::Hs256, named(k).as_bytes()).unwrap();
        assert!(VerifyingKeys::new([read("A"), read("A")]).is_ok());
        assert_eq!(VerifyingKeys::new([read("A"), read("E")]).unwrap_err().code(), "duplicate_key_id");
    }
}
